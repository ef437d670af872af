//! Reverse DNS, SPF, DKIM and DMARC of the built gate: NSD is the whole of DNS, OpenDKIM signs, and PROXY headers put the client
//! where the records say.

use std::net::UdpSocket;

use anyhow::{Result, ensure};
use postern_tests::exchanger::{Exchanger, all_checks, client_at, field, header_of};
use postern_tests::manifests::object;
use postern_tests::peers::nsd::Nsd;
use postern_tests::peers::opendkim::{Form, OpenDkim};
use postern_tests::port::Port;
use postern_tests::require;

const MESSAGE: &[u8] = b"From: Alice <alice@example.org>\r\nTo: anna@example.test\r\nSubject: hello\r\n\
    Date: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nDear Anna,\r\n\r\nwell met.  \r\n\r\n";

/// What the world knows of the sender, whose address is 192.0.2.1.
const WORLD: &str = "\
example.org. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"
example.org. IN MX 20 second.example.org.
example.org. IN MX 10 mx.example.org.
_dmarc.example.org. IN TXT \"v=DMARC1; p=reject; rua=mailto:d@example.org\"
mx.example.org. IN A 192.0.2.1
mx.example.org. IN TXT \"v=spf1 a -all\"
1.2.0.192.in-addr.arpa. IN PTR mx.example.org.
2.2.0.192.in-addr.arpa. IN PTR mx.example.org.
";

/// A name server with the world and the key of a signer.
fn world(signer: Option<&OpenDkim>) -> Result<Nsd> {
    let key = signer.map_or(Ok(String::new()), OpenDkim::record)?;
    Nsd::start(&format!("{WORLD}{key}"))
}

#[test]
fn a_message_that_opendkim_signed_arrives_with_every_result() -> Result<()> {
    if !require::peers(&["nsd", "opendkim", "opendkim-genkey"])? {
        return Ok(());
    }
    for form in [Form::Relaxed, Form::Simple] {
        let signer = OpenDkim::start("example.org", "s1", form)?;
        let dns = world(Some(&signer))?;
        let site = Exchanger::start(dns.address(), &all_checks("strict"), "")?;
        let reply = site.deliver("192.0.2.1", "bounce@example.org", &signer.sign(MESSAGE)?)?;
        ensure!(reply.is("250 2.0.0"), "{reply}");
        let header = site.header()?;
        let results = field(&header, "Authentication-Results")?;
        let start = results.split_once("header.b=").map_or("", |(_, rest)| rest);
        let start = start.split(';').next().unwrap_or_default();
        assert_eq!(
            results,
            format!(
                "gate.example.test; dkim=pass header.d=example.org header.s=s1 header.b={start}; \
                 spf=pass (gate.example.test: domain of mx.example.org designates 192.0.2.1 as permitted sender) smtp.helo=mx.example.org; \
                 spf=pass (gate.example.test: domain of example.org designates 192.0.2.1 as permitted sender) smtp.mailfrom=bounce@example.org; \
                 iprev=pass (mx.example.org) policy.iprev=192.0.2.1; arc=none; \
                 dmarc=pass header.from=example.org policy.dmarc=reject"
            )
        );
        assert_eq!(
            field(&header, "Received-SPF")?,
            "pass (gate.example.test: domain of example.org designates 192.0.2.1 as permitted sender) \
             receiver=gate.example.test; client-ip=192.0.2.1; envelope-from=\"bounce@example.org\"; helo=mx.example.org;"
        );
        ensure!(
            field(&header, "Received")?.starts_with("from mx.example.org (mx.example.org [192.0.2.1])"),
            "{header}"
        );
        let names: Vec<&str> =
            header.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
        let ours = ["Received", "Authentication-Results", "Received-SPF"];
        let places: Vec<_> = ours.iter().map(|name| names.iter().position(|other| other == name)).collect();
        ensure!(places.is_sorted() && places.iter().all(Option::is_some), "{header}");
        ensure!(site.gate.metric("postern_dns_lookups_total")? >= 5.0);
    }
    Ok(())
}

