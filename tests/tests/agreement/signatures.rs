//! Signatures, whole and broken, on mail whose sender passes SPF for another domain.

use anyhow::Result;
use postern_tests::peers::dkimpy::{Kind, Signing};

use super::bench::{Bench, PLAIN, SHORT_RSA};
use super::table::{Row, changed, letter};

const AUTHOR: &str = "alice@good.example";
const ENVELOPE: &str = "bounce@plain.example";
const RELAXED: &str = "relaxed/relaxed";
const SIMPLE: &str = "simple/simple";
const PASS: &str = "dkim=pass spf=pass dmarc=pass";
const FAIL: &str = "dkim=fail spf=pass dmarc=fail";
const NO_USE: &str = "dkim=permerror spf=pass dmarc=fail";

pub(crate) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = forms(bench)?;
    rows.extend(changes(bench)?);
    rows.extend(keys(bench)?);
    rows.extend(oddities(bench)?);
    Ok(rows)
}

fn row(name: &str, message: Vec<u8>, wanted: &str) -> Row {
    Row::new(name, ENVELOPE, message, wanted)
}

/// What a good signer makes.
fn forms(bench: &Bench) -> Result<Vec<Row>> {
    let plain = letter(AUTHOR);
    let (head, _) = plain.split_at(plain.len() - "Dear Anna,\r\n\r\nwell met.\r\n".len());
    let bytes = [&plain, "caf\u{e9} \u{2014} \u{4f60}\u{597d}\r\n".as_bytes()].concat();
    let dotted = [&plain, b".\r\n..two\r\n.end".as_slice(), b"\r\n"].concat();
    let mut rows = vec![
        row("unsigned", plain.clone(), "dkim=none spf=pass dmarc=fail"),
        row("opendkim relaxed", bench.relaxed.sign(&plain)?, PASS),
        row("opendkim simple", bench.simple.sign(&plain)?, PASS),
        row("octets above 127", bench.signed("good.example", "rsa", RELAXED, &bytes)?, PASS),
        row("lines with dots", bench.signed("good.example", "rsa", SIMPLE, &dotted)?, PASS),
        row("no body, relaxed", bench.signed("good.example", "rsa", RELAXED, head)?, PASS),
        row("no body, simple", bench.signed("good.example", "rsa", SIMPLE, head)?, PASS),
    ];
    for form in [RELAXED, SIMPLE, "relaxed/simple", "simple/relaxed"] {
        rows.push(row(&format!("dkimpy {form}"), bench.signed("good.example", "rsa", form, &plain)?, PASS));
    }
    let ed25519 = Signing { kind: Kind::Ed25519, selector: "ed", ..PLAIN };
    rows.push(row("ed25519", bench.keys.sign(&ed25519, &plain)?, PASS));
    let short = Signing { kind: SHORT_RSA, selector: "short", ..PLAIN };
    rows.push(row("rsa of 1024 bits", bench.keys.sign(&short, &plain)?, PASS));
    let both = bench.keys.sign(&ed25519, &bench.signed("good.example", "rsa", RELAXED, &plain)?)?;
    rows.push(row("two signatures", both, "dkim=pass,pass spf=pass dmarc=pass"));
    let foreign = bench.signed("stranger.example", "rsa", RELAXED, &plain)?;
    rows.push(row("signature of a stranger", foreign, "dkim=pass spf=pass dmarc=fail"));
    Ok(rows)
}

