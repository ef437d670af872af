//! The gate, the others, and the DNS that they share.

use anyhow::{Context, Result, ensure};
use postern_tests::exchanger::{Exchanger, all_checks, field, header_of};
use postern_tests::gate::file_of_tree;
use postern_tests::peers::dkimpy::{Keys, Kind, Signing};
use postern_tests::peers::milter::Envelope;
use postern_tests::peers::nsd::Nsd;
use postern_tests::peers::opendkim::{Form, OpenDkim};
use postern_tests::peers::opendmarc::OpenDmarc;
use postern_tests::peers::rspamd::Rspamd;

use super::table::{Difference, Results, Row};

pub(crate) const RSA: Kind = Kind::Rsa(2048);
pub(crate) const SHORT_RSA: Kind = Kind::Rsa(1024);

/// Everything that is running. What is dropped first is declared first.
pub(crate) struct Bench {
    gate: Exchanger,
    rspamd: Rspamd,
    opendmarc: OpenDmarc,
    pub(crate) relaxed: OpenDkim,
    pub(crate) simple: OpenDkim,
    pub(crate) keys: Keys,
    _dns: Nsd,
}

impl Bench {
    pub(crate) fn start() -> Result<Self> {
        let keys = Keys::make(&[RSA, SHORT_RSA, Kind::Ed25519])?;
        let relaxed = OpenDkim::start("good.example", "relaxed", Form::Relaxed)?;
        let simple = OpenDkim::start("good.example", "simple", Form::Simple)?;
        let signers = relaxed.record()? + &simple.record()?;
        let dns = Nsd::start_for_system(&format!("{WORLD}\n{signers}\n{}", records_of(&keys)?))?;
        Ok(Self {
            gate: Exchanger::start(dns.address(), &all_checks("relaxed"), "")?,
            rspamd: Rspamd::start(dns.address())?,
            opendmarc: OpenDmarc::start(dns.address(), "gate.example.test")?,
            relaxed,
            simple,
            keys,
            _dns: dns,
        })
    }

    /// A message signed by `domain` with the key that `selector` names, in a form such as `relaxed/simple`.
    pub(crate) fn signed(&self, domain: &str, selector: &str, form: &str, message: &[u8]) -> Result<Vec<u8>> {
        self.keys.sign(&Signing { domain, selector, form, ..PLAIN }, message)
    }

    /// Puts every row to all three, and tells of all surprises at once.
    pub(crate) fn compare(&self, rows: &[Row]) -> Result<()> {
        let page = file_of_tree("docs/sender-authentication.md")?;
        let (mut surprises, mut explained) = (Vec::new(), Vec::new());
        for (number, row) in rows.iter().enumerate() {
            let found = self.judged(number, row).with_context(|| row.name.clone())?;
            for (who, found, difference) in [
                ("postern", found.0, &None),
                ("rspamd", found.1, &row.rspamd),
                ("opendmarc", found.2, &row.opendmarc),
            ] {
                let wanted =
                    difference.as_ref().map_or(&row.wanted, |difference: &Difference| &difference.found);
                if found != *wanted {
                    surprises.push(format!("{}: {who} says {found}, not {wanted}", row.name));
                }
                if let Some(Difference { heading, .. }) = difference {
                    explained.push(*heading);
                    ensure!(
                        page.contains(&format!("### {heading}\n")),
                        "the page does not explain: {heading}"
                    );
                }
            }
        }
        eprintln!(
            "{} messages, {} opinions of others, {} of them different and explained",
            rows.len(),
            rows.len() * 2,
            explained.len()
        );
        let (_, differences) = page.split_once("## Where others differ").unwrap_or_default();
        for heading in differences.lines().filter_map(|line| line.strip_prefix("### ")) {
            ensure!(explained.contains(&heading), "the page explains what no row shows: {heading}");
        }
        ensure!(surprises.is_empty(), "{} surprises:\n{}", surprises.len(), surprises.join("\n"));
        Ok(())
    }

