//! `MtaRoute` and `MtaOutboundStrategy`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postern_core::expr::Scope;
use postern_core::policy::StageData;
use postern_core::policy::listener::Protocol;
use postern_core::policy::route::{
    Credentials, HopAddress, Maildir, MaildirSegment, MixedRoutes, OutboundStrategy, PoolLimits, Relay,
    RelayTimeouts, Route, RouteTarget, TlsMode,
};

use super::context::{Compiler, Context};
use super::{listener, only};
use crate::kinds::outbound_strategy::MixedRoutes as MixedRoutesSpec;
use crate::kinds::route::{RouteSpec, RouteTlsSpec, RouteType, TlsMode as TlsModeSpec};
use crate::load::Object;
use crate::node::{Trail, shortened};
use crate::value::TimeSpan;

const SPEC: &Trail<'static> = &Trail::SPEC;
const MILLISECOND: Duration = Duration::from_millis(1);

/// The longest wait for the reply after the final dot.
const LONGEST_LAST_REPLY: Duration = Duration::from_secs(300);

/// What a client waits for the reply after its final dot (RFC 5321 section 4.5.3.2.6).
const CLIENT_PATIENCE: Duration = Duration::from_secs(600);

impl<'a> Compiler<'a> {
    /// Every route beside the object it comes from.
    pub(super) fn routes(&mut self) -> Vec<(&'a Object<RouteSpec>, Route)> {
        let mut routes: Vec<(&Object<RouteSpec>, Route)> = Vec::new();
        let mut names: HashMap<Arc<str>, Arc<str>> = HashMap::new();
        for object in &self.set.routes {
            let mut context = self.at(object);
            let name: Arc<str> =
                object.spec.name.as_deref().map_or_else(|| Arc::clone(&object.name), Arc::from);
            if let Some(other) = names.insert(Arc::clone(&name), Arc::clone(&object.name)) {
                context.conflict(&SPEC.key("name"), format!("MtaRoute/{other} has the name `{name}` too"));
            }
            if let Some(target) = context.route_target(&object.spec) {
                routes.push((object, Route { name, target }));
            }
        }
        routes
    }

    pub(super) fn outbound_strategy(&mut self) -> OutboundStrategy {
        let Some(object) = only(&self.set.outbound_strategy) else { return OutboundStrategy::default() };
        let (mut context, spec) = (self.at(object), &object.spec);
        let at = SPEC.key("route");
        let route = context.setting(&at, &spec.route, Scope::Outbound);
        if let Some(route) = &route {
            context.check_routes(&at, route);
        }
        let quarantine = spec.quarantine_route.as_deref();
        OutboundStrategy {
            route,
            quarantine_route: quarantine.map(|name| context.route_name(&SPEC.key("quarantineRoute"), name)),
            mixed_routes: match spec.mixed_routes {
                MixedRoutesSpec::Fanout => MixedRoutes::Fanout,
                MixedRoutesSpec::Defer => MixedRoutes::Defer,
            },
        }
    }

