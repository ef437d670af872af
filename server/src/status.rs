//! What the process says about itself: the policy in force and the last attempt to change it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use postern_crds::{Fault, ObjectRef};
use serde::Serialize;

use crate::listener::Bound;

/// Written by the reload, read by the admin port.
#[derive(Debug, Default)]
pub struct Status(Mutex<Report>);

/// The state of the policy.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When the policy in force was put there.
    pub in_force_since: Option<Timestamp>,
    /// The objects in force.
    pub objects: Vec<ObjectInForce>,
    /// The sockets in use.
    pub listeners: Vec<BoundSocket>,
    /// The last attempt to put a policy in force.
    pub last_reload: Option<Attempt>,
}

/// An object that the policy in force was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectInForce {
    /// Kind and name.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// `metadata.generation`, when the manifest says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
}

/// A socket that connections are accepted from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoundSocket {
    /// Name of the listener.
    pub name: String,
    /// The bound address.
    pub address: String,
}

/// An attempt to put a policy in force.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it ended.
    pub at: Timestamp,
    /// Whether the policy is in force since.
    pub applied: bool,
    /// What kept it from that.
    pub faults: Vec<Fault>,
    /// What is worth a look.
    pub warnings: Vec<Fault>,
}

impl Status {
    /// A policy is in force.
    pub fn applied(
        &self,
        at: Timestamp,
        objects: Vec<ObjectInForce>,
        bound: Vec<Bound>,
        warnings: Vec<Fault>,
    ) {
        let listeners = bound
            .into_iter()
            .map(|bound| BoundSocket { name: bound.listener.to_string(), address: bound.address.to_string() })
            .collect();
        *self.lock() = Report {
            in_force_since: Some(at),
            objects,
            listeners,
            last_reload: Some(Attempt { at, applied: true, faults: Vec::new(), warnings }),
        };
    }

    /// A policy has faults; what was in force stays.
    pub fn refused(&self, at: Timestamp, faults: Vec<Fault>, warnings: Vec<Fault>) {
        self.lock().last_reload = Some(Attempt { at, applied: false, faults, warnings });
    }

    /// The state now.
    #[must_use]
    pub fn report(&self) -> Report {
        self.lock().clone()
    }

    /// What was wrong in the last attempt, if that failed.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let report = self.lock();
        let last = report.last_reload.as_ref().filter(|last| !last.applied)?;
        Some(last.faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; "))
    }

    /// Whether there are sockets that connections are accepted from.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        !self.lock().listeners.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
