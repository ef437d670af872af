//! `MtaGreylist`: first sights have to come again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::{Expr, TimeSpan};

/// Greylisting; without this object there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaGreylist",
        plural = "mtagreylists",
        shortname = "mgl",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "Greylisting: a first sight of client network, sender and recipient has to come again.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaGreylist in a namespace, and its name is default"),
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
pub struct GreylistSpec {
    /// When it applies. A boolean, RCPT variables. Default `is_empty(authenticated_as)`.
    #[serde(rename = "match")]
    pub matches: Expr,
    /// How long a first sight has to wait. Default `5m`.
    pub delay: TimeSpan,
    /// How long a network, sender and recipient are remembered; longer than `delay`. Default `36d`.
    pub expiry: TimeSpan,
    /// Bits of an IPv4 address that count, 0 to 32. Default 24.
    #[schemars(range(max = 32))]
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that count, 0 to 128. Default 64.
    #[schemars(range(max = 128))]
    pub ipv6_prefix: u8,
}

impl KindSpec for GreylistSpec {
    const KIND: &'static str = "MtaGreylist";
    const PLURAL: &'static str = "mtagreylists";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}

impl Default for GreylistSpec {
    fn default() -> Self {
        Self {
            matches: Expr::default(),
            delay: TimeSpan::seconds(300),
            expiry: TimeSpan::seconds(36 * 86_400),
            ipv4_prefix: 24,
            ipv6_prefix: 64,
        }
    }
}
