//! Values that stand elsewhere: in Secrets, ConfigMaps, files or the environment.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A password, token or key. Exactly one of the fields is set; in a cluster only `secretKeyRef` is allowed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.secretKeyRef) && !has(self.value) && !has(self.env) && !has(self.file)",
     "message": "in a cluster a secret is given by secretKeyRef, and by nothing else"}
]))]
pub struct SecretSource {
    /// A key of a Secret in the same namespace.
    pub secret_key_ref: Option<SecretKeyRef>,
    /// The value itself. For a folder on a laptop; refused in a cluster.
    #[schemars(length(max = 65536))]
    pub value: Option<String>,
    /// Name of an environment variable. For a folder on a laptop; refused in a cluster.
    #[schemars(length(min = 1, max = 256))]
    pub env: Option<String>,
    /// Path of a file, relative to the folder of manifests; a final line end is dropped. For a folder on a
    /// laptop; refused in a cluster.
    #[schemars(length(min = 1, max = 4096))]
    pub file: Option<String>,
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretSource")
            .field("secret_key_ref", &self.secret_key_ref)
            .field("value", &self.value.as_ref().map(|_| "…"))
            .field("env", &self.env)
            .field("file", &self.file)
            .finish()
    }
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its `data`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A key of a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigMapKeyRef {
    /// Name of the ConfigMap, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its `data`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
