//! Every function, by example. A row says that both sources have the same value.

use std::borrow::Cow;

use super::{World, assert_table, value};
use crate::expr::functions::{Body, Function};
use crate::expr::{Expression, Scope, Value, pure_functions};

const TEXT: &[(&str, &str)] = &[
    ("trim(' \ta b\r\n')", "'a b'"),
    ("trim([' a', 'b ', [' c ']])", "['a', 'b', ['c']]"),
    ("trim(5)", "'5'"),
    ("trim_start(' a ')", "'a '"),
    ("trim_end(' a ')", "' a'"),
    ("to_lowercase('ÄB1')", "'äb1'"),
    ("to_lowercase(['A', 'b'])", "['a', 'b']"),
    ("to_uppercase('äß1')", "'ÄSS1'"),
    ("is_lowercase('a1-ä')", "1"),
    ("is_lowercase('aB')", "0"),
    ("is_lowercase('12')", "1"),
    ("is_lowercase(['a', 'B'])", "[1, 0]"),
    ("is_uppercase('A 1Ä')", "1"),
    ("is_uppercase('Ab')", "0"),
    ("has_digits('a1')", "1"),
    ("has_digits('ab')", "0"),
    ("has_digits(['a', '7'])", "[0, 1]"),
    ("len('äb')", "3"),
    ("len('')", "0"),
    ("len([1, 2])", "2"),
    ("len(100)", "3"),
    ("count_chars('äb')", "2"),
    ("count_spaces('a b\tc')", "2"),
    ("count_uppercase('aBÄ1')", "2"),
    ("count_lowercase('aBä1')", "2"),
    ("contains('abc', 'bc')", "1"),
    ("contains('abc', 'BC')", "0"),
    ("contains('abc', '')", "1"),
    ("contains(['abc', 'd'], 'bc')", "0"),
    ("contains(['abc', 'd'], 'd')", "1"),
    ("contains(['1', 2], 1)", "1"),
    ("contains(1234, 23)", "1"),
    ("contains(recipients, 'anna@example.org')", "1"),
    ("contains_ignore_case('aBc', 'Bc')", "1"),
    ("contains_ignore_case('ÄB', 'äb')", "1"),
    ("contains_ignore_case(['aB', 'c'], 'Ab')", "1"),
    ("contains_ignore_case(['aBc'], 'ab')", "0"),
    ("eq_ignore_case('aB', 'Ab')", "1"),
    ("eq_ignore_case('Ä', 'ä')", "0"),
    ("starts_with('abc', 'ab')", "1"),
    ("starts_with('abc', 'b')", "0"),
    ("ends_with('abc', 'bc')", "1"),
    ("ends_with('abc', 'b')", "0"),
    ("strip_prefix('abc', 'ab')", "'c'"),
    ("strip_prefix('abc', 'x')", "''"),
    ("strip_suffix('abc', 'bc')", "'a'"),
    ("strip_suffix('abc', 'x')", "''"),
    ("substring('äbcd', 1, 2)", "'bc'"),
    ("substring('abc', 0, 99)", "'abc'"),
    ("substring('abc', 3, 1)", "''"),
    ("substring('abc', 9, 1)", "''"),
    ("substring('abc', 1, 0)", "''"),
    ("substring('abc', -1, 2)", "'ab'"),
    ("substring('abc', '1', 'x')", "''"),
];

const SPLIT: &[(&str, &str)] = &[
    ("lines('a\\nb\\r\\nc')", "['a', 'b', 'c']"),
    ("lines('')", "[]"),
    ("split('a,b,,c', ',')", "['a', 'b', '', 'c']"),
    ("split('abc', 'x')", "['abc']"),
    ("split('', ',')", "['']"),
    ("split('äb', '')", "['', 'ä', 'b', '']"),
    ("rsplit('a,b,c', ',')", "['c', 'b', 'a']"),
    ("split_once('a=b=c', '=')", "['a', 'b=c']"),
    ("split_once('abc', '=')", "''"),
    ("rsplit_once('a=b=c', '=')", "['a=b', 'c']"),
    ("rsplit_once('abc', '=')", "''"),
    ("split_n('a,b,c,d', ',', 2)", "['a', 'b', 'c,d']"),
    ("split_n('a,b', ',', 9)", "['a', 'b']"),
    ("split_n('a,b', ',', 0)", "['a,b']"),
    ("split_n('a,b', ',', -4)", "['a,b']"),
    ("split_words('one two-2 drei 4 fünf!')", "['one', 'drei', '4']"),
];

