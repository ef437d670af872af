//! What strangers may write into messages and zones: nothing of it panics, none of it costs more than it may, and what cannot be
//! known is said to be so.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use postern_core::message::header::Header;
use postern_core::policy::settings::Dns;
use postern_core::session::check::CheckResult::{self, Fail, TempError};
use postern_core::session::check::MessageResults;
use postern_core::session::question::MessageChecks;
use proptest::prelude::*;

use super::testing::{kept, tags};
use super::{Subject, arc, dkim, message, reverse_dns, spf_of_helo};
use crate::dns::testing::{Nameserver, Zone};
use crate::dns::{DnsMetrics, Resolver};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const ALL: MessageChecks = MessageChecks { dkim: true, arc: true, dmarc: true };

/// A signature that is well formed, for a message without a body, and of nobody.
fn signature(selector: &str) -> String {
    format!(
        "DKIM-Signature: v=1; a=ed25519-sha256; d=example.org; s={selector}; h=From; c=relaxed/simple;\r\n \
         bh=frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=; b=YWJj\r\n"
    )
}

/// A set of a chain that is well formed and of nobody.
fn set(instance: usize) -> String {
    let cv = if instance == 1 { "none" } else { "pass" };
    format!(
        "ARC-Seal: i={instance}; a=ed25519-sha256; cv={cv}; d=seal{instance}.example; s=s; t=1; b=YWJj\r\n\
         ARC-Message-Signature: i={instance}; a=ed25519-sha256; c=relaxed/relaxed; d=ams{instance}.example; s=s; h=From;\r\n \
         bh=frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=; b=YWJj\r\n\
         ARC-Authentication-Results: i={instance}; hop.example; none\r\n"
    )
}

async fn checked(resolver: &Resolver, text: &str) -> MessageResults {
    let (message, header) = kept(text).await;
    let spf = Some(("a.b.c.d.e.f.g.h.example.org".to_owned(), CheckResult::Pass));
    let subject = Subject { message, header, now: 1_800_000_000, dkim_strict: true, spf };
    message::check(resolver, subject, ALL).await
}

/// The worst that a message can ask for: 500 signatures with names of their own, a chain as long as may be, an
/// author and a sender eight steps below their organization.
#[tokio::test]
async fn a_message_causes_no_more_lookups_than_the_page_says() {
    let mut text = String::new();
    for at in 0..500 {
        text += &signature(&format!("s{at}"));
    }
    for instance in (1..=50).rev() {
        text += &set(instance);
    }
    text += "From: a@one.two.three.four.five.six.seven.eight.example.org\r\n\r\nhello\r\n";
    let zone = Zone::new().txt("_dmarc.example.org", &["v=DMARC1; p=reject; sp=none; np=reject"]);
    let server = Nameserver::start(zone).await;
    let results = checked(&server.resolver(), &text).await;
    assert_eq!(results.dkim.unwrap().len(), 10);
    assert_eq!((results.arc, results.dmarc.unwrap().result), (Some(Fail), CheckResult::Pass));
    // 61 keys, 8 names of the author's walk, whether it exists, 8 names of the sender's walk, less the names that both have.
    assert!((61..=78).contains(&server.questions()), "{} lookups", server.questions());
}

/// RFC 7208 section 4.6.4 leaves an evaluation ten terms, of which `mx` with its hosts is the dearest.
#[tokio::test]
async fn an_spf_record_causes_no_more_lookups_than_the_page_says() {
    let mut record = "v=spf1".to_owned();
    let mut zone = Zone::new();
    for exchange in 0..10 {
        write!(record, " mx:x{exchange}.example").unwrap();
        for host in 0..10 {
            let name = format!("h{host}.x{exchange}.example");
            zone = zone.mx(&format!("x{exchange}.example"), host, &name).a(&name, "192.0.2.200");
        }
    }
    let zone = zone.txt("example.org", &[&format!("{record} -all")]);
    let server = Nameserver::start(zone).await;
    let check = spf_of_helo(&server.resolver(), CLIENT, "example.org").await;
    assert_eq!((check.result, server.questions()), (Fail, 111));
}

