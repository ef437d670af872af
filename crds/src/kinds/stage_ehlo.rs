//! `MtaStageEhlo`: what a client must say of itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::Expr;

/// The EHLO stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaStageEhlo",
        plural = "mtastageehlos",
        shortname = "mse",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "The EHLO stage: whether it is required and which names are taken.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaStageEhlo in a namespace, and its name is default"),
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
pub struct StageEhloSpec {
    /// EHLO, HELO or LHLO must come before MAIL. A boolean, connection variables. Default `true`.
    pub require: Expr,
    /// Refuse EHLO names without a dot; address literals pass. A boolean, connection variables. Default: `true`
    /// where `local_port == 25`, else `false`.
    pub reject_non_fqdn: Expr,
    /// Name of the Sieve script that runs after EHLO; `false` for none. A text, EHLO variables. Default
    /// `false`.
    pub script: Expr,
}

impl KindSpec for StageEhloSpec {
    const KIND: &'static str = "MtaStageEhlo";
    const PLURAL: &'static str = "mtastageehlos";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}
