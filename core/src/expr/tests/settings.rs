//! Fields: folding, conversion, captures across the parts of a field.

use std::time::Duration;

use super::World;
use crate::expr::{
    ConditionalSource, Failure, FieldPath, Interrupt, Kinds, PriorityProfile, SaslMechanism, SaslMechanisms,
    Scope, Setting, Target, Text, TextList, Value, Variable, VariableSet, Verify,
};

fn field(cases: &[(&str, &str)], otherwise: &str) -> ConditionalSource {
    ConditionalSource {
        cases: cases.iter().map(|(condition, then)| ((*condition).into(), (*then).into())).collect(),
        otherwise: otherwise.into(),
    }
}

fn parse<T: Target>(source: &ConditionalSource) -> Setting<T> {
    Setting::parse(source, Scope::Rcpt).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn evaluate<T: Target>(cases: &[(&str, &str)], otherwise: &str) -> Result<T, Interrupt> {
    parse::<T>(&field(cases, otherwise)).evaluate(&World::default())
}

fn constant<T: Target>(source: &str) -> Option<T> {
    parse::<T>(&ConditionalSource::plain(source)).constant_value().cloned()
}

fn faults<T: Target>(cases: &[(&str, &str)], otherwise: &str) -> Vec<String> {
    match Setting::<T>::parse(&field(cases, otherwise), Scope::Rcpt) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|(path, fault)| format!("{path}: {fault}")).collect(),
    }
}

#[test]
fn first_true_case_decides() {
    assert_eq!(evaluate::<i64>(&[("local_port == 25", "1"), ("is_tls", "2")], "3"), Ok(1));
    assert_eq!(evaluate::<i64>(&[("local_port == 26", "1"), ("is_tls", "2")], "3"), Ok(2));
    assert_eq!(evaluate::<i64>(&[("local_port == 26", "1"), ("!is_tls", "2")], "3"), Ok(3));
}

#[test]
fn constant_conditions_make_a_constant_field() {
    let fixed = |cases: &[(&str, &str)], otherwise: &str| {
        parse::<i64>(&field(cases, otherwise)).constant_value().copied()
    };
    assert_eq!(fixed(&[], "10 * 1024"), Some(10240));
    assert_eq!(fixed(&[("false", "local_port")], "len('abc')"), Some(3));
    assert_eq!(fixed(&[("1 < 2", "7")], "local_port"), Some(7));
    assert_eq!(fixed(&[("matches('^a', 'abc')", "7")], "8"), Some(7));
    assert_eq!(fixed(&[("0", "1"), ("true || rcpt", "2"), ("rcpt", "3")], "4"), Some(2));
    assert_eq!(fixed(&[("rcpt", "1")], "1"), None);
    assert_eq!(fixed(&[("rcpt", "1"), ("true", "2")], "3"), None);
    assert_eq!(fixed(&[], "local_port"), None);
}

#[test]
fn folded_parts_keep_side_effects_before_them() {
    let counted = parse::<bool>(&ConditionalSource::plain("counter_incr('', 'k', 1) && false"));
    assert_eq!(counted.constant_value(), None);
    assert!(matches!(counted.evaluate(&World::default()), Err(Interrupt::Needs(_))));
}

#[test]
fn captures_cross_the_parts_of_a_field() {
    let local = r"matches('^([^@]+)@(.+)$', rcpt)";
    let text = |text: &str| Ok(Some(Text::from(text)));
    assert_eq!(
        evaluate(&[(local, "$1 + '+' + $2 + $0 + $9")], "false"),
        text("bert+example.netbert@example.net")
    );
    assert_eq!(
        evaluate(&[(&format!("{local} && 0"), "''"), ("$1 == 'bert'", "$2")], "''"),
        text("example.net")
    );
    assert_eq!(evaluate(&[(&format!("{local} && 0"), "''")], "$1"), text("bert"));
    assert_eq!(evaluate(&[("matches('(b)(x)?', rcpt)", "$1 + '.' + $2")], "''"), text("b."));
}

