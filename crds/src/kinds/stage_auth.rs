//! `MtaStageAuth`: who may log in, and how.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::{Expr, TimeSpan};

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
    /// How often logins from one client address may fail, over all sessions.
    pub failure_rate: FailureRateSpec,
    /// Offer and accept AUTH outside TLS, so that passwords cross the network in clear. Default false.
    pub allow_clear_text_auth: bool,
}

/// Failed logins in a span of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailureRateSpec {
    /// Wrong credentials from one address (IPv6: from one /64) in each period; over it AUTH is answered 421 until the
    /// failures are long enough ago. 0 turns it off. An integer, EHLO variables. Default 100.
    pub count: Expr,
    /// Length of the period, `1s` to `24h`; failures of the last one count in proportion. Default `1h`.
    pub period: TimeSpan,
}

impl Default for FailureRateSpec {
    fn default() -> Self {
        Self { count: Expr::default(), period: TimeSpan(Duration::from_secs(3600)) }
    }
}

impl KindSpec for StageAuthSpec {
    const KIND: &'static str = "MtaStageAuth";
    const PLURAL: &'static str = "mtastageauths";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}
