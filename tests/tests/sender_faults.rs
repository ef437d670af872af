//! What goes wrong with senders, their messages and their DNS, and what the gate answers when a check is strict: NSD with a domain
//! that fails, aliases in a circle, answers that do not fit, and messages that dkimpy signed and sealed.

use anyhow::{Result, ensure};
use postern_tests::exchanger::{Exchanger, all_checks, client_at, field, header_of};
use postern_tests::manifests::object;
use postern_tests::peers::dkimpy::{Keys, Kind, Signing};
use postern_tests::peers::nsd::Nsd;
use postern_tests::port::Port;
use postern_tests::require;

const RSA: Kind = Kind::Rsa(2048);
const LETTER: &[u8] = b"From: Alice <alice@example.org>\r\nTo: anna@example.test\r\nSubject: hello\r\n\
    Date: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nDear Anna,\r\n\r\nwell met.\r\n";

/// The client is 192.0.2.1. Whatever is below `broken.example` is answered SERVFAIL.
const WORLD: &str = "\
example.org. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"
mx.example.org. IN A 192.0.2.1
mx.example.org. IN TXT \"v=spf1 a -all\"
1.2.0.192.in-addr.arpa. IN PTR mx.example.org.
66.2.0.192.in-addr.arpa. IN PTR host.broken.example.
round.example. IN CNAME trip.example.
trip.example. IN CNAME round.example.
";

/// A record that no datagram holds, with the client at its end.
fn long_record() -> String {
    let strings = "\"ip4:198.51.100.1 ip4:198.51.100.2 ip4:198.51.100.3 \" ".repeat(100);
    format!("long.example. IN TXT \"v=spf1 \" {strings} \"ip4:192.0.2.1 -all\"\n")
}

fn world(keys: Option<&Keys>) -> Result<Nsd> {
    let mut records = WORLD.to_owned() + &long_record();
    if let Some(keys) = keys {
        let key = keys.public(RSA)?;
        let strings: Vec<String> =
            key.as_bytes().chunks(200).map(|part| format!("\"{}\"", String::from_utf8_lossy(part))).collect();
        for name in ["s.", "arc."].into_iter().zip(["example.org.", "hop.example."]) {
            records +=
                &format!("{}_domainkey.{} IN TXT \"v=DKIM1; p=\" {}\n", name.0, name.1, strings.join(" "));
        }
    }
    Nsd::start(&records)
}

fn signed(keys: &Keys, domain: &str) -> Result<Vec<u8>> {
    let how = Signing {
        kind: RSA,
        domain,
        selector: "s",
        identity: "",
        form: "relaxed/relaxed",
        fields: "from:to:subject",
        length: false,
    };
    keys.sign(&how, LETTER)
}

fn replaced(message: &[u8], from: &str, to: &str) -> Result<Vec<u8>> {
    let text = String::from_utf8_lossy(message);
    ensure!(text.contains(from), "no {from} in {text}");
    Ok(text.replacen(from, to, 1).into_bytes())
}

#[test]
fn strict_checks_of_a_message_refuse_what_is_wrong_and_defer_what_nobody_can_tell() -> Result<()> {
    if !require::peers(&["nsd", "dkimsign", "openssl"])? {
        return Ok(());
    }
    let keys = Keys::make(&[RSA])?;
    let dns = world(Some(&keys))?;
    let answers = |check: &str, cases: &[(&str, Vec<u8>, &str)]| -> Result<()> {
        let gate = Exchanger::start(dns.address(), &format!("{{{check}: strict}}"), "")?;
        for (name, message, wanted) in cases {
            let reply = gate.deliver("192.0.2.1", "s@example.org", message)?;
            ensure!(reply.is(wanted), "{check}, {name}: {reply}");
        }
        Ok(())
    };

    let good = signed(&keys, "example.org")?;
    let unknown = signed(&keys, "broken.example")?;
    answers(
        "dkimVerify",
        &[
            ("signed", good.clone(), "250 2.0.0"),
            ("one octet changed", replaced(&good, "well met", "well Met")?, "550 5.7.20"),
            ("not signed", LETTER.to_vec(), "550 5.7.20"),
            ("no list of tags", replaced(&good, "v=1;", "v=1; what;")?, "550 5.7.20"),
            ("no such key", replaced(&good, "s=s;", "s=t;")?, "550 5.7.20"),
            ("key that nobody can tell", unknown.clone(), "451 4.7.20"),
            ("another that passes", [&good[..good.len() - LETTER.len()], &unknown].concat(), "250 2.0.0"),
        ],
    )?;

    let chain = keys.seal("hop.example", "spf=pass smtp.mailfrom=example.org", LETTER)?;
    let unknown = keys.seal("broken.example", "spf=pass smtp.mailfrom=example.org", LETTER)?;
    answers(
        "arcVerify",
        &[
            ("no chain", LETTER.to_vec(), "250 2.0.0"),
            ("a chain", chain.clone(), "250 2.0.0"),
            ("one octet changed", replaced(&chain, "well met", "well Met")?, "550 5.7.29"),
            ("a seal that nobody can tell", unknown, "451 4.7.29"),
        ],
    )?;

    let author = |domain: &str| replaced(LETTER, "alice@example.org", &format!("alice@{domain}"));
    answers(
        "dmarcVerify",
        &[
            ("no policy", LETTER.to_vec(), "250 2.0.0"),
            ("a policy that nobody can tell", author("broken.example")?, "451 4.7.1"),
        ],
    )
}

