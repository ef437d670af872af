//! `MtaStageMail`: which senders are taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::Expr;

/// The MAIL stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaStageMail",
        plural = "mtastagemails",
        shortname = "msm",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "The MAIL stage: which senders are taken, and how they are rewritten.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaStageMail in a namespace, and its name is default"),
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
pub struct StageMailSpec {
    /// Whether the sender is accepted at all; otherwise 550. A boolean, MAIL variables. Default
    /// `!is_empty(authenticated_as) || !key_exists('spam-block', sender_domain)`.
    pub is_sender_allowed: Expr,
    /// New sender address; `''` makes it `<>`, and what is no address changes nothing. A text, MAIL variables.
    /// Default `false`.
    pub rewrite: Expr,
    /// Name of the Sieve script that runs at MAIL; `false` for none. A text, MAIL variables. Default `false`.
    pub script: Expr,
}

impl KindSpec for StageMailSpec {
    const KIND: &'static str = "MtaStageMail";
    const PLURAL: &'static str = "mtastagemails";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}
