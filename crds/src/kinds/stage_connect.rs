//! `MtaStageConnect`: what a client meets first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::Expr;

/// The connect stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaStageConnect",
        plural = "mtastageconnects",
        shortname = "msc",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "The connect stage: host name, greeting, a script before it.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaStageConnect in a namespace, and its name is default"),
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
pub struct StageConnectSpec {
    /// Name in the greeting, EHLO replies, Received and Authentication-Results. A text, connection variables.
    /// Default `system('hostname')`.
    pub hostname: Expr,
    /// Text after `220 `. A text, connection variables. Default
    /// `system('hostname') + ' Postern ESMTP at your service'`.
    pub smtp_greeting: Expr,
    /// Name of the Sieve script that runs before the greeting; `false` for none. A text, connection variables.
    /// Default `false`.
    pub script: Expr,
}

impl KindSpec for StageConnectSpec {
    const KIND: &'static str = "MtaStageConnect";
    const PLURAL: &'static str = "mtastageconnects";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}
