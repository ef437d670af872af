//! Policies in a zone, identifiers, and what comes of them.

use postern_core::session::check::CheckResult::{Fail, None as NoPolicy, Pass, TempError};
use postern_core::session::check::SignatureTags;

use super::*;
use crate::dns::testing::{Nameserver, Zone};

fn signature(domain: &str, result: CheckResult) -> Signature {
    let tags = SignatureTags {
        domain: domain.into(),
        selector: "s".into(),
        identity: None,
        start: "12345678".into(),
    };
    Signature { result, tags: Some(tags), reason: None }
}

fn spf(domain: &str, result: CheckResult) -> SpfIdentity {
    SpfIdentity { domain: domain.into(), result }
}

async fn evaluated(
    zone: Zone,
    author: &str,
    signatures: &[Signature],
    spf: Option<&SpfIdentity>,
) -> (CheckResult, DmarcPolicy) {
    let server = Nameserver::start(zone).await;
    let resolver = server.resolver();
    let walk = walk(&resolver, author).await;
    let dmarc = evaluate(&resolver, author, walk, signatures, spf).await;
    assert_eq!(&*dmarc.from, author);
    (dmarc.result, dmarc.policy)
}

fn policy(text: &str) -> Zone {
    Zone::new().txt("_dmarc.example.org", &[text])
}

#[tokio::test]
async fn identifiers_align_as_the_policy_says() {
    for (record, author, dkim, spf_domain, wanted) in [
        ("p=reject", "example.org", "example.org", "", Pass),
        ("p=reject", "example.org", "", "example.org", Pass),
        ("p=reject", "example.org", "mail.example.org", "", Pass),
        ("p=reject", "example.org", "", "MAIL.example.org.", Pass),
        ("p=reject", "news.example.org", "example.org", "", Pass),
        ("p=reject", "news.example.org", "mail.example.org", "", Pass),
        ("p=reject", "example.org", "badexample.org", "org", Fail),
        ("p=reject", "example.org", "example.net", "example.com", Fail),
        ("p=reject", "example.org", "", "", Fail),
        ("p=reject; adkim=s", "example.org", "mail.example.org", "", Fail),
        ("p=reject; adkim=s", "example.org", "example.org", "", Pass),
        ("p=reject; adkim=s", "example.org", "", "mail.example.org", Pass),
        ("p=reject; aspf=s", "example.org", "", "mail.example.org", Fail),
        ("p=reject; aspf=s", "example.org", "mail.example.org", "", Pass),
        ("p=reject; aspf=s", "news.example.org", "", "news.example.org", Pass),
        ("p=reject; aspf=s; adkim=s", "news.example.org", "example.org", "example.org", Fail),
    ] {
        let signatures = [signature(dkim, Pass)];
        let zone = policy(&format!("v=DMARC1; {record}"));
        let (result, _) = evaluated(zone, author, &signatures, Some(&spf(spf_domain, Pass))).await;
        assert_eq!(result, wanted, "{record} {author} {dkim} {spf_domain}");
    }
}

#[tokio::test]
async fn only_what_passed_counts() {
    for (dkim, spf_result, wanted) in [
        (Fail, Pass, Pass),
        (Pass, Fail, Pass),
        (Fail, CheckResult::SoftFail, Fail),
        (CheckResult::PermError, CheckResult::Neutral, Fail),
        (TempError, Fail, TempError),
        (Fail, TempError, TempError),
        (TempError, Pass, Pass),
    ] {
        let signatures = [signature("example.org", dkim)];
        let identity = spf("example.org", spf_result);
        let found =
            evaluated(policy("v=DMARC1; p=reject"), "example.org", &signatures, Some(&identity)).await;
        assert_eq!(found, (wanted, DmarcPolicy::Reject), "{dkim:?} {spf_result:?}");
    }
    let elsewhere = [signature("example.net", TempError)];
    assert_eq!(evaluated(policy("v=DMARC1; p=reject"), "example.org", &elsewhere, None).await.0, Fail);
    let unreadable = [Signature::from(CheckResult::Neutral)];
    assert_eq!(evaluated(policy("v=DMARC1; p=reject"), "example.org", &unreadable, None).await.0, Fail);
}

#[tokio::test]
async fn names_below_have_the_policy_for_names_below() {
    let asked = async |record: &str, author: &str| {
        let zone = policy(&format!("v=DMARC1; {record}")).a("there.example.org", "192.0.2.1");
        evaluated(zone, author, &[], None).await.1
    };
    use DmarcPolicy::{None as No, Quarantine, Reject};
    for (record, author, wanted) in [
        ("p=reject", "example.org", Reject),
        ("p=reject", "there.example.org", Reject),
        ("p=reject; sp=none", "example.org", Reject),
        ("p=reject; sp=none", "there.example.org", No),
        ("p=reject; sp=none", "absent.example.org", No),
        ("p=none; sp=quarantine; np=reject", "there.example.org", Quarantine),
        ("p=none; sp=quarantine; np=reject", "absent.example.org", Reject),
        ("p=none; np=reject", "there.example.org", No),
        ("p=reject; t=y", "example.org", Quarantine),
        ("p=quarantine; t=y", "example.org", No),
        ("p=none; t=y", "example.org", No),
        ("p=reject; t=n; pct=0", "example.org", Reject),
        ("p=oops; rua=mailto:a@example.org", "example.org", No),
    ] {
        assert_eq!(asked(record, author).await, wanted, "{record} {author}");
    }
}

