//! A policy under which a session asks everything that it can ask.

use std::sync::Arc;
use std::time::Duration;

use postern_core::expr::{ConditionalSource, SaslMechanism, Scope, Setting, Target, Verify};
use postern_core::ldap::Filter;
use postern_core::policy::directory::{
    Account, Directory, DirectorySource, Domain, Inline, Ldap, LdapAuthentication, LdapCache, LdapSecurity,
    MailingList, SubAddressing,
};
use postern_core::policy::filter::{
    BodyEncoding, Breaker, Greylist, Hook, HookAuth, Milter, MilterAddress, MilterVersion, Mode, Process,
};
use postern_core::policy::listener::{Listener, Protocol, SocketOptions};
use postern_core::policy::route::{
    ClientTls, MixedRoutes, PoolLimits, Relay, RelayTimeouts, Route, RouteTarget, Routes, TlsMode,
};
use postern_core::policy::throttle::{Algorithm, Rate, Throttle, ThrottleClass, ThrottleKey};
use postern_core::policy::{
    Directories, Domains, Extensions, Filters, OutboundStrategy, Policy, Secret, SenderAuth, StageAuth,
    StageData, StageMail, StageRcpt,
};
use postern_core::smtp::address::Address;
use postern_core::verdict::Stage;

/// Who may relay under this policy: nobody who has not logged in.
pub(crate) fn inquisitive(mixed_routes: MixedRoutes) -> Policy {
    Policy {
        auth: StageAuth {
            sasl_mechanisms: Setting::constant(SaslMechanism::ALL.into_iter().collect()),
            require: Setting::constant(false),
            max_failures: Setting::constant(4),
            allow_clear_text_auth: true,
            ..StageAuth::default()
        },
        mail: StageMail {
            is_sender_allowed: expression("!key_exists('', sender_domain)", Scope::Mail),
            rewrite: expression("key_get('', sender)", Scope::Mail),
            ..StageMail::default()
        },
        rcpt: StageRcpt { max_recipients: Setting::constant(4), ..StageRcpt::default() },
        data: StageData { max_messages: Setting::constant(3), ..StageData::default() },
        extensions: Extensions {
            dsn: expression("key_exists('', 'dsn')", Scope::Mail),
            vrfy: Setting::constant(true),
            expn: Setting::constant(true),
            ..Extensions::default()
        },
        sender_auth: SenderAuth {
            spf_ehlo_verify: Setting::constant(Verify::Strict),
            spf_from_verify: Setting::constant(Verify::Strict),
            reverse_ip_verify: Setting::constant(Verify::Strict),
            dkim_verify: Setting::constant(Verify::Strict),
            arc_verify: Setting::constant(Verify::Strict),
            dmarc_verify: Setting::constant(Verify::Strict),
            dkim_strict: true,
        },
        throttles: vec![
            throttle("connections", vec![ThrottleKey::RemoteIp], ThrottleClass::Connection),
            throttle("senders", vec![ThrottleKey::Sender], ThrottleClass::Sender),
            throttle("domains", vec![ThrottleKey::RcptDomain], ThrottleClass::Recipient),
        ],
        domains: Domains::new([domain()]),
        directories: Directories::new(vec![people(), elsewhere()]),
        filters: Filters {
            milters: vec![Arc::new(milter())],
            hooks: vec![Arc::new(hook())],
            greylist: Some(Greylist {
                matches: Setting::constant(true),
                delay: Duration::from_secs(300),
                expiry: Duration::from_secs(86_400),
                ipv4_prefix: 24,
                ipv6_prefix: 64,
            }),
            ..Filters::default()
        },
        routes: Routes::new([route("default"), route("special")]),
        outbound: OutboundStrategy {
            route: Some(expression("if_then(key_exists('', rcpt), 'special', 'default')", Scope::Outbound)),
            mixed_routes,
            ..OutboundStrategy::default()
        },
        ..Policy::default()
    }
}

pub(crate) fn account() -> Account {
    Account {
        address: address("ann@example.org"),
        aliases: vec![address("anna@example.org")],
        passwords: vec![Secret::new("secret")],
    }
}

