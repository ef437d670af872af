//! What is to be mounted and what is to be said, as a function of what is there.
//!
//! ```text
//! baseline ─┐                 forms          parts
//! objects  ─┼─> inventory ──> choice ──┬──> rendered, read back, compiled ──┬─> mounted, or held
//! mounted  ─┘                          └──> conditions <─── pods' reports ──┘
//! ```
//!
//! Nothing here talks to anybody. The same inputs give the same plan, so any replica may make it at any time.

mod choice;
mod conditions;
mod document;
mod inventory;
mod parts;
mod review;
mod target;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use postern_crds::ObjectRef;
use postern_trace::{Kind, span};
use serde_json::Value;

pub use document::Document;
pub use parts::{CONFIG_PARTS, PartError, Parts, SECRET_PARTS, objects_file, secrets_file};
pub use review::{Review, review};

use conditions::Verdicts;
use inventory::Inventory;

/// Annotation of the MtaSettings that the operator has made. Until somebody edits it, it says nothing.
pub const PLACEHOLDER: &str = "mta.postern.dev/placeholder";

/// Everything that a plan follows from.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The files of the baseline by name; none when its ConfigMap is not there.
    pub baseline: Option<Vec<(String, String)>>,
    /// The custom resources as the API server has them.
    pub objects: Vec<Arc<Value>>,
    /// The Secrets of the namespace, in the same form.
    pub secrets: Vec<Arc<Value>>,
    /// The ConfigMaps of the namespace, in the same form.
    pub config_maps: Vec<Arc<Value>>,
    /// What is mounted now.
    pub mounted: Parts,
    /// What the ready pods say.
    pub pods: Vec<PodReport>,
    /// The folder of programs that an MtaPipe may run in the pods; none when they have none.
    pub pipe_dir: Option<PathBuf>,
    /// The ports of the pods that Services lead to.
    pub exposed: BTreeSet<u16>,
    /// The time, for conditions that change.
    pub now: Timestamp,
}

/// What one ready pod says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodReport {
    /// `metadata.name`
    pub name: String,
    /// The revision in force; none when it does not answer.
    pub revision: Option<String>,
    /// Why it did not take over what it saw last; none when it did.
    pub refusal: Option<String>,
}

/// What is to be done.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What is to be mounted. Equal to what is mounted when there is nothing to do.
    pub parts: Parts,
    /// The statuses that differ from what the API server has.
    pub statuses: Vec<StatusWrite>,
    /// What people are to be told, once for each change.
    pub notices: Vec<Notice>,
    /// Why the newest forms of accepted objects are not mounted; none when they are.
    pub held: Option<Hold>,
}

/// A status that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusWrite {
    /// The object.
    pub object: ObjectRef,
    /// `status` in full.
    pub status: Value,
}

/// A Warning event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub object: ObjectRef,
    /// One word that says why.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// Why the whole previous revision stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hold {
    /// There is no baseline, or it cannot be read; without it nobody knows what was deleted.
    #[error("the baseline cannot be used: {0}")]
    Baseline(String),
    /// What was chosen does not go together.
    #[error("{}", .0.join("; "))]
    Faults(Vec<String>),
    /// No pod would accept a connection.
    #[error("there is no MtaListener, so nobody could connect")]
    NoListener,
    /// It does not fit into what pods mount.
    #[error(transparent)]
    TooLarge(#[from] PartError),
}

impl Hold {
    /// One word that says why, as conditions have it.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "TooLarge",
            Self::Baseline(_) | Self::Faults(_) | Self::NoListener => "Held",
        }
    }
}

/// Makes the plan.
#[must_use]
pub fn plan(inputs: &Inputs) -> Plan {
    let reviewing = span("operator.review", Kind::Internal);
    let inventory = Inventory::of(inputs);
    let choice = choice::choose(&inventory);
    drop(reviewing);
    let mut compiling = span("operator.compile", Kind::Internal);
    let (parts, held) = match target::build(&inventory, &choice) {
        Ok(parts) => (parts, None),
        Err(hold) => {
            compiling.fail(&hold);
            (inputs.mounted.clone(), Some(hold))
        }
    };
    drop(compiling);
    let verdicts =
        Verdicts { inputs, inventory: &inventory, choice: &choice, parts: &parts, held: held.as_ref() };
    let (statuses, notices) = verdicts.statuses();
    Plan { parts, statuses, notices, held }
}
