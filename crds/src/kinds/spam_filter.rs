//! `MtaSpamFilter`: rspamd.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::filter::{BreakerSpec, Mode};
use super::{Cardinality, KindSpec};
use crate::value::{ClientTlsSpec, SecretSource, TimeSpan};

/// rspamd.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaSpamFilter",
        plural = "mtaspamfilters",
        shortname = "msf",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "rspamd, asked at the end of data.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaSpamFilter in a namespace, and its name is default"),
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
pub struct SpamFilterSpec {
    /// Base URL of rspamd's normal worker, `http` or `https`.
    #[schemars(length(min = 1, max = 2048), extend("pattern" = "^https?://.+"))]
    pub url: String,
    /// Password of the worker. Default: none.
    #[serde(default)]
    pub password: Option<SecretSource>,
    /// `Enforce`: its verdict counts. `Observe`: it runs, its verdict is reported and has no effect. Default
    /// `Enforce`.
    #[serde(default)]
    pub mode: Mode,
    /// Has no effect on the one spam filter there is; accepted as for other filters. Default 0.
    #[serde(default)]
    pub order: i32,
    /// Limit for the whole exchange. Default `15s`.
    #[serde(default = "fifteen_seconds")]
    pub timeout: TimeSpan,
    /// A failure is answered with 451; when false the message goes on unchecked. Default true.
    #[serde(default = "yes")]
    pub temp_fail_on_error: bool,
    /// Larger messages fall under the failure rule, octets. Default 26214400.
    #[serde(default = "twenty_five_mebibytes")]
    #[schemars(range(min = 1))]
    pub max_message_size: u64,
    /// What rspamd's `reject` becomes: `Reject`, `TempFail`, `Quarantine`, `Tag` or `Ignore`. Default `Reject`.
    #[serde(default = "reject")]
    pub on_reject: SpamAction,
    /// What rspamd's `soft reject` becomes. Default `TempFail`.
    #[serde(default = "temp_fail")]
    pub on_soft_reject: SpamAction,
    /// What rspamd's `greylist` becomes. Default `TempFail`.
    #[serde(default = "temp_fail")]
    pub on_greylist: SpamAction,
    /// When to stop asking when it fails.
    #[serde(default)]
    pub breaker: BreakerSpec,
    /// TLS towards an `https` URL. Default: authorities of the system.
    #[serde(default)]
    pub tls: Option<ClientTlsSpec>,
}

impl KindSpec for SpamFilterSpec {
    const KIND: &'static str = "MtaSpamFilter";
    const PLURAL: &'static str = "mtaspamfilters";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}

fn fifteen_seconds() -> TimeSpan {
    TimeSpan::seconds(15)
}

fn twenty_five_mebibytes() -> u64 {
    25 << 20
}

fn yes() -> bool {
    true
}

fn reject() -> SpamAction {
    SpamAction::Reject
}

fn temp_fail() -> SpamAction {
    SpamAction::TempFail
}

/// What an action of rspamd becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SpamAction {
    /// Refused for good.
    Reject,
    /// Refused for now.
    TempFail,
    /// Delivered to quarantine.
    Quarantine,
    /// Delivered with a field that says so.
    Tag,
    /// Delivered.
    Ignore,
}
