//! `MtaSettings`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use postern_core::policy::Settings;
use postern_core::policy::settings::{Dns, DnsProtocol, DnsServer, RedisStore, Store};

use super::context::{Compiler, Context};
use super::only;
use crate::kinds::settings::{DnsProtocol as DnsProtocolSpec, DnsSpec, SettingsSpec, StoreSpec, StoreType};
use crate::node::{Trail, shortened};

const SPEC: &Trail<'static> = &Trail::SPEC;
const MILLISECOND: Duration = Duration::from_millis(1);

impl Compiler<'_> {
    pub(super) fn settings(&mut self) -> Settings {
        let Some(object) = only(&self.set.settings) else { return Settings::default() };
        self.at(object).settings(&object.spec)
    }
}

impl Context<'_> {
    fn settings(&mut self, spec: &SettingsSpec) -> Settings {
        let default_domain = spec.default_domain.as_deref().and_then(|name| {
            let names = self.names;
            let domain = match names.domains.get(name) {
                Some(domain) => {
                    self.uses("MtaDomain", name, None);
                    domain
                }
                None => name,
            };
            self.domain_name(&SPEC.key("defaultDomain"), domain)
        });
        Settings {
            default_hostname: spec
                .default_hostname
                .as_deref()
                .and_then(|name| self.domain_name(&SPEC.key("defaultHostname"), name)),
            default_domain,
            max_connections: self.number(&SPEC.key("maxConnections"), spec.max_connections, 1, 1_000_000),
            proxy_trusted_networks: self
                .networks(&SPEC.key("proxyTrustedNetworks"), &spec.proxy_trusted_networks),
            dns: self.dns(&SPEC.key("dns"), &spec.dns),
            store: self.store(&SPEC.key("store"), &spec.store),
            message_memory: self.number(&SPEC.key("messageMemory"), spec.message_memory, 1 << 20, u64::MAX),
            message_spool: spec.message_spool,
            add_id_to_refusals: spec.add_id_to_refusals,
            geo_asn_file: spec.geo.asn_file.as_deref().map(PathBuf::from),
            geo_country_file: spec.geo.country_file.as_deref().map(PathBuf::from),
        }
    }

    fn dns(&mut self, at: &Trail<'_>, spec: &DnsSpec) -> Dns {
        let mut servers = Vec::new();
        let list = at.key("servers");
        for (index, server) in spec.servers.iter().enumerate() {
            let at = list.index(index);
            let (protocol, usual) = match server.protocol {
                DnsProtocolSpec::Udp => (DnsProtocol::Udp, 53),
                DnsProtocolSpec::Tcp => (DnsProtocol::Tcp, 53),
                DnsProtocolSpec::Tls => (DnsProtocol::Tls, 853),
            };
            let port = self.number(&at.key("port"), server.port.unwrap_or(usual), 1, u16::MAX);
            match server.address.parse::<IpAddr>() {
                Ok(address) => servers.push(DnsServer { address: SocketAddr::new(address, port), protocol }),
                Err(_) => {
                    let message = format!("{} is no IP address", shortened(&server.address));
                    self.fault(&at.key("address"), message);
                }
            }
        }
        Dns {
            servers,
            timeout: self.span(&at.key("timeout"), spec.timeout, MILLISECOND, Duration::from_secs(60)),
            attempts: self.number(&at.key("attempts"), spec.attempts, 1, 10),
        }
    }

    fn store(&mut self, at: &Trail<'_>, spec: &StoreSpec) -> Store {
        let timeout = self.span(&at.key("timeout"), spec.timeout, MILLISECOND, Duration::from_secs(10));
        if !self.is_trusted(&at.key("type")) {
            return Store::Memory;
        }
        if spec.kind == StoreType::Memory {
            for (field, set) in [
                ("urls", spec.urls.is_some()),
                ("username", spec.username.is_some()),
                ("password", spec.password.is_some()),
                ("sentinelPassword", spec.sentinel_password.is_some()),
                ("tls", spec.tls.is_some()),
            ] {
                if set {
                    self.fault(&at.key(field), "goes with `type: Redis` only");
                }
            }
            return Store::Memory;
        }
        let urls: &[String] = spec.urls.as_deref().unwrap_or_default();
        if urls.is_empty() {
            self.fault(&at.key("urls"), "`type: Redis` needs at least one URL");
        }
        let list = at.key("urls");
        let urls: Vec<Arc<str>> = urls
            .iter()
            .enumerate()
            .map(|(index, url)| {
                self.url(&list.index(index), url, &["redis", "rediss", "redis+sentinel", "rediss+sentinel"])
            })
            .collect();
        self.servers_of_one_redis(&list, &urls);
        if spec.username.is_some() && spec.password.is_none() {
            self.fault(&at.key("username"), "needs a password");
        }
        let username = spec.username.as_deref().map(Arc::from);
        let password = spec.password.as_ref().and_then(|source| self.secret(&at.key("password"), source));
        if spec.sentinel_password.is_some() && !urls.iter().any(|url| url.contains("+sentinel://")) {
            self.fault(&at.key("sentinelPassword"), "goes with URLs of sentinels only");
        }
        let source = spec.sentinel_password.as_ref();
        let sentinel_password = source.and_then(|source| self.secret(&at.key("sentinelPassword"), source));
        let tls = self.client_tls(&at.key("tls"), spec.tls.as_ref());
        if tls.server_name.is_some() {
            let reason = "is not for Redis: its certificate has to be for the host of the URL";
            self.fault(&at.key("tls").key("serverName"), reason);
        }
        Store::Redis(RedisStore { urls, username, password, sentinel_password, timeout, tls })
    }

    /// URLs stand among their like; those of sentinels name one master.
    fn servers_of_one_redis(&mut self, list: &Trail<'_>, urls: &[Arc<str>]) {
        let mut of_all = None;
        let mut master = None;
        for (index, url) in urls.iter().enumerate() {
            let at = list.index(index);
            let Some((scheme, place)) = url.split_once("://") else { continue };
            if *of_all.get_or_insert(scheme) != scheme {
                self.fault(&at, "has another scheme than the first URL");
                continue;
            }
            if !scheme.ends_with("+sentinel") {
                continue;
            }
            match place.split_once('/') {
                Some((_, name)) if !name.is_empty() && !name.contains(['/', '?', '#']) => {
                    if *master.get_or_insert(name) != name {
                        self.fault(&at, "names another master than those before it");
                    }
                }
                _ => self.fault(&at, "names no master, as in redis+sentinel://host:26379/master"),
            }
        }
    }
}
