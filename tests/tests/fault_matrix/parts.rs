//! The services, each with the stages at which it is asked.

use std::net::SocketAddr;

use anyhow::Result;
use postern_tests::certificate::Authority;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::http::{Answer, HttpServer};
use postern_tests::manifests::{self, object, relay};
use postern_tests::milter::Milter;
use postern_tests::peers::nsd::Nsd;
use postern_tests::peers::redis::Redis;
use postern_tests::peers::slapd::{BASE, SERVICE, SERVICE_PASSWORD, Slapd};
use postern_tests::require;

use super::{Part, Stage, hold};

/// Never left alone, however often it fails: every way has to be seen.
const STUBBORN: &str = "breaker: {failures: 1000}";

/// The gate takes everything, and asks nobody.
fn quiet() -> String {
    manifests::settings() + &nowhere()
}

fn nowhere() -> String {
    object("MtaRoute", "nowhere", "{type: Discard}")
}

fn login() -> String {
    object(
        "MtaStageAuth",
        "default",
        "{saslMechanisms: \"[plain]\", allowClearTextAuth: true, require: false, mustMatchSender: false}",
    ) + &object(
        "MtaDirectory",
        "people",
        "{type: Inline, accounts: [{address: bob@example.test, passwords: [{value: secret}]}]}",
    )
}

const NAMES: [(Stage, &str); 6] = [
    (Stage::Connect, "connect"),
    (Stage::Ehlo, "ehlo"),
    (Stage::Auth, "auth"),
    (Stage::Mail, "mail"),
    (Stage::Rcpt, "rcpt"),
    (Stage::Data, "data"),
];

#[test]
fn a_next_hop() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let timeouts = "timeouts: {connect: 500ms, command: 500ms, data: 500ms, final: 500ms}";
    for (stage, verify) in [(Stage::Rcpt, true), (Stage::Data, false)] {
        let more = format!("{timeouts}, verifyRecipients: {verify}");
        let objects = Box::new(move |at: SocketAddr| manifests::settings() + &relay("hop", at, &more));
        hold("a next hop", &Part { stage, objects, spoiled: "451 4.3.5" }, hop.address())?;
    }
    Ok(())
}

#[test]
fn a_milter() -> Result<()> {
    // Milters are not told of AUTH by itself.
    for (stage, name) in NAMES.into_iter().filter(|(stage, _)| *stage != Stage::Auth) {
        let milter = Milter::start(|_| None)?;
        let objects = Box::new(move |at: SocketAddr| {
            let spec = format!(
                "{{hostname: \"{}\", port: {}, stages: [{name}], timeoutConnect: 500ms, timeoutCommand: 500ms, timeoutData: 500ms, {STUBBORN}}}",
                at.ip(),
                at.port()
            );
            quiet() + &object("MtaMilter", "judge", &spec)
        });
        hold("a milter", &Part { stage, objects, spoiled: "451 4.3.5" }, milter.address()?)?;
    }
    Ok(())
}

#[test]
fn a_hook() -> Result<()> {
    let server =
        HttpServer::start(|_| Answer::Json("{\"action\": \"accept\", \"modifications\": []}".into()))?;
    for (stage, name) in NAMES {
        let objects = Box::new(move |at: SocketAddr| {
            let spec = format!("{{url: \"http://{at}/\", stages: [{name}], timeout: 500ms, {STUBBORN}}}");
            quiet() + &login() + &object("MtaHook", "judge", &spec)
        });
        hold("a hook", &Part { stage, objects, spoiled: "451 4.3.5" }, server.address())?;
    }
    Ok(())
}

#[test]
fn a_spam_filter() -> Result<()> {
    let answer = "{\"is_skipped\": false, \"score\": 0.0, \"required_score\": 15.0, \"action\": \"no action\", \"symbols\": {}}";
    let server = HttpServer::start(move |_| Answer::Json(answer.into()))?;
    let objects = Box::new(|at: SocketAddr| {
        quiet()
            + &object("MtaStageData", "default", "{enableSpamFilter: true}")
            + &object(
                "MtaSpamFilter",
                "default",
                &format!("{{url: \"http://{at}\", timeout: 500ms, {STUBBORN}}}"),
            )
    });
    hold("a spam filter", &Part { stage: Stage::Data, objects, spoiled: "451 4.3.5" }, server.address())
}

/// Any name of the world is the client's, and any domain lets it send.
const WORLD: &str = "\
*.example.org. 0 IN A 127.0.0.1
*.example.org. 0 IN TXT \"v=spf1 ip4:127.0.0.1 -all\"
_dmarc.example.org. 0 IN TXT \"v=DMARC1; p=reject\"
";

