//! Operators, literals and conversions.

use super::{World, assert_table, value};
use crate::expr::{Expression, Failure, Interrupt, Lookup, MAX_VALUE_OCTETS, Scope, Value, Word};

#[test]
fn literals_have_their_value() {
    assert_eq!(value("42"), Value::Integer(42));
    assert_eq!(value("1.50"), Value::Float(1.5));
    assert_eq!(value("99999999999999999999"), Value::Integer(i64::MAX));
    assert_eq!(value("true"), Value::Integer(1));
    assert_eq!(value("false"), Value::Integer(0));
    assert_eq!(value("strict"), Value::Word(Word::Strict));
    assert_eq!(value("[]"), Value::from(vec![]));
    assert_eq!(value("[1, 'a']"), Value::from(vec![Value::Integer(1), Value::from("a")]));
    assert_eq!(value("$1"), Value::EMPTY);
}

#[test]
fn what_folding_leaves_of_a_conjunction_is_still_a_truth_value_when_written() {
    for (source, written) in
        [("1 && 2 && rcpt", "2 && rcpt"), ("0 || rcpt", "0 || rcpt"), ("rcpt && 1", "rcpt && 1")]
    {
        let expression = Expression::parse(source, Scope::Rcpt).unwrap();
        assert_eq!(expression.to_string(), written);
        assert_eq!(value(&expression.to_string()), value(source));
        assert_eq!(value(source), Value::Integer(1));
    }
}

#[test]
fn durations_are_milliseconds() {
    for (source, milliseconds) in
        [("5ms", 5), ("5s", 5_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000)]
    {
        assert_eq!(value(source), Value::Integer(milliseconds));
    }
    assert_eq!(value("99999999999999999999d"), Value::Integer(i64::MAX));
}

