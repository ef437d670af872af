//! `MtaStageAuth`: who may log in, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::Expr;

/// The AUTH stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaStageAuth",
        plural = "mtastageauths",
        shortname = "msa",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "The AUTH stage: mechanisms, whether a login is required, failures.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaStageAuth in a namespace, and its name is default"),
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
pub struct StageAuthSpec {
    /// Mechanisms that AUTH offers: a list of `plain`, `login`, `oauthbearer`, `xoauth2`; `false` turns AUTH off.
    /// EHLO variables. Default: `[plain, login, oauthbearer, xoauth2]` inside TLS on ports other than 25,
    /// `[oauthbearer, xoauth2]` on other ports than 25, else `false`. Nothing is offered outside TLS unless
    /// `allowClearTextAuth` says so.
    pub sasl_mechanisms: Expr,
    /// MAIL needs a login. A boolean, EHLO variables. Default `local_port != 25`.
    pub require: Expr,
    /// The sender must be an address of the account. A boolean, MAIL variables. Default `true`.
    pub must_match_sender: Expr,
    /// Failed logins before the connection is closed. An integer, EHLO variables. Default 3.
    pub max_failures: Expr,
    /// Delay before the reply to a failed login. A span of time, EHLO variables. Default `5s`.
    pub wait_on_fail: Expr,
    /// Offer and accept AUTH outside TLS, so that passwords cross the network in clear. Default false.
    pub allow_clear_text_auth: bool,
}

impl KindSpec for StageAuthSpec {
    const KIND: &'static str = "MtaStageAuth";
    const PLURAL: &'static str = "mtastageauths";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}
