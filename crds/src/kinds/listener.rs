//! `MtaListener`: where clients connect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::{SetOf, TimeSpan};

/// A listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaListener",
        plural = "mtalisteners",
        shortname = "mli",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "An address at which clients connect.",
        validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63")
            .message("metadata.name must be a DNS label"),
        printcolumn(name = "Bind", type_ = "string", json_path = ".spec.bind"),
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
#[schemars(extend("required" = ["bind"]))]
pub struct ListenerSpec {
    /// Value of `listener` in expressions. Default: `metadata.name`.
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Addresses to listen on, `ip:port`, such as `0.0.0.0:2525` or `[::]:2525`. At least one; port 0 is
    /// refused.
    #[schemars(extend("minItems" = 1))]
    pub bind: SetOf<String>,
    /// `smtp` (RFC 5321) or `lmtp` (RFC 2033). Default `smtp`.
    pub protocol: ListenerProtocol,
    /// TLS. Default: clear text only.
    pub tls: Option<ListenerTlsSpec>,
    /// Connections at a time; further ones are closed at once. Default 8192.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: u32,
    /// Networks whose peers must begin with a PROXY header (v1 or v2), as addresses or CIDRs; `/0` is refused.
    /// Default: those of MtaSettings.
    pub proxy_trusted_networks: Option<SetOf<String>>,
    /// What `local_port` says when clients reach another port than the bound one, 1 to 65535. Default: the port
    /// of the PROXY header, else the bound one.
    #[schemars(range(min = 1, max = 65535))]
    pub public_port: Option<u16>,
    /// States that an open relay is meant. Default false.
    pub relay_for_anyone: bool,
    /// Time for a TLS handshake and for a PROXY header, `1ms` to `10m`. Default `60s`.
    pub tls_timeout: TimeSpan,
    /// Connections that may wait to be accepted. Default 1024.
    #[schemars(range(min = 1, max = 65535))]
    pub socket_backlog: u32,
    /// TCP_NODELAY. Default true.
    pub socket_no_delay: bool,
    /// SO_REUSEADDR. Default true.
    pub socket_reuse_address: bool,
    /// SO_REUSEPORT. Default true.
    pub socket_reuse_port: bool,
    /// IP time to live, 1 to 255. Default: the system's.
    #[schemars(range(min = 1, max = 255))]
    pub socket_ttl: Option<u32>,
    /// IPv4 type of service, 0 to 255. Default: the system's.
    #[schemars(range(max = 255))]
    pub socket_tos_v4: Option<u32>,
    /// Octets of the send buffer. Default: the system's.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub socket_send_buffer_size: Option<u32>,
    /// Octets of the receive buffer. Default: the system's.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub socket_receive_buffer_size: Option<u32>,
}

impl KindSpec for ListenerSpec {
    const KIND: &'static str = "MtaListener";
    const PLURAL: &'static str = "mtalisteners";
    const CARDINALITY: Cardinality = Cardinality::Many;
    const RENAMED: &'static [(&'static str, &'static str)] = &[
        ("useTls", "`tls: {secretNames: [...]}`, or leave `tls` out for clear text"),
        ("tlsImplicit", "`tls: {implicit: true}`"),
        ("tlsDisableProtocols", "`tls: {minVersion: ...}`"),
        ("tlsDisableCipherSuites", "`tls: {disabledCipherSuites: [...]}`"),
        ("tlsIgnoreClientOrder", "`tls: {ignoreClientOrder: ...}`"),
        ("overrideProxyTrustedNetworks", "`proxyTrustedNetworks`"),
    ];
}

impl Default for ListenerSpec {
    fn default() -> Self {
        Self {
            name: None,
            bind: SetOf::default(),
            protocol: ListenerProtocol::default(),
            tls: None,
            max_connections: 8192,
            proxy_trusted_networks: None,
            public_port: None,
            relay_for_anyone: false,
            tls_timeout: TimeSpan::seconds(60),
            socket_backlog: 1024,
            socket_no_delay: true,
            socket_reuse_address: true,
            socket_reuse_port: true,
            socket_ttl: None,
            socket_tos_v4: None,
            socket_send_buffer_size: None,
            socket_receive_buffer_size: None,
        }
    }
}

/// Protocol of a listener or next hop.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ListenerProtocol {
    /// RFC 5321
    #[default]
    Smtp,
    /// RFC 2033
    Lmtp,
}

/// TLS of a listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["secretNames"]))]
pub struct ListenerTlsSpec {
    /// Secrets of type kubernetes.io/tls, in the same namespace. By SNI the one whose certificate fits is used,
    /// else the first. At least one.
    #[schemars(extend("minItems" = 1, "maxItems" = 64, "x-kubernetes-list-type" = "atomic"))]
    pub secret_names: Vec<String>,
    /// TLS from the first octet (RFC 8314), instead of STARTTLS (RFC 3207). Default false.
    pub implicit: bool,
    /// Oldest version that is accepted: `TLS1.2` or `TLS1.3`. Default `TLS1.2`.
    pub min_version: TlsVersion,
    /// Cipher suites that are never used, by their IANA names. Default: none.
    pub disabled_cipher_suites: SetOf<String>,
    /// Our order of cipher suites counts, not the client's. Default true.
    pub ignore_client_order: bool,
}

impl Default for ListenerTlsSpec {
    fn default() -> Self {
        Self {
            secret_names: Vec::new(),
            implicit: false,
            min_version: TlsVersion::default(),
            disabled_cipher_suites: SetOf::default(),
            ignore_client_order: true,
        }
    }
}

/// A version of TLS.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum TlsVersion {
    /// RFC 5246
    #[default]
    #[serde(rename = "TLS1.2")]
    Tls12,
    /// RFC 8446
    #[serde(rename = "TLS1.3")]
    Tls13,
}