#[tokio::test]
async fn aliases_in_a_circle_are_errors_of_every_check() {
    let circle = |zone: Zone, name: &str| zone.cname(name, "other.example").cname("other.example", name);
    let helo = Nameserver::start(circle(Zone::new(), "example.org")).await;
    assert_eq!(spf_of_helo(&helo.resolver(), CLIENT, "example.org").await.result, TempError);
    let key = Nameserver::start(circle(Zone::new(), "s._domainkey.example.org")).await;
    let text = signature("s") + "From: a@example.org\r\n\r\n";
    assert_eq!(checked(&key.resolver(), &text).await.dkim.unwrap().remove(0).result, TempError);
    let policy = Nameserver::start(circle(Zone::new(), "_dmarc.example.org")).await;
    let dmarc = checked(&policy.resolver(), "From: a@example.org\r\n\r\n").await.dmarc.unwrap();
    assert_eq!(dmarc.result, TempError);
    let name = Nameserver::start(circle(Zone::new(), "1.2.0.192.in-addr.arpa")).await;
    assert_eq!(reverse_dns(&name.resolver(), CLIENT).await.result, TempError);
}

#[tokio::test]
async fn an_answer_that_is_cut_and_cannot_be_had_whole_is_a_temporary_error() {
    let zone = Zone::new().txt("example.org", &["v=spf1 ip4:192.0.2.1 -all"]).truncated("example.org");
    let whole = Nameserver::start(zone.clone()).await;
    assert_eq!(spf_of_helo(&whole.resolver(), CLIENT, "example.org").await.result, CheckResult::Pass);
    let cut = Nameserver::start_without_tcp(zone).await;
    assert_eq!(spf_of_helo(&cut.resolver(), CLIENT, "example.org").await.result, TempError);
}

#[tokio::test]
async fn servers_that_never_answer_are_not_waited_for() {
    let zone = ["example.org", "s._domainkey.example.org", "_dmarc.example.org", "1.2.0.192.in-addr.arpa"]
        .iter()
        .fold(Zone::new(), |zone, name| zone.silence(name));
    let server = Nameserver::start(zone).await;
    let settings = Dns { timeout: Duration::from_millis(50), ..server.settings() };
    let resolver = Resolver::new(&settings, DnsMetrics::default());
    let begin = Instant::now();
    assert_eq!(reverse_dns(&resolver, CLIENT).await.result, TempError);
    assert_eq!(spf_of_helo(&resolver, CLIENT, "example.org").await.result, TempError);
    assert_eq!(checked(&resolver, "From: a@example.org\r\n\r\n").await.dmarc.unwrap().result, TempError);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

/// Ten keys, a chain and a policy, none of which is answered: one after the other they would take twelve times as long.
#[tokio::test]
async fn what_needs_dns_is_asked_side_by_side() {
    let mut text = set(1);
    let mut zone = Zone::new().silence("_dmarc.example.org").silence("s._domainkey.seal1.example");
    for at in 0..10 {
        text += &signature(&format!("s{at}"));
        zone = zone.silence(&format!("s{at}._domainkey.example.org"));
    }
    text += "From: a@example.org\r\n\r\n";
    let server = Nameserver::start(zone).await;
    let settings = Dns { timeout: Duration::from_secs(1), ..server.settings() };
    let resolver = Resolver::new(&settings, DnsMetrics::default());
    let begin = Instant::now();
    let results = checked(&resolver, &text).await;
    assert!(results.dkim.unwrap().iter().all(|signature| signature.result == TempError));
    assert_eq!(results.dmarc.unwrap().result, TempError);
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn records_without_end_are_read_and_done_with() {
    let long = format!("v=spf1 {} -all", "ip4:192.0.2.200 ".repeat(3000));
    let strings: Vec<&str> =
        long.as_bytes().chunks(255).map(|chunk| std::str::from_utf8(chunk).unwrap()).collect();
    let garbage = "v=DMARC1; ".to_owned() + &"x=y;".repeat(60);
    let zone = Zone::new()
        .txt_strings("example.org", &strings)
        .truncated("example.org")
        .txt("_dmarc.example.org", &[&garbage])
        .txt("deep.example", &[&format!("v=spf1 exists:{}example.org -all", "%{i}.".repeat(200))]);
    let server = Nameserver::start(zone).await;
    let resolver = server.resolver();
    assert_eq!(spf_of_helo(&resolver, CLIENT, "example.org").await.result, Fail);
    assert_eq!(spf_of_helo(&resolver, CLIENT, "deep.example").await.result, Fail);
    let dmarc = checked(&resolver, "From: a@example.org\r\n\r\n").await.dmarc.unwrap();
    assert_eq!(dmarc.result, CheckResult::None);
}

proptest! {
    #[test]
    fn no_field_panics(text in tags()) {
        for name in ["DKIM-Signature", "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"] {
            let value: Vec<u8> = text.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
            let field = [name.as_bytes(), b": ", &value, b"\r\nFrom: a@example.org\r\n\r\n"].concat();
            let header = Header::parse(&field).unwrap();
            let _ = dkim::read(&header, true, 0);
            let _ = arc::read(&header, 0);
        }
    }
}