#[test]
fn one_changed_octet_is_noticed_and_with_strict_refused() -> Result<()> {
    if !require::peers(&["nsd", "opendkim", "opendkim-genkey"])? {
        return Ok(());
    }
    let signer = OpenDkim::start("example.org", "s1", Form::Relaxed)?;
    let dns = world(Some(&signer))?;
    let signed = String::from_utf8(signer.sign(MESSAGE)?)?;
    let changed = signed.replace("well met", "well Met");

    let relaxed = Exchanger::start(dns.address(), &all_checks("relaxed"), "")?;
    let reply = relaxed.deliver("192.0.2.1", "bounce@example.com", changed.as_bytes())?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    let results = field(&relaxed.header()?, "Authentication-Results")?;
    ensure!(results.contains("; dkim=fail (body has changed) header.d=example.org header.s=s1"), "{results}");
    ensure!(
        results.ends_with(
            "dmarc=fail (no aligned identifier passed) header.from=example.org policy.dmarc=reject"
        ),
        "{results}"
    );

    let strict = Exchanger::start(dns.address(), "{dkimVerify: strict}", "")?;
    ensure!(strict.deliver("192.0.2.1", "s@example.org", changed.as_bytes())?.is("550 5.7.20"));
    ensure!(
        strict.deliver("192.0.2.1", "s@example.org", MESSAGE)?.is("550 5.7.20"),
        "unsigned mail is refused too"
    );
    ensure!(strict.deliver("192.0.2.1", "s@example.org", signed.as_bytes())?.is("250 2.0.0"));

    let dmarc = Exchanger::start(dns.address(), "{dmarcVerify: strict, dkimVerify: disable}", "")?;
    ensure!(dmarc.deliver("192.0.2.1", "s@example.com", changed.as_bytes())?.is("550 5.7.1"));
    ensure!(dmarc.deliver("192.0.2.1", "s@example.com", signed.as_bytes())?.is("250 2.0.0"));
    Ok(())
}

#[test]
fn strict_checks_refuse_at_their_stage() -> Result<()> {
    if !require::peers(&["nsd"])? {
        return Ok(());
    }
    let dns = world(None)?;
    let site = Exchanger::start(dns.address(), "{spfEhloVerify: strict}", "")?;
    site.client("192.0.2.9")?.expect("EHLO mx.example.org", "550 5.7.23")?;
    site.client("192.0.2.1")?.expect("EHLO mx.example.org", "250")?;

    let site = Exchanger::start(dns.address(), "{spfFromVerify: strict}", "")?;
    let mut client = site.client("192.0.2.9")?;
    client.expect("EHLO mx.example.org", "250")?;
    client.expect("MAIL FROM:<s@example.org>", "550 5.7.23")?;
    client.expect("MAIL FROM:<>", "550 5.7.23")?;
    client.expect("MAIL FROM:<s@nowhere.example>", "550 5.7.23")?;

    let site = Exchanger::start(dns.address(), "{reverseIpVerify: strict}", "")?;
    for (address, answer) in [("192.0.2.1", "250"), ("192.0.2.2", "550 5.7.25"), ("192.0.2.3", "550 5.7.25")]
    {
        let mut client = site.client(address)?;
        client.expect("EHLO mx.example.org", "250")?;
        client.expect("MAIL FROM:<s@example.org>", answer)?;
    }
    Ok(())
}

#[test]
fn a_silent_name_server_is_a_temporary_error() -> Result<()> {
    let silent = UdpSocket::bind("127.0.0.1:0")?;
    let dns = silent.local_addr()?;
    let relaxed = Exchanger::start(dns, &all_checks("relaxed"), "")?;
    let reply = relaxed.deliver("192.0.2.1", "s@example.org", MESSAGE)?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    let results = field(&relaxed.header()?, "Authentication-Results")?;
    for wanted in ["spf=temperror", "iprev=temperror", "dkim=none", "dmarc=temperror"] {
        ensure!(results.contains(wanted), "no {wanted} in {results}");
    }
    let strict = Exchanger::start(dns, &all_checks("strict"), "")?;
    strict.client("192.0.2.1")?.expect("EHLO mx.example.org", "451 4.7.24")?;
    let strict = Exchanger::start(dns, "{dmarcVerify: strict}", "")?;
    ensure!(strict.deliver("192.0.2.1", "s@example.org", MESSAGE)?.is("451 4.7.1"));
    Ok(())
}

#[test]
fn five_hundred_signatures_cost_no_more_than_ten() -> Result<()> {
    if !require::peers(&["nsd", "opendkim", "opendkim-genkey"])? {
        return Ok(());
    }
    let signer = OpenDkim::start("example.org", "s1", Form::Relaxed)?;
    let dns = world(Some(&signer))?;
    let site = Exchanger::start(dns.address(), &all_checks("relaxed"), "")?;
    let signed = String::from_utf8(signer.sign(MESSAGE)?)?;
    let signature = signed.replace(std::str::from_utf8(MESSAGE)?, "");
    let flooded = signature.repeat(500) + std::str::from_utf8(MESSAGE)?;
    let reply = site.deliver("192.0.2.1", "s@example.org", flooded.as_bytes())?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    assert_eq!(field(&site.header()?, "Authentication-Results")?.matches("dkim=pass").count(), 10);
    Ok(())
}