    /// What the gate wrote, what rspamd would have written, and what OpenDMARC makes of the gate's results.
    fn judged(&self, number: usize, row: &Row) -> Result<(Results, Results, Results)> {
        let mailbox = format!("row{number}");
        let mut client = self.gate.client(row.client)?;
        client.expect(&format!("EHLO {}", row.helo), "250")?;
        client.envelope(&row.sender, &[&format!("{mailbox}@example.test")])?;
        let reply = client.message(&row.message)?;
        ensure!(reply.is("250 2.0.0"), "{reply}");
        // Maildir has the line ends of files.
        let stored = String::from_utf8_lossy(&self.gate.stored(&mailbox)?).replace('\n', "\r\n").into_bytes();
        let ours = Results::read(&field(&header_of(&stored)?, "Authentication-Results")?);

        let envelope =
            Envelope { client: row.client, name: "mx.good.example", helo: row.helo, sender: &row.sender };
        let rspamd = Results::read(&self.rspamd.results(&envelope, &row.message)?);
        let verdict = Results::read(&self.opendmarc.results(&envelope, &stored)?.unwrap_or_default());
        let opendmarc = Results { dmarc: verdict.dmarc, ..ours.clone() };
        Ok((ours, rspamd, opendmarc))
    }
}

/// How most messages are signed.
pub(crate) const PLAIN: Signing<'_> = Signing {
    kind: RSA,
    domain: "good.example",
    selector: "rsa",
    identity: "",
    form: "relaxed/relaxed",
    fields: "from:to:subject:date:message-id",
    length: false,
};

/// The keys, each under the names where the rows look for it.
fn records_of(keys: &Keys) -> Result<String> {
    let (rsa, short, ed25519) = (keys.public(RSA)?, keys.public(SHORT_RSA)?, keys.public(Kind::Ed25519)?);
    let whole = |tags: &str, key: &str| format!("{tags}p={key}");
    let mut records = vec![
        ("rsa._domainkey.good.example", whole("v=DKIM1; k=rsa; ", &rsa)),
        ("bare._domainkey.good.example", whole("", &rsa)),
        ("short._domainkey.good.example", whole("v=DKIM1; k=rsa; ", &short)),
        ("ed._domainkey.good.example", whole("v=DKIM1; k=ed25519; ", &ed25519)),
        ("testing._domainkey.good.example", whole("v=DKIM1; t=y; ", &rsa)),
        ("exact._domainkey.good.example", whole("v=DKIM1; t=s; ", &rsa)),
        ("revoked._domainkey.good.example", whole("v=DKIM1; ", "")),
        ("garbage._domainkey.good.example", whole("v=DKIM1; ", "@@@@")),
        ("other._domainkey.good.example", whole("v=DKIM1; ", &short)),
        ("kind._domainkey.good.example", whole("v=DKIM1; k=ed25519; ", &rsa)),
        ("sha1._domainkey.good.example", whole("v=DKIM1; h=sha1; ", &rsa)),
        ("service._domainkey.good.example", whole("v=DKIM1; s=tlsrpt; ", &rsa)),
        ("version._domainkey.good.example", whole("v=DKIM2; ", &rsa)),
    ];
    records.extend(WITH_RSA.map(|name| (name, whole("v=DKIM1; ", &rsa))));
    Ok(records.iter().map(|(name, text)| record(name, text)).collect())
}

/// More names of the RSA key.
const WITH_RSA: [&str; 10] = [
    "rsa._domainkey.news.good.example",
    "rsa._domainkey.strict.example",
    "rsa._domainkey.news.strict.example",
    "rsa._domainkey.below.example",
    "rsa._domainkey.two.bank.example",
    "rsa._domainkey.plain.example",
    "rsa._domainkey.stranger.example",
    "rsa._domainkey.quarantine.example",
    "arc._domainkey.hop1.example",
    "arc._domainkey.hop2.example",
];

/// A TXT record for a zone file, cut into strings.
fn record(name: &str, text: &str) -> String {
    let strings: Vec<String> = text
        .as_bytes()
        .chunks(200)
        .map(|string| format!("\"{}\"", String::from_utf8_lossy(string)))
        .collect();
    format!("{name}. IN TXT {}\n", strings.join(" "))
}