#[test]
fn only_n_r_t_are_escapes() {
    assert_eq!(value(r"'a\nb\rc\td'"), Value::from("a\nb\rc\td"));
    assert_eq!(value(r"'\.'"), Value::from(r"\."));
    assert_eq!(value(r"'it\'s'"), Value::from(r"it\'s"));
    assert_eq!(value(r"'\\'"), Value::from(r"\\"));
    assert_eq!(value(r"'\\n'"), Value::from(r"\\n"));
    assert_eq!(value(r#""it's""#), Value::from("it's"));
    assert_eq!(value("'über ☂'"), Value::from("über ☂"));
}

#[test]
fn white_space_is_free() {
    assert_table(&[(" \t\n1\r\n +\n 2 ", "3"), ("trim ( ' a ' ) [ 0 ]", "'a'"), ("1+2", "3")]);
}

#[test]
fn operators_bind_by_level_and_group_left() {
    assert_table(&[
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 4 - 3", "3"),
        ("2 * 3 - 1", "5"),
        ("1 < 2 == 1", "1"),
        ("1 == 1 < 2", "1"),
        ("3 > 2 > 1", "0"),
        ("0 && 0 || 1", "1"),
        ("1 || 0 && 0", "1"),
        ("1 ^ 1 && 0", "0"),
        ("1 ^ 0 == 0", "0"),
        ("!0 + 1", "2"),
        ("-2 * -3", "6"),
        ("!!5", "1"),
        ("- -5", "5"),
        ("!'' && !0", "1"),
        ("['a', 'b'][1] + 'c'", "'bc'"),
    ]);
}

#[test]
fn operators_have_second_spellings() {
    assert_table(&[
        ("1 = 1", "1"),
        ("1 & 1", "1"),
        ("0 | 1", "1"),
        ("2 => 2", "1"),
        ("2 =< 1", "0"),
        ("2 >= 2", "1"),
        ("2 <= 1", "0"),
    ]);
}

#[test]
fn addition_follows_the_types() {
    assert_table(&[
        ("1 + 2", "3"),
        ("1 + 0.5", "1.5"),
        ("'a' + 1", "'a1'"),
        ("1 + 'a'", "'1a'"),
        ("'5' + '6'", "'56'"),
        ("1.5 + 'x'", "'1.5x'"),
        ("2.0 + 'x'", "'2x'"),
        ("'' + 5", "5"),
        ("5 + ''", "5"),
        ("'' + strict", "strict"),
        ("'' + ''", "''"),
        ("'a' + strict", "'astrict'"),
        ("1 + strict", "'1strict'"),
        ("[1] + [2]", "[1, 2]"),
        ("[1] + 2", "[1, 2]"),
        ("1 + [2]", "[1, 2]"),
        ("'' + [2]", "['', 2]"),
    ]);
}

#[test]
fn subtraction_reads_numbers_and_thins_lists() {
    assert_table(&[
        ("5 - 7", "-2"),
        ("'10' - 1", "9"),
        ("'1.5' - 1", "0.5"),
        ("'x' - 1", "-1"),
        ("strict - 1", "-1"),
        ("['a', 'b', 'a'] - 'a'", "['b']"),
        ("[1, 2, '1'] - 1", "[2]"),
        ("[1, 2] - 3", "[1, 2]"),
        ("[[1], 2] - [1]", "[2]"),
        ("-'7'", "-7"),
        ("-'seven'", "0"),
    ]);
}

#[test]
fn multiplication_and_division_read_numbers() {
    assert_table(&[
        ("6 * 7", "42"),
        ("'6' * '7'", "42"),
        ("'x' * 7", "0"),
        ("1.5 * 2", "3.0"),
        ("7 / 2", "3.5"),
        ("6 / 2", "3.0"),
        ("1 / 0", "0.0"),
        ("1 / 0.0", "0.0"),
        ("1 / 'x'", "0.0"),
        ("'8' / 2", "4.0"),
    ]);
}

#[test]
fn arithmetic_saturates() {
    assert_eq!(value("9223372036854775807 + 1"), Value::Integer(i64::MAX));
    assert_eq!(value("-9223372036854775807 - 5"), Value::Integer(i64::MIN));
    assert_eq!(value("-(-9223372036854775807 - 5)"), Value::Integer(i64::MAX));
    assert_eq!(value("9223372036854775807 * -2"), Value::Integer(i64::MIN));
    let large = format!("1{}.0", "0".repeat(308));
    assert_eq!(value(&format!("{large} * 10")), Value::Float(f64::MAX));
    assert_eq!(value(&format!("{large} * -10 - {large}")), Value::Float(f64::MIN));
}

#[test]
fn equality_reads_text_as_a_number_beside_a_number() {
    assert_table(&[
        ("'10' == 10", "1"),
        ("10 == '10'", "1"),
        ("'10.0' == 10", "1"),
        ("1 == 1.0", "1"),
        ("'10' == '10.0'", "0"),
        ("'x' == 0", "1"),
        ("'' == 0", "1"),
        ("'a' == 'a'", "1"),
        ("'a' == 'A'", "0"),
        ("'a' != 'b'", "1"),
        ("[1, 'a'] == ['1', 'a']", "1"),
        ("[1] == [1, 2]", "0"),
        ("[1] == 1", "0"),
        ("strict == strict", "0"),
        ("strict != strict", "1"),
        ("strict == 'strict'", "0"),
    ]);
}

#[test]
fn order_is_by_value_beside_a_number_and_by_octets_between_texts() {
    assert_table(&[
        ("'9' < 10", "1"),
        ("10 > '9'", "1"),
        ("'9' < '10'", "0"),
        ("'a' < 'b'", "1"),
        ("2 < 2.5", "1"),
        ("2 <= 2", "1"),
        ("3 >= 4", "0"),
        ("[1, 2] < [1, 3]", "1"),
        ("[1] < [1, 0]", "1"),
        ("[] > 'z'", "1"),
        ("5 < []", "1"),
        ("strict < relaxed", "0"),
        ("strict >= strict", "0"),
    ]);
}

#[test]
fn truth_is_by_type() {
    assert_table(&[
        ("!'0'", "0"),
        ("!'false'", "0"),
        ("!''", "1"),
        ("!0", "1"),
        ("!0.0", "1"),
        ("!0.1", "0"),
        ("![]", "1"),
        ("![0]", "0"),
        ("!disable", "0"),
        ("'a' && 7", "1"),
        ("'' || []", "0"),
        ("'a' ^ 5", "0"),
        ("'' ^ 5", "1"),
    ]);
}

#[test]
fn logic_stops_early() {
    // `key_exists` has no answer here, so reaching it would interrupt.
    assert_table(&[
        ("1 || key_exists('a', rcpt)", "1"),
        ("is_tls || key_exists('a', rcpt)", "1"),
        ("0 && key_exists('a', rcpt)", "0"),
        ("!is_tls && key_exists('a', rcpt)", "0"),
    ]);
}

#[test]
fn subscripts_count_from_zero_and_are_empty_outside() {
    assert_table(&[
        ("['a', 'b'][0]", "'a'"),
        ("['a', 'b'][1]", "'b'"),
        ("['a', 'b'][2]", "''"),
        ("['a', 'b'][-1]", "''"),
        ("['a', 'b']['1']", "'b'"),
        ("['a', 'b']['x']", "''"),
        ("[['a', 'b'], 'c'][0][1]", "'b'"),
        ("recipients[1]", "'bert@example.net'"),
        ("'text'[0]", "'text'"),
        ("'text'[1]", "''"),
        ("''[0]", "''"),
        ("7[0]", "7"),
    ]);
}

#[test]
fn text_of_a_list_is_joined_with_crlf() {
    assert_eq!(value("strip_prefix(['a', 2, strict], '')"), Value::from("a\r\n2\r\nstrict"));
}

#[test]
fn values_do_not_grow_without_bound() {
    for (source, octets) in [
        ("key_get('s', 'k') + 'ten octets'", MAX_VALUE_OCTETS - 9),
        ("split(key_get('s', 'k'), '')", MAX_VALUE_OCTETS / 32),
        ("[1] + split(key_get('s', 'k'), '')", MAX_VALUE_OCTETS / 32),
        ("to_uppercase(key_get('s', 'k')) + 'x'", MAX_VALUE_OCTETS),
        ("key_get('s', 'k')", MAX_VALUE_OCTETS + 1),
    ] {
        let expression = Expression::parse(source, Scope::Rcpt).unwrap();
        let mut world = World::default();
        let lookup = Lookup::KeyGet { store: "s".into(), key: "k".into() };
        world.answers.push(lookup, Ok(Value::from("y".repeat(octets))));
        assert_eq!(expression.evaluate(&world), Err(Interrupt::Failed(Failure::TooLarge)), "{source}");
    }
}
