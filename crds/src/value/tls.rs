//! TLS of everything that Postern connects to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a TLS server is verified, and who we say that we are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTlsSpec {
    /// Authorities that are trusted, as PEM in a Secret. Default: those of the system.
    pub ca_secret_ref: Option<AuthoritySecretRef>,
    /// Name in the server's certificate. Default: the host that is connected to.
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// Secret of type kubernetes.io/tls with the certificate that we show. Default: none.
    #[schemars(length(min = 1, max = 253))]
    pub client_secret_name: Option<String>,
    /// Take any certificate, whoever shows it. Default false.
    pub allow_invalid_certs: bool,
}

/// The Secret that holds certificates of authorities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthoritySecretRef {
    /// Name of the Secret, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its `data`. Default `ca.crt`.
    #[serde(default = "certificate_authority_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// The key under which Kubernetes and cert-manager keep an authority's certificate.
fn certificate_authority_key() -> String {
    "ca.crt".to_owned()
}
