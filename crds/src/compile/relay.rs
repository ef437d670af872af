//! Open relays: would a stranger without a password get mail to anywhere through this policy?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use postern_core::expr::{Facts, Interrupt, Lookup, LookupFailure, Setting, System, Value, Variable};
use postern_core::policy::listener::Listener;
use postern_core::policy::{Domains, Lookups, Settings, StageRcpt};

use super::context::Compiler;
use super::only;
use crate::kinds::listener::ListenerSpec;
use crate::load::Object;
use crate::node::Trail;

/// Addresses that stand for the rest of the world (RFC 5737, RFC 3849).
const STRANGERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// Addresses behind which strangers appear when a load balancer hides them (RFC 1918, RFC 6598, RFC 4193).
const PRIVATE: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(172, 16, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(100, 64, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
];

/// What the rest of the policy answers to expressions.
pub(super) struct World<'a> {
    pub(super) settings: &'a Settings,
    pub(super) domains: &'a Domains,
    pub(super) lookups: &'a Lookups,
}

impl<'a> Compiler<'a> {
    /// Puts `allowRelaying` to the test for every listener that the world may reach.
    pub(super) fn check_open_relay(
        &mut self,
        listeners: &[(&'a Object<ListenerSpec>, Listener)],
        rcpt: &StageRcpt,
        world: &World<'_>,
    ) {
        // The documented default asks for a login, and there is no object to blame for it.
        let Some(stage) = only(&self.set.stage_rcpt) else { return };
        for (_, listener) in listeners {
            let loopback_only = listener.bind.iter().all(|address| address.ip().is_loopback());
            if listener.relay_for_anyone || loopback_only {
                continue;
            }
            let name = &listener.name;
            let strangers = Probe { listener, world, sender: STRANGE_SENDER.into() };
            let (message, is_fault) = match strangers.judge(&rcpt.allow_relaying, &STRANGERS) {
                Judgement::Open(client) => {
                    let message = format!(
                        "an open relay: true for any client without a login, such as {client}, at listener `{name}`; \
                         if that is meant, set `relayForAnyone: true` there"
                    );
                    (message, true)
                }
                Judgement::Undecided => {
                    let message =
                        format!("cannot be decided here whether this is an open relay at listener `{name}`");
                    (message, false)
                }
                Judgement::Closed => match self.weak_spot(listener, rcpt, world) {
                    Some(message) => (message, false),
                    None => continue,
                },
            };
            let mut context = self.at(stage);
            let at = Trail::SPEC;
            let at = at.key("allowRelaying");
            if is_fault { context.fault(&at, message) } else { context.warn(&at, message) }
        }
    }

    /// How strangers might get in all the same.
    fn weak_spot(&self, listener: &Listener, rcpt: &StageRcpt, world: &World<'_>) -> Option<String> {
        let name = &listener.name;
        let strangers = Probe { listener, world, sender: STRANGE_SENDER.into() };
        if listener.proxy_trusted_networks.is_empty()
            && let Judgement::Open(client) = strangers.judge(&rcpt.allow_relaying, &PRIVATE)
        {
            return Some(format!(
                "true for {client} at listener `{name}`, which speaks no PROXY: behind a load balancer every \
                 client may have such an address"
            ));
        }
        let own = self.set.domains.iter().find_map(|domain| {
            let domain = domain.spec.name.as_deref().unwrap_or(&domain.name);
            let strangers = Probe { listener, world, sender: format!("stranger@{domain}") };
            matches!(strangers.judge(&rcpt.allow_relaying, &STRANGERS), Judgement::Open(_)).then_some(domain)
        });
        own.map(|domain| {
            format!("true at listener `{name}` for any client that claims a sender in `{domain}`, which anybody can")
        })
    }
}

const STRANGE_SENDER: &str = "stranger@sender.example";
const STRANGE_RECIPIENT: &str = "somebody@recipient.example";

enum Judgement {
    Open(IpAddr),
    Undecided,
    Closed,
}

/// Clients of one listener that have not logged in.
struct Probe<'a> {
    listener: &'a Listener,
    world: &'a World<'a>,
    sender: String,
}

impl Probe<'_> {
    fn judge(&self, allow: &Setting<bool>, clients: &[IpAddr]) -> Judgement {
        let mut judgement = Judgement::Closed;
        for client in clients {
            for local in &self.listener.bind {
                for port in self.ports(local.port()) {
                    for is_tls in [false, true] {
                        let session =
                            Session { probe: self, client: *client, local: local.ip(), port, is_tls };
                        match allow.evaluate(&session) {
                            Ok(true) => return Judgement::Open(*client),
                            Err(Interrupt::Needs(_)) => judgement = Judgement::Undecided,
                            // A failed evaluation is answered 451 when it happens.
                            Ok(false) | Err(Interrupt::Failed(_)) => {}
                        }
                    }
                }
            }
        }
        judgement
    }

