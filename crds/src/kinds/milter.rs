//! `MtaMilter`: a filter that speaks the milter protocol.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::filter::{BreakerSpec, Mode, StageName, data_only};
use super::{Cardinality, KindSpec};
use crate::value::{ClientTlsSpec, Expr, SetOf, TimeSpan};

/// A milter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaMilter",
        plural = "mtamilters",
        shortname = "mmi",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "A filter that speaks the milter protocol.",
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
    {"rule": "has(self.hostname) != has(self.socketPath)", "message": "give either hostname or socketPath"},
    {"rule": "!has(self.socketPath) || !has(self.tls)", "message": "tls does not go with socketPath"}
]))]
pub struct MilterSpec {
    /// Whether it is asked; evaluated for each stage. A boolean, RCPT variables. Default `true`.
    pub enable: Expr,
    /// Milters run in this order, then by name. Default 0.
    pub order: i32,
    /// `Enforce`: its verdict counts. `Observe`: it runs, its verdict is reported and has no effect. Default
    /// `Enforce`.
    pub mode: Mode,
    /// Host name or IP address of the milter. Names are resolved at each connect. Required unless `socketPath`
    /// is given.
    #[schemars(length(min = 1, max = 253))]
    pub hostname: Option<String>,
    /// TCP port of the milter, 1 to 65535. Default 11332.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Path of a Unix socket, instead of `hostname` and `port`.
    #[schemars(length(min = 1, max = 107))]
    pub socket_path: Option<String>,
    /// Stages at which it is asked. Nothing is asked at `auth`. Default `[data]`.
    pub stages: SetOf<StageName>,
    /// Version of the protocol that is offered. Default `v6`.
    pub protocol_version: MilterVersion,
    /// Bits of actions that are offered, as libmilter numbers them. Default: every action that Postern honours.
    #[schemars(range(min = 0, max = 4_294_967_295_u64))]
    pub flags_action: Option<u32>,
    /// Bits of protocol steps that are offered, as libmilter numbers them. Default: every step that Postern
    /// honours.
    #[schemars(range(min = 0, max = 4_294_967_295_u64))]
    pub flags_protocol: Option<u32>,
    /// Limit for connecting. Default `30s`.
    pub timeout_connect: TimeSpan,
    /// Limit for sending one command. Default `30s`.
    pub timeout_command: TimeSpan,
    /// Limit for each answer. Default `60s`.
    pub timeout_data: TimeSpan,
    /// Largest frame that is accepted, octets. Default 52428800.
    #[schemars(range(min = 1024, max = 268_435_456))]
    pub max_response_size: u32,
    /// A failure is answered with 451; when false the milter is skipped. Default true.
    pub temp_fail_on_error: bool,
    /// Larger messages fall under the failure rule, octets. Default 26214400.
    #[schemars(range(min = 1))]
    pub max_message_size: u64,
    /// When to stop asking a milter that fails.
    pub breaker: BreakerSpec,
    /// Speak TLS to the milter. Default: clear text.
    pub tls: Option<ClientTlsSpec>,
}

impl KindSpec for MilterSpec {
    const KIND: &'static str = "MtaMilter";
    const PLURAL: &'static str = "mtamilters";
    const CARDINALITY: Cardinality = Cardinality::Many;
    const RENAMED: &'static [(&'static str, &'static str)] = &[
        ("useTls", "`tls: {}`"),
        ("allowInvalidCerts", "`tls: {allowInvalidCerts: true}`"),
        ("name", "the name in `metadata.name`"),
    ];
}

impl Default for MilterSpec {
    fn default() -> Self {
        Self {
            enable: Expr::default(),
            order: 0,
            mode: Mode::default(),
            hostname: None,
            port: 11332,
            socket_path: None,
            stages: data_only(),
            protocol_version: MilterVersion::default(),
            flags_action: None,
            flags_protocol: None,
            timeout_connect: TimeSpan::seconds(30),
            timeout_command: TimeSpan::seconds(30),
            timeout_data: TimeSpan::seconds(60),
            max_response_size: 50 << 20,
            temp_fail_on_error: true,
            max_message_size: 25 << 20,
            breaker: BreakerSpec::default(),
            tls: None,
        }
    }
}

/// Version of the milter protocol.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum MilterVersion {
    /// Version 2.
    V2,
    /// Version 6.
    #[default]
    V6,
}
