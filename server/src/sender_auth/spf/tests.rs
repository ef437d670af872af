//! SPF from the outside: a client, a zone, and a result.

use postern_core::session::check::CheckResult::{Fail, Neutral, None, Pass, PermError, SoftFail, TempError};

use super::*;
use crate::dns::testing::{Nameserver, Zone};

const CLIENT: &str = "192.0.2.1";
const CLIENT_SIX: &str = "2001:db8::1";

async fn check(zone: Zone, client: &str) -> Outcome {
    let server = Nameserver::start(zone).await;
    let identity = Identity {
        ip: client.parse().unwrap(),
        helo: "mx.sender.example",
        local_part: "alice",
        domain: "example.org",
    };
    check_host(&server.resolver(), identity).await
}

fn published(record: &str) -> Zone {
    Zone::new().txt("example.org", &[record])
}

/// What the names are that records in these tests speak of.
fn world(record: &str) -> Zone {
    published(record)
        .a("mine.example", CLIENT)
        .aaaa("mine.example", CLIENT_SIX)
        .a("near.example", "192.0.2.77")
        .aaaa("near.example", "2001:db8::77")
        .a("far.example", "198.51.100.1")
        .mx("exchange.example", 10, "far.example")
        .mx("exchange.example", 20, "mine.example")
        .txt("pass.example", &["v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"])
        .txt("fail.example", &["v=spf1 -all"])
        .txt("soft.example", &["v=spf1 ~all"])
        .txt("neutral.example", &["v=spf1 ?all"])
        .txt("silent.example", &["v=spf1"])
        .txt("malformed.example", &["v=spf1 what"])
        .ptr(CLIENT, "mine.example")
        .ptr(CLIENT_SIX, "mine.example")
        .server_failure("broken.example")
}

#[tokio::test]
async fn every_mechanism_matches_what_it_is_for() {
    for (terms, wanted) in [
        ("", Neutral),
        ("all", Pass),
        ("-all", Fail),
        ("~all", SoftFail),
        ("?all", Neutral),
        ("ip4:192.0.2.1 -all", Pass),
        ("ip4:192.0.2.0/24 -all", Pass),
        ("ip4:192.0.2.2 -all", Fail),
        ("ip4:0.0.0.0/0 -all", Pass),
        ("ip6:2001:db8::1 -all", Fail),
        ("ip6:::ffff:192.0.2.1 -all", Fail),
        ("a:mine.example -all", Pass),
        ("a:near.example -all", Fail),
        ("a:near.example/25 -all", Pass),
        ("a:nowhere.example -all", Fail),
        ("a:broken.example -all", TempError),
        ("mx:exchange.example -all", Pass),
        ("mx:mine.example -all", Fail),
        ("mx:broken.example -all", TempError),
        ("ptr:mine.example -all", Pass),
        ("ptr:ne.example -all", Fail),
        ("ptr:other.example -all", Fail),
        ("exists:far.example -all", Pass),
        ("exists:nowhere.example -all", Fail),
        ("exists:broken.example -all", TempError),
        ("include:pass.example -all", Pass),
        ("-include:pass.example ~all", Fail),
        ("include:fail.example ~all", SoftFail),
        ("include:soft.example -all", Fail),
        ("include:neutral.example -all", Fail),
        ("include:silent.example -all", Fail),
        ("include:malformed.example -all", PermError),
        ("include:nowhere.example -all", PermError),
        ("include:broken.example -all", TempError),
        ("redirect=pass.example", Pass),
        ("redirect=fail.example", Fail),
        ("redirect=nowhere.example", PermError),
        ("redirect=broken.example", TempError),
        ("redirect=pass.example -all", Fail),
        ("ip4:192.0.2.1 what", PermError),
    ] {
        let outcome = check(world(&format!("v=spf1 {terms}")), CLIENT).await;
        assert_eq!(outcome.result, wanted, "{terms}: {:?}", outcome.reason);
    }
}

#[tokio::test]
async fn clients_with_ipv6_are_compared_with_ipv6() {
    for (terms, wanted) in [
        ("ip6:2001:db8::/64 -all", Pass),
        ("ip4:0.0.0.0/0 -all", Fail),
        ("a:mine.example -all", Pass),
        ("a:near.example//64 -all", Pass),
        ("a:near.example/0 -all", Fail),
        ("mx:exchange.example -all", Pass),
        ("ptr:mine.example -all", Pass),
        ("exists:%{ir}.%{v}.x.example -all", Fail),
        ("exists:far.example -all", Pass),
    ] {
        let outcome = check(world(&format!("v=spf1 {terms}")), CLIENT_SIX).await;
        assert_eq!(outcome.result, wanted, "{terms}: {:?}", outcome.reason);
    }
}

#[tokio::test]
async fn a_mapped_address_is_an_ipv4_address() {
    assert_eq!(check(published("v=spf1 ip4:192.0.2.1 -all"), "::ffff:192.0.2.1").await.result, Pass);
}