#[test]
fn a_failed_match_clears_the_captures_before_it() {
    let cases = [("matches('(bert)', rcpt) && 0", "''"), ("matches('(no)', rcpt)", "''")];
    assert_eq!(evaluate::<Option<Text>>(&cases, "'<' + $1 + '>'"), Ok(Some(Text::from("<>"))));
}

#[test]
fn captures_of_constant_and_computed_subjects_work() {
    let text = |text: &str| Ok(Some(Text::from(text)));
    assert_eq!(evaluate(&[("matches('a(.)', 'abc')", "$1")], "''"), text("b"));
    assert_eq!(evaluate(&[("matches('b(.)', to_uppercase(rcpt) + 'bx')", "$1")], "''"), text("x"));
}

#[test]
fn truth_never_fails() {
    for (source, truth) in [("'a'", true), ("''", false), ("strict", true), ("[]", false), ("0.0", false)] {
        assert_eq!(constant::<bool>(source), Some(truth), "{source}");
    }
}

#[test]
fn integers_come_from_numbers_and_numeric_text() {
    for (source, number) in [("10", 10), ("1.9", 1), ("'12'", 12), ("'2.5'", 2), ("-3", -3), ("true", 1)] {
        assert_eq!(constant::<i64>(source), Some(number), "{source}");
    }
    assert_eq!(constant::<u64>("7d"), Some(604_800_000));
    assert_eq!(constant::<u32>("100"), Some(100));
}

#[test]
fn durations_come_from_milliseconds_and_text_with_a_unit() {
    for (source, milliseconds) in
        [("5m", 300_000), ("1500", 1_500), ("1.9", 1), ("'5s'", 5_000), ("'20'", 20)]
    {
        let expected = Some(Duration::from_millis(milliseconds));
        assert_eq!(constant::<Option<Duration>>(source), Some(expected), "{source}");
    }
    for off in ["false", "0", "''", "'0s'", "0.5"] {
        assert_eq!(constant::<Option<Duration>>(off), Some(None), "{off}");
    }
    let century = Some(Some(Duration::from_secs(36_500 * 86_400)));
    assert_eq!(constant::<Option<Duration>>("99999999999999999999d"), century);
}

#[test]
fn text_is_text_and_anything_else_is_none() {
    assert_eq!(constant::<Option<Text>>("'data'"), Some(Some(Text::from("data"))));
    assert_eq!(constant::<Option<Text>>("''"), Some(Some(Text::from(""))));
    assert_eq!(constant::<Option<Text>>("false"), Some(None));
    assert_eq!(constant::<Option<Text>>("10"), Some(None));
    assert_eq!(evaluate::<Option<Text>>(&[], "if_then(is_tls, recipients, 'x')"), Ok(None));
}

#[test]
fn lists_of_text_take_scalars() {
    let list = |texts: &[&str]| Some(texts.iter().copied().map(Text::from).collect::<TextList>());
    assert_eq!(constant::<TextList>("['-n', 5]"), list(&["-n", "5"]));
    assert_eq!(constant::<TextList>("'-n'"), list(&["-n"]));
    assert_eq!(constant::<TextList>("false"), list(&[]));
    assert_eq!(constant::<TextList>("[]"), list(&[]));
    assert_eq!(evaluate::<TextList>(&[], "['-f', sender]").ok(), list(&["-f", "carl@example.com"]));
}