pub(crate) fn listener(protocol: Protocol) -> Arc<Listener> {
    Arc::new(Listener {
        name: "inside".into(),
        bind: Vec::new(),
        protocol,
        tls: None,
        max_connections: 1,
        proxy_trusted_networks: Vec::new(),
        public_port: None,
        relay_for_anyone: false,
        tls_timeout: Duration::from_secs(60),
        socket: SocketOptions::default(),
    })
}

fn expression<T: Target>(source: &str, scope: Scope) -> Setting<T> {
    Setting::parse(&ConditionalSource::plain(source), scope).unwrap()
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn throttle(name: &str, key: Vec<ThrottleKey>, class: ThrottleClass) -> Throttle {
    Throttle {
        name: name.into(),
        key,
        matches: Setting::constant(true),
        rate: Rate { count: 10, period: Duration::from_secs(60), algorithm: Algorithm::FixedWindow },
        class,
    }
}

fn domain() -> Domain {
    Domain {
        object: "example.org".into(),
        name: "example.org".into(),
        aliases: Vec::new(),
        is_enabled: true,
        allow_relaying: false,
        catch_all: None,
        sub_addressing: SubAddressing::Enabled,
        route: None,
        directory: None,
    }
}

fn people() -> Directory {
    let list = MailingList {
        address: address("team@example.org"),
        members: vec![address("ann@example.org"), address("ben@example.org")],
    };
    Directory {
        name: "people".into(),
        source: DirectorySource::Inline(Inline::new(vec![account()], vec![list])),
    }
}

fn elsewhere() -> Directory {
    let ldap = Ldap {
        host: "127.0.0.1".into(),
        port: 389,
        security: LdapSecurity::Clear,
        service: None,
        base_dn: "".into(),
        user_filter: Filter::parse("(mail={address})").unwrap(),
        login_filter: None,
        mail_attributes: Vec::new(),
        lists: None,
        authentication: LdapAuthentication::Bind,
        pool: 1,
        timeout: Duration::from_secs(1),
        cache: LdapCache { positive: Duration::ZERO, negative: Duration::ZERO, entries: 0 },
        tls: ClientTls::default(),
    };
    Directory { name: "elsewhere".into(), source: DirectorySource::Ldap(Arc::new(ldap)) }
}

fn process(name: &str) -> Process {
    Process {
        name: name.into(),
        mode: Mode::Enforce,
        enable: Setting::constant(true),
        stages: vec![Stage::Connect, Stage::Ehlo, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data],
        temp_fail_on_error: true,
        max_message_size: 1 << 20,
        breaker: Breaker::default(),
    }
}

fn milter() -> Milter {
    Milter {
        process: process("milter"),
        address: MilterAddress::Tcp { host: "127.0.0.1".into(), port: 1 },
        version: MilterVersion::V6,
        flags_action: None,
        flags_protocol: None,
        timeout_connect: Duration::from_secs(1),
        timeout_command: Duration::from_secs(1),
        timeout_data: Duration::from_secs(1),
        max_response_size: 1 << 20,
        tls: None,
    }
}

fn hook() -> Hook {
    Hook {
        process: process("hook"),
        url: "http://127.0.0.1/".into(),
        auth: HookAuth::Unauthenticated,
        headers: Vec::new(),
        timeout: Duration::from_secs(1),
        max_response_size: 1 << 20,
        body_encoding: BodyEncoding::Text,
        tls: ClientTls::default(),
    }
}

fn route(name: &str) -> Route {
    let relay = Relay {
        addresses: Vec::new(),
        balance: false,
        protocol: Protocol::Smtp,
        tls_mode: TlsMode::Disable,
        tls: ClientTls::default(),
        credentials: None,
        verify_recipients: true,
        add_delivered_to: false,
        pool: PoolLimits::default(),
        timeouts: RelayTimeouts::default(),
    };
    Route { name: name.into(), target: RouteTarget::Relay(Box::new(relay)) }
}