#[test]
fn strict_checks_of_a_client_and_a_sender_defer_what_nobody_can_tell() -> Result<()> {
    if !require::peers(&["nsd"])? {
        return Ok(());
    }
    let dns = world(None)?;
    let gate = Exchanger::start(dns.address(), "{spfFromVerify: strict}", "")?;
    for (domain, answer) in [
        ("example.org", "250"),
        ("long.example", "250"),
        ("broken.example", "451 4.7.24"),
        ("round.example", "451 4.7.24"),
        ("nowhere.example", "550 5.7.23"),
    ] {
        let mut client = gate.client("192.0.2.1")?;
        client.expect("EHLO mx.example.org", "250")?;
        client.expect(&format!("MAIL FROM:<s@{domain}>"), answer)?;
    }
    let gate = Exchanger::start(dns.address(), "{spfEhloVerify: strict}", "")?;
    gate.client("192.0.2.1")?.expect("EHLO host.broken.example", "451 4.7.24")?;
    gate.client("192.0.2.1")?.expect("EHLO round.example", "451 4.7.24")?;
    let gate = Exchanger::start(dns.address(), "{reverseIpVerify: strict}", "")?;
    let mut client = gate.client("192.0.2.66")?;
    client.expect("EHLO mx.example.org", "250")?;
    client.expect("MAIL FROM:<s@example.org>", "451 4.7.25").map(drop)
}

#[test]
fn relaxed_checks_report_what_nobody_can_tell_and_let_it_pass() -> Result<()> {
    if !require::peers(&["nsd", "dkimsign", "openssl"])? {
        return Ok(());
    }
    let keys = Keys::make(&[RSA])?;
    let dns = world(Some(&keys))?;
    let gate = Exchanger::start(dns.address(), &all_checks("relaxed"), "")?;
    let message = replaced(&signed(&keys, "broken.example")?, "alice@example.org", "alice@broken.example")?;
    let reply = gate.deliver("192.0.2.66", "s@round.example", &message)?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    let results = field(&gate.header()?, "Authentication-Results")?;
    for wanted in
        ["spf=temperror", "smtp.mailfrom=s@round.example", "iprev=temperror", "arc=none", "dmarc=temperror"]
    {
        ensure!(results.contains(wanted), "no {wanted} in {results}");
    }
    Ok(())
}

#[test]
fn by_default_fields_are_added_and_checks_made_on_port_25_only() -> Result<()> {
    if !require::peers(&["nsd"])? {
        return Ok(());
    }
    let dns = world(None)?;
    let submission = Port::reserve()?;
    let listener = format!(
        "{{bind: [\"{}\"], publicPort: 587, proxyTrustedNetworks: [127.0.0.1/32]}}",
        submission.address()
    );
    let more = object("MtaListener", "submission", &listener)
        + &object("MtaStageAuth", "default", "{require: false}");
    let gate = Exchanger::start(dns.address(), "{}", &more)?;
    let bare = b"From: alice@example.org\r\n\r\nhello\r\n";
    let names = |mailbox: &str| -> Result<Vec<String>> {
        let header = header_of(&gate.stored(mailbox)?)?;
        let lines = header.lines().filter(|line| !line.starts_with('\t'));
        Ok(lines.filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect())
    };
    ensure!(gate.deliver("192.0.2.1", "s@example.org", bare)?.is("250 2.0.0"));
    assert_eq!(
        names("anna")?,
        [
            "Delivered-To",
            "Received",
            "Authentication-Results",
            "Received-SPF",
            "Return-Path",
            "Date",
            "Message-ID",
            "From"
        ]
    );
    let results = field(&gate.header()?, "Authentication-Results")?;
    for wanted in ["dkim=none", "spf=pass", "iprev=pass", "dmarc=none"] {
        ensure!(results.contains(wanted), "no {wanted} in {results}");
    }
    ensure!(!results.contains("; arc="), "{results}");
    let mut client = client_at(submission.address(), "192.0.2.1")?;
    client.open("alice@example.org", &["ben@example.test"])?;
    ensure!(client.message(bare)?.is("250 2.0.0"), "{}", client.transcript());
    assert_eq!(names("ben")?, ["Delivered-To", "From"]);
    Ok(())
}
