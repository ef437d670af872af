//! Policies of authors, with identifiers that belong to them or do not.

use anyhow::Result;

use super::bench::Bench;
use super::table::{Row, letter};

pub(crate) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let signed = |domain: &str, author: &str| bench.signed(domain, "rsa", "relaxed/relaxed", &letter(author));
    let by_spf = |author: &str, sender: &str, wanted: &str| {
        Row::new(format!("{author}, sent by {sender}"), sender, letter(author), wanted)
    };
    let by_dkim = |author: &str, domain: &str, wanted: &str| -> Result<Row> {
        let name = format!("{author}, signed by {domain}");
        Ok(Row::new(name, "bounce@bare.example", signed(domain, author)?, wanted))
    };
    Ok(vec![
        by_spf("a@good.example", "b@good.example", "spf=pass dmarc=pass")
            .opendmarc_says("dmarc=fail", "Senders in full"),
        by_spf("a@good.example", "b@news.good.example", "spf=pass dmarc=pass")
            .opendmarc_says("dmarc=fail", "Senders in full"),
        by_spf("a@news.good.example", "b@good.example", "spf=pass dmarc=pass")
            .opendmarc_says("dmarc=fail", "Senders in full"),
        by_spf("a@good.example", "b@plain.example", "spf=pass dmarc=fail"),
        by_spf("a@good.example", "b@refuse.example", "spf=fail dmarc=fail"),
        by_spf("a@good.example", "b@good.example", "spf=fail dmarc=fail").with_client("192.0.2.9"),
        by_spf("a@good.example", "b@includebroken.example", "spf=temperror dmarc=fail"),
        by_spf("a@good.example", "", "spf=pass dmarc=pass").opendmarc_says("dmarc=fail", "Senders in full"),
        by_spf("a@strict.example", "b@strict.example", "spf=pass dmarc=pass")
            .opendmarc_says("dmarc=fail", "Senders in full"),
        by_spf("a@strict.example", "b@news.strict.example", "spf=pass dmarc=fail"),
        by_dkim("a@good.example", "good.example", "dkim=pass dmarc=pass")?,
        by_dkim("a@good.example", "news.good.example", "dkim=pass dmarc=pass")?,
        by_dkim("a@news.good.example", "good.example", "dkim=pass dmarc=pass")?,
        by_dkim("a@good.example", "stranger.example", "dkim=pass dmarc=fail")?,
        by_dkim("a@strict.example", "strict.example", "dkim=pass dmarc=pass")?,
        by_dkim("a@strict.example", "news.strict.example", "dkim=pass dmarc=fail")?
            .opendmarc_says("dmarc=pass", "Strict alignment of DKIM"),
        by_dkim("a@plain.example", "plain.example", "dkim=pass dmarc=none")?,
        by_spf("a@quarantine.example", "b@plain.example", "spf=pass dmarc=fail"),
        by_dkim("a@quarantine.example", "quarantine.example", "dkim=pass dmarc=pass")?,
        by_spf("a@watch.example", "b@plain.example", "spf=pass dmarc=fail"),
        by_spf("a@below.example", "b@plain.example", "spf=pass dmarc=fail"),
        by_spf("a@there.below.example", "b@plain.example", "spf=pass dmarc=fail"),
        by_spf("a@own.below.example", "b@plain.example", "spf=pass dmarc=fail"),
        by_dkim("a@there.below.example", "below.example", "dkim=pass dmarc=pass")?,
        by_spf("a@nobody.absent.example", "b@plain.example", "spf=pass dmarc=fail"),
        by_spf("a@trial.example", "b@plain.example", "spf=pass dmarc=fail"),
        by_spf("a@sampled.example", "b@plain.example", "spf=pass dmarc=fail"),
        by_spf("a@twice.example", "b@plain.example", "spf=pass dmarc=none")
            .rspamd_says("dmarc=permerror", "Several DMARC records")
            .opendmarc_says("dmarc=fail", "Several DMARC records"),
        by_spf("a@wrong.example", "b@plain.example", "spf=pass dmarc=none")
            .rspamd_says("dmarc=permerror", "DMARC records without a policy")
            .opendmarc_says("dmarc=permerror", "DMARC records without a policy"),
        by_spf("a@reported.example", "b@plain.example", "spf=pass dmarc=fail")
            .rspamd_says("dmarc=permerror", "DMARC records without a policy")
            .opendmarc_says("dmarc=permerror", "DMARC records without a policy"),
        by_spf("a@later.example", "b@plain.example", "spf=pass dmarc=none")
            .opendmarc_says("dmarc=fail", "Versions that do not come first"),
        by_spf("a@nowhere.example", "b@plain.example", "spf=pass dmarc=none"),
        by_spf("a@broken.example", "b@plain.example", "spf=pass dmarc=temperror")
            .opendmarc_says("dmarc=none", "Policies that cannot be had"),
        by_spf("a@good.example, b@good.example", "b@plain.example", "spf=pass dmarc=fail")
            .opendmarc_says("dmarc=none", "Several authors"),
        by_spf("a@good.example, b@plain.example", "b@plain.example", "spf=pass dmarc=none"),
        by_spf("nobody", "b@plain.example", "spf=pass dmarc=none"),
        by_dkim("a@one.bank.example", "two.bank.example", "dkim=pass dmarc=fail")?
            .rspamd_says("dmarc=pass", "Organizations")
            .opendmarc_says("dmarc=pass", "Organizations"),
    ])
}