#[tokio::test]
async fn macros_name_the_parts_of_the_question() {
    for (spec, name) in [
        ("%{i}._spf.%{d2}", "192.0.2.1._spf.example.org"),
        ("%{ir}.%{v}.%{d}", "1.2.0.192.in-addr.example.org"),
        ("%{l}.%{o}", "alice.example.org"),
        ("%{s}.x.%{d}", "alice@example.org.x.example.org"),
        ("%{S}.x.%{d}", "alice%40example.org.x.example.org"),
        ("%{h}.x.%{d}", "mx.sender.example.x.example.org"),
        ("%{p}.x.%{d}", "mine.example.x.example.org"),
    ] {
        let zone = world(&format!("v=spf1 exists:{spec} -all")).a(name, "127.0.0.2");
        assert_eq!(check(zone, CLIENT).await.result, Pass, "{spec}");
    }
}

#[tokio::test]
async fn a_domain_has_one_record_or_none() {
    let two = Zone::new().txt("example.org", &["v=spf1 -all", "other=1", "v=spf1 all"]);
    let other = Zone::new().txt("example.org", &["v=spf10 -all", "spf2.0/pra -all", "hello"]);
    assert_eq!(check(two, CLIENT).await.result, PermError);
    assert_eq!(check(other, CLIENT).await.result, None);
    assert_eq!(check(Zone::new(), CLIENT).await.result, None);
    assert_eq!(check(Zone::new().server_failure("example.org"), CLIENT).await.result, TempError);
    let split = Zone::new().txt_strings("example.org", &["v=spf1 ip4:192.", "0.2.1 -all"]);
    assert_eq!(check(split, CLIENT).await.result, Pass);
}

#[tokio::test]
async fn names_that_are_no_domains_are_not_asked_for() {
    let server = Nameserver::start(Zone::new()).await;
    let long = format!("{}.example", "a".repeat(64));
    for domain in ["", "localhost", "[192.0.2.1]", "192.0.2.1", "a..example", &long] {
        let identity =
            Identity { ip: CLIENT.parse().unwrap(), helo: domain, local_part: "postmaster", domain };
        assert_eq!(check_host(&server.resolver(), identity).await.result, None, "{domain}");
    }
    assert_eq!(server.questions(), 0);
}

#[tokio::test]
async fn no_more_than_ten_terms_may_need_lookups() {
    let includes = |count: usize| {
        let mut zone = published("v=spf1 include:s1.example -all");
        for at in 1..=count {
            let next = at + 1;
            let text =
                if at == count { "v=spf1 all".into() } else { format!("v=spf1 include:s{next}.example") };
            zone = zone.txt(&format!("s{at}.example"), &[&text]);
        }
        zone
    };
    assert_eq!(check(includes(10), CLIENT).await.result, Pass);
    assert_eq!(check(includes(11), CLIENT).await.result, PermError);
    let many = |count: usize| {
        let terms: Vec<_> = (0..count).map(|_| "a:far.example").collect();
        world(&format!("v=spf1 {} all", terms.join(" ")))
    };
    assert_eq!(check(many(10), CLIENT).await.result, Pass);
    assert_eq!(check(many(11), CLIENT).await.result, PermError);
}

#[tokio::test]
async fn records_that_send_to_each_other_end() {
    for record in ["v=spf1 include:example.org", "v=spf1 redirect=example.org", "v=spf1 include:b.example"] {
        let zone = published(record).txt("b.example", &["v=spf1 redirect=example.org"]);
        assert_eq!(check(zone, CLIENT).await.result, PermError, "{record}");
    }
}

#[tokio::test]
async fn no_more_than_two_lookups_may_find_nothing() {
    let voids = |count: usize| {
        let terms: Vec<_> = (0..count).map(|at| format!("a:void{at}.example")).collect();
        published(&format!("v=spf1 {} ip4:192.0.2.1 -all", terms.join(" ")))
    };
    assert_eq!(check(voids(2), CLIENT).await.result, Pass);
    assert_eq!(check(voids(3), CLIENT).await.result, PermError);
}

#[tokio::test]
async fn exchangers_and_names_are_bounded() {
    let hosts = |count: u16| {
        (0..count).fold(world("v=spf1 mx:many.example -all"), |zone, at| {
            zone.mx("many.example", at, &format!("m{at}.example")).a(&format!("m{at}.example"), "192.0.2.1")
        })
    };
    assert_eq!(check(hosts(10), CLIENT).await.result, Pass);
    assert_eq!(check(hosts(11), CLIENT).await.result, PermError);
    let names = (0..30).fold(published("v=spf1 ptr:p.example -all"), |zone, at| {
        zone.ptr(CLIENT, &format!("n{at}.elsewhere.example")).a(&format!("n{at}.elsewhere.example"), CLIENT)
    });
    let server = Nameserver::start(names).await;
    let identity =
        Identity { ip: CLIENT.parse().unwrap(), helo: "x.example", local_part: "a", domain: "example.org" };
    assert_eq!(check_host(&server.resolver(), identity).await.result, Fail);
    assert_eq!(server.questions(), 12, "the record, the names, and ten of them");
}

#[tokio::test]
async fn a_name_that_nobody_confirms_does_not_match() {
    let zone = published("v=spf1 ptr:mine.example -all")
        .ptr(CLIENT, "x.mine.example")
        .a("x.mine.example", "198.51.100.1");
    assert_eq!(check(zone, CLIENT).await.result, Fail);
    let below =
        published("v=spf1 ptr:mine.example -all").ptr(CLIENT, "x.mine.example").a("x.mine.example", CLIENT);
    assert_eq!(check(below, CLIENT).await.result, Pass);
}
