//! `MtaExtensions`: what EHLO offers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::Expr;

/// SMTP extensions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaExtensions",
        plural = "mtaextensions",
        shortname = "mext",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "The SMTP extensions that EHLO offers.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaExtensions in a namespace, and its name is default"),
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
pub struct ExtensionsSpec {
    /// Offer PIPELINING (RFC 2920). A boolean, MAIL variables. Default `true`.
    pub pipelining: Expr,
    /// Offer CHUNKING and BINARYMIME (RFC 3030). A boolean, MAIL variables. Default `true`.
    pub chunking: Expr,
    /// Offer REQUIRETLS (RFC 8689), inside TLS only. A boolean, MAIL variables. Default `true`.
    pub require_tls: Expr,
    /// Offer DSN (RFC 3461). A boolean, MAIL variables. Default: `true` for authenticated clients, else
    /// `false`.
    pub dsn: Expr,
    /// The longest hold of FUTURERELEASE (RFC 4865); `false` turns it off. A span of time, MAIL variables.
    /// Default: `7d` for authenticated clients, else `false`.
    pub future_release: Expr,
    /// The largest by-time of DELIVERBY (RFC 2852); `false` turns it off. A span of time, MAIL variables.
    /// Default: `15d` for authenticated clients, else `false`.
    pub deliver_by: Expr,
    /// Profile of MT-PRIORITY (RFC 6710): `mixer`, `stanag4406` or `nsep`; `false` turns it off. MAIL variables.
    /// Default: `mixer` for authenticated clients, else `false`.
    pub mt_priority: Expr,
    /// Text of NO-SOLICITING (RFC 3865); `''` offers the bare keyword, `false` turns it off. A text, MAIL
    /// variables. Default `''`.
    pub no_soliciting: Expr,
    /// Answer VRFY. A boolean, MAIL variables. Default: `true` for authenticated clients, else `false`.
    pub vrfy: Expr,
    /// Answer EXPN. A boolean, MAIL variables. Default: `true` for authenticated clients, else `false`.
    pub expn: Expr,
}

impl KindSpec for ExtensionsSpec {
    const KIND: &'static str = "MtaExtensions";
    const PLURAL: &'static str = "mtaextensions";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}