#[test]
fn constants_become_levels_profiles_and_mechanisms() {
    assert_eq!(constant::<Verify>("strict"), Some(Verify::Strict));
    assert_eq!(constant::<Verify>("relaxed"), Some(Verify::Relaxed));
    assert_eq!(constant::<Verify>("disable"), Some(Verify::Disable));
    assert_eq!(constant::<Option<PriorityProfile>>("mixer"), Some(Some(PriorityProfile::Mixer)));
    assert_eq!(constant::<Option<PriorityProfile>>("stanag4406"), Some(Some(PriorityProfile::Stanag4406)));
    assert_eq!(constant::<Option<PriorityProfile>>("nsep"), Some(Some(PriorityProfile::Nsep)));
    assert_eq!(constant::<Option<PriorityProfile>>("false"), Some(None));
    let set = |list: &[SaslMechanism]| Some(list.iter().copied().collect::<SaslMechanisms>());
    assert_eq!(constant("[login, plain]"), set(&[SaslMechanism::Plain, SaslMechanism::Login]));
    assert_eq!(constant("xoauth2"), set(&[SaslMechanism::Xoauth2]));
    for off in ["false", "0", "[]"] {
        assert_eq!(constant::<SaslMechanisms>(off), Some(SaslMechanisms::NONE));
    }
}

#[test]
fn results_that_never_convert_are_faults() {
    assert_eq!(faults::<i64>(&[], " 'abc'").len(), 1);
    assert_eq!(faults::<i64>(&[("is_tls", "[1]")], "strict").len(), 2);
    assert_eq!(faults::<u64>(&[], "-1").len(), 1);
    assert_eq!(faults::<Option<Duration>>(&[], "recipients + 'x'").len(), 0, "may be empty text");
    assert_eq!(faults::<Option<Duration>>(&[], "split(rcpt, '@')").len(), 1);
    assert_eq!(faults::<Option<Duration>>(&[], "-5m").len(), 1);
    assert_eq!(faults::<Option<Duration>>(&[], "'5 minutes'").len(), 1);
    assert_eq!(faults::<Option<Text>>(&[], "plain").len(), 1);
    assert_eq!(faults::<Verify>(&[], "false").len(), 1);
    assert_eq!(faults::<Verify>(&[], "'strict'").len(), 1);
    assert_eq!(faults::<Verify>(&[], "plain").len(), 1);
    assert_eq!(faults::<SaslMechanisms>(&[], "[plain, strict]").len(), 1);
    assert_eq!(faults::<SaslMechanisms>(&[], "true").len(), 1);
    assert_eq!(faults::<Option<PriorityProfile>>(&[], "'mixer'").len(), 1);
}

#[test]
fn faults_name_the_part_and_the_place() {
    let found = faults::<i64>(&[("is_tsl", "1"), ("is_tls", "1 +")], "  'ten'");
    assert_eq!(
        found,
        [
            "match[0].if: 1:1: `is_tsl` is no variable or constant; a text needs quotes; did you mean `is_tls`?",
            "match[1].then: 1:4: a value is expected here, not the end of the expression",
            "else: 1:3: 'ten' cannot be used where an integer is needed",
        ]
    );
}

#[test]
fn faults_come_in_the_order_of_the_source() {
    let found = faults::<i64>(&[("is_tls", "'a'"), ("(", "'b'")], "'c'");
    let paths: Vec<_> = found.iter().filter_map(|fault| fault.split(':').next()).collect();
    assert_eq!(paths, ["match[0].then", "match[1].if", "match[1].then", "else"]);
}

#[test]
fn results_that_do_not_convert_now_are_failures() {
    let failure = Failure::NotConvertible { found: Kinds::TEXT, wanted: "an integer" };
    assert_eq!(evaluate::<i64>(&[], "rcpt"), Err(Interrupt::Failed(failure)));
    assert!(evaluate::<Verify>(&[], "if_then(is_tls, 1, strict)").is_err());
    assert_eq!(evaluate::<Verify>(&[], "if_then(is_tls, strict, 1)"), Ok(Verify::Strict));
}

