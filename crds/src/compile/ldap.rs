//! `MtaDirectory` of type `Ldap`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_core::ldap::Filter;
use postern_core::policy::directory::{
    Ldap, LdapAuthentication, LdapCache, LdapLists, LdapSecurity, LdapService,
};

use super::context::Context;
use crate::kinds::directory::{DirectorySpec, LdapAuthentication as LdapAuthenticationSpec};
use crate::node::{Trail, shortened};
use crate::value::TimeSpan;

const SPEC: &Trail<'static> = &Trail::SPEC;

/// The server of an `ldap` or `ldaps` URL.
struct Server {
    host: Arc<str>,
    port: u16,
    security: LdapSecurity,
}

impl Context<'_> {
    pub(super) fn ldap(&mut self, spec: &DirectorySpec) -> Option<Ldap> {
        let url = self.needed("url", spec.url.as_deref(), spec);
        let base_dn = self.needed("baseDn", spec.base_dn.as_deref(), spec);
        let server = url.and_then(|url| self.ldap_server(url, spec.start_tls));
        let service = self.ldap_service(spec);
        let user_filter =
            self.filter("userFilter", spec.user_filter.as_deref().unwrap_or("(mail={address})"));
        let login_filter = spec.login_filter.as_deref().map(|text| self.filter("loginFilter", text));
        let lists = self.ldap_lists(spec);
        let mail_attributes = self.attributes(
            "mailAttributes",
            spec.mail_attributes.as_deref(),
            &["mail", "mailAlternateAddress"],
        );
        if mail_attributes.is_empty() {
            self.fault(&SPEC.key("mailAttributes"), "needs at least one attribute");
        }
        let pool = self.number(&SPEC.key("pool"), spec.pool.unwrap_or(8), 1, 1000);
        let timeout = self.timeout(&SPEC.key("timeout"), spec.timeout.unwrap_or(TimeSpan::seconds(5)));
        let cache = self.ldap_cache(spec);
        let tls = self.client_tls(&SPEC.key("tls"), spec.tls.as_ref());
        let Server { host, port, security } = server?;
        Some(Ldap {
            host,
            port,
            security,
            service: service?,
            base_dn: base_dn?.into(),
            user_filter: user_filter?,
            login_filter: match login_filter {
                Some(filter) => Some(filter?),
                None => None,
            },
            mail_attributes,
            lists: lists?,
            authentication: match spec.authentication.unwrap_or_default() {
                LdapAuthenticationSpec::Bind => LdapAuthentication::Bind,
                LdapAuthenticationSpec::Hash => LdapAuthentication::Hash,
            },
            pool,
            timeout,
            cache,
            tls,
        })
    }

    fn ldap_server(&mut self, url: &str, start_tls: Option<bool>) -> Option<Server> {
        let at = SPEC.key("url");
        self.url(&at, url, &["ldap", "ldaps"]);
        let (scheme, rest) = url.split_once("://")?;
        let is_implicit = scheme == "ldaps";
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            self.fault(&at, "names a server and nothing else; where to search has fields of its own");
            return None;
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
            None => authority.split_once(':').unwrap_or((authority, "")),
        };
        let port = match port {
            "" => Some(if is_implicit { 636 } else { 389 }),
            port => port.parse().ok().filter(|port| *port > 0),
        };
        let Some(port) = port else {
            self.fault(&at, "the port is no number from 1 to 65535");
            return None;
        };
        self.check_host(&at, host);
        let security = match (is_implicit, start_tls) {
            (true, None) => LdapSecurity::Implicit,
            (true, Some(_)) => {
                self.fault(&SPEC.key("startTls"), "`ldaps` has TLS from the beginning");
                return None;
            }
            (false, Some(false)) => {
                if !is_loopback(host) {
                    self.warn(&SPEC.key("startTls"), "passwords cross the network in clear");
                }
                LdapSecurity::Clear
            }
            (false, None | Some(true)) => LdapSecurity::StartTls,
        };
        Some(Server { host: host.into(), port, security })
    }

    /// A name without a password would bind as nobody in particular, with success (RFC 4513 section 5.1.2).
    fn ldap_service(&mut self, spec: &DirectorySpec) -> Option<Option<LdapService>> {
        let at = SPEC.key("bindPassword");
        match (spec.bind_dn.as_deref(), &spec.bind_password) {
            (None, None) => Some(None),
            (None, Some(_)) => {
                self.fault(&SPEC.key("bindDn"), "`bindPassword` needs it");
                None
            }
            (Some(_), None) => {
                self.fault(&at, "`bindDn` needs it: without a password a server takes anybody for anonymous");
                None
            }
            (Some(dn), Some(source)) => {
                let password = self.secret(&at, source)?;
                if password.expose().is_empty() {
                    self.fault(&at, "is empty: without a password a server takes anybody for anonymous");
                    return None;
                }
                Some(Some(LdapService { dn: dn.into(), password }))
            }
        }
    }

    fn ldap_lists(&mut self, spec: &DirectorySpec) -> Option<Option<LdapLists>> {
        let Some(text) = spec.list_filter.as_deref() else {
            let fields = [
                ("memberAttributes", &spec.member_attributes),
                ("memberDnAttributes", &spec.member_dn_attributes),
            ];
            for (field, value) in fields {
                if value.is_some() {
                    self.fault(&SPEC.key(field), "goes with `listFilter` only");
                }
            }
            return Some(None);
        };
        let filter = self.filter("listFilter", text);
        let member_attributes = self.attributes(
            "memberAttributes",
            spec.member_attributes.as_deref(),
            &["mgrpRFC822MailMember", "rfc822MailMember"],
        );
        let member_dn_attributes = self.attributes(
            "memberDnAttributes",
            spec.member_dn_attributes.as_deref(),
            &["member", "uniqueMember"],
        );
        if member_attributes.is_empty() && member_dn_attributes.is_empty() {
            self.fault(&SPEC.key("memberAttributes"), "a list without an attribute for members has none");
        }
        Some(Some(LdapLists { filter: filter?, member_attributes, member_dn_attributes }))
    }

    fn ldap_cache(&mut self, spec: &DirectorySpec) -> LdapCache {
        let (none, day) = (Duration::ZERO, Duration::from_secs(86_400));
        let positive = spec.cache_ttl.unwrap_or(TimeSpan::seconds(300));
        let negative = spec.negative_cache_ttl.unwrap_or(TimeSpan::seconds(60));
        let entries = spec.cache_entries.unwrap_or(10_000);
        LdapCache {
            positive: self.span(&SPEC.key("cacheTtl"), positive, none, day),
            negative: self.span(&SPEC.key("negativeCacheTtl"), negative, none, day),
            entries: self.number(&SPEC.key("cacheEntries"), entries, 0, 1_000_000),
        }
    }

    fn filter(&mut self, field: &'static str, text: &str) -> Option<Filter> {
        let at = SPEC.key(field);
        match Filter::parse(text) {
            Ok(filter) if filter.names_subject() => Some(filter),
            Ok(_) => {
                let text = shortened(text);
                self.fault(&at, format!("{text} has no `{{address}}`, so it finds the same for everybody"));
                None
            }
            Err(fault) => {
                self.fault_inside(&at.path(), fault.line, fault.column, fault.message, None);
                None
            }
        }
    }

    /// Names of attributes; `default` when none are given.
    fn attributes(
        &mut self,
        field: &'static str,
        names: Option<&[String]>,
        default: &[&str],
    ) -> Vec<Arc<str>> {
        let Some(names) = names else { return default.iter().map(|name| Arc::from(*name)).collect() };
        let at = SPEC.key(field);
        for (index, name) in names.iter().enumerate() {
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if let Some((attribute, _)) = name.split_once(';') {
                let message = format!("options of attributes are not told apart: write `{attribute}`");
                self.fault(&at.index(index), message);
            } else if name.is_empty() || !name.chars().all(is_name) {
                self.fault(&at.index(index), format!("{} is no name of an attribute", shortened(name)));
            }
        }
        names.iter().map(|name| Arc::from(name.as_str())).collect()
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
