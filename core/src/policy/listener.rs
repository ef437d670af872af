//! `MtaListener`: where clients connect.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::secret::Secret;

/// One listener.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Value of `listener` in expressions.
    pub name: Arc<str>,
    /// Addresses to bind.
    pub bind: Vec<SocketAddr>,
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// No TLS: clear text only.
    pub tls: Option<ListenerTls>,
    /// Connections at a time. Default 8192.
    pub max_connections: u32,
    /// Peers that must speak PROXY, after the fallback to `MtaSettings` was applied.
    pub proxy_trusted_networks: Vec<IpNet>,
    /// What `local_port` says, when the client reached another port than the bound one.
    pub public_port: Option<u16>,
    /// States that an open relay is meant. Default false.
    pub relay_for_anyone: bool,
    /// Time for a TLS handshake and for a PROXY header. Default 60 s.
    pub tls_timeout: Duration,
    /// Socket options.
    pub socket: SocketOptions,
}

/// The protocol that a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// RFC 5321
    #[default]
    Smtp,
    /// RFC 2033
    Lmtp,
}

impl Protocol {
    /// Value of `protocol` in expressions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Lmtp => "lmtp",
        }
    }
}

/// TLS of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// Chains and keys; the first is used when no other fits the name that the client asks for.
    pub certificates: Vec<CertificatePem>,
    /// TLS from the first octet.
    pub implicit: bool,
    /// Oldest version accepted. Default TLS 1.2.
    pub min_version: TlsVersion,
    /// Cipher suites never used, by their IANA names.
    pub disabled_cipher_suites: Vec<Arc<str>>,
    /// Our order of cipher suites counts. Default true.
    pub ignore_client_order: bool,
}

/// A certificate chain and its private key, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePem {
    /// Name of the object that holds it, for messages.
    pub source: Arc<str>,
    /// Leaf first.
    pub chain: Arc<str>,
    /// PKCS#8, SEC1 or PKCS#1.
    pub key: Secret,
}

/// TLS versions that may be the oldest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TlsVersion {
    /// TLS 1.2
    #[default]
    Tls12,
    /// TLS 1.3
    Tls13,
}

/// Socket options of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOptions {
    /// Connections that wait for an accept. Default 1024.
    pub backlog: u32,
    /// Default true.
    pub no_delay: bool,
    /// Default true.
    pub reuse_address: bool,
    /// Default true.
    pub reuse_port: bool,
    /// IP time to live.
    pub ttl: Option<u32>,
    /// IPv4 type of service.
    pub tos_v4: Option<u32>,
    /// Octets.
    pub send_buffer_size: Option<u32>,
    /// Octets.
    pub receive_buffer_size: Option<u32>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            backlog: 1024,
            no_delay: true,
            reuse_address: true,
            reuse_port: true,
            ttl: None,
            tos_v4: None,
            send_buffer_size: None,
            receive_buffer_size: None,
        }
    }
}
