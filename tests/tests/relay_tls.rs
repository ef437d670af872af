//! TLS towards a next hop: used when it is offered, and where it is demanded never given up.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use postern_tests::certificate::Authority;
use postern_tests::client::{deliver, letter};
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::object;
use postern_tests::peers::postfix::Postfix;
use postern_tests::require;
use postern_tests::site::Site;
use postern_tests::wait::{self, PATIENCE};

const RCPT: &str = "anna@example.test";

#[test]
fn tls_is_used_when_it_is_offered_and_the_certificate_may_be_anyones() -> Result<()> {
    let Some((postfix, _)) = secured()? else { return Ok(()) };
    let site = Site::start(&route(postfix.address(), "{mode: Opportunistic}"))?;
    ensure!(send(&site, "offered")?.is("250 2.0.0"), "refused");
    ensure!(arrived(&postfix, "offered")?.contains("(using TLSv1.3 with cipher"), "it went in clear text");
    Ok(())
}

#[test]
fn verified_tls_is_reached_by_starttls_and_with_the_first_octet() -> Result<()> {
    let Some((postfix, authority)) = secured()? else { return Ok(()) };
    for (mode, address) in [("Require", postfix.address()), ("Implicit", postfix.implicit_address())] {
        let tls =
            format!("{{mode: {mode}, serverName: postfix.example.test, caSecretRef: {{name: authority}}}}");
        let site = Site::start(&(route(address, &tls) + &authority.secret("authority")?))?;
        let reply = send(&site, mode)?;
        ensure!(reply.is("250 2.0.0"), "{mode}: {reply}");
        ensure!(
            arrived(&postfix, mode)?.contains("(using TLSv1.3 with cipher"),
            "{mode}: it went in clear text"
        );
    }
    Ok(())
}

#[test]
fn a_certificate_of_a_stranger_or_another_name_is_451_where_verified_tls_is_demanded() -> Result<()> {
    let Some((postfix, authority)) = secured()? else { return Ok(()) };
    let stranger = Authority::new()?;
    let cases = [(&stranger, "postfix.example.test"), (&authority, "other.example.test")];
    for (number, (authority, name)) in cases.into_iter().enumerate() {
        for (mode, address) in [("Require", postfix.address()), ("Implicit", postfix.implicit_address())] {
            let tls = format!("{{mode: {mode}, serverName: {name}, caSecretRef: {{name: authority}}}}");
            let site = Site::start(&(route(address, &tls) + &authority.secret("authority")?))?;
            let reply = send(&site, &format!("unverified-{number}"))?;
            ensure!(reply.is("451"), "{mode}, case {number}: {reply}");
        }
    }
    assert!(postfix.mailbox("anna").messages()?.is_empty(), "{}", postfix.log());
    Ok(())
}

#[test]
fn a_next_hop_that_hides_starttls_is_451_where_tls_is_demanded() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let site = Site::start(&route(hop.address(), "{mode: Require}"))?;
    let reply = send(&site, "stripped")?;
    ensure!(reply.is("451"), "{reply}");
    assert!(hop.stored().is_empty());
    Ok(())
}

fn secured() -> Result<Option<(Postfix, Authority)>> {
    if !require::peers(&["postfix", "openssl"])? {
        return Ok(None);
    }
    let authority = Authority::new()?;
    let postfix = Postfix::with_tls(&["anna"], &authority.issue(&["postfix.example.test"])?)?;
    Ok(Some((postfix, authority)))
}

fn route(hop: SocketAddr, tls: &str) -> String {
    let spec = format!("{{type: Relay, address: \"{}\", port: {}, tls: {tls}}}", hop.ip(), hop.port());
    object("MtaRoute", "hop", &spec)
}

fn send(site: &Site, mark: &str) -> Result<postern_tests::client::Reply> {
    deliver(site.address(), "s@example.org", &[RCPT], &letter(mark, 500))
}

/// The delivered message with this subject, once it is there.
fn arrived(postfix: &Postfix, mark: &str) -> Result<String> {
    wait::until("the delivery", PATIENCE, || {
        let messages = postfix.mailbox("anna").messages()?;
        let texts = messages.iter().map(|message| String::from_utf8_lossy(message).into_owned());
        Ok(texts.into_iter().find(|text| text.contains(&format!("Subject: {mark}"))))
    })
}
