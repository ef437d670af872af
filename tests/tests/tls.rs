//! STARTTLS, implicit TLS, SNI and the renewal of certificates, seen by `openssl s_client` and swaks.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_tests::certificate::Authority;
use postern_tests::client::Client;
use postern_tests::gate::Gate;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{Folder, object, open_domain, relay, settings};
use postern_tests::peers::openssl::{Start, s_client};
use postern_tests::peers::swaks::swaks;
use postern_tests::port::Port;
use postern_tests::require;
use postern_tests::wait;

const QUIT: &[&str] = &["QUIT"];

#[test]
fn starttls_and_implicit_tls_show_the_certificate_of_the_name_asked_for() -> Result<()> {
    if !require::peers(&["openssl"])? {
        return Ok(());
    }
    let site = Secured::start()?;
    for (start, address) in
        [(Start::StartTls, site.clear.address()), (Start::Implicit, site.implicit.address())]
    {
        for name in ["mx.example.test", "mx.second.test"] {
            let seen = s_client(address, start, name, &site.authority.file(), QUIT)?;
            ensure!(seen.verified && seen.subject == name, "{start:?} for {name}: {}", seen.text);
        }
        let stranger = s_client(address, start, "unknown.test", &site.authority.file(), QUIT)?;
        assert_eq!(stranger.subject, "mx.example.test", "without a match the first certificate stands in");
    }
    Ok(())
}

#[test]
fn a_message_in_tls_says_so_in_its_received_field() -> Result<()> {
    if !require::peers(&["openssl", "swaks"])? {
        return Ok(());
    }
    let site = Secured::start()?;
    let to = ["--from", "s@example.org", "--to", "user@example.test"];
    for (more, address) in [("--tls", site.clear.address()), ("--tls-on-connect", site.implicit.address())] {
        let sent = swaks(address, &[&to[..], &[more]].concat())?;
        ensure!(sent.status == 0, "{more}: {}", sent.transcript);
    }
    let stored = site.hop.stored();
    assert_eq!(stored.len(), 2);
    for message in stored {
        let right =
            message.contains("(using TLSv1.3 with cipher ") && message.contains("(Postern) with ESMTPS id ");
        ensure!(right, "{}", String::from_utf8_lossy(&message.message));
    }
    Ok(())
}

#[test]
fn starttls_is_offered_before_and_not_inside_tls() -> Result<()> {
    if !require::peers(&["openssl"])? {
        return Ok(());
    }
    let site = Secured::start()?;
    let mut clear = Client::connect(site.clear.address())?;
    let offer = clear.expect("EHLO client.example.org", "250")?;
    ensure!(offer.has_line("STARTTLS") && !offer.has_line("REQUIRETLS"), "{offer}");
    let commands = ["EHLO client.example.org", "STARTTLS", "QUIT"];
    let inside = s_client(
        site.clear.address(),
        Start::StartTls,
        "mx.example.test",
        &site.authority.file(),
        &commands,
    )?;
    ensure!(
        inside.text.contains("250-REQUIRETLS") || inside.text.contains("250 REQUIRETLS"),
        "{}",
        inside.text
    );
    ensure!(inside.text.contains("504 5.7.4"), "STARTTLS inside TLS: {}", inside.text);
    Ok(())
}

