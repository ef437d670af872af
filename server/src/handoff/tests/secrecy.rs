//! TLS and credentials towards next hops.

use std::sync::Mutex;

use postern_core::policy::listener::CertificatePem;
use postern_core::policy::route::Credentials;
use postern_core::policy::secret::Secret;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::hop::{At, Do, Hop, MODERN};
use super::*;
use crate::testing::certificate;

fn server(pem: &CertificatePem) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_slice(pem.chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pem.key.expose().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// A hop with STARTTLS and a certificate for `name`, and a route that trusts that certificate.
async fn secure_hop(keywords: &'static [&'static str], name: &str, mode: TlsMode) -> (Hop, Relay) {
    let pem = certificate("hop", &[name]);
    let hop = Hop::start_with(keywords, Some(server(&pem)), |_| None).await;
    let tls = ClientTls { ca: Some(Arc::clone(&pem.chain)), ..ClientTls::default() };
    let relay = Relay { tls_mode: mode, tls, ..relay(&[hop.port]) };
    (hop, relay)
}

fn with_password(relay: Relay) -> Relay {
    let credentials = Credentials { username: "user".into(), secret: Secret::new("pass") };
    Relay { credentials: Some(credentials), ..relay }
}

async fn send(relay: Relay) -> String {
    let route = route("r", relay);
    overall(&hand_off().deliver(delivery(&[("a@example.com", &route)]).await).await)
}

fn was_secure(hop: &Hop) -> bool {
    hop.commands().starts_with(&["EHLO gate.example".into(), "STARTTLS".into(), "EHLO gate.example".into()])
}

#[tokio::test]
async fn opportunistic_tls_takes_any_certificate() {
    let (hop, relay) = secure_hop(MODERN, "another.example", TlsMode::Opportunistic).await;
    assert_eq!(send(relay).await, OK);
    assert!(was_secure(&hop));
}

#[tokio::test]
async fn opportunistic_tls_does_without_when_it_is_not_offered() {
    let hop = Hop::friendly(MODERN).await;
    assert_eq!(send(Relay { tls_mode: TlsMode::Opportunistic, ..relay(&[hop.port]) }).await, OK);
}

#[tokio::test]
async fn required_tls_wants_a_good_certificate_of_the_right_host() {
    let (hop, relay) = secure_hop(MODERN, "127.0.0.1", TlsMode::Require).await;
    assert_eq!(send(relay).await, OK);
    assert!(was_secure(&hop));
    let (hop, relay) = secure_hop(MODERN, "another.example", TlsMode::Require).await;
    assert_eq!(send(relay.clone()).await, LOST);
    assert!(hop.seen().messages.is_empty());
    let named = ClientTls { server_name: Some("another.example".into()), ..relay.tls.clone() };
    assert_eq!(send(Relay { tls: named, ..relay.clone() }).await, OK);
    let stranger = ClientTls { ca: Some(certificate("x", &["127.0.0.1"]).chain), ..ClientTls::default() };
    assert_eq!(send(Relay { tls: stranger, ..relay.clone() }).await, LOST);
    let anything = ClientTls { allow_invalid_certs: true, ..ClientTls::default() };
    assert_eq!(send(Relay { tls: anything, ..relay }).await, OK);
}

#[tokio::test]
async fn required_tls_that_is_not_offered_defers() {
    let hop = Hop::friendly(MODERN).await;
    assert_eq!(send(Relay { tls_mode: TlsMode::Require, ..relay(&[hop.port]) }).await, LOST);
    assert_eq!(hop.commands(), ["EHLO gate.example"]);
}

#[tokio::test]
async fn credentials_travel_only_to_a_verified_host() {
    const AUTH: &[&str] = &["PIPELINING", "AUTH LOGIN PLAIN"];
    let (hop, relay) = secure_hop(AUTH, "127.0.0.1", TlsMode::Opportunistic).await;
    assert_eq!(send(with_password(relay)).await, OK);
    assert_eq!(hop.commands()[3], "AUTH PLAIN AHVzZXIAcGFzcw==");
    for (name, mode) in [("another.example", TlsMode::Opportunistic), ("127.0.0.1", TlsMode::Disable)] {
        let (hop, relay) = secure_hop(AUTH, name, mode).await;
        assert_eq!(send(with_password(relay)).await, LOST);
        assert!(!hop.commands().iter().any(|line| line.starts_with("AUTH")));
    }
}

#[tokio::test]
async fn refused_credentials_defer() {
    let pem = certificate("hop", &["127.0.0.1"]);
    let script = |at: &At| matches!(at, At::Auth(_)).then_some(Do::Say("535 5.7.8 wrong"));
    let hop = Hop::start_with(&["AUTH PLAIN"], Some(server(&pem)), script).await;
    let tls = ClientTls { ca: Some(Arc::clone(&pem.chain)), ..ClientTls::default() };
    let relay = Relay { tls_mode: TlsMode::Require, tls, ..relay(&[hop.port]) };
    assert_eq!(send(with_password(relay)).await, LOST);
}

#[tokio::test]
async fn requiretls_is_passed_on_to_a_verified_hop_only() {
    const OFFERS: &[&str] = &["PIPELINING", "REQUIRETLS"];
    for (name, wanted) in [("127.0.0.1", 250), ("another.example", 550)] {
        let (hop, relay) = secure_hop(OFFERS, name, TlsMode::Opportunistic).await;
        let route = route("r", relay);
        let mut delivery = delivery(&[("a@example.com", &route)]).await;
        delivery.mailings[0].parameters.require_tls = true;
        assert_eq!(hand_off().deliver(delivery).await.overall.code(), wanted);
        let asked = hop.commands().iter().any(|line| line.ends_with("REQUIRETLS"));
        assert_eq!(asked, wanted == 250);
    }
}

#[tokio::test]
async fn clear_text_behind_the_go_ahead_for_tls_is_not_an_answer_within_it() {
    // The response injection of "NO STARTTLS" (2021).
    let pem = certificate("hop", &["127.0.0.1"]);
    let script =
        |at: &At| (*at == At::StartTls).then_some(Do::Say("220 go ahead\r\n250-evil\r\n250 PIPELINING"));
    let hop = Hop::start_with(MODERN, Some(server(&pem)), script).await;
    let tls = ClientTls { ca: Some(Arc::clone(&pem.chain)), ..ClientTls::default() };
    assert_eq!(send(Relay { tls_mode: TlsMode::Require, tls, ..relay(&[hop.port]) }).await, LOST);
    assert!(hop.seen().messages.is_empty());
}

#[tokio::test]
async fn a_broken_handshake_is_forgiven_only_without_demands() {
    let attempts = Arc::new(Mutex::new(0));
    let count = Arc::clone(&attempts);
    let script = move |at: &At| {
        let asked = *at == At::StartTls;
        *count.lock().unwrap() += usize::from(asked);
        asked.then_some(Do::Say("454 4.7.0 not now"))
    };
    let pem = certificate("hop", &["127.0.0.1"]);
    let hop = Hop::start_with(MODERN, Some(server(&pem)), script).await;
    let tls = ClientTls { ca: Some(Arc::clone(&pem.chain)), ..ClientTls::default() };
    let opportunistic = Relay { tls_mode: TlsMode::Opportunistic, tls, ..relay(&[hop.port]) };
    assert_eq!(send(opportunistic.clone()).await, OK);
    assert_eq!(send(Relay { tls_mode: TlsMode::Require, ..opportunistic.clone() }).await, LOST);
    assert_eq!(send(with_password(opportunistic)).await, LOST);
    assert_eq!(*attempts.lock().unwrap(), 3);
}
