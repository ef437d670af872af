//! Signatures of whole messages, against keys in a zone.

use mail_auth::common::crypto::{Ed25519Key, HashAlgorithm, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;
use crate::dns::testing::{Nameserver, Zone};
use crate::sender_auth::testing::{ED25519_KEY, ED25519_SEED, kept, text};

const NOW: u64 = 1_800_000_000;

/// What becomes of the signatures of a message.
async fn verify(zone: &Zone, message: &str, strict: bool) -> Vec<Signature> {
    let server = Nameserver::start(zone.clone()).await;
    let resolver = server.resolver();
    let (message, header) = kept(message).await;
    let candidates = read(&header, strict, NOW);
    let wanted = candidates.iter().filter_map(Candidate::body_hash).collect();
    let hashes = body::hash(&message, header.octets(), wanted).await.unwrap();
    let mut keys = Keys::new();
    for name in candidates.iter().filter_map(Candidate::key_name) {
        keys.insert(name.clone(), key::fetch(&resolver, &name).await);
    }
    candidates.into_iter().map(|candidate| candidate.verify(&header, &hashes, &keys)).collect()
}

async fn result(zone: &Zone, message: &str) -> (CheckResult, String) {
    let signature = verify(zone, message, true).await.remove(0);
    (signature.result, signature.reason.as_deref().unwrap_or_default().to_owned())
}

fn ed25519() -> Ed25519Key {
    use base64::Engine as _;
    let decode = |text| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    Ed25519Key::from_seed_and_public_key(&decode(ED25519_SEED), &decode(ED25519_KEY)).unwrap()
}

const BODY: &str =
    "From: alice@example.org\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nHello  there \r\n\r\n";

fn zone() -> Zone {
    Zone::new()
        .txt("s._domainkey.example.org", &[&format!("v=DKIM1; k=ed25519; p={ED25519_KEY}")])
        .txt("exact._domainkey.example.org", &[&format!("v=DKIM1; k=ed25519; t=s; p={ED25519_KEY}")])
        .txt("revoked._domainkey.example.org", &["v=DKIM1; k=ed25519; p="])
        .txt("odd._domainkey.example.org", &["v=DKIM1; k=ed25519; p=!!!"])
        .txt("list._domainkey.example.org", &[&format!("v=DKIM1; k=ed25519; s=tlsrpt; p={ED25519_KEY}")])
        .txt("several._domainkey.example.org", &["what", &format!("k=ed25519; p={ED25519_KEY}")])
        .server_failure("broken._domainkey.example.org")
}

/// The message with a signature above it.
fn signed(selector: &str, names: &[&str], form: Canonicalization) -> String {
    let signer = DkimSigner::from_key(ed25519())
        .domain("example.org")
        .selector(selector)
        .headers(names.iter().copied())
        .header_canonicalization(form)
        .body_canonicalization(form);
    format!("{}{BODY}", signer.sign(BODY.as_bytes()).unwrap().to_header())
}

fn plain(selector: &str) -> String {
    signed(selector, &["From", "To", "Subject"], Canonicalization::Relaxed)
}

/// RFC 6376 appendix A.2, with the key of appendix C.
#[tokio::test]
async fn the_example_of_rfc_6376_passes() {
    let zone = Zone::new().txt("brisbane._domainkey.example.com", &["v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"]);
    let message = text(RFC_6376);
    assert_eq!(result(&zone, &message).await, (CheckResult::Pass, String::new()));
    let changed = message.replace("hungry yet", "hungry, yet");
    assert_eq!(result(&zone, &changed).await, (CheckResult::Fail, "body has changed".into()));
    let changed = message.replace("Is dinner ready?", "Is dinner ready!");
    assert_eq!(result(&zone, &changed).await, (CheckResult::Fail, "signature does not verify".into()));
}

/// RFC 8463 appendix A.
#[tokio::test]
async fn the_examples_of_rfc_8463_pass() {
    let zone = Zone::new()
        .txt("brisbane._domainkey.football.example.com", &[&format!("v=DKIM1; k=ed25519; p={ED25519_KEY}")])
        .txt("test._domainkey.football.example.com", &["v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"]);
    let signatures = verify(&zone, &text(RFC_8463), true).await;
    let told: Vec<_> = signatures
        .iter()
        .map(|signature| {
            let tags = signature.tags.as_ref().unwrap();
            (signature.result, &*tags.selector, tags.identity.as_deref(), &*tags.start)
        })
        .collect();
    assert_eq!(
        told,
        [
            (CheckResult::Pass, "brisbane", Some("@football.example.com"), "/gCrinpc"),
            (CheckResult::Pass, "test", Some("@football.example.com"), "F45dVWDf"),
        ]
    );
}

#[tokio::test]
async fn both_forms_are_verified() {
    for form in [Canonicalization::Simple, Canonicalization::Relaxed] {
        let message = signed("s", &["From", "To", "Subject", "From"], form);
        assert_eq!(result(&zone(), &message).await.0, CheckResult::Pass, "{form:?}");
    }
    let folded =
        plain("s").replace("Subject: hello", "SUBJECT:\r\n\thello ").replace("Hello  there", "Hello there");
    assert_eq!(result(&zone(), &folded).await.0, CheckResult::Pass);
    let more = plain("s") + " \r\n\t\r\n";
    assert_eq!(result(&zone(), &more).await.0, CheckResult::Pass, "white space at the end is no content");
}

#[tokio::test]
async fn what_stands_in_dns_decides() {
    for (selector, result_wanted, reason) in [
        ("several", CheckResult::Pass, ""),
        ("absent", CheckResult::PermError, "there is no key"),
        ("revoked", CheckResult::PermError, "key is revoked"),
        ("odd", CheckResult::PermError, "key is malformed"),
        ("list", CheckResult::PermError, "key is not for mail"),
        ("exact", CheckResult::Pass, ""),
    ] {
        assert_eq!(result(&zone(), &plain(selector)).await, (result_wanted, reason.into()), "{selector}");
    }
    assert_eq!(result(&zone(), &plain("broken")).await.0, CheckResult::TempError);
}

#[tokio::test]
async fn signatures_that_prove_too_little_do_not_pass() {
    let signature = plain("s");
    for (from, to, wanted, reason) in [
        (":From;", ":Form;", CheckResult::PermError, "From is not signed"),
        ("a=ed25519-sha256", "a=rsa-sha1", CheckResult::PermError, "rsa-sha1 is not accepted"),
        ("v=1;", "v=1; l=5;", CheckResult::Neutral, "l= is not accepted"),
        ("v=1;", "v=1; l=0;", CheckResult::Neutral, "l= is not accepted"),
        ("v=1;", "v=1; i=@other.example;", CheckResult::PermError, "i= is not within d="),
        ("v=1;", "v=1; i=@badexample.org;", CheckResult::PermError, "i= is not within d="),
        ("v=1;", "v=1; x=1700000000;", CheckResult::Fail, "signature has expired"),
        ("v=1;", "v=1; q=dns/other;", CheckResult::PermError, "q= is not dns/txt"),
        ("v=1;", "v=1; d=example.net;", CheckResult::Neutral, "signature is malformed"),
        ("v=1;", "", CheckResult::Neutral, "signature has no version"),
        ("a=ed25519-sha256", "a=rsa-sha256", CheckResult::PermError, "key is of another kind"),
    ] {
        let message = signature.replacen(from, to, 1);
        assert_ne!(message, signature, "{from}");
        let (result, told) = result(&zone(), &message).await;
        assert_eq!((result, told.as_str()), (wanted, reason), "{to}");
    }
    let nonsense = format!("DKIM-Signature: nonsense\r\n{BODY}");
    assert_eq!(result(&zone(), &nonsense).await.0, CheckResult::Neutral);
}

#[tokio::test]
async fn an_exact_key_wants_the_exact_domain() {
    let message = plain("exact").replacen("v=1;", "v=1; i=@sub.example.org;", 1);
    assert_eq!(result(&zone(), &message).await, (CheckResult::PermError, "i= is not d=".into()));
}

#[tokio::test]
async fn a_part_of_the_body_counts_when_that_is_allowed() {
    let part = HashAlgorithm::Sha256.hash(&b"Hello"[..]);
    let zone = zone();
    let message = plain("s");
    // The signature cannot be right with another tag in it; that the body matched shows in the reason.
    use base64::Engine as _;
    let hash = base64::engine::general_purpose::STANDARD.encode(part.as_ref());
    let start = message.find("bh=").unwrap() + 3;
    let end = start + message[start..].find(';').unwrap();
    let message = format!("{}{hash}{}", &message[..start], &message[end..]);
    for (limit, reason) in
        [("5", "signature does not verify"), ("4", "body has changed"), ("500", "body has changed")]
    {
        let message = message.replacen("v=1;", &format!("v=1; l={limit};"), 1);
        let signature = verify(&zone, &message, false).await.remove(0);
        assert_eq!(signature.reason.as_deref(), Some(reason), "{limit}");
    }
}

#[tokio::test]
async fn a_short_rsa_key_is_of_no_use() {
    // 512 bits, from `openssl genrsa 512`.
    let zone = Zone::new().txt("s._domainkey.example.org", &["v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMqHX0nLMbWJmPfbOTdbWWDoNTZuwVlPgXdTTMYVmMDhW0ZQsPTvCRkXHqfDmpWUMwHkWJCSbBYBNRPHuoDnzyUCAwEAAQ=="]);
    let message = plain("s").replacen("a=ed25519-sha256", "a=rsa-sha256", 1);
    assert_eq!(result(&zone, &message).await, (CheckResult::PermError, "key is too short".into()));
}

#[tokio::test]
async fn rsa_signatures_pass() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let der = PrivatePkcs8KeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let key = RsaKey::<Sha256>::from_key_der(PrivateKeyDer::Pkcs8(der)).unwrap();
    use base64::Engine as _;
    let public = base64::engine::general_purpose::STANDARD.encode(key.public_key());
    let zone = Zone::new().txt("r._domainkey.example.org", &[&format!("v=DKIM1; k=rsa; p={public}")]);
    let signer = DkimSigner::from_key(key).domain("example.org").selector("r").headers(["From"]);
    let message = format!("{}{BODY}", signer.sign(BODY.as_bytes()).unwrap().to_header());
    assert_eq!(result(&zone, &message).await.0, CheckResult::Pass);
}

#[tokio::test]
async fn no_more_than_ten_signatures_are_looked_at() {
    let field = plain("s").replace(BODY, "");
    let message = field.repeat(500) + BODY;
    let server = Nameserver::start(zone()).await;
    let (_, header) = kept(&message).await;
    let candidates = read(&header, true, NOW);
    assert_eq!(candidates.len(), MAX_SIGNATURES);
    assert_eq!(server.questions(), 0);
    assert!(verify(&zone(), &message, true).await.iter().all(|s| s.result == CheckResult::Pass));
}

#[tokio::test]
async fn a_list_of_names_without_end_is_refused() {
    let names = format!("h=From:{}", "x:".repeat(5000));
    let message = plain("s").replacen("h=", &names, 1);
    assert_eq!(result(&zone(), &message).await, (CheckResult::PermError, "h= is too long".into()));
}

const RFC_6376: &str = "\
DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
      4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
";

const RFC_8463: &str = "\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
";
