//! Filters as RFC 4515 has them, and values that try to be more than values.

use proptest::prelude::*;

use super::super::ber::Reader;
use super::*;

fn encoded(text: &str, name: &str) -> Vec<u8> {
    Filter::parse(text).unwrap().encode(Subject::of(name))
}

/// The filter again as text, read from its octets.
fn shown(filter: &[u8]) -> String {
    let (tag, content) = Reader::new(filter).next().unwrap();
    let all = |content| {
        let mut reader = Reader::new(content);
        let mut parts = Vec::new();
        while !reader.is_empty() {
            parts.push(reader.next().unwrap());
        }
        parts
    };
    let text = |octets: &[u8]| octets.escape_ascii().to_string();
    let inner = |content| {
        let whole = all(content).into_iter().map(|(tag, content)| {
            let mut one = Vec::new();
            ber::octets(&mut one, tag, content);
            shown(&one)
        });
        whole.collect::<String>()
    };
    match tag {
        AND => format!("(&{})", inner(content)),
        OR => format!("(|{})", inner(content)),
        NOT => format!("(!{})", inner(content)),
        PRESENT => format!("({}=*)", text(content)),
        _ => {
            let parts: Vec<String> =
                all(content).iter().map(|(tag, content)| format!("{tag:x}:{}", text(content))).collect();
            format!("({tag:x} {})", parts.join(" "))
        }
    }
}

#[test]
fn every_kind_of_filter_is_encoded() {
    for (filter, wanted) in [
        ("(cn=Babs Jensen)", "(a3 4:cn 4:Babs Jensen)"),
        ("(!(cn=Tim))", "(!(a3 4:cn 4:Tim))"),
        (
            "(&(objectClass=person)(|(sn=J)(mail=*)))",
            "(&(a3 4:objectClass 4:person)(|(a3 4:sn 4:J)(mail=*)))",
        ),
        ("(a>=1)", "(a5 4:a 4:1)"),
        ("(a<=1)", "(a6 4:a 4:1)"),
        ("(a~=b)", "(a8 4:a 4:b)"),
        ("(o=a*b*c)", "(a4 4:o 30:\\x80\\x01a\\x81\\x01b\\x82\\x01c)"),
        ("(o=*b*)", "(a4 4:o 30:\\x81\\x01b)"),
        ("(cn:caseExactMatch:=x)", "(a9 81:caseExactMatch 82:cn 83:x)"),
        ("(sn:dn:2.4.6:=x)", "(a9 81:2.4.6 82:sn 83:x 84:\\xff)"),
        ("(:1.2.3:=x)", "(a9 81:1.2.3 83:x)"),
        ("(seeAlso=)", "(a3 4:seeAlso 4:)"),
        (r"(o=\28\2a\29\5c)", "(a3 4:o 4:(*)\\\\)"),
        ("(&(a=1)\n  (b=2)\n)\n", "(&(a3 4:a 4:1)(a3 4:b 4:2))"),
    ] {
        assert_eq!(shown(&encoded(filter, "x")), wanted, "{filter}");
    }
}

#[test]
fn variables_are_the_parts_of_the_address() {
    let filter = "(|(mail={address})(uid={local})(proxyAddresses=smtp:{local}@{domain}))";
    assert_eq!(
        shown(&encoded(filter, "ann@example.org")),
        "(|(a3 4:mail 4:ann@example.org)(a3 4:uid 4:ann)(a3 4:proxyAddresses 4:smtp:ann@example.org))"
    );
    assert_eq!(shown(&encoded("(&(a={domain})(b={local}))", "ann")), "(&(a3 4:a 4:)(a3 4:b 4:ann))");
}

#[test]
fn a_filter_knows_whether_it_names_anybody() {
    for (filter, names) in [
        ("(mail={address})", true),
        ("(&(a=b)(!(mail=*{local}*)))", true),
        ("(mail=*)", false),
        (r"(mail=\7baddress})", false),
    ] {
        assert_eq!(Filter::parse(filter).unwrap().names_subject(), names, "{filter}");
    }
}

#[test]
fn faults_have_their_place() {
    for (filter, column, words) in [
        ("mail={address}", 1, "begins with"),
        ("(mail={address}", 16, "`)` is missing"),
        ("(mail={address}))", 17, "follows"),
        ("(mail={user})", 7, "{address}"),
        ("(=x)", 2, "name of an attribute"),
        ("(mail)", 6, "is missing"),
        (r"(mail=a\zz)", 8, "hexadecimal"),
        ("(mail=a(b)", 8, "\\28"),
        ("(&)", 3, "begins with"),
        ("(mail=**)", 9, "`**`"),
        ("(a>=b*)", 6, "goes with `=` only"),
        ("(é=x)", 2, "attribute"),
        ("", 1, "begins with"),
    ] {
        let fault = Filter::parse(filter).unwrap_err();
        assert_eq!((fault.line, fault.column), (1, column), "{filter}: {fault}");
        assert!(fault.message.contains(words), "{filter}: {fault}");
    }
    let fault = Filter::parse("(&\n (a=1)\n (b)\n)").unwrap_err();
    assert_eq!((fault.line, fault.column), (3, 4));
}

#[test]
fn a_filter_of_endless_depth_is_refused() {
    let deep = "(!".repeat(100_000);
    assert!(Filter::parse(&deep).unwrap_err().message.contains("too deeply"));
}

#[test]
fn injection_stays_a_value() {
    let attack = "*)(uid=*))(|(uid=*";
    assert_eq!(shown(&encoded("(mail={address})", attack)), format!("(a3 4:mail 4:{attack})"));
}

proptest! {
    #[test]
    fn no_name_changes_the_form_of_a_filter(name in ".*") {
        let filter = encoded("(&(objectClass=person)(mail={address}))", &name);
        let mut both = Reader::new(Reader::new(&filter).expect(AND).unwrap());
        both.expect(EQUAL).unwrap();
        let mut assertion = Reader::new(both.expect(EQUAL).unwrap());
        prop_assert!(both.is_empty());
        prop_assert_eq!(assertion.expect(ber::OCTETS).unwrap(), b"mail");
        prop_assert_eq!(assertion.expect(ber::OCTETS).unwrap(), name.as_bytes());
        prop_assert!(assertion.is_empty());
    }

    #[test]
    fn no_text_breaks_the_parser(text in "[(&|!)a=*\\\\{}:~<>2 ]{0,60}") {
        if let Ok(filter) = Filter::parse(&text) {
            Reader::new(&filter.encode(Subject::of("a@b"))).next().unwrap();
        }
    }
}