/// What happens to mail on its way.
fn changes(bench: &Bench) -> Result<Vec<Row>> {
    let plain = letter(AUTHOR);
    let relaxed = bench.signed("good.example", "rsa", RELAXED, &plain)?;
    let simple = bench.signed("good.example", "rsa", SIMPLE, &plain)?;
    let twice = Signing { fields: "from:to:subject:subject:date", ..PLAIN };
    let oversigned = bench.keys.sign(&twice, &plain)?;
    let second = |message: &[u8]| [b"Subject: another\r\n", message].concat();
    let end = |message: &[u8], more: &str| [message, more.as_bytes()].concat();
    let broken = bench.signed("good.example", "rsa", RELAXED, &changed(&relaxed, "well met", "well Met"))?;
    Ok(vec![
        row("one octet of the body", changed(&relaxed, "well met", "well Met"), FAIL),
        row("a line more", end(&relaxed, "PS\r\n"), FAIL),
        row("another subject", changed(&relaxed, "Subject: hello", "Subject: hallo"), FAIL),
        row("another author", changed(&relaxed, "Alice", "Mallory"), FAIL),
        row("a signed field is gone", changed(&relaxed, "To: anna@example.test\r\n", ""), FAIL),
        row("an unsigned field is new", [b"List-Id: <a.example>\r\n".as_slice(), &relaxed].concat(), PASS),
        row("a second subject above", second(&relaxed), PASS)
            .rspamd_says("dkim=fail dmarc=fail", "Fields that stand several times"),
        row("a second subject where none may be", second(&oversigned), FAIL),
        row("empty lines at the end, relaxed", end(&relaxed, "\r\n\r\n"), PASS),
        row("empty lines at the end, simple", end(&simple, "\r\n\r\n"), PASS),
        row("white space at line ends, relaxed", changed(&relaxed, "well met.", "well met. \t"), PASS),
        row("white space at line ends, simple", changed(&simple, "well met.", "well met. \t"), FAIL),
        row("white space within lines, relaxed", changed(&relaxed, "well met.", "well \t met."), PASS),
        row("lines of white space at the end, relaxed", end(&relaxed, " \r\n\t\r\n"), PASS),
        row("folded, relaxed", changed(&relaxed, "Subject: hello", "Subject:\r\n hello"), PASS),
        row("folded, simple", changed(&simple, "Subject: hello", "Subject:\r\n hello"), FAIL),
        row("a name in capitals, relaxed", changed(&relaxed, "Subject:", "SUBJECT:"), PASS),
        row("a name in capitals, simple", changed(&simple, "Subject:", "SUBJECT:"), FAIL),
        row("signed again after a change", broken, "dkim=fail,pass spf=pass dmarc=pass"),
    ])
}

/// What stands in DNS.
fn keys(bench: &Bench) -> Result<Vec<Row>> {
    let plain = letter(AUTHOR);
    let with = |selector: &str| bench.signed("good.example", selector, RELAXED, &plain);
    let broken = bench.signed("broken.example", "rsa", RELAXED, &plain)?;
    Ok(vec![
        row("key without a version", with("bare")?, PASS),
        row("key in test mode", with("testing")?, PASS),
        row("no key", with("nowhere")?, NO_USE).rspamd_says("dkim=none", "Keys that are no use"),
        row("key revoked", with("revoked")?, NO_USE).rspamd_says("dkim=none", "Keys that are no use"),
        row("key is garbage", with("garbage")?, NO_USE).rspamd_says("dkim=none", "Keys that are no use"),
        row("another key", with("other")?, FAIL),
        row("key of another kind", with("kind")?, NO_USE).rspamd_says("dkim=none", "Keys that are no use"),
        row("key for sha1", with("sha1")?, NO_USE)
            .rspamd_says("dkim=pass dmarc=pass", "Keys for something else"),
        row("key for another service", with("service")?, NO_USE)
            .rspamd_says("dkim=pass dmarc=pass", "Keys for something else"),
        row("key of another version", with("version")?, NO_USE)
            .rspamd_says("dkim=pass dmarc=pass", "Keys for something else"),
        row("key that nobody can tell", broken, "dkim=temperror spf=pass dmarc=fail"),
    ])
}

/// What a signature may say.
fn oddities(bench: &Bench) -> Result<Vec<Row>> {
    let plain = letter(AUTHOR);
    let with = |how: Signing<'_>| bench.keys.sign(&how, &plain);
    let good = with(PLAIN)?;
    Ok(vec![
        row("identity below the domain", with(Signing { identity: "a@news.good.example", ..PLAIN })?, PASS),
        row("identity elsewhere", changed(&good, "i=@good.example", "i=@stranger.example"), NO_USE)
            .rspamd_says("dkim=fail", "Signatures with several faults"),
        row(
            "an algorithm of the future",
            changed(&good, "a=rsa-sha256", "a=rsa-sha3"),
            "dkim=neutral spf=pass dmarc=fail",
        )
        .rspamd_says("dkim=none", "Signatures that are not looked at"),
        row("another version", changed(&good, "v=1;", "v=2;"), "dkim=neutral spf=pass dmarc=fail")
            .rspamd_says("dkim=none", "Signatures that are not looked at"),
        row("no domain", changed(&good, "d=good.example;", ""), "dkim=neutral spf=pass dmarc=fail")
            .rspamd_says("dkim=none", "Signatures that are not looked at"),
        row("no list of tags", changed(&good, "v=1;", "v=1; what;"), "dkim=neutral spf=pass dmarc=fail")
            .rspamd_says("dkim=none", "Signatures that are not looked at"),
        row("a tag twice", changed(&good, "v=1;", "v=1; q=dns/txt;"), "dkim=neutral spf=pass dmarc=fail")
            .rspamd_says("dkim=fail", "Signatures with several faults"),
        row("expired", changed(&good, "v=1;", "v=1; x=1700000000;"), FAIL)
            .rspamd_says("dkim=none", "Signatures that are not looked at"),
    ])
}
