//! Sessions without a network: a policy is tried before it is in force (`docs/testing-policies.md`).
//!
//! ```text
//! Visit ──> client ──Event──> core::Session ──Question──> World: stubs, a recording, or the real services
//!             ^                    │    └──Note──> what was evaluated ──┐
//!             └──────Action────────┘                                    ├──> Course ──> text or JSON
//!                                  └──HandOff──> what next hops would get ┘
//! ```
//!
//! Nothing is ever handed on. Throttles, counters and keys count within one session; the shared store is never asked.

pub mod command;
mod diff;
mod filters;
mod handed;
pub mod message;
mod outcome;
pub mod paint;
pub mod recording;
pub mod report;
mod run;
pub mod stubs;
#[cfg(test)]
mod tests;
mod text;
pub mod visit;
mod words;
mod world;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use postern_core::policy::Policy;
use postern_core::policy::settings::Store;
use postern_crds::{Arm, Fault, LoadOptions, ObjectSet, compile, read_folder};

use self::report::Course;
use self::visit::{Visit, VisitError};
pub use self::world::Outside;
use crate::capacity::Capacity;
use crate::gate::Gate;
use crate::message::{Budget, MessageStore};
use crate::metrics::Metrics;
use crate::reload::{Candidate, Loaded};
use crate::snapshot::Snapshot;
use crate::tls::TlsContext;

/// Simulates sessions with one policy.
#[derive(Debug)]
pub struct Simulator {
    gate: Arc<Gate>,
    snapshot: Arc<Snapshot>,
    /// Every value of every field with conditions.
    pub arms: Vec<Arm>,
    /// The manifests.
    pub objects: ObjectSet,
}

/// Why there is nothing to simulate with.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The folder cannot be read.
    #[error("{}: {cause}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// TLS cannot be set up on this system.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
    /// The policy has faults.
    #[error("the policy in {} has {} faults", folder.display(), faults.len())]
    Faults {
        /// The folder.
        folder: PathBuf,
        /// All of them.
        faults: Vec<Fault>,
    },
}

/// Whether services of the network are there to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// They are.
    Reached,
    /// They are not: DNS in scripts fails, and nothing else would ask.
    Away,
}

impl Simulator {
    /// Loads the policy of a folder, by the way of `serve` and `check`.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn load(folder: &Path, options: &LoadOptions, network: Network) -> Result<Self, PolicyError> {
        let unreadable = |cause| PolicyError::Folder { folder: folder.to_owned(), cause };
        let (objects, faults) = read_folder(folder).map_err(unreadable)?;
        let options = LoadOptions { base: Some(folder.to_owned()), ..options.clone() };
        let outcome = compile(&objects, faults, &options);
        let faults = outcome.faults;
        let loaded = Loaded {
            policy: outcome.policy.filter(|_| faults.is_empty()).map(on_its_own),
            faults,
            ..Loaded::default()
        };
        let tls = TlsContext::new().map_err(PolicyError::Tls)?;
        let capacity = Capacity::default();
        let candidate = Candidate::new(loaded, &tls, &capacity)
            .map_err(|refusal| PolicyError::Faults { folder: folder.to_owned(), faults: refusal.faults })?;
        let spool = MessageStore::new(std::env::temp_dir(), Budget::new(0, 0));
        let mut gate = Gate::new(candidate.snapshot, capacity, Metrics::default(), spool);
        if network == Network::Away {
            gate.resolver = gate.resolver.away();
        }
        let snapshot = gate.snapshot();
        Ok(Self { gate: Arc::new(gate), snapshot, arms: outcome.arms, objects })
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.snapshot.policy
    }

    /// Runs one session. It shares nothing with others.
    ///
    /// # Errors
    /// When the policy lacks what the session is about.
    pub async fn run(&self, visit: &Visit, outside: &Outside) -> Result<Course, VisitError> {
        self.run_at(visit, outside, Timestamp::now()).await
    }

    /// As [`run`](Self::run), as if it were then.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn run_at(
        &self,
        visit: &Visit,
        outside: &Outside,
        now: Timestamp,
    ) -> Result<Course, VisitError> {
        run::run(&self.gate, &self.snapshot, visit, outside, now).await
    }
}

/// The policy without the store that it shares with pods in service: what is tried here must not count there.
fn on_its_own(mut policy: Policy) -> Policy {
    policy.settings.store = Store::default();
    policy
}
