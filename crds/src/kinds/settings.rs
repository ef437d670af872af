//! `MtaSettings`: what holds for the whole server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::{ClientTlsSpec, SecretSource, SetOf, TimeSpan};

/// Settings of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaSettings",
        plural = "mtasettings",
        shortname = "mset",
        category = "mta",
        namespaced,
        status = "crate::value::SettingsStatus",
        doc = "What holds for the whole server: names, DNS, shared store, memory.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaSettings in a namespace, and its name is default"),
        printcolumn(name = "Pods", type_ = "string", json_path = ".status.pods"),
        printcolumn(name = "Revision", type_ = "string", json_path = ".status.revision", priority = 1),
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
pub struct SettingsSpec {
    /// Value of `system('hostname')`. Default: the host's own name.
    #[schemars(length(min = 1, max = 253))]
    pub default_hostname: Option<String>,
    /// Value of `system('domain')`: a domain name, or the name of an MtaDomain. Default: the host name.
    #[schemars(length(min = 1, max = 253))]
    pub default_domain: Option<String>,
    /// Connections of all listeners together. Default 8192.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: u32,
    /// Networks whose peers must begin with a PROXY header (v1 or v2), for listeners that name none themselves;
    /// addresses or CIDRs, `/0` is refused. Default: none.
    pub proxy_trusted_networks: SetOf<String>,
    /// Where names are looked up.
    pub dns: DnsSpec,
    /// Where counters and greylists are kept.
    pub store: StoreSpec,
    /// Databases of networks and countries.
    pub geo: GeoSpec,
    /// Memory for messages in hand, octets. Default 268435456.
    #[schemars(range(min = 1_048_576))]
    pub message_memory: u64,
    /// Temporary files for messages in hand, octets. Default 2147483648.
    pub message_spool: u64,
    /// Ends every refusal with ` [id …]`, the id under which traces and logs know of it. Default true.
    pub add_id_to_refusals: bool,
}

impl KindSpec for SettingsSpec {
    const KIND: &'static str = "MtaSettings";
    const PLURAL: &'static str = "mtasettings";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
    const RENAMED: &'static [(&'static str, &'static str)] = &[
        ("defaultDomainId", "`defaultDomain`"),
        (
            "defaultCertificateId",
            "`tls: {secretNames: [...]}` at the listener, the default certificate first",
        ),
    ];
}

impl Default for SettingsSpec {
    fn default() -> Self {
        Self {
            default_hostname: None,
            default_domain: None,
            max_connections: 8192,
            proxy_trusted_networks: SetOf::default(),
            dns: DnsSpec::default(),
            store: StoreSpec::default(),
            geo: GeoSpec::default(),
            message_memory: 256 << 20,
            message_spool: 2 << 30,
            add_id_to_refusals: true,
        }
    }
}

/// Where names are looked up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DnsSpec {
    /// Name servers; every query goes to them. Default: those of the system.
    #[schemars(extend("maxItems" = 16, "x-kubernetes-list-type" = "atomic"))]
    pub servers: Vec<DnsServerSpec>,
    /// Limit for one answer, `1ms` to `1m`. Default `5s`.
    pub timeout: TimeSpan,
    /// Tries, 1 to 10. Default 2.
    #[schemars(range(min = 1, max = 10))]
    pub attempts: u32,
}

impl Default for DnsSpec {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: TimeSpan::seconds(5), attempts: 2 }
    }
}

/// A name server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnsServerSpec {
    /// Its IP address.
    #[schemars(length(min = 2, max = 64))]
    pub address: String,
    /// Its port, 1 to 65535. Default 53, with `tls` 853.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// `udp` (with TCP when an answer is cut), `tcp` or `tls` (RFC 7858). Default `udp`.
    #[serde(default)]
    pub protocol: DnsProtocol,
}

/// Transport of DNS.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DnsProtocol {
    /// UDP.
    #[default]
    Udp,
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
}

/// Where state lives that messages share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(self.type == 'Redis') == has(self.urls)", "message": "Redis needs urls, Memory has none"},
    {"rule": "self.type == 'Redis' || !(has(self.username) || has(self.password) || has(self.sentinelPassword) || has(self.tls))",
     "message": "username, password, sentinelPassword and tls go with type Redis only"},
    {"rule": "!has(self.username) || has(self.password)", "message": "a username needs a password"}
]))]
pub struct StoreSpec {
    /// `Memory`: each pod for itself. `Redis`: one for all pods. Default `Memory`.
    #[serde(rename = "type")]
    pub kind: StoreType,
    /// Redis: one or several URLs, `redis://` or `rediss://`.
    #[schemars(extend("minItems" = 1, "maxItems" = 64, "x-kubernetes-list-type" = "atomic"))]
    pub urls: Option<Vec<String>>,
    /// Redis: user of its access control list, which needs a password. Default: the user `default`.
    #[schemars(length(min = 1, max = 256))]
    pub username: Option<String>,
    /// Redis: password. Default: none.
    pub password: Option<SecretSource>,
    /// Redis: password of the sentinels, which do not know that of Redis. Default: none.
    pub sentinel_password: Option<SecretSource>,
    /// Redis: how long a session waits before it counts by itself, `1ms` to `10s`. Default `50ms`.
    pub timeout: TimeSpan,
    /// Redis: TLS towards `rediss` URLs.
    pub tls: Option<ClientTlsSpec>,
}

impl Default for StoreSpec {
    fn default() -> Self {
        Self {
            kind: StoreType::default(),
            urls: None,
            username: None,
            password: None,
            sentinel_password: None,
            timeout: TimeSpan(std::time::Duration::from_millis(50)),
            tls: None,
        }
    }
}

/// Kind of a store.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum StoreType {
    /// In the process.
    #[default]
    Memory,
    /// In Redis.
    Redis,
}

/// Databases in MaxMind's format.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GeoSpec {
    /// Path of the database of autonomous systems. Default: none, `asn` is 0.
    #[schemars(length(min = 1, max = 4096))]
    pub asn_file: Option<String>,
    /// Path of the database of countries. Default: none, `country` is empty.
    #[schemars(length(min = 1, max = 4096))]
    pub country_file: Option<String>,
}