const LISTS: &[(&str, &str)] = &[
    ("count([1, 2, 3])", "3"),
    ("count([])", "0"),
    ("count('a')", "1"),
    ("count('')", "0"),
    ("count(0)", "1"),
    ("count(recipients)", "2"),
    ("sort(['b', 'a', 'c'], true)", "['a', 'b', 'c']"),
    ("sort(['b', 'a', 'c'], false)", "['c', 'b', 'a']"),
    ("sort([10, 9, 2.5], 1)", "[2.5, 9, 10]"),
    ("sort(['a', 10, [1], '9'], 1)", "[10, '9', 'a', [1]]"),
    ("sort('a', 1)", "['a']"),
    ("dedup(['a', 'b', 'a', 'c', 'b'])", "['a', 'b', 'c']"),
    ("dedup([1, '1', 2, 1])", "[1, 2]"),
    ("dedup('')", "[]"),
    ("winnow(['a', '', 'b', 0])", "['a', 'b', 0]"),
    ("winnow('')", "[]"),
    ("is_intersect(['a', 'b'], ['c', 'b'])", "1"),
    ("is_intersect(['a'], ['c'])", "0"),
    ("is_intersect('a', ['b', 'a'])", "1"),
    ("is_intersect(['b', 'a'], 'a')", "1"),
    ("is_intersect([1], ['1'])", "1"),
    ("is_intersect('', [''])", "0"),
];

const ADDRESSES: &[(&str, &str)] = &[
    ("is_email('a@b.c')", "1"),
    ("is_email('a@b')", "0"),
    ("is_email('@b.c')", "0"),
    ("is_email('a@')", "0"),
    ("is_email('a@b.c@d.e')", "0"),
    ("is_email('\"a@b\"@c.d')", "1"),
    ("is_email('a b@c.d')", "0"),
    ("is_email('a@b..c')", "0"),
    ("is_email('a@.b')", "0"),
    ("is_email('\"a@b.c')", "0"),
    ("is_email('a')", "0"),
    ("is_email('')", "0"),
    ("email_part('anna@b.c', 'local')", "'anna'"),
    ("email_part('anna@b.c', 'domain')", "'b.c'"),
    ("email_part('\"a@b\"@c.d', 'local')", "'\"a@b\"'"),
    ("email_part('anna', 'local')", "''"),
    ("email_part('anna@b.c', 'other')", "''"),
    ("is_ip_addr('192.0.2.1')", "1"),
    ("is_ip_addr('2001:db8::1')", "1"),
    ("is_ip_addr('[192.0.2.1]')", "0"),
    ("is_ip_addr(1)", "0"),
    ("is_ipv4_addr('192.0.2.1')", "1"),
    ("is_ipv4_addr('2001:db8::1')", "0"),
    ("is_ipv6_addr('2001:db8::1')", "1"),
    ("is_ipv6_addr('192.0.2.1')", "0"),
    ("ip_reverse_name('192.0.2.1')", "'1.2.0.192'"),
    (
        "ip_reverse_name('2001:db8::567:89ab')",
        "'b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2'",
    ),
    ("ip_reverse_name('x')", "''"),
    ("is_ip_in_cidr('192.0.2.77', '192.0.2.0/24')", "1"),
    ("is_ip_in_cidr('192.0.2.77', '192.0.2.9/24')", "1"),
    ("is_ip_in_cidr('192.0.3.1', '192.0.2.0/24')", "0"),
    ("is_ip_in_cidr('192.0.2.1', '192.0.2.1')", "1"),
    ("is_ip_in_cidr('192.0.2.1', '0.0.0.0/0')", "1"),
    ("is_ip_in_cidr('2001:db8::1', '2001:db8::/32')", "1"),
    ("is_ip_in_cidr('2001:db8::1', '0.0.0.0/0')", "0"),
    ("is_ip_in_cidr('::ffff:192.0.2.1', '192.0.2.0/24')", "1"),
    ("is_ip_in_cidr('192.0.2.1', '::ffff:192.0.2.0/120')", "1"),
    ("is_ip_in_cidr('192.0.2.1', '::ffff:192.0.2.1')", "1"),
    ("is_ip_in_cidr('192.0.2.1', '192.0.2.0/33')", "0"),
    ("is_ip_in_cidr('x', '192.0.2.0/24')", "0"),
    ("is_ip_in_cidr('192.0.2.1', '')", "0"),
];

