//! `MtaOutboundStrategy`: which route a recipient takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::Expr;

/// The choice of routes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaOutboundStrategy",
        plural = "mtaoutboundstrategies",
        shortname = "mos",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "Which route each recipient takes.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaOutboundStrategy in a namespace, and its name is default"),
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
pub struct OutboundStrategySpec {
    /// Name of the route, evaluated for each recipient. A text; variables `rcpt`, `rcpt_domain`, `recipients`,
    /// `sender`, `sender_domain`, `priority`, `size`, `source`, `received_from_ip`, `received_via_port`. Default:
    /// the route of the recipient's MtaDomain, else the only route, else the route named `default`.
    pub route: Expr,
    /// Name of the route of quarantined messages. Default: their normal route.
    #[schemars(length(min = 1, max = 253))]
    pub quarantine_route: Option<String>,
    /// What happens to a recipient whose route is not that of the first one: `Fanout` hands a copy to each next
    /// hop, `Defer` answers 452 so that the client sends another transaction. Default `Fanout`.
    pub mixed_routes: MixedRoutes,
}

impl KindSpec for OutboundStrategySpec {
    const KIND: &'static str = "MtaOutboundStrategy";
    const PLURAL: &'static str = "mtaoutboundstrategies";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}

/// What happens to recipients of different routes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum MixedRoutes {
    /// Each next hop gets its copy.
    #[default]
    Fanout,
    /// The client sends another transaction.
    Defer,
}