    /// All filters and the next hop together must answer before the client gives up.
    pub(super) fn check_time_budget(&mut self, data: &StageData, routes: &[(&'a Object<RouteSpec>, Route)]) {
        for (object, route) in routes {
            let RouteTarget::Relay(relay) = &route.target else { continue };
            let together = data.filter_budget.saturating_add(relay.timeouts.last_reply);
            if together >= CLIENT_PATIENCE && relay.timeouts.last_reply <= LONGEST_LAST_REPLY {
                let message = format!(
                    "with `filterBudget` of MtaStageData ({}) it makes {}, and clients wait less than {}",
                    TimeSpan(data.filter_budget),
                    TimeSpan(together),
                    TimeSpan(CLIENT_PATIENCE)
                );
                self.at(object).conflict(&SPEC.key("timeouts").key("final"), message);
            }
        }
    }
}

impl Context<'_> {
    fn route_target(&mut self, spec: &RouteSpec) -> Option<RouteTarget> {
        if !self.is_trusted(&SPEC.key("type")) {
            return None;
        }
        match spec.kind {
            RouteType::Relay => self.relay(spec).map(|relay| RouteTarget::Relay(Box::new(relay))),
            RouteType::Maildir => {
                self.refuse_relay_fields(spec);
                let Some(path) = &spec.path else {
                    self.fault(&SPEC.key("path"), "`type: Maildir` needs it");
                    return None;
                };
                self.maildir(&SPEC.key("path"), path).map(RouteTarget::Maildir)
            }
            RouteType::Discard => {
                self.refuse_relay_fields(spec);
                self.refuse_path(spec);
                Some(RouteTarget::Discard)
            }
        }
    }

    fn relay(&mut self, spec: &RouteSpec) -> Option<Relay> {
        self.refuse_path(spec);
        let addresses = self.hop_addresses(spec);
        let default = RouteTlsSpec::default();
        let tls_spec = spec.tls.as_ref().unwrap_or(&default);
        let tls_at = SPEC.key("tls");
        let mut tls = self.client_tls_fields(
            &tls_at,
            tls_spec.ca_secret_ref.as_ref(),
            tls_spec.client_secret_name.as_deref(),
            tls_spec.server_name.as_deref(),
            tls_spec.allow_invalid_certs,
        );
        tls.allow_invalid_certs |= spec.allow_invalid_certs == Some(true);
        let tls_mode = self.tls_mode(spec, tls_spec);
        let credentials = self.credentials(spec, tls_mode, tls.allow_invalid_certs);
        Some(Relay {
            addresses: addresses?,
            balance: spec.balance.unwrap_or(false),
            protocol: spec.protocol.map_or(Protocol::Smtp, listener::protocol),
            tls_mode,
            tls,
            credentials,
            verify_recipients: spec.verify_recipients.unwrap_or(true),
            add_delivered_to: spec.add_delivered_to.unwrap_or(false),
            pool: self.pool(spec),
            timeouts: self.relay_timeouts(spec),
        })
    }

    fn hop_addresses(&mut self, spec: &RouteSpec) -> Option<Vec<HopAddress>> {
        let (hosts, at): (Vec<(&str, u16)>, &str) = match (&spec.address, &spec.addresses) {
            (Some(address), None) => (vec![(address, spec.port.unwrap_or(25))], "address"),
            (None, Some(addresses)) => {
                if spec.port.is_some() {
                    self.fault(&SPEC.key("port"), "goes with `address`; each of `addresses` has its own");
                }
                (addresses.iter().map(|hop| (hop.host.as_str(), hop.port)).collect(), "addresses")
            }
            (None, None) => {
                self.fault(&SPEC.key("address"), "`type: Relay` needs it, or `addresses`");
                return None;
            }
            (Some(_), Some(_)) => {
                self.fault(&SPEC.key("addresses"), "does not go with `address`; give one of them");
                return None;
            }
        };
        let list = SPEC.key(at);
        if hosts.is_empty() {
            self.fault(&list, "needs at least one next hop");
            return None;
        }
        for (index, (host, port)) in hosts.iter().enumerate() {
            let item = list.index(index);
            let (host_key, port_key) = (item.key("host"), item.key("port"));
            let (host_at, port_at) =
                if at == "address" { (list, SPEC.key("port")) } else { (host_key, port_key) };
            self.check_host(&host_at, host);
            self.number(&port_at, *port, 1, u16::MAX);
        }
        Some(hosts.into_iter().map(|(host, port)| HopAddress { host: host.into(), port }).collect())
    }

    fn tls_mode(&mut self, spec: &RouteSpec, tls: &RouteTlsSpec) -> TlsMode {
        let mode = match tls.mode {
            TlsModeSpec::Opportunistic => TlsMode::Opportunistic,
            TlsModeSpec::Require => TlsMode::Require,
            TlsModeSpec::Implicit => TlsMode::Implicit,
            TlsModeSpec::Disable => TlsMode::Disable,
        };
        match (spec.implicit_tls, &spec.tls) {
            (Some(true), Some(_)) if !matches!(mode, TlsMode::Implicit | TlsMode::Opportunistic) => {
                self.fault(&SPEC.key("implicitTls"), "contradicts `tls.mode`");
                mode
            }
            (Some(true), _) => TlsMode::Implicit,
            _ => mode,
        }
    }

    /// Credentials go to nobody whose certificate was not verified.
    fn credentials(&mut self, spec: &RouteSpec, mode: TlsMode, takes_any: bool) -> Option<Credentials> {
        let (username, source) = match (&spec.auth_username, &spec.auth_secret) {
            (Some(username), Some(source)) => (username, source),
            (None, None) => return None,
            (Some(_), None) => {
                self.fault(&SPEC.key("authSecret"), "`authUsername` needs it");
                return None;
            }
            (None, Some(_)) => {
                self.fault(&SPEC.key("authUsername"), "`authSecret` needs it");
                return None;
            }
        };
        if takes_any || !matches!(mode, TlsMode::Require | TlsMode::Implicit) {
            let message = "credentials demand verified TLS: `tls: {mode: Require}` or `tls: {mode: Implicit}`, \
                           and no `allowInvalidCerts`";
            self.fault(&SPEC.key("authUsername"), message);
        }
        let secret = self.secret(&SPEC.key("authSecret"), source)?;
        Some(Credentials { username: username.as_str().into(), secret })
    }

    fn pool(&mut self, spec: &RouteSpec) -> PoolLimits {
        let Some(pool) = &spec.pool else { return PoolLimits::default() };
        let at = SPEC.key("pool");
        PoolLimits {
            max_connections: self.number(&at.key("maxConnections"), pool.max_connections, 1, 10_000),
            idle: self.timeout(&at.key("idle"), pool.idle),
            max_messages: self.number(&at.key("maxMessages"), pool.max_messages, 1, 1_000_000),
        }
    }

    fn relay_timeouts(&mut self, spec: &RouteSpec) -> RelayTimeouts {
        let Some(timeouts) = &spec.timeouts else { return RelayTimeouts::default() };
        let at = SPEC.key("timeouts");
        RelayTimeouts {
            connect: self.timeout(&at.key("connect"), timeouts.connect),
            command: self.timeout(&at.key("command"), timeouts.command),
            data: self.timeout(&at.key("data"), timeouts.data),
            last_reply: self.span(&at.key("final"), timeouts.last_reply, MILLISECOND, LONGEST_LAST_REPLY),
        }
    }

    fn refuse_path(&mut self, spec: &RouteSpec) {
        if spec.path.is_some() {
            self.fault(&SPEC.key("path"), "goes with `type: Maildir` only");
        }
    }

    fn refuse_relay_fields(&mut self, spec: &RouteSpec) {
        let fields = [
            ("address", spec.address.is_some()),
            ("addresses", spec.addresses.is_some()),
            ("port", spec.port.is_some()),
            ("balance", spec.balance.is_some()),
            ("protocol", spec.protocol.is_some()),
            ("tls", spec.tls.is_some()),
            ("implicitTls", spec.implicit_tls.is_some()),
            ("allowInvalidCerts", spec.allow_invalid_certs.is_some()),
            ("authUsername", spec.auth_username.is_some()),
            ("authSecret", spec.auth_secret.is_some()),
            ("verifyRecipients", spec.verify_recipients.is_some()),
            ("addDeliveredTo", spec.add_delivered_to.is_some()),
            ("pool", spec.pool.is_some()),
            ("timeouts", spec.timeouts.is_some()),
        ];
        for (field, _) in fields.into_iter().filter(|(_, is_set)| *is_set) {
            self.fault(&SPEC.key(field), "goes with `type: Relay` only");
        }
    }

    /// A path with placeholders. What stands before the first of them is the base.
    fn maildir(&mut self, at: &Trail<'_>, path: &str) -> Option<Maildir> {
        if path.contains('\0')
            || Path::new(path).components().any(|part| part == std::path::Component::ParentDir)
        {
            self.fault(at, "holds neither `..` nor NUL");
            return None;
        }
        let mut segments = Vec::new();
        let mut rest = path;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else {
                self.fault(at, "has a `{` without `}`");
                return None;
            };
            segments.push(MaildirSegment::Literal(before.into()));
            segments.push(match name {
                "local" => MaildirSegment::Local,
                "domain" => MaildirSegment::Domain,
                "recipient" => MaildirSegment::Recipient,
                other => {
                    let other = shortened(other);
                    self.fault(
                        at,
                        format!(
                            "{other} is no placeholder; there are {{local}}, {{domain}} and {{recipient}}"
                        ),
                    );
                    return None;
                }
            });
            rest = tail;
        }
        segments.push(MaildirSegment::Literal(rest.into()));
        let mut segments = segments.into_iter();
        // The base ends at the last slash before the first placeholder, so that a folder is never split.
        let first = match segments.next() {
            Some(MaildirSegment::Literal(first)) => first,
            _ => "".into(),
        };
        let split =
            if segments.len() == 0 { first.len() } else { first.rfind('/').map_or(0, |slash| slash + 1) };
        let (base, rest) = first.split_at_checked(split).unwrap_or((&first, ""));
        let pattern = std::iter::once(MaildirSegment::Literal(rest.into()))
            .chain(segments)
            .filter(|segment| !matches!(segment, MaildirSegment::Literal(text) if text.is_empty()))
            .collect();
        let base = if base.is_empty() { "." } else { base };
        Some(Maildir { base: base.into(), pattern })
    }
}
