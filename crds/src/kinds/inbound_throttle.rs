//! `MtaInboundThrottle`: how many of something in a span of time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::{Expr, SetOf, TimeSpan};

/// A throttle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaInboundThrottle",
        plural = "mtainboundthrottles",
        shortname = "mit",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "How many connections, senders or recipients in a span of time.",
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
pub struct InboundThrottleSpec {
    /// Whether it is in use. Default true.
    #[serde(default = "yes")]
    pub enable: bool,
    /// A note for people.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Throttles of one point of a session are looked at in this order, then by name. Default 0.
    #[serde(default)]
    pub order: i32,
    /// What the counter is kept for; every combination of values has its own. Default: one counter for all.
    /// `rcpt` and `rcptDomain` here or in `match` make it count recipients, else `sender`, `senderDomain`,
    /// `heloDomain` and `authenticatedAs` make it count transactions, else it counts connections.
    #[serde(default)]
    pub key: SetOf<ThrottleKey>,
    /// When it applies. A boolean, RCPT variables. Default `true`.
    #[serde(default, rename = "match")]
    pub matches: Expr,
    /// How many events in what time.
    pub rate: RateSpec,
    /// How a span of time is counted: `FixedWindow` has windows aligned to the clock, `SlidingWindow` counts
    /// the last window in proportion. Default `FixedWindow`.
    #[serde(default)]
    pub algorithm: Algorithm,
}

impl KindSpec for InboundThrottleSpec {
    const KIND: &'static str = "MtaInboundThrottle";
    const PLURAL: &'static str = "mtainboundthrottles";
    const CARDINALITY: Cardinality = Cardinality::Many;
}

fn yes() -> bool {
    true
}

/// Events in a span of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateSpec {
    /// Events allowed in each period, 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u64,
    /// Length of the period, at least `1ms`; counted in whole seconds, at least one.
    pub period: TimeSpan,
}

/// A part of a throttle's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ThrottleKey {
    /// Name of the listener.
    Listener,
    /// Address of the client.
    RemoteIp,
    /// Address that the client reached.
    LocalIp,
    /// Account.
    AuthenticatedAs,
    /// EHLO name.
    HeloDomain,
    /// Sender.
    Sender,
    /// Domain of the sender.
    SenderDomain,
    /// Recipient.
    Rcpt,
    /// Domain of the recipient.
    RcptDomain,
}

/// How a span of time is counted.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Algorithm {
    /// Windows aligned to the clock.
    #[default]
    FixedWindow,
    /// The last window counts in proportion to its overlap.
    SlidingWindow,
}
