//! What all connections share.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::auth::Authenticator;
use crate::capacity::Capacity;
use crate::dns::Resolver;
use crate::drain::Drain;
use crate::filter::Filters;
use crate::handoff::HandOff;
use crate::message::MessageStore;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::store::MemoryStore;
use crate::throttle::Counters;

/// The server as connections see it: the policy in force and the services of the process.
#[derive(Debug)]
pub struct Gate {
    current: ArcSwap<Snapshot>,
    /// Open connections.
    pub capacity: Capacity,
    /// Password checks.
    pub authenticator: Authenticator,
    /// Counters of throttles.
    pub throttles: Counters,
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
    /// What expressions count and remember.
    pub store: MemoryStore,
    /// Whether the process is about to end.
    pub drain: Drain,
    /// The host's own name, for where the policy names none.
    pub hostname: Arc<str>,
}

impl Gate {
    /// Puts a first policy in force.
    #[must_use]
    pub fn new(
        first: Snapshot,
        capacity: Capacity,
        metrics: Metrics,
        messages: MessageStore,
        handoff: HandOff,
    ) -> Self {
        metrics.applied(&first);
        resize(&messages, &first);
        handoff.in_force(&first.policy.routes);
        let resolver = Resolver::new(&first.policy.settings.dns, metrics.dns().clone());
        Self {
            current: ArcSwap::from_pointee(first),
            capacity,
            authenticator: Authenticator::default(),
            throttles: Counters::default(),
            resolver,
            metrics,
            messages,
            filters: Filters::default(),
            handoff,
            store: MemoryStore::default(),
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
        self.resolver.configure(&next.policy.settings.dns);
        self.current.store(Arc::new(next));
    }
}

fn resize(messages: &MessageStore, policy: &Snapshot) {
    let settings = &policy.policy.settings;
    messages.budget().resize(settings.message_memory, settings.message_spool);
}

/// The name that the system has, or `localhost` when it has none.
fn own_hostname() -> Arc<str> {
    rustix::system::uname()
        .nodename()
        .to_str()
        .ok()
        .filter(|name| !name.is_empty())
        .map_or_else(|| Arc::from("localhost"), Arc::from)
}
