//! `MtaDomain`: a domain whose mail is ours.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::{Expr, SetOf};

/// A local domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaDomain",
        plural = "mtadomains",
        shortname = "mdo",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "A domain whose mail is ours.",
        validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63")
            .message("metadata.name must be a DNS label"),
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
pub struct DomainSpec {
    /// The domain. Default: `metadata.name`, which holds no dots.
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Other names of the same domain. Default: none.
    pub aliases: SetOf<String>,
    /// A disabled domain is not ours. Default true.
    pub is_enabled: bool,
    /// Accept unknown recipients of this domain as they are. Default false.
    pub allow_relaying: bool,
    /// Mailbox that gets mail for unknown recipients. Default: none, they are refused.
    #[schemars(length(min = 3, max = 320))]
    pub catch_all_address: Option<String>,
    /// Meaning of a `+` in a local part (RFC 5233): `Enabled` cuts it there, `Disabled` does not, `Custom`
    /// evaluates `customRule`. Default `Enabled`.
    pub sub_addressing: SubAddressing,
    /// Expression that makes a local part, given as `rcpt`, the mailbox. Only with `subAddressing: Custom`.
    pub custom_rule: Expr,
    /// Name of the route of its recipients. Default: as MtaOutboundStrategy says.
    #[schemars(length(min = 1, max = 253))]
    pub route: Option<String>,
    /// Name of the MtaDirectory that knows its recipients. Default: all directories.
    #[schemars(length(min = 1, max = 253))]
    pub directory: Option<String>,
}

impl KindSpec for DomainSpec {
    const KIND: &'static str = "MtaDomain";
    const PLURAL: &'static str = "mtadomains";
    const CARDINALITY: Cardinality = Cardinality::Many;
}

impl Default for DomainSpec {
    fn default() -> Self {
        Self {
            name: None,
            aliases: SetOf::default(),
            is_enabled: true,
            allow_relaying: false,
            catch_all_address: None,
            sub_addressing: SubAddressing::default(),
            custom_rule: Expr::default(),
            route: None,
            directory: None,
        }
    }
}

/// Meaning of a `+` in a local part.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum SubAddressing {
    /// The local part ends there.
    #[default]
    Enabled,
    /// None.
    Disabled,
    /// As `customRule` says.
    Custom,
}
