//! `MtaRoute`: where accepted messages go.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{EnumAccess, Error, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::listener::ListenerProtocol;
use super::{Cardinality, KindSpec};
use crate::value::{AuthoritySecretRef, HopAddressSpec, SecretSource, TimeSpan};

/// A route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaRoute",
        plural = "mtaroutes",
        shortname = "mro",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "A place that accepted messages are handed to.",
        validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63")
            .message("metadata.name must be a DNS label"),
        printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
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
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.type != 'Relay' || has(self.address) != has(self.addresses)",
     "message": "Relay needs either address or addresses"},
    {"rule": "(self.type == 'Maildir') == has(self.path)",
     "message": "Maildir needs path, the other types do not have it"},
    {"rule": "self.type == 'Relay' || !(has(self.address) || has(self.addresses) || has(self.port) || has(self.balance) || has(self.protocol) || has(self.tls) || has(self.implicitTls) || has(self.allowInvalidCerts) || has(self.authUsername) || has(self.authSecret) || has(self.verifyRecipients) || has(self.addDeliveredTo) || has(self.pool) || has(self.timeouts))",
     "message": "only Relay has an address, a protocol, TLS, credentials, a pool and timeouts"},
    {"rule": "has(self.authUsername) == has(self.authSecret)", "message": "authUsername and authSecret go together"}
]))]
pub struct RouteSpec {
    /// Name by which MtaOutboundStrategy and MtaDomain choose it. Default: `metadata.name`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// A note for people.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// `Relay`: another server, over SMTP or LMTP. `Maildir`: a folder of files. `Discard`: nowhere; messages
    /// are accepted and dropped.
    #[serde(rename = "type")]
    pub kind: RouteType,
    /// Relay: host name or IP address of the next hop.
    #[serde(default)]
    #[schemars(length(min = 1, max = 253))]
    pub address: Option<String>,
    /// Relay: TCP port of `address`, 1 to 65535. Default 25.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Relay: several next hops instead of `address`, tried in this order.
    #[serde(default)]
    #[schemars(extend("minItems" = 1, "maxItems" = 64, "x-kubernetes-list-type" = "atomic"))]
    pub addresses: Option<Vec<HopAddressSpec>>,
    /// Relay: spread messages over all addresses instead of preferring the first. Default false.
    #[serde(default)]
    pub balance: Option<bool>,
    /// Relay: `smtp` (RFC 5321) or `lmtp` (RFC 2033). Default `smtp`.
    #[serde(default)]
    #[schemars(with = "ListenerProtocol")]
    pub protocol: Option<ListenerProtocol>,
    /// Relay: when and how TLS is used.
    #[serde(default)]
    pub tls: Option<RouteTlsSpec>,
    /// Relay: the same as `tls: {mode: Implicit}`. Default false.
    #[serde(default)]
    pub implicit_tls: Option<bool>,
    /// Relay: the same as `tls: {allowInvalidCerts: true}`. Default false.
    #[serde(default)]
    pub allow_invalid_certs: Option<bool>,
    /// Relay: user of AUTH towards the next hop (RFC 4954). Needs `tls.mode` `Require` or `Implicit`, with
    /// verified certificates. Default: no AUTH.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    pub auth_username: Option<String>,
    /// Relay: password of AUTH towards the next hop.
    #[serde(default)]
    pub auth_secret: Option<SecretSource>,
    /// Relay: put recipients to the next hop while the client waits for the reply to RCPT, so that unknown ones
    /// are refused there. Default true.
    #[serde(default)]
    pub verify_recipients: Option<bool>,
    /// Relay: add Delivered-To to copies with one recipient for an SMTP next hop. Some servers bounce mail that
    /// already has it. Default false.
    #[serde(default)]
    pub add_delivered_to: Option<bool>,
    /// Relay: limits of the connection pool.
    #[serde(default)]
    pub pool: Option<PoolSpec>,
    /// Relay: how long each step may take.
    #[serde(default)]
    pub timeouts: Option<TimeoutsSpec>,
    /// Maildir: path with the placeholders `{local}`, `{domain}` and `{recipient}`. The path before the first of
    /// them is the base folder, which nothing is written outside of. Relative paths begin at the server's
    /// working directory.
    #[serde(default)]
    #[schemars(length(min = 1, max = 4096))]
    pub path: Option<String>,
}

