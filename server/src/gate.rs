//! What all connections share.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::auth::Authenticator;
use crate::capacity::Capacity;
use crate::directory::DirectoryClients;
use crate::dns::Resolver;
use crate::drain::Drain;
use crate::filter::Filters;
use crate::handoff::HandOff;
use crate::message::MessageStore;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::store::Store;

/// The server as connections see it: the policy in force and the services of the process.
#[derive(Debug)]
pub struct Gate {
    current: ArcSwap<Snapshot>,
    /// Open connections.
    pub capacity: Capacity,
    /// Password checks.
    pub authenticator: Authenticator,
    /// Directories outside of the policy.
    pub directories: DirectoryClients,
    /// Where names are looked up.
    pub resolver: Resolver,
    /// What is counted for operators.
    pub metrics: Metrics,
    /// Messages in hand.
    pub messages: MessageStore,
    /// What filters share.
    pub filters: Filters,
    /// The way to next hops.
    pub handoff: HandOff,
    /// What sessions count and remember together.
    pub store: Arc<Store>,
    /// Whether the process is about to end.
    pub drain: Drain,
    /// The host's own name, for where the policy names none.
    pub hostname: Arc<str>,
}

impl Gate {
    /// Puts a first policy in force.
    #[must_use]
    pub fn new(first: Snapshot, capacity: Capacity, metrics: Metrics, messages: MessageStore) -> Self {
        let store = Arc::new(Store::new(metrics.store()));
        let handoff = HandOff::new(metrics.handoff(), Arc::clone(&store) as _);
        store.configure(&first.policy.settings.store);
        metrics.applied(&first);
        resize(&messages, &first);
        handoff.in_force(&first.policy.routes);
        let resolver = Resolver::new(&first.policy.settings.dns, metrics.dns().clone());
        let directories = DirectoryClients::new(metrics.directories());
        Self {
            current: ArcSwap::from_pointee(first),
            capacity,
            authenticator: Authenticator::default(),
            directories,
            resolver,
            metrics,
            messages,
            filters: Filters::default(),
            handoff,
            store,
            drain: Drain::default(),
            hostname: own_hostname(),
        }
    }

    /// The policy in force for connections accepted now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts another policy in force, in one step, for connections accepted from now on.
    pub fn replace(&self, next: Snapshot) {
        self.metrics.applied(&next);
        resize(&self.messages, &next);
        self.handoff.in_force(&next.policy.routes);
        self.store.configure(&next.policy.settings.store);
        self.filters.in_force(&next.policy.filters);
        self.directories.in_force(&next.policy);
        self.resolver.configure(&next.policy.settings.dns);
        self.current.store(Arc::new(next));
    }
}

fn resize(messages: &MessageStore, policy: &Snapshot) {
    let settings = &policy.policy.settings;
    messages.budget().resize(settings.message_memory, settings.message_spool);
}

/// The name that the system has, or `localhost` when it has none.
pub(crate) fn own_hostname() -> Arc<str> {
    rustix::system::uname()
        .nodename()
        .to_str()
        .ok()
        .filter(|name| !name.is_empty())
        .map_or_else(|| Arc::from("localhost"), Arc::from)
}
