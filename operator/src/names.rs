//! What the objects of one release are called.

use crate::plan::{CONFIG_PARTS, SECRET_PARTS};

/// The release, and the names that follow from it. The chart uses the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The namespace; everything is in it.
    pub namespace: String,
    /// The release, which other names begin with.
    pub release: String,
    /// The ConfigMap with the baseline.
    pub baseline: String,
}

impl Names {
    /// The ConfigMaps that pods mount.
    pub fn config_parts(&self) -> impl Iterator<Item = String> {
        (0..CONFIG_PARTS).map(|index| format!("{}-policy-{index}", self.release))
    }

    /// The Secrets that pods mount.
    pub fn secret_parts(&self) -> impl Iterator<Item = String> {
        (0..SECRET_PARTS).map(|index| format!("{}-policy-secrets-{index}", self.release))
    }

    /// The Lease of the leader.
    #[must_use]
    pub fn lease(&self) -> String {
        format!("{}-operator", self.release)
    }
}

/// Name under which the operator writes.
pub const MANAGER: &str = "postern-operator";
