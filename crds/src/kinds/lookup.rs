//! `MtaLookup`: sets and maps for expressions and scripts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::ConfigMapKeyRef;

/// Keys, with values, under one namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaLookup",
        plural = "mtalookups",
        shortname = "mlo",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "A set or map for key_exists, key_get and lists of Sieve.",
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
    {"rule": "(has(self.entries) ? 1 : 0) + (has(self.configMapKeyRef) ? 1 : 0) + (has(self.file) ? 1 : 0) == 1",
     "message": "give exactly one of entries, configMapKeyRef and file"}
]))]
pub struct LookupSpec {
    /// Name of the set in expressions and scripts. Several objects may add to one. Default: `metadata.name`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 253))]
    pub namespace: Option<String>,
    /// The keys.
    #[serde(default)]
    #[schemars(extend("maxItems" = 100_000, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"]))]
    pub entries: Option<Vec<LookupEntry>>,
    /// Key of a ConfigMap with one entry on each line: the key, and after white space the value. Lines that
    /// begin with `#` are skipped.
    #[serde(default)]
    pub config_map_key_ref: Option<ConfigMapKeyRef>,
    /// Path of a file on a mounted volume, in the same form; read again when it changes. For large sets.
    #[serde(default)]
    #[schemars(length(min = 1, max = 4096))]
    pub file: Option<String>,
}

impl KindSpec for LookupSpec {
    const KIND: &'static str = "MtaLookup";
    const PLURAL: &'static str = "mtalookups";
    const CARDINALITY: Cardinality = Cardinality::Many;
}

/// One key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookupEntry {
    /// The key; compared exactly.
    #[schemars(length(min = 1, max = 4096))]
    pub key: String,
    /// Its value, for `key_get`. Default: empty.
    #[serde(default)]
    #[schemars(length(max = 65536))]
    pub value: String,
    /// The key is a pattern, in which `*` stands for any text and `?` for one character. Default false.
    #[serde(default)]
    pub is_glob_pattern: bool,
}
