//! `MtaInboundSession`: how long a client may stay and how much it may send.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::Expr;

/// Limits of a connection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaInboundSession",
        plural = "mtainboundsessions",
        shortname = "mis",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "Limits of a connection: silence, duration, octets.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaInboundSession in a namespace, and its name is default"),
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
pub struct InboundSessionSpec {
    /// Silence before the connection is dropped with 221. A span of time, connection variables. Default `5m`.
    pub timeout: Expr,
    /// Longest life of a connection, after which it is closed with 421. A span of time, connection variables.
    /// Default `10m`.
    pub max_duration: Expr,
    /// Most octets that a client may send on one connection; beyond them 452 and the end. An integer,
    /// connection variables. Default 262144000.
    pub transfer_limit: Expr,
}

impl KindSpec for InboundSessionSpec {
    const KIND: &'static str = "MtaInboundSession";
    const PLURAL: &'static str = "mtainboundsessions";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}