#[test]
fn starttls_injection_is_never_executed() -> Result<()> {
    if !require::peers(&["openssl"])? {
        return Ok(());
    }
    let site = Secured::start()?;
    let meddler = Meddler::before(site.clear.address(), b"STARTTLS\r\nNOOP\r\nVRFY injected\r\n")?;
    // The gate may also close the connection: then there is no handshake, and nothing was executed either.
    let commands = ["NOOP", "QUIT"];
    if let Ok(seen) =
        s_client(meddler.address, Start::StartTls, "mx.example.test", &site.authority.file(), &commands)
    {
        let inside = seen.text.matches("250 2.0.0").count();
        ensure!(inside <= 1, "{inside} answers to one NOOP: {}", seen.text);
        // OpenSSL also prints keys and tickets, in which any three digits may stand.
        let answers_vrfy = seen.text.lines().any(|line| line.starts_with("252 "));
        ensure!(!answers_vrfy && !seen.text.contains("injected"), "{}", seen.text);
    }
    Ok(())
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections_and_old_ones_go_on() -> Result<()> {
    if !require::peers(&["openssl"])? {
        return Ok(());
    }
    let site = Secured::start()?;
    let look = || {
        s_client(site.implicit.address(), Start::Implicit, "mx.example.test", &site.authority.file(), QUIT)
    };
    let before = look()?;
    let mut open = Client::connect(site.clear.address())?;
    site.folder.put("first.yaml", &site.authority.issue(&["mx.example.test"])?.secret("first"))?;
    let after = wait::until("the renewed certificate", Duration::from_secs(5), || {
        Ok(Some(look()?).filter(|seen| seen.serial != before.serial))
    })?;
    ensure!(after.verified, "{}", after.text);
    open.expect("EHLO client.example.org", "250").context("the connection from before the renewal")?;
    Ok(())
}

#[test]
fn a_certificate_that_cannot_be_read_leaves_the_old_one_in_force() -> Result<()> {
    if !require::peers(&["openssl"])? {
        return Ok(());
    }
    let site = Secured::start()?;
    let look = || {
        s_client(site.implicit.address(), Start::Implicit, "mx.example.test", &site.authority.file(), QUIT)
    };
    let before = look()?;
    // The key of another certificate.
    let mut pair = site.authority.issue(&["mx.example.test"])?;
    pair.key = site.authority.issue(&["mx.example.test"])?.key;
    site.folder.put("first.yaml", &pair.secret("first"))?;
    wait::until("the fault on /status", Duration::from_secs(5), || {
        let reload = site.gate.status()?.get("lastReload").cloned().unwrap_or_default();
        Ok(reload.to_string().contains("first").then_some(()))
    })?;
    assert_eq!(look()?.serial, before.serial);
    Ok(())
}

/// A gate with two certificates, on a listener for STARTTLS and one for implicit TLS.
struct Secured {
    gate: Gate,
    folder: Folder,
    hop: Hop,
    authority: Authority,
    clear: Port,
    implicit: Port,
}

impl Secured {
    fn start() -> Result<Self> {
        let (authority, hop) = (Authority::new()?, Hop::start(Protocol::Smtp)?);
        let (clear, implicit) = (Port::reserve()?, Port::reserve()?);
        let listener = |name: &str, port: &Port, more: &str| {
            let tls = format!("tls: {{secretNames: [first, second]{more}}}");
            object("MtaListener", name, &format!("{{bind: [\"{}\"], publicPort: 25, {tls}}}", port.address()))
        };
        let folder = Folder::with(&[
            ("settings.yaml", settings() + &open_domain() + &relay("hop", hop.address(), "")),
            (
                "listeners.yaml",
                listener("clear", &clear, "") + &listener("implicit", &implicit, ", implicit: true"),
            ),
            ("first.yaml", authority.issue(&["mx.example.test"])?.secret("first")),
            ("second.yaml", authority.issue(&["mx.second.test"])?.secret("second")),
        ])?;
        let gate = Gate::start(folder.path())?;
        Ok(Self { gate, folder, hop, authority, clear, implicit })
    }
}

/// A man in the middle who puts octets behind the client's STARTTLS, as an attacker on the path would.
struct Meddler {
    address: SocketAddr,
}

impl Meddler {
    /// Passes everything on to `server`, but `STARTTLS` as `forged`.
    fn before(server: SocketAddr, forged: &'static [u8]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        thread::spawn(move || -> Result<()> {
            let (mut client, _) = listener.accept()?;
            let mut server = TcpStream::connect(server)?;
            let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
            thread::spawn(move || {
                let _ = std::io::copy(&mut from_server, &mut to_client);
                to_client.shutdown(Shutdown::Both)
            });
            let mut piece = [0_u8; 16 * 1024];
            loop {
                let got = client.read(&mut piece)?;
                if got == 0 {
                    return Ok(());
                }
                let said = piece.get(..got).unwrap_or_default();
                server.write_all(if said == b"STARTTLS\r\n" { forged } else { said })?;
            }
        });
        Ok(Self { address })
    }
}
