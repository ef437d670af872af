//! Tests of listeners over loopback.

use super::*;
use crate::testing::{certificate, gate, listener};
use postern_core::policy::listener::{ListenerTls, TlsVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

/// A gate with one listener, whose accepted connections come out of a channel.
struct Stand {
    gate: Arc<Gate>,
    accepted: mpsc::UnboundedReceiver<Accepted>,
    address: SocketAddr,
}

fn policy(listeners: Vec<Listener>) -> Policy {
    Policy { listeners: listeners.into_iter().map(Arc::new).collect(), ..Policy::default() }
}

#[derive(Clone)]
struct Pass(mpsc::UnboundedSender<Accepted>);

impl Handler for Pass {
    async fn serve(&self, accepted: Accepted, _: Arc<Gate>) {
        let _ = self.0.send(accepted);
    }
}

fn stand(listener: Listener) -> (Stand, Listeners<Pass>) {
    let (sender, accepted) = mpsc::unbounded_channel();
    let mut listeners = Listeners::new(Pass(sender));
    let prepared = listeners.prepare(&policy(vec![listener.clone()])).unwrap();
    let gate = gate(policy(vec![listener]));
    listeners.commit(prepared, &gate);
    let address = listeners.bound(&gate.snapshot().policy)[0].address;
    (Stand { gate, accepted, address }, listeners)
}

fn implicit_tls(names: &[&[&str]]) -> ListenerTls {
    ListenerTls {
        certificates: names.iter().map(|names| certificate(names[0], names)).collect(),
        implicit: true,
        min_version: TlsVersion::Tls12,
        disabled_cipher_suites: Vec::new(),
        ignore_client_order: true,
    }
}

async fn is_closed_without_an_octet(mut client: TcpStream) -> bool {
    let mut octets = Vec::new();
    let _ = client.read_to_end(&mut octets).await;
    octets.is_empty()
}

#[tokio::test]
async fn a_connection_arrives_with_its_addresses() {
    let (mut stand, _listeners) = stand(listener("smtp", "127.0.0.1:0"));
    let client = TcpStream::connect(stand.address).await.unwrap();
    let accepted = stand.accepted.recv().await.unwrap();
    assert_eq!(accepted.remote, client.local_addr().unwrap());
    assert_eq!(accepted.local, stand.address);
    assert_eq!(accepted.local_port, stand.address.port());
    assert_eq!(&*accepted.listener.name, "smtp");
    assert!(accepted.tls.is_none() && accepted.acceptor.is_none());
}

#[tokio::test]
async fn an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client() {
    let Ok(probe) = std::net::TcpListener::bind("[::1]:0") else {
        eprintln!("skipped: this host has no IPv6");
        return;
    };
    drop(probe);
    let (mut stand, _listeners) = stand(listener("smtp", "[::]:0"));
    let client = TcpStream::connect(("127.0.0.1", stand.address.port())).await.unwrap();
    let accepted = stand.accepted.recv().await.unwrap();
    assert_eq!(accepted.remote, client.local_addr().unwrap());
    assert!(accepted.local.is_ipv4());
}

#[tokio::test]
async fn the_connection_too_many_is_closed_without_an_octet() {
    let mut limited = listener("smtp", "127.0.0.1:0");
    limited.max_connections = 1;
    let (mut stand, _listeners) = stand(limited);
    let _first_client = TcpStream::connect(stand.address).await.unwrap();
    let first = stand.accepted.recv().await.unwrap();
    assert!(is_closed_without_an_octet(TcpStream::connect(stand.address).await.unwrap()).await);
    drop(first);
    let _third_client = TcpStream::connect(stand.address).await.unwrap();
    assert!(stand.accepted.recv().await.is_some());
}

#[tokio::test]
async fn a_trusted_peer_speaks_for_its_client() {
    let mut proxied = listener("smtp", "127.0.0.1:0");
    proxied.proxy_trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
    let (mut stand, _listeners) = stand(proxied.clone());
    let mut client = TcpStream::connect(stand.address).await.unwrap();
    client.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.2 49152 587\r\nEHLO").await.unwrap();
    let mut accepted = stand.accepted.recv().await.unwrap();
    assert_eq!(accepted.remote.to_string(), "192.0.2.1:49152");
    assert_eq!(accepted.local.to_string(), "198.51.100.2:587");
    assert_eq!(accepted.local_port, 587);
    let mut rest = [0; 4];
    accepted.stream.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"EHLO");
}

#[tokio::test]
async fn the_public_port_goes_before_that_of_the_header() {
    let mut proxied = listener("smtp", "127.0.0.1:0");
    proxied.proxy_trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
    proxied.public_port = Some(25);
    let (mut stand, _listeners) = stand(proxied);
    let mut client = TcpStream::connect(stand.address).await.unwrap();
    client.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.2 49152 2525\r\n").await.unwrap();
    assert_eq!(stand.accepted.recv().await.unwrap().local_port, 25);
}

#[tokio::test]
async fn a_header_from_an_untrusted_peer_is_just_octets() {
    let mut proxied = listener("smtp", "127.0.0.1:0");
    proxied.proxy_trusted_networks = vec!["192.0.2.0/24".parse().unwrap()];
    let (mut stand, _listeners) = stand(proxied);
    let mut client = TcpStream::connect(stand.address).await.unwrap();
    client.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.2 49152 25\r\n").await.unwrap();
    let mut accepted = stand.accepted.recv().await.unwrap();
    assert_eq!(accepted.remote, client.local_addr().unwrap());
    let mut first = [0; 5];
    accepted.stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"PROXY");
}

