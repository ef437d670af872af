//! ARC chains that dkimpy sealed, whole and broken.

use anyhow::Result;

use super::bench::Bench;
use super::table::{Row, changed, letter};

pub(crate) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let keys = &bench.keys;
    let plain = letter("alice@bare.example");
    let one = keys.seal("hop1.example", "spf=pass smtp.mailfrom=plain.example", &plain)?;
    let listed = changed(&one, "Subject: hello", "Subject: [list] hello");
    let two = keys.seal("hop2.example", "arc=pass; spf=pass smtp.mailfrom=plain.example", &one)?;
    let after_change =
        keys.seal("hop2.example", "arc=fail; spf=pass smtp.mailfrom=plain.example", &listed)?;
    let elsewhere = keys.seal("nowhere.example", "spf=pass smtp.mailfrom=plain.example", &plain)?;
    let broken = keys.seal("broken.example", "spf=pass smtp.mailfrom=plain.example", &plain)?;
    let row = |name: &str, message: Vec<u8>, arc: &str| {
        Row::new(name, "bounce@plain.example", message, &format!("spf=pass arc={arc}"))
    };
    Ok(vec![
        row("a chain of one", one.clone(), "pass"),
        row("a chain of two", two.clone(), "pass"),
        row("a chain of one, another subject", listed, "fail"),
        row("a chain of two, another subject", changed(&two, "Subject: hello", "Subject: hallo"), "fail"),
        row("a chain of two, another body", changed(&two, "well met", "well Met"), "fail"),
        row("a chain that a hop found broken", after_change, "fail"),
        row("a chain with a forged result", changed(&one, "spf=pass smtp", "spf=fail smtp"), "fail"),
        row(
            "a chain without its first results",
            changed(&two, "ARC-Authentication-Results: i=1", "X-Results: i=1"),
            "fail",
        ),
        row("a chain with a number left out", changed(&one, "ARC-Seal: i=1", "ARC-Seal: i=2"), "fail")
            .rspamd_says("arc=permerror", "Chains with errors"),
        row("a seal without a key", elsewhere, "fail"),
        row("a seal that nobody can tell the key of", broken, "temperror")
            .rspamd_says("arc=fail", "Keys of chains"),
    ])
}