#[tokio::test]
async fn without_a_usable_record_there_is_no_policy() {
    for texts in [
        &["v=spf1 -all"][..],
        &["v=DMARC1"],
        &["v=DMARC1; p=oops"],
        &["v=DMARC1; p=reject", "v=DMARC1; p=none"],
        &["v=DMARC1; p=reject; p=none"],
    ] {
        let zone = Zone::new().txt("_dmarc.example.org", texts);
        let signatures = [signature("example.org", Pass)];
        let found = evaluated(zone, "example.org", &signatures, None).await;
        assert_eq!(found, (NoPolicy, DmarcPolicy::None), "{texts:?}");
    }
    assert_eq!(evaluated(Zone::new(), "example.org", &[], None).await.0, NoPolicy);
    assert_eq!(evaluated(Zone::new(), "localhost", &[], None).await.0, NoPolicy);
}

#[tokio::test]
async fn a_policy_that_cannot_be_had_is_a_temporary_error() {
    let zone = Zone::new().server_failure("_dmarc.example.org");
    assert_eq!(evaluated(zone, "example.org", &[], None).await, (TempError, DmarcPolicy::None));
    let below = policy("v=DMARC1; p=reject").server_failure("_dmarc.mail.example.org");
    let signatures = [signature("mail.example.org", Pass)];
    assert_eq!(evaluated(below, "example.org", &signatures, None).await.0, TempError);
}

#[tokio::test]
async fn names_below_a_public_suffix_belong_to_different_organizations() {
    let zone = Zone::new()
        .txt("_dmarc.bank", &["v=DMARC1; p=reject; psd=y"])
        .txt("_dmarc.one.bank", &["v=DMARC1; p=none"]);
    let other = [signature("two.bank", Pass)];
    assert_eq!(evaluated(zone.clone(), "one.bank", &other, None).await, (Fail, DmarcPolicy::None));
    let own = [signature("mail.one.bank", Pass)];
    assert_eq!(evaluated(zone.clone(), "one.bank", &own, None).await.0, Pass);
    // One without a record of its own has that of the suffix.
    assert_eq!(evaluated(zone.clone(), "two.bank", &own, None).await, (Fail, DmarcPolicy::Reject));
    let two = [signature("mail.two.bank", Pass)];
    assert_eq!(evaluated(zone, "two.bank", &two, None).await.0, Pass);
}

#[tokio::test]
async fn a_department_may_be_an_organization_of_its_own() {
    let zone = policy("v=DMARC1; p=reject").txt("_dmarc.lab.example.org", &["v=DMARC1; p=none; psd=n"]);
    let parent = [signature("example.org", Pass)];
    assert_eq!(evaluated(zone.clone(), "x.lab.example.org", &parent, None).await, (Fail, DmarcPolicy::None));
    let own = [signature("lab.example.org", Pass)];
    assert_eq!(evaluated(zone.clone(), "x.lab.example.org", &own, None).await.0, Pass);
    assert_eq!(evaluated(zone, "example.org", &own, None).await.0, Fail);
}

#[test]
fn long_names_are_asked_for_in_eight_steps() {
    assert_eq!(names_of_walk("a.example.org"), ["a.example.org", "example.org", "org"]);
    let long = names_of_walk("a.b.c.d.e.f.g.h.i.j.example.org");
    assert_eq!(long.len(), 8);
    assert_eq!(long[1], "f.g.h.i.j.example.org");
    assert_eq!(names_of_walk("a.b.c.d.e.f.g.org")[1], "b.c.d.e.f.g.org");
    assert!(names_of_walk("org").is_empty());
}

#[test]
fn the_part_below_a_suffix_has_one_label_more() {
    assert_eq!(one_label_below("bank", "a.b.one.bank"), "one.bank");
    assert_eq!(one_label_below("co.example", "one.co.example"), "one.co.example");
}

/// What `docs/adr/0002` says of the library: when this fails, that page is due for another look.
#[tokio::test]
async fn the_library_takes_records_that_are_none() {
    use mail_auth::dmarc::{Policy, verify::DmarcParameters};
    use mail_auth::{AuthenticatedMessage, MessageAuthenticator, SpfOutput};
    for (texts, library, ours) in [
        (&["v=DMARC1; p=reject", "v=DMARC1; p=none"][..], Policy::Reject, NoPolicy),
        (&["v=DMARC1; p=none", "v=DMARC1; p=reject"], Policy::None, NoPolicy),
        (&["v=DMARC1; p=none; p=reject"], Policy::Reject, NoPolicy),
        (&["v=DMARC1; p=reject"], Policy::Reject, Fail),
    ] {
        let zone = Zone::new().txt("_dmarc.example.org", texts);
        let server = Nameserver::start(zone.clone()).await;
        let message = AuthenticatedMessage::parse(b"From: a@example.org\r\n\r\n").unwrap();
        let unsigned = SpfOutput::new("example.net".into());
        let parameters = DmarcParameters::new(&message, &[], "example.net", &unsigned);
        let output = MessageAuthenticator(server.library()).verify_dmarc(parameters).await;
        assert_eq!(output.policy(), library, "{texts:?}");
        assert_eq!(evaluated(zone, "example.org", &[], None).await.0, ours, "{texts:?}");
    }
}