/// What the world knows. The client that most records permit is 192.0.2.1.
const WORLD: &str = r#"
1.2.0.192.in-addr.arpa. IN PTR mx.good.example.
mx.good.example. IN A 192.0.2.1
mx.good.example. IN AAAA 2001:db8::1
mx.good.example. IN TXT "v=spf1 a -all"
good.example. IN TXT "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"
good.example. IN A 192.0.2.1
_dmarc.good.example. IN TXT "v=DMARC1; p=reject; rua=mailto:d@good.example"
news.good.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"
news.good.example. IN A 192.0.2.1

plain.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"
bare.example. IN A 192.0.2.1
soft.example. IN TXT "v=spf1 ip4:192.0.2.77 ~all"
neutral.example. IN TXT "v=spf1 ip4:192.0.2.77 ?all"
silent.example. IN TXT "v=spf1 ip4:192.0.2.77"
double.example. IN TXT "v=spf1 -all"
double.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"
other.example. IN TXT "google-site-verification=abc"
other.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"
split.example. IN TXT "v=spf1 ip4:192." "0.2.1 -all"
syntax.example. IN TXT "v=spf1 ip4:nonsense -all"
late.example. IN TXT "v=spf1 ip4:192.0.2.1 what -all"
network.example. IN TXT "v=spf1 ip4:192.0.2.0/24 -all"
include.example. IN TXT "v=spf1 include:plain.example -all"
includefail.example. IN TXT "v=spf1 include:refuse.example ~all"
includenone.example. IN TXT "v=spf1 include:bare.example -all"
includebroken.example. IN TXT "v=spf1 include:broken.example -all"
refuse.example. IN TXT "v=spf1 -all"
redirect.example. IN TXT "v=spf1 redirect=plain.example"
redirectnone.example. IN TXT "v=spf1 redirect=bare.example"
exchange.example. IN TXT "v=spf1 mx -all"
exchange.example. IN MX 10 mx.good.example.
address.example. IN TXT "v=spf1 a:mx.good.example -all"
nearby.example. IN TXT "v=spf1 a:far.example/24 -all"
far.example. IN A 192.0.2.200
pointer.example. IN TXT "v=spf1 ptr:good.example -all"
exists.example. IN TXT "v=spf1 exists:%{ir}.%{l}.spf.exists.example -all"
1.2.0.192.bounce.spf.exists.example. IN A 127.0.0.2
void.example. IN TXT "v=spf1 a:v1.void.example a:v2.void.example a:v3.void.example ip4:192.0.2.1 -all"
circle.example. IN TXT "v=spf1 include:circle.example -all"
eleven.example. IN TXT "v=spf1 a:far.example a:far.example a:far.example a:far.example a:far.example a:far.example a:far.example a:far.example a:far.example a:far.example a:mx.good.example -all"
ten.example. IN TXT "v=spf1 a:far.example a:far.example a:far.example a:far.example a:far.example a:far.example a:far.example a:far.example a:far.example a:mx.good.example -all"
alias.example. IN CNAME plain.example.

_dmarc.strict.example. IN TXT "v=DMARC1; p=reject; adkim=s; aspf=s"
strict.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"
news.strict.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.quarantine.example. IN TXT "v=DMARC1; p=quarantine"
_dmarc.watch.example. IN TXT "v=DMARC1; p=none; rua=mailto:d@watch.example"
_dmarc.below.example. IN TXT "v=DMARC1; p=reject; sp=none"
there.below.example. IN A 192.0.2.9
_dmarc.own.below.example. IN TXT "v=DMARC1; p=quarantine"
_dmarc.absent.example. IN TXT "v=DMARC1; p=none; sp=none; np=reject"
_dmarc.trial.example. IN TXT "v=DMARC1; p=reject; t=y"
_dmarc.sampled.example. IN TXT "v=DMARC1; p=reject; pct=0"
_dmarc.twice.example. IN TXT "v=DMARC1; p=reject"
_dmarc.twice.example. IN TXT "v=DMARC1; p=none"
_dmarc.wrong.example. IN TXT "v=DMARC1; p=whatever"
_dmarc.reported.example. IN TXT "v=DMARC1; p=whatever; rua=mailto:d@reported.example"
_dmarc.later.example. IN TXT "p=reject; v=DMARC1"
_dmarc.bank.example. IN TXT "v=DMARC1; p=reject; psd=y"
"#;
