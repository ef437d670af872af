//! `MtaSieveScript`: a Sieve script that stages name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::ConfigMapKeyRef;

/// A script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaSieveScript",
        plural = "mtasievescripts",
        shortname = "mss",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "A Sieve script that stages and other scripts name.",
        validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63")
            .message("metadata.name must be a DNS label"),
        printcolumn(
            name = "Accepted",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
        ),
        printcolumn(
            name = "In force",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Programmed\")].status"
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.contents) != has(self.configMapKeyRef)", "message": "give either contents or configMapKeyRef"}
]))]
pub struct SieveScriptSpec {
    /// Name in `script` fields and `include`, compared without case. Default: `metadata.name`.
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// An inactive script does not exist for stages and includes. Default true.
    pub is_active: bool,
    /// The script (RFC 5228). Required unless `configMapKeyRef` is given.
    #[schemars(length(max = 1_000_000))]
    pub contents: Option<String>,
    /// Key of a ConfigMap that holds the script.
    pub config_map_key_ref: Option<ConfigMapKeyRef>,
    /// A note for people.
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
}

impl KindSpec for SieveScriptSpec {
    const KIND: &'static str = "MtaSieveScript";
    const PLURAL: &'static str = "mtasievescripts";
    const CARDINALITY: Cardinality = Cardinality::Many;
}

impl Default for SieveScriptSpec {
    fn default() -> Self {
        Self { name: None, is_active: true, contents: None, config_map_key_ref: None, description: None }
    }
}