#[tokio::test]
async fn a_trusted_peer_without_a_header_is_closed() {
    let mut proxied = listener("smtp", "127.0.0.1:0");
    proxied.proxy_trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
    let (stand, _listeners) = stand(proxied);
    let mut client = TcpStream::connect(stand.address).await.unwrap();
    client.write_all(b"EHLO client\r\n").await.unwrap();
    assert!(is_closed_without_an_octet(client).await);
    assert!(stand.gate.metrics.encode().unwrap().contains("reason=\"ProxyHeader\"} 1\n"));
}

#[tokio::test(start_paused = true)]
async fn a_trusted_peer_that_stays_silent_is_closed_in_time() {
    let mut proxied = listener("smtp", "127.0.0.1:0");
    proxied.proxy_trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
    let (stand, _listeners) = stand(proxied);
    assert!(is_closed_without_an_octet(TcpStream::connect(stand.address).await.unwrap()).await);
    assert_eq!(stand.gate.capacity.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_begins_is_closed_in_time() {
    let mut smtps = listener("smtps", "127.0.0.1:0");
    smtps.tls = Some(implicit_tls(&[&["mx.example.org"]]));
    let (stand, _listeners) = stand(smtps);
    assert!(is_closed_without_an_octet(TcpStream::connect(stand.address).await.unwrap()).await);
    assert!(stand.gate.metrics.encode().unwrap().contains("reason=\"TlsHandshake\"} 1\n"));
}

#[tokio::test]
async fn implicit_tls_tells_its_facts_and_serves_the_named_certificate() {
    let mut smtps = listener("smtps", "127.0.0.1:0");
    let tls = implicit_tls(&[&["mx.example.org"], &["mx.example.net"]]);
    let expected = CertificateDer::from_pem_slice(tls.certificates[1].chain.as_bytes()).unwrap();
    smtps.tls = Some(tls);
    let (mut stand, _listeners) = stand(smtps);

    let mut roots = rustls::RootCertStore::empty();
    roots.add(expected.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = TcpStream::connect(stand.address).await.unwrap();
    let name = ServerName::try_from("mx.example.net").unwrap();
    let client = TlsConnector::from(Arc::new(config)).connect(name, client).await.unwrap();
    assert_eq!(client.get_ref().1.peer_certificates().unwrap(), [expected]);

    let accepted = stand.accepted.recv().await.unwrap();
    let facts = accepted.tls.unwrap();
    assert_eq!((facts.version, facts.server_name.as_deref()), ("TLSv1.3", Some("mx.example.net")));
    assert!(facts.cipher.starts_with("TLS_") && facts.cipher_bits >= 128);
    assert!(accepted.stream.is_tls());
}

#[tokio::test]
async fn a_listener_that_goes_stops_accepting_and_one_that_stays_keeps_its_socket() {
    let stays = listener("stays", "127.0.0.1:0");
    let goes = listener("goes", "127.0.0.2:0");
    let (sender, mut accepted) = mpsc::unbounded_channel();
    let mut listeners = Listeners::new(Pass(sender));
    let both = || policy(vec![stays.clone(), goes.clone()]);
    let prepared = listeners.prepare(&both()).unwrap();
    let gate = gate(both());
    listeners.commit(prepared, &gate);
    let before = listeners.bound(&both());

    let one = || policy(vec![stays.clone()]);
    let prepared = listeners.prepare(&one()).unwrap();
    gate.replace(crate::testing::snapshot_of(one()));
    listeners.commit(prepared, &gate);
    assert_eq!(listeners.bound(&one()), before[..1]);

    let _client = TcpStream::connect(before[0].address).await.unwrap();
    assert_eq!(&*accepted.recv().await.unwrap().listener.name, "stays");
    // Its connection is either refused or ends at once, depending on how far the loop has got.
    if let Ok(gone) = TcpStream::connect(before[1].address).await {
        assert!(is_closed_without_an_octet(gone).await);
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_bound_leaves_everything_as_it_was() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_stand, listeners) = stand(listener("smtp", "127.0.0.1:0"));
    let wanted = policy(vec![
        listener("smtp", "127.0.0.1:0"),
        listener("fine", "127.0.0.2:0"),
        listener("clash", &taken.local_addr().unwrap().to_string()),
    ]);
    let errors = listeners.prepare(&wanted).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(&*errors[0].listener, "clash");
    assert_eq!(listeners.bound(&wanted).len(), 1);
}

#[tokio::test]
async fn after_the_close_the_tracker_waits_for_the_last_connection() {
    let (mut stand, mut listeners) = stand(listener("smtp", "127.0.0.1:0"));
    let _client = TcpStream::connect(stand.address).await.unwrap();
    let accepted = stand.accepted.recv().await.unwrap();
    listeners.close().wait().await;
    assert_eq!(stand.gate.capacity.open(), 1, "the place belongs to whoever holds the connection");
    drop(accepted);
    assert_eq!(stand.gate.capacity.open(), 0);
}