impl KindSpec for RouteSpec {
    const KIND: &'static str = "MtaRoute";
    const PLURAL: &'static str = "mtaroutes";
    const CARDINALITY: Cardinality = Cardinality::Many;
    const RENAMED: &'static [(&'static str, &'static str)] = &[
        ("username", "`authUsername`"),
        ("password", "`authSecret`"),
        ("secret", "`authSecret`"),
        ("host", "`address`"),
        ("hostname", "`address`"),
    ];
}

/// The end of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum RouteType {
    /// Another server.
    Relay,
    /// A folder of files.
    Maildir,
    /// Nowhere.
    Discard,
}

impl RouteType {
    const NAMES: &'static [&'static str] = &["Relay", "Maildir", "Discard"];
}

impl<'de> Deserialize<'de> for RouteType {
    /// Written out, because types of other mail servers deserve a better answer than "unknown".
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("RouteType", Self::NAMES, RouteTypeVisitor)
    }
}

struct RouteTypeVisitor;

impl<'de> Visitor<'de> for RouteTypeVisitor {
    type Value = RouteType;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a type of route")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, name: A) -> Result<RouteType, A::Error> {
        let (name, variant) = name.variant::<String>()?;
        variant.unit_variant()?;
        match name.as_str() {
            "Relay" => Ok(RouteType::Relay),
            "Maildir" => Ok(RouteType::Maildir),
            "Discard" => Ok(RouteType::Discard),
            "Mx" => Err(A::Error::custom(
                "`Mx` needs a queue, which Postern does not have; name a relay that has one",
            )),
            "Local" => Err(A::Error::custom(
                "`Local` is the mailbox store of another server; use `Maildir`, or `Relay` with `protocol: lmtp`",
            )),
            "JetStream" | "Http" => Err(A::Error::custom(format_args!(
                "`{name}` is reserved and not built; use `Relay`, `Maildir` or `Discard`"
            ))),
            _ => Err(A::Error::unknown_variant(&name, RouteType::NAMES)),
        }
    }
}

/// TLS towards a next hop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteTlsSpec {
    /// `Opportunistic`: STARTTLS when it is offered, any certificate. `Require`: STARTTLS, verified. `Implicit`:
    /// TLS from the first octet, verified. `Disable`: never. Default `Opportunistic`.
    pub mode: TlsMode,
    /// Authorities that are trusted, as PEM in a Secret. Default: those of the system.
    pub ca_secret_ref: Option<AuthoritySecretRef>,
    /// Name in the server's certificate. Default: the host that is connected to.
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// Secret of type kubernetes.io/tls with the certificate that we show. Default: none.
    #[schemars(length(min = 1, max = 253))]
    pub client_secret_name: Option<String>,
    /// Take any certificate, whoever shows it. Default false.
    pub allow_invalid_certs: bool,
}

/// When TLS is used.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum TlsMode {
    /// When it is offered.
    #[default]
    Opportunistic,
    /// STARTTLS, verified.
    Require,
    /// From the first octet, verified.
    Implicit,
    /// Never.
    Disable,
}

/// Limits of a connection pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolSpec {
    /// Connections at a time to one address, idle ones included, 1 to 10000. Default 64. A message that goes there
    /// in more copies than this, as a Sieve `redirect` makes them, opens one for each.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_connections: u32,
    /// How long an unused connection is kept. Default `30s`.
    pub idle: TimeSpan,
    /// Messages before a connection is closed. Default 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_messages: u32,
}

impl Default for PoolSpec {
    fn default() -> Self {
        Self { max_connections: 64, idle: TimeSpan::seconds(30), max_messages: 1000 }
    }
}

/// How long the steps of a hand-off may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TimeoutsSpec {
    /// Name lookup, TCP and TLS of one address. Default `10s`.
    pub connect: TimeSpan,
    /// The reply to one command. Default `30s`.
    pub command: TimeSpan,
    /// Progress while data is written. Default `2m`.
    pub data: TimeSpan,
    /// The reply after the final dot, at most `5m`. Default `5m`.
    #[serde(rename = "final")]
    pub last_reply: TimeSpan,
}

impl Default for TimeoutsSpec {
    fn default() -> Self {
        Self {
            connect: TimeSpan::seconds(10),
            command: TimeSpan::seconds(30),
            data: TimeSpan::seconds(120),
            last_reply: TimeSpan::seconds(300),
        }
    }
}
