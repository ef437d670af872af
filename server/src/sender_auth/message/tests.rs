//! Whole messages through all checks.

use mail_auth::arc::ArcSealer;
use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use mail_auth::{ArcOutput, AuthenticatedMessage, AuthenticationResults, DkimResult};
use postern_core::session::check::CheckResult::{Fail, None as Absent, Pass, TempError};

use super::*;
use crate::dns::DnsMetrics;
use crate::dns::testing::{Nameserver, Zone};
use crate::sender_auth::testing::{ED25519_KEY, ED25519_SEED, kept};

const ALL: MessageChecks = MessageChecks { dkim: true, arc: true, dmarc: true };
const MESSAGE: &str =
    "From: alice@example.org\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nHello there\r\n";

fn key() -> Ed25519Key {
    use base64::Engine as _;
    let decode = |text| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    Ed25519Key::from_seed_and_public_key(&decode(ED25519_SEED), &decode(ED25519_KEY)).unwrap()
}

fn zone() -> Zone {
    let key = format!("v=DKIM1; k=ed25519; p={ED25519_KEY}");
    Zone::new()
        .txt("s._domainkey.example.org", &[&key])
        .txt("arc._domainkey.hop1.example", &[&key])
        .txt("arc._domainkey.hop2.example", &[&key])
        .txt("_dmarc.example.org", &["v=DMARC1; p=reject"])
}

fn signed(message: &str) -> String {
    let signer = DkimSigner::from_key(key()).domain("example.org").selector("s").headers(["From", "Subject"]);
    format!("{}{message}", signer.sign(message.as_bytes()).unwrap().to_header())
}

/// The message with one more set of a chain above it.
fn sealed(message: &str, hop: &str, earlier: Option<()>) -> String {
    let parsed = AuthenticatedMessage::parse(message.as_bytes()).unwrap();
    let results = AuthenticationResults::new(hop);
    let chain = ArcOutput::default();
    let chain = match earlier {
        None => chain,
        Some(()) => chain.with_result(DkimResult::Pass).with_set(mail_auth::arc::Set {
            signature: mail_auth::common::headers::Header::new(
                parsed.ams_headers[0].name,
                parsed.ams_headers[0].value,
                &parsed.ams_headers[0].header,
            ),
            seal: mail_auth::common::headers::Header::new(
                parsed.as_headers[0].name,
                parsed.as_headers[0].value,
                &parsed.as_headers[0].header,
            ),
            results: mail_auth::common::headers::Header::new(
                parsed.aar_headers[0].name,
                parsed.aar_headers[0].value,
                &parsed.aar_headers[0].header,
            ),
        }),
    };
    let sealer =
        ArcSealer::from_key(key()).domain(hop).selector("arc").headers(["From", "Subject", "DKIM-Signature"]);
    format!("{}{message}", sealer.seal(&parsed, &results, &chain).unwrap().to_header())
}

async fn checked_by(resolver: &Resolver, message: &str, wanted: MessageChecks) -> MessageResults {
    let (message, header) = kept(message).await;
    let subject = Subject { message, header, now: 1_800_000_000, dkim_strict: true, spf: None };
    check(resolver, subject, wanted).await
}

async fn checked(zone: Zone, message: &str) -> MessageResults {
    let server = Nameserver::start(zone).await;
    checked_by(&server.resolver(), message, ALL).await
}

fn words(results: &MessageResults) -> (Vec<CheckResult>, Option<CheckResult>, Option<CheckResult>) {
    let dkim = results.dkim.iter().flatten().map(|signature| signature.result).collect();
    (dkim, results.arc, results.dmarc.as_ref().map(|dmarc| dmarc.result))
}

#[tokio::test]
async fn a_signed_message_passes_and_a_changed_one_does_not() {
    let message = signed(MESSAGE);
    assert_eq!(words(&checked(zone(), &message).await), (vec![Pass], Some(Absent), Some(Pass)));
    let changed = message.replace("Hello there", "Hello There");
    let results = checked(zone(), &changed).await;
    assert_eq!(words(&results), (vec![Fail], Some(Absent), Some(Fail)));
    assert_eq!(results.dmarc.unwrap().policy, DmarcPolicy::Reject);
    assert_eq!(words(&checked(zone(), MESSAGE).await), (vec![], Some(Absent), Some(Fail)));
}

#[tokio::test]
async fn what_nobody_wants_is_not_looked_up() {
    let server = Nameserver::start(zone()).await;
    let resolver = server.resolver();
    let message = sealed(&signed(MESSAGE), "hop1.example", None);
    let none = checked_by(&resolver, &message, MessageChecks::default()).await;
    assert_eq!((none, server.questions()), (MessageResults::default(), 0));
    let dkim = checked_by(&resolver, &message, MessageChecks { dkim: true, ..Default::default() }).await;
    assert_eq!((words(&dkim), server.questions()), ((vec![Pass], None, None), 1));
    let arc = checked_by(&resolver, &message, MessageChecks { arc: true, ..Default::default() }).await;
    assert_eq!((words(&arc), server.questions()), ((vec![], Some(Pass), None), 2));
    // DMARC needs the signatures, whose results nobody asked for.
    let dmarc = checked_by(&resolver, &message, MessageChecks { dmarc: true, ..Default::default() }).await;
    assert_eq!((words(&dmarc), dmarc.dkim), ((vec![], None, Some(Pass)), None));
}