const OTHERS: &[(&str, &str)] = &[
    ("hash('abc', 'md5')", "'900150983cd24fb0d6963f7d28e17f72'"),
    ("hash('abc', 'sha1')", "'a9993e364706816aba3e25717850c26c9cd0d89d'"),
    ("hash('abc', 'sha256')", "'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'"),
    ("len(hash('abc', 'sha512'))", "128"),
    ("substring(hash('abc', 'sha512'), 0, 16)", "'ddaf35a193617aba'"),
    ("hash('abc', 'crc')", "''"),
    ("is_empty('')", "1"),
    ("is_empty('a')", "0"),
    ("is_empty([])", "1"),
    ("is_empty([''])", "0"),
    ("is_empty(0)", "0"),
    ("is_empty(strict)", "0"),
    ("is_number(1)", "1"),
    ("is_number(1.5)", "1"),
    ("is_number('1')", "0"),
    ("if_then('x', 1, 2)", "1"),
    ("if_then('', 1, 2)", "2"),
    ("matches('^[a-z]+$', 'abc')", "1"),
    ("matches('b', 'abc')", "1"),
    ("matches('^b', 'abc')", "0"),
    (r"matches('example\.com$', sender)", "1"),
    (r"matches('example\.com$', 'exampleXcom')", "0"),
    ("matches('1', 123)", "1"),
    ("system('hostname')", "'hostname'"),
    ("system('node_role')", "'node_role'"),
    ("is_local_domain('example.net')", "1"),
    ("is_local_domain(sender_domain)", "0"),
    ("dns_query('example.org', 'spf')", "''"),
    ("dns_query('no address', 'ptr')", "[]"),
];

#[test]
fn text_functions() {
    assert_table(TEXT);
}

#[test]
fn split_functions() {
    assert_table(SPLIT);
}

#[test]
fn list_functions() {
    assert_table(LISTS);
}

#[test]
fn address_functions() {
    assert_table(ADDRESSES);
}

#[test]
fn other_functions() {
    assert_table(OTHERS);
}

#[test]
fn every_function_is_tested() {
    let rows: Vec<_> = [TEXT, SPLIT, LISTS, ADDRESSES, OTHERS].into_iter().flatten().collect();
    for function in Function::all() {
        // Lookups are tested with their answers, refused ones with the faults.
        if matches!(function.body, Body::Lookup(_) | Body::Refused(_)) {
            continue;
        }
        let call = format!("{}(", function.name);
        assert!(rows.iter().any(|(source, _)| source.contains(&call)), "{}", function.name);
    }
}

#[test]
fn function_names_are_unique() {
    for function in Function::all() {
        assert_eq!(Function::all().filter(|other| other.name == function.name).count(), 1);
    }
}

#[test]
fn computed_text_gives_the_same_as_borrowed_text() {
    for (source, expected) in TEXT.iter().chain(SPLIT).chain(LISTS).chain(ADDRESSES) {
        // Concatenation with an unknown makes every text an owned one.
        let owned = source.replace("('a", "(country + to_lowercase('A') + '").replace("('äb", "('ä' + 'b");
        assert_eq!(value(&owned), value(expected), "{owned}");
    }
}

#[test]
fn both_branches_of_if_then_are_evaluated() {
    let expression = Expression::parse("if_then(1, 2, key_exists('a', 'b'))", Scope::Rcpt).unwrap();
    assert!(expression.evaluate(&World::default()).is_err());
}

#[test]
fn what_the_session_has_is_not_copied() {
    let world = World::default();
    for source in [
        "rcpt",
        "recipients[0]",
        "trim(rcpt)",
        "to_lowercase(rcpt)",
        "email_part(rcpt, 'domain')",
        "substring(rcpt, 1, 2)",
        "if_then(is_tls, rcpt, sender)",
        "split_once(rcpt, '@')[1]",
        "'' + rcpt",
        "['a', 'b'][is_tls]",
    ] {
        let expression = Expression::parse(source, Scope::Rcpt).unwrap();
        let value = expression.evaluate(&world);
        assert!(matches!(value, Ok(Value::Text(Cow::Borrowed(_)))), "{source}");
    }
}

#[test]
fn pure_functions_serve_other_languages() {
    let find = |name: &str| pure_functions().find(|function| function.name() == name);
    let split = find("split").unwrap();
    assert_eq!(split.arity(), 2);
    let parts = split.call([Value::from("a,b"), Value::from(",")]);
    assert_eq!(parts, Ok(Value::from(vec![Value::from("a"), Value::from("b")])));
    assert_eq!(split.call([]), Ok(Value::from(vec![Value::EMPTY, Value::EMPTY])));
    for outside in ["matches", "system", "metric", "key_get", "dns_query", "is_local_domain"] {
        assert!(find(outside).is_none(), "{outside}");
    }
}
