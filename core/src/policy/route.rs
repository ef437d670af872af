//! `MtaRoute` and `MtaOutboundStrategy`: where accepted messages go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::listener::CertificatePem;
use super::secret::Secret;
use crate::expr::Setting;

/// All routes, by name.
#[derive(Debug, Default)]
pub struct Routes {
    by_name: HashMap<Arc<str>, Arc<Route>>,
    default: Option<Arc<Route>>,
}

impl Routes {
    /// Gathers routes; the default is the only one, else the one named `default`.
    #[must_use]
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let by_name: HashMap<_, _> =
            routes.into_iter().map(|route| (Arc::clone(&route.name), Arc::new(route))).collect();
        let default = match by_name.len() {
            1 => by_name.values().next().cloned(),
            _ => by_name.get("default").cloned(),
        };
        Self { by_name, default }
    }

    /// The route of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Route>> {
        self.by_name.get(name)
    }

    /// The route of recipients for which nothing names another.
    #[must_use]
    pub fn default_route(&self) -> Option<&Arc<Route>> {
        self.default.as_ref()
    }

    /// Every route, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.by_name.values()
    }
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `metadata.name`
    pub name: Arc<str>,
    /// What is at its end.
    pub target: RouteTarget,
}

impl Route {
    /// Whether the route is asked about recipients while the client waits for the reply to RCPT.
    #[must_use]
    pub fn verifies_recipients(&self) -> bool {
        match &self.target {
            RouteTarget::Relay(relay) => relay.verify_recipients,
            // Not every address makes a folder, and to know that costs nothing.
            RouteTarget::Maildir(_) => true,
            RouteTarget::Discard => false,
        }
    }
}

/// The end of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteTarget {
    /// Another server, over SMTP or LMTP.
    Relay(Box<Relay>),
    /// A folder of files.
    Maildir(Maildir),
    /// Nothing: the message is dropped on purpose.
    Discard,
}

/// `MtaRoute` of type `Relay`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Next hops, tried in this order; never empty.
    pub addresses: Vec<HopAddress>,
    /// Spread messages over all addresses instead of preferring the first.
    pub balance: bool,
    /// SMTP or LMTP.
    pub protocol: super::listener::Protocol,
    /// When TLS is used.
    pub tls_mode: TlsMode,
    /// How TLS is used.
    pub tls: ClientTls,
    /// AUTH towards the next hop; demands verified TLS.
    pub credentials: Option<Credentials>,
    /// Put recipients to the next hop while the client waits for the reply to RCPT. Default true.
    pub verify_recipients: bool,
    /// `Delivered-To` towards an SMTP next hop. Default false.
    pub add_delivered_to: bool,
    /// Limits of the connection pool.
    pub pool: PoolLimits,
    /// How long each step may take.
    pub timeouts: RelayTimeouts,
}

/// One next hop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HopAddress {
    /// Name or IP address.
    pub host: Arc<str>,
    /// TCP port.
    pub port: u16,
}

/// `MtaRoute.tls.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TlsMode {
    /// STARTTLS when offered; the certificate is recorded, not required.
    #[default]
    Opportunistic,
    /// STARTTLS, verified.
    Require,
    /// TLS from the first octet, verified.
    Implicit,
    /// Never.
    Disable,
}

/// TLS of anything that Postern connects to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientTls {
    /// PEM of the authorities that are trusted; unset: those of the system.
    pub ca: Option<Arc<str>>,
    /// Certificate that we show.
    pub client_certificate: Option<CertificatePem>,
    /// Name in the certificate; unset: the host.
    pub server_name: Option<Arc<str>>,
    /// Take any certificate. Default false.
    pub allow_invalid_certs: bool,
}

/// User and password of AUTH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: Arc<str>,
    /// Password.
    pub secret: Secret,
}

/// `MtaRoute.pool`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Connections at a time to one address, idle ones included; what a message needs beyond, to be put there in
    /// several copies at once, it opens beside them. Default 64.
    pub max_connections: u32,
    /// How long an unused connection is kept. Default 30 s.
    pub idle: Duration,
    /// Messages before a connection is closed. Default 1000.
    pub max_messages: u32,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { max_connections: 64, idle: Duration::from_secs(30), max_messages: 1000 }
    }
}

/// `MtaRoute.timeouts`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayTimeouts {
    /// Name lookup, TCP and TLS of one address. Default 10 s.
    pub connect: Duration,
    /// The reply to one command. Default 30 s.
    pub command: Duration,
    /// Progress while data is written. Default 2 m.
    pub data: Duration,
    /// The reply after the final dot. Default and maximum 5 m.
    pub last_reply: Duration,
}

impl Default for RelayTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            command: Duration::from_secs(30),
            data: Duration::from_secs(120),
            last_reply: Duration::from_secs(300),
        }
    }
}

/// `MtaRoute` of type `Maildir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maildir {
    /// The path before the first placeholder; nothing is ever written outside it.
    pub base: Arc<str>,
    /// What follows the base, in order.
    pub pattern: Vec<MaildirSegment>,
}

/// A part of a Maildir path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaildirSegment {
    /// As it stands, with its slashes.
    Literal(Arc<str>),
    /// `{local}`
    Local,
    /// `{domain}`
    Domain,
    /// `{recipient}`
    Recipient,
}

/// `MtaOutboundStrategy`
#[derive(Debug, Default)]
pub struct OutboundStrategy {
    /// Name of the route, for each recipient; unset: the domain's, else the default route.
    pub route: Option<Setting<super::stage::OptionalText>>,
    /// Where quarantined messages go; unset: their normal route.
    pub quarantine_route: Option<Arc<str>>,
    /// What happens to a recipient whose route differs from that of the first.
    pub mixed_routes: MixedRoutes,
}

/// `MtaOutboundStrategy.mixedRoutes`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MixedRoutes {
    /// Each next hop gets its copy.
    #[default]
    Fanout,
    /// `452 4.5.3`: the client sends another transaction.
    Defer,
}