#[tokio::test]
async fn spf_counts_for_the_policy() {
    let server = Nameserver::start(zone()).await;
    let resolver = server.resolver();
    for (domain, result, wanted) in [
        ("bounce.example.org", Pass, Pass),
        ("example.net", Pass, Fail),
        ("example.org", TempError, TempError),
    ] {
        let (message, header) = kept(MESSAGE).await;
        let spf = Some((domain.to_owned(), result));
        let subject = Subject { message, header, now: 0, dkim_strict: true, spf };
        let results = check(&resolver, subject, ALL).await;
        assert_eq!(results.dmarc.unwrap().result, wanted, "{domain}");
    }
}

#[tokio::test]
async fn several_authors_have_no_policy() {
    for from in ["alice@example.org, bob@example.net", "nobody"] {
        let message = MESSAGE.replace("alice@example.org", from);
        assert_eq!(checked(zone(), &message).await.dmarc, None, "{from}");
    }
}

#[tokio::test]
async fn chains_are_followed_to_their_beginning() {
    let one = sealed(&signed(MESSAGE), "hop1.example", None);
    let two = sealed(&one, "hop2.example", Some(()));
    assert_eq!(checked(zone(), &one).await.arc, Some(Pass));
    assert_eq!(checked(zone(), &two).await.arc, Some(Pass), "{two}");
    for (from, to) in [
        ("Hello there", "Hello There"),
        ("cv=pass", "cv=fail"),
        ("cv=none", "cv=pass"),
        ("i=2;", "i=3;"),
        ("ARC-Authentication-Results: i=1; hop1", "ARC-Authentication-Results: i=1; hop9"),
        ("ARC-Authentication-Results: i=1; hop1", "X-Nothing: i=1; hop1"),
        ("Subject: hello", "Subject: hallo"),
    ] {
        let changed = two.replacen(from, to, 1);
        assert_ne!(changed, two, "{from}");
        assert_eq!(checked(zone(), &changed).await.arc, Some(Fail), "{from} -> {to}");
    }
    let zone = zone().server_failure("arc._domainkey.hop3.example");
    let unknown = sealed(&signed(MESSAGE), "hop3.example", None);
    assert_eq!(checked(zone, &unknown).await.arc, Some(TempError));
}

#[tokio::test]
async fn chains_without_end_are_broken() {
    let one = sealed(MESSAGE, "hop1.example", None);
    let set = one.replace(MESSAGE, "");
    let server = Nameserver::start(zone()).await;
    let resolver = server.resolver();
    let results = checked_by(&resolver, &(set.repeat(500) + MESSAGE), ALL).await;
    assert_eq!(results.arc, Some(Fail));
    assert!(server.questions() <= 3, "no key is looked up for it");
}

#[tokio::test]
async fn a_message_in_a_file_is_hashed_without_being_held() {
    let body = "0123456789abcdef 0123456789abcdef\t\r\n".repeat(40_000);
    let message = signed(&format!("From: alice@example.org\r\nSubject: large\r\n\r\n{body}"));
    assert!(kept(&message).await.0.in_memory().is_none());
    assert_eq!(checked(zone(), &message).await.dkim.unwrap()[0].result, Pass);
    let changed = message.replacen("9abcdef\t\r\n\r\n", "9abcdeF\t\r\n", 1) + "x";
    assert_eq!(checked(zone(), &changed).await.dkim.unwrap()[0].result, Fail);
}

#[tokio::test]
async fn a_large_header_is_worked_on_elsewhere() {
    let filler: String = (0..3000).map(|at| format!("X-Filler-{at}: {}\r\n", "x".repeat(40))).collect();
    let message = filler + &signed(MESSAGE);
    assert_eq!(words(&checked(zone(), &message).await), (vec![Pass], Some(Absent), Some(Pass)));
}

#[tokio::test]
async fn servers_that_never_answer_are_temporary_errors() {
    let zone = Zone::new().silence("s._domainkey.example.org").silence("_dmarc.example.org");
    let server = Nameserver::start(zone).await;
    let mut settings = server.settings();
    settings.timeout = std::time::Duration::from_millis(50);
    let resolver = Resolver::new(&settings, DnsMetrics::default());
    let results = checked_by(&resolver, &signed(MESSAGE), ALL).await;
    assert_eq!(words(&results), (vec![TempError], Some(Absent), Some(TempError)));
}