    /// Ports that `local_port` may say: a PROXY header brings its own.
    fn ports(&self, bound: u16) -> Vec<u16> {
        match self.listener.public_port {
            Some(port) => vec![port],
            None if self.listener.proxy_trusted_networks.is_empty() => vec![bound],
            None => vec![bound, 25],
        }
    }
}

/// One session of a stranger.
struct Session<'a> {
    probe: &'a Probe<'a>,
    client: IpAddr,
    local: IpAddr,
    port: u16,
    is_tls: bool,
}

impl Facts for Session<'_> {
    fn variable(&self, variable: Variable) -> Value<'_> {
        let text = |text: &str| Value::Text(text.to_owned().into());
        let domain = |address: &str| text(address.rsplit('@').next().unwrap_or_default());
        match variable {
            Variable::Listener => text(&self.probe.listener.name),
            Variable::RemoteIp | Variable::ReceivedFromIp => text(&self.client.to_string()),
            Variable::RemotePort => Value::Integer(40_000),
            Variable::LocalIp => text(&self.local.to_string()),
            Variable::LocalPort | Variable::ReceivedViaPort => Value::Integer(self.port.into()),
            Variable::Protocol => text(self.probe.listener.protocol.name()),
            Variable::IsTls => Value::Integer(self.is_tls.into()),
            Variable::Asn | Variable::Size => Value::Integer(0),
            Variable::HeloDomain => text("client.example"),
            Variable::Sender => text(&self.probe.sender),
            Variable::SenderDomain => domain(&self.probe.sender),
            Variable::Rcpt => text(STRANGE_RECIPIENT),
            Variable::RcptDomain => domain(STRANGE_RECIPIENT),
            Variable::Recipients => Value::from(vec![text(STRANGE_RECIPIENT)]),
            Variable::Priority => text("0"),
            Variable::Source => text("unauthenticated"),
            Variable::Country | Variable::AuthenticatedAs => Value::EMPTY,
        }
    }

    fn system(&self, system: System) -> Value<'_> {
        let settings = self.probe.world.settings;
        let name = match system {
            System::Domain => settings.default_domain.as_ref().or(settings.default_hostname.as_ref()),
            _ => settings.default_hostname.as_ref(),
        };
        Value::Text(name.map_or("localhost", |name| &**name).into())
    }

    fn is_local_domain(&self, domain: &str) -> bool {
        self.probe.world.domains.get(domain).is_some()
    }

    /// What the policy itself knows is answered; the rest cannot be known at load.
    fn lookup(&self, lookup: &Lookup) -> Option<Result<Value<'_>, LookupFailure>> {
        let known =
            |store: &str| self.probe.world.lookups.get(store).filter(|namespace| namespace.is_whole());
        match lookup {
            Lookup::KeyExists { store, key } => {
                let found = known(store)?.get(key).is_some();
                Some(Ok(Value::Integer(found.into())))
            }
            Lookup::KeyGet { store, key } => {
                let value = known(store)?.get(key).map_or_else(String::new, |value| value.to_string());
                Some(Ok(Value::Text(value.into())))
            }
            _ => None,
        }
    }
}
