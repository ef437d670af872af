//! `MtaHook`: a filter that is asked over HTTP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use std::collections::BTreeMap;

use super::filter::{BreakerSpec, Mode, StageName, data_only};
use crate::value::{ClientTlsSpec, Expr, SecretSource, SetOf, TimeSpan};

/// A hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaHook",
        plural = "mtahooks",
        shortname = "mho",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "A filter that is asked over HTTP.",
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
pub struct HookSpec {
    /// Whether it is asked; evaluated for each stage. A boolean, RCPT variables. Default `true`.
    #[serde(default)]
    pub enable: Expr,
    /// Hooks run in this order, then by name. Default 0.
    #[serde(default)]
    pub order: i32,
    /// `Enforce`: its verdict counts. `Observe`: it runs, its verdict is reported and has no effect. Default
    /// `Enforce`.
    #[serde(default)]
    pub mode: Mode,
    /// Target of the POST, an `http` or `https` URL.
    #[schemars(length(min = 1, max = 2048), extend("pattern" = "^https?://.+"))]
    pub url: String,
    /// Stages at which it is asked. Default `[data]`.
    #[serde(default = "data_only")]
    pub stages: SetOf<StageName>,
    /// Credentials of the request. Default: none.
    #[serde(default)]
    pub http_auth: HttpAuthSpec,
    /// Header fields that are added to the request: names and values.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64))]
    pub http_headers: BTreeMap<String, String>,
    /// Limit for the whole exchange. Default `30s`.
    #[serde(default = "thirty_seconds")]
    pub timeout: TimeSpan,
    /// Largest answer that is accepted, octets. Default 52428800.
    #[serde(default = "fifty_mebibytes")]
    #[schemars(range(min = 1))]
    pub max_response_size: u64,
    /// A failure is answered with 451; when false the hook is skipped. Default true.
    #[serde(default = "yes")]
    pub temp_fail_on_error: bool,
    /// Larger messages fall under the failure rule, octets. Default 26214400.
    #[serde(default = "twenty_five_mebibytes")]
    #[schemars(range(min = 1))]
    pub max_message_size: u64,
    /// How the body is put into JSON: `Text` replaces octets that are not UTF-8, `Base64` keeps every octet.
    /// Default `Text`.
    #[serde(default)]
    pub body_encoding: BodyEncoding,
    /// When to stop asking a hook that fails.
    #[serde(default)]
    pub breaker: BreakerSpec,
    /// TLS towards `https` URLs. Default: authorities of the system.
    #[serde(default)]
    pub tls: Option<ClientTlsSpec>,
}

impl KindSpec for HookSpec {
    const KIND: &'static str = "MtaHook";
    const PLURAL: &'static str = "mtahooks";
    const CARDINALITY: Cardinality = Cardinality::Many;
    const RENAMED: &'static [(&'static str, &'static str)] =
        &[("allowInvalidCerts", "`tls: {allowInvalidCerts: true}`"), ("name", "the name in `metadata.name`")];
}

fn thirty_seconds() -> TimeSpan {
    TimeSpan::seconds(30)
}

fn fifty_mebibytes() -> u64 {
    50 << 20
}

fn twenty_five_mebibytes() -> u64 {
    25 << 20
}

fn yes() -> bool {
    true
}

/// Credentials of a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(self.type == 'Basic') == (has(self.username) && has(self.secret))",
     "message": "Basic needs username and secret, the other types have neither"},
    {"rule": "(self.type == 'Bearer') == has(self.bearerToken)",
     "message": "Bearer needs bearerToken, the other types do not have it"}
]))]
pub struct HttpAuthSpec {
    /// `Unauthenticated`, `Basic` (RFC 7617) or `Bearer` (RFC 6750). Default `Unauthenticated`.
    #[serde(rename = "type")]
    pub kind: HttpAuthType,
    /// User of `Basic`.
    #[schemars(length(min = 1, max = 1024))]
    pub username: Option<String>,
    /// Password of `Basic`.
    pub secret: Option<SecretSource>,
    /// Token of `Bearer`.
    pub bearer_token: Option<SecretSource>,
}

/// Kind of credentials.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum HttpAuthType {
    /// None.
    #[default]
    Unauthenticated,
    /// User and password.
    Basic,
    /// A token.
    Bearer,
}

/// How a body is put into JSON.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum BodyEncoding {
    /// As text.
    #[default]
    Text,
    /// As base64.
    Base64,
}
