//! `MtaStageRcpt`: which recipients are taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::Expr;

/// The RCPT stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaStageRcpt",
        plural = "mtastagercpts",
        shortname = "msr",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "The RCPT stage: relaying, rewriting, limits.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaStageRcpt in a namespace, and its name is default"),
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
pub struct StageRcptSpec {
    /// Accept recipients in domains that are not ours. A boolean, RCPT variables. Default
    /// `!is_empty(authenticated_as)`. A value that is true for strangers makes an open relay and is refused.
    pub allow_relaying: Expr,
    /// New recipient address; what is no address changes nothing. A text, RCPT variables. Default `false`.
    pub rewrite: Expr,
    /// Name of the Sieve script that runs at RCPT; `false` for none. A text, RCPT variables. Default `false`.
    pub script: Expr,
    /// Recipients of one transaction; more are answered 455. An integer, MAIL variables. Default 100.
    pub max_recipients: Expr,
    /// Refused recipients before the connection is closed. An integer, MAIL variables. Default 5.
    pub max_failures: Expr,
    /// Delay before the refusal of a recipient. A span of time, MAIL variables. Default `5s`.
    pub wait_on_fail: Expr,
}

impl KindSpec for StageRcptSpec {
    const KIND: &'static str = "MtaStageRcpt";
    const PLURAL: &'static str = "mtastagercpts";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}