#[test]
fn literals_are_found_at_load() {
    let script = parse::<Option<Text>>(&field(&[("is_tls", "'one'"), ("rcpt", "rcpt")], "'two'"));
    let texts: Vec<_> = script
        .literals()
        .into_iter()
        .map(|(path, text)| (path, text.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(texts, [(FieldPath::Then(0), "one"), (FieldPath::Else, "two")]);
    assert_eq!(Setting::constant(5).literals(), [(FieldPath::Else, &5)]);
    let folded = parse::<u64>(&field(&[("0", "1"), ("1", "2")], "3"));
    assert_eq!(folded.literals(), [(FieldPath::Then(1), &2)]);
    let partly = parse::<u64>(&field(&[("0", "1"), ("is_tls", "2"), ("1", "3")], "4"));
    assert_eq!(partly.literals(), [(FieldPath::Then(1), &2), (FieldPath::Then(2), &3)]);
}

#[test]
fn mentioned_variables_are_known() {
    let throttle = parse::<bool>(&field(&[("is_tls", "rcpt == 'x'")], "true || sender"));
    let mentioned = VariableSet::of(&[Variable::IsTls, Variable::Rcpt, Variable::Sender]);
    assert_eq!(throttle.variables(), mentioned);
    assert_eq!(mentioned.iter().count(), 3);
}

#[test]
fn raw_values_can_be_had() {
    assert_eq!(evaluate::<Value<'static>>(&[], "recipients[0]"), Ok(Value::from("anna@example.org")));
}

#[test]
fn settings_are_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&parse::<Option<Text>>(&field(&[("matches('a', rcpt)", "rcpt")], "false")));
}

#[test]
fn documented_defaults_parse() {
    fn check<T: Target>(scope: Scope, cases: &[(&str, &str)], otherwise: &str) {
        let parsed = Setting::<T>::parse(&field(cases, otherwise), scope);
        assert!(parsed.is_ok(), "{cases:?} {otherwise}");
    }
    let authenticated = "!is_empty(authenticated_as)";
    check::<Option<Duration>>(Scope::Connection, &[], "5m");
    check::<u64>(Scope::Connection, &[], "262144000");
    check::<Option<Text>>(Scope::Connection, &[], "system('hostname')");
    check::<Option<Text>>(Scope::Connection, &[], "system('hostname') + ' ESMTP at your service'");
    check::<Option<Text>>(Scope::Connection, &[], "false");
    check::<bool>(Scope::Connection, &[("local_port == 25", "true")], "false");
    check::<bool>(Scope::Connection, &[], "local_port != 25");
    check::<SaslMechanisms>(
        Scope::Ehlo,
        &[
            ("local_port != 25 && is_tls", "[plain, login, oauthbearer, xoauth2]"),
            ("local_port != 25", "[oauthbearer, xoauth2]"),
        ],
        "false",
    );
    check::<bool>(Scope::Mail, &[], &format!("{authenticated} || !key_exists('spam-block', sender_domain)"));
    check::<bool>(Scope::Rcpt, &[], authenticated);
    check::<Option<Duration>>(Scope::Mail, &[(authenticated, "7d")], "false");
    check::<Option<PriorityProfile>>(Scope::Mail, &[(authenticated, "mixer")], "false");
    check::<Option<Text>>(Scope::Mail, &[], "''");
    check::<Verify>(Scope::Connection, &[("local_port == 25", "relaxed")], "disable");
    let signing = format!("is_local_domain(sender_domain) && {authenticated}");
    check::<Option<Text>>(Scope::Rcpt, &[(&signing, "sender_domain")], "false");
    check::<Option<Text>>(Scope::Rcpt, &[], "'MAILER-DAEMON@' + system('domain')");
    check::<Option<Text>>(Scope::Outbound, &[("is_local_domain(rcpt_domain)", "'local'")], "'mx'");
    check::<Option<Text>>(Scope::SubAddress, &[(r"matches('^([^.]+)\.(.+)$', rcpt)", "$2")], "rcpt");
    check::<TextList>(Scope::Rcpt, &[], "[]");
}
