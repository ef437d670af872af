//! What holds for the whole server: `MtaSettings`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::route::ClientTls;
use super::secret::Secret;

/// `MtaSettings`
#[derive(Debug, Clone)]
pub struct Settings {
    /// `system('hostname')`; unset: the host's own name, which the server fills in.
    pub default_hostname: Option<Arc<str>>,
    /// `system('domain')`; unset: the hostname.
    pub default_domain: Option<Arc<str>>,
    /// Connections of all listeners together. Default 8192.
    pub max_connections: u32,
    /// Peers that must speak PROXY on listeners that name none themselves.
    pub proxy_trusted_networks: Vec<IpNet>,
    /// Where names are looked up.
    pub dns: Dns,
    /// Where counters and greylists are kept.
    pub store: Store,
    /// Memory for messages in hand, octets. Default 256 MiB.
    pub message_memory: u64,
    /// Temporary files for messages in hand, octets. Default 2 GiB.
    pub message_spool: u64,
    /// Whether a refusal ends with ` [id …]`, the id of its trace. Default true.
    pub add_id_to_refusals: bool,
    /// Database of autonomous systems, MaxMind format.
    pub geo_asn_file: Option<PathBuf>,
    /// Database of countries, MaxMind format.
    pub geo_country_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_hostname: None,
            default_domain: None,
            max_connections: 8192,
            proxy_trusted_networks: Vec::new(),
            dns: Dns::default(),
            store: Store::default(),
            message_memory: 256 << 20,
            message_spool: 2 << 30,
            add_id_to_refusals: true,
            geo_asn_file: None,
            geo_country_file: None,
        }
    }
}

/// `MtaSettings.dns`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Servers to ask; empty: those of the system.
    pub servers: Vec<DnsServer>,
    /// Wait for one answer. Default 5 s.
    pub timeout: Duration,
    /// Tries. Default 2.
    pub attempts: u32,
}

impl Default for Dns {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: Duration::from_secs(5), attempts: 2 }
    }
}

/// One name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsServer {
    /// Its address and port. Default port 53, or 853 with TLS.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub protocol: DnsProtocol,
}

/// Transport of DNS queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnsProtocol {
    /// UDP, TCP when an answer is cut.
    #[default]
    Udp,
    /// TCP only.
    Tcp,
    /// TLS (RFC 7858).
    Tls,
}

/// `MtaSettings.store`: where state lives that messages share.
#[derive(Debug, Clone, Default)]
pub enum Store {
    /// In this process.
    #[default]
    Memory,
    /// In Redis, for all pods.
    Redis(RedisStore),
}

/// Redis: one server by one URL, a cluster by several, a sentinel's master by `redis+sentinel://host:port/master`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisStore {
    /// One or several URLs.
    pub urls: Vec<Arc<str>>,
    /// User, where it is not the default one.
    pub username: Option<Arc<str>>,
    /// Password, if any.
    pub password: Option<Secret>,
    /// Password of the sentinels, if any.
    pub sentinel_password: Option<Secret>,
    /// How long a session waits before it counts locally. Default 50 ms.
    pub timeout: Duration,
    /// TLS towards `rediss` URLs.
    pub tls: ClientTls,
}
