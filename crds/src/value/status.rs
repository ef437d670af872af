//! What the operator reports about an object.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `status` of every kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectStatus {
    /// The `metadata.generation` that this status is about.
    pub observed_generation: Option<i64>,
    /// `Accepted`: nothing is wrong with the object itself. `ResolvedRefs`: everything it names is there.
    /// `Programmed`: every ready pod runs it in this generation.
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// `status` of MtaSettings, which also speaks for the whole release.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SettingsStatus {
    /// The `metadata.generation` that this status is about.
    pub observed_generation: Option<i64>,
    /// As for every kind.
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The revision that the operator has written: a hash of all accepted manifests in canonical form.
    pub revision: Option<String>,
    /// Pods that run this revision, of those that are ready, such as `3/3`.
    pub pods: Option<String>,
}

/// One condition, in the form that Kubernetes uses everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Name of the condition.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    /// The `metadata.generation` that this condition is about.
    pub observed_generation: Option<i64>,
    /// When `status` changed last, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// One word that says why.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// A sentence for people, with the position of a fault.
    #[schemars(length(max = 32768))]
    pub message: String,
}
