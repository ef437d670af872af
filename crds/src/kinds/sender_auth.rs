//! `MtaSenderAuth`: SPF, DKIM, ARC, DMARC and reverse DNS of what comes in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::Expr;

/// Sender authentication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaSenderAuth",
        plural = "mtasenderauths",
        shortname = "msau",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "Sender authentication: SPF, DKIM, ARC, DMARC, reverse DNS.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaSenderAuth in a namespace, and its name is default"),
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
pub struct SenderAuthSpec {
    /// SPF of the EHLO name (RFC 7208): `strict` refuses what does not pass, `relaxed` records, `disable` does
    /// nothing. Connection variables. Default: `relaxed` where `local_port == 25`, else `disable`.
    pub spf_ehlo_verify: Expr,
    /// SPF of the sender (RFC 7208): `strict`, `relaxed` or `disable`. Connection variables. Default: `relaxed`
    /// where `local_port == 25`, else `disable`.
    pub spf_from_verify: Expr,
    /// Reverse DNS that leads back to the client: `strict`, `relaxed` or `disable`. Connection variables.
    /// Default: `relaxed` where `local_port == 25`, else `disable`.
    pub reverse_ip_verify: Expr,
    /// DKIM signatures (RFC 6376): `strict`, `relaxed` or `disable`. RCPT variables. Default `relaxed`.
    pub dkim_verify: Expr,
    /// ARC chains (RFC 8617): `strict`, `relaxed` or `disable`. RCPT variables. Default `disable`.
    pub arc_verify: Expr,
    /// DMARC (RFC 7489): `strict`, `relaxed` or `disable`. RCPT variables. Default: `relaxed` where
    /// `local_port == 25`, else `disable`.
    pub dmarc_verify: Expr,
    /// Ignore DKIM signatures that cover a part of the body only (`l=`). Default true.
    pub dkim_strict: bool,
    /// Domain to sign with. Postern does not sign: any value but `false` is refused. A text, RCPT variables.
    /// Default `false`.
    pub dkim_sign_domain: Expr,
}

impl KindSpec for SenderAuthSpec {
    const KIND: &'static str = "MtaSenderAuth";
    const PLURAL: &'static str = "mtasenderauths";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}

impl Default for SenderAuthSpec {
    fn default() -> Self {
        Self {
            spf_ehlo_verify: Expr::default(),
            spf_from_verify: Expr::default(),
            reverse_ip_verify: Expr::default(),
            dkim_verify: Expr::default(),
            arc_verify: Expr::default(),
            dmarc_verify: Expr::default(),
            dkim_strict: true,
            dkim_sign_domain: Expr::default(),
        }
    }
}
