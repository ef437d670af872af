//! Senders, by what their domains publish; the author is from a domain without a policy.

use super::table::{Row, letter};

const AUTHOR: &str = "alice@bare.example";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = RECORDS
        .iter()
        .map(|(domain, result)| {
            let sender = format!("bounce@{domain}");
            let row = Row::new(format!("spf of {domain}"), &sender, letter(AUTHOR), &format!("spf={result}"));
            match LENIENT.iter().find(|(other, ..)| other == domain) {
                Some((_, found, heading)) => row.rspamd_says(found, heading),
                None => row,
            }
        })
        .collect();
    let from = |name: &str, sender: &str, result: &str| {
        Row::new(name, sender, letter(AUTHOR), &format!("spf={result}"))
    };
    rows.extend([
        from("a client that nobody permits", "bounce@plain.example", "fail").with_client("192.0.2.9"),
        from("a client with IPv6", "bounce@good.example", "pass").with_client("2001:db8::1"),
        from("another client with IPv6", "bounce@good.example", "fail").with_client("2001:db8::2"),
        from("IPv6 against a record of IPv4", "bounce@plain.example", "fail").with_client("2001:db8::1"),
        from("another local part", "other@exists.example", "fail"),
        from("the null sender of a good name", "", "pass"),
        from("the null sender of another name", "", "none").greeting_as("far.example"),
        from("the null sender of no name", "", "none")
            .greeting_as("[192.0.2.1]")
            .rspamd_says("spf=temperror", "Names that are no domains"),
    ]);
    rows
}

const RECORDS: [(&str, &str); 28] = [
    ("plain.example", "pass"),
    ("bare.example", "none"),
    ("nowhere.example", "none"),
    ("soft.example", "softfail"),
    ("neutral.example", "neutral"),
    ("silent.example", "neutral"),
    ("refuse.example", "fail"),
    ("double.example", "permerror"),
    ("other.example", "pass"),
    ("split.example", "pass"),
    ("syntax.example", "permerror"),
    ("late.example", "permerror"),
    ("network.example", "pass"),
    ("include.example", "pass"),
    ("includefail.example", "softfail"),
    ("includenone.example", "permerror"),
    ("includebroken.example", "temperror"),
    ("redirect.example", "pass"),
    ("redirectnone.example", "permerror"),
    ("exchange.example", "pass"),
    ("address.example", "pass"),
    ("nearby.example", "pass"),
    ("pointer.example", "pass"),
    ("exists.example", "pass"),
    ("void.example", "permerror"),
    ("circle.example", "permerror"),
    ("eleven.example", "permerror"),
    ("ten.example", "pass"),
];

/// What rspamd makes of records that are in error.
const LENIENT: [(&str, &str, &str); 7] = [
    ("double.example", "spf=fail", "Several SPF records"),
    ("syntax.example", "spf=fail", "SPF records with errors"),
    ("late.example", "spf=pass", "SPF records with errors"),
    ("includenone.example", "spf=fail", "SPF records with errors"),
    ("circle.example", "spf=fail", "Limits of SPF"),
    ("void.example", "spf=pass", "Limits of SPF"),
    ("eleven.example", "spf=pass", "Limits of SPF"),
];