/// MtaSenderAuth with this check alone; DMARC by SPF, which may fail.
fn checks(strict: &str) -> String {
    let all = ["spfEhloVerify", "spfFromVerify", "reverseIpVerify", "dkimVerify", "arcVerify", "dmarcVerify"];
    let level = |name: &str| match name {
        name if name == strict => "strict",
        "spfFromVerify" if strict == "dmarcVerify" => "relaxed",
        _ => "disable",
    };
    let fields: Vec<String> = all.iter().map(|name| format!("{name}: {}", level(name))).collect();
    object("MtaSenderAuth", "default", &format!("{{{}}}", fields.join(", ")))
}

/// MtaSettings that ask one name server over TCP, and MtaSenderAuth with one check.
fn asking(dns: SocketAddr, check: &str) -> String {
    object(
        "MtaSettings",
        "default",
        &format!(
            "{{defaultHostname: gate.example.test, dns: {{servers: [{{address: \"{}\", port: {}, protocol: tcp}}], timeout: 500ms, attempts: 1}}}}",
            dns.ip(),
            dns.port()
        ),
    ) + &checks(check)
        + &nowhere()
}

#[test]
fn dns() -> Result<()> {
    if !require::peers(&["nsd"])? {
        return Ok(());
    }
    let dns = Nsd::start(WORLD)?;
    let rows: [(Stage, &str, &str, &str); 4] = [
        (Stage::Ehlo, "spfEhloVerify", "", "451 4.7.24"),
        (Stage::Mail, "spfFromVerify", "", "451 4.7.24"),
        (
            Stage::Rcpt,
            "",
            "{allowRelaying: false, rewrite: \"if_then(dns_query(split(rcpt, '@')[0] + '.example.org', 'ipv4') == [], 'nobody@example.test', false)\"}",
            "451 4.3.5",
        ),
        (Stage::Data, "dmarcVerify", "", "451 4.7.1"),
    ];
    for (stage, check, rcpt, spoiled) in rows {
        let objects = Box::new(move |at: SocketAddr| {
            let rcpt = if rcpt.is_empty() { String::new() } else { object("MtaStageRcpt", "default", rcpt) };
            asking(at, check) + &rcpt
        });
        hold("DNS", &Part { stage, objects, spoiled }, dns.address())?;
    }
    Ok(())
}

const PEOPLE: &str = "dn: uid=bob,dc=example,dc=test
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Bob
mail: bob@example.test
userPassword: secret
";

#[test]
fn a_directory() -> Result<()> {
    if !require::peers(&["slapd", "slapadd", "openssl"])? {
        return Ok(());
    }
    let slapd = Slapd::start(PEOPLE, &Authority::new()?.issue(&["ldap.example.test"])?)?;
    for (stage, spoiled) in [(Stage::Auth, "454 4.7.0"), (Stage::Rcpt, "451 4.4.3")] {
        let objects = Box::new(move |at: SocketAddr| {
            let spec = format!(
                "{{type: Ldap, url: 'ldap://{at}', startTls: false, baseDn: '{BASE}', bindDn: '{SERVICE}', \
                 bindPassword: {{value: '{SERVICE_PASSWORD}'}}, timeout: 500ms, cacheTtl: 0}}"
            );
            let auth = "{saslMechanisms: \"[plain]\", allowClearTextAuth: true, require: false, mustMatchSender: false, waitOnFail: false}";
            quiet() + &object("MtaStageAuth", "default", auth) + &object("MtaDirectory", "staff", &spec)
        });
        hold("a directory", &Part { stage, objects, spoiled }, slapd.address())?;
    }
    Ok(())
}

#[test]
fn redis() -> Result<()> {
    if !require::peers(&["redis-server"])? {
        return Ok(());
    }
    let redis = Redis::start(None)?;
    // Without Redis the gate counts by itself: nobody waits, and nobody is refused.
    for (stage, key, passed) in
        [(Stage::Connect, "remoteIp", "220"), (Stage::Mail, "sender", "250"), (Stage::Rcpt, "rcpt", "250")]
    {
        let objects = Box::new(move |at: SocketAddr| {
            object(
                "MtaSettings",
                "default",
                &format!(
                    "{{defaultHostname: gate.example.test, store: {{type: Redis, urls: ['redis://{at}']}}}}"
                ),
            ) + &object(
                "MtaInboundThrottle",
                "rate",
                &format!("{{key: [{key}], rate: {{count: 1000, period: 1d}}}}"),
            ) + &checks("")
                + &nowhere()
        });
        hold("Redis", &Part { stage, objects, spoiled: passed }, redis.address())?;
    }
    Ok(())
}