/// The example of the reference documentation, word for word.
const HEADER_EXAMPLE: &str = r#"{
"addReceivedHeader": {
"match": [{"if": "listener == 'smtp'", "then": "true"}],
"else": "false"
},
"addReceivedSpfHeader": {
"match": [{"if": "listener == 'smtp'", "then": "true"}],
"else": "false"
},
"addAuthResultsHeader": {
"match": [{"if": "listener == 'smtp'", "then": "true"}],
"else": "false"
},
"addMessageIdHeader": {
"match": [{"if": "listener == 'smtp'", "then": "false"}],
"else": "true"
},
"addDateHeader": {
"match": [{"if": "listener == 'smtp'", "then": "false"}],
"else": "true"
},
"addReturnPathHeader": {"else": "false"},
"addDeliveredToHeader": true
}"#;

#[test]
fn each_listener_adds_the_fields_that_its_expressions_say() -> Result<()> {
    let submission = Port::reserve()?;
    let more = object(
        "MtaListener",
        "submission",
        &format!(
            "{{bind: [\"{}\"], publicPort: 587, proxyTrustedNetworks: [127.0.0.1/32]}}",
            submission.address()
        ),
    ) + &object("MtaStageAuth", "default", "{require: false}")
        + &object("MtaStageData", "default", HEADER_EXAMPLE);
    let dns = UdpSocket::bind("127.0.0.1:0")?;
    let site = Exchanger::start(dns.local_addr()?, "{dkimVerify: disable}", &more)?;
    let bare = b"From: alice@example.org\r\nSubject: bare\r\n\r\nhello\r\n";
    let names = |header: &str| -> Vec<String> {
        let lines = header.lines().filter(|line| !line.starts_with('\t'));
        lines.filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
    };
    let mut client = client_at(submission.address(), "192.0.2.1")?;
    client.open("alice@example.org", &["anna@example.test"])?;
    ensure!(client.message(bare)?.is("250 2.0.0"), "{}", client.transcript());
    assert_eq!(names(&site.header()?), ["Delivered-To", "Date", "Message-ID", "From", "Subject"]);
    let mut client = site.client("192.0.2.1")?;
    client.open("alice@example.org", &["ben@example.test"])?;
    ensure!(client.message(bare)?.is("250 2.0.0"), "{}", client.transcript());
    let header = header_of(&site.stored("ben")?)?;
    assert_eq!(
        names(&header),
        ["Delivered-To", "Received", "Authentication-Results", "Received-SPF", "From", "Subject"]
    );
    Ok(())
}

#[test]
fn results_that_claim_our_name_are_removed_and_others_stay() -> Result<()> {
    let dns = UdpSocket::bind("127.0.0.1:0")?;
    let off = all_checks("disable");
    let site = Exchanger::start(dns.local_addr()?, &off, "")?;
    let forged = b"Authentication-Results: GATE.example.test; dkim=pass header.d=bank.example\r\n\
        Authentication-Results: other.example; dkim=pass\r\nFrom: a@example.org\r\n\r\nhello\r\n";
    ensure!(site.deliver("192.0.2.1", "s@example.org", forged)?.is("250 2.0.0"));
    let header = site.header()?;
    ensure!(!header.contains("bank.example") && header.contains("other.example"), "{header}");
    ensure!(header.contains("Authentication-Results: gate.example.test; none\n"), "{header}");
    Ok(())
}

#[test]
fn expressions_ask_the_name_server_of_the_policy() -> Result<()> {
    if !require::peers(&["nsd"])? {
        return Ok(());
    }
    let dns = world(None)?;
    let rule = "{isSenderAllowed: \"dns_query(sender_domain, 'mx')[0] == 'mx.example.org'\"}";
    let site =
        Exchanger::start(dns.address(), &all_checks("disable"), &object("MtaStageMail", "default", rule))?;
    let mut client = site.client("192.0.2.1")?;
    client.expect("EHLO mx.example.org", "250")?;
    client.expect("MAIL FROM:<s@nowhere.example>", "550 5.7.1")?;
    client.expect("MAIL FROM:<s@example.org>", "250")?;
    Ok(())
}
