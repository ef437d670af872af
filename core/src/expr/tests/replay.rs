//! Questions to the outside: what is asked, in which order, and what an answer does.

use super::World;
use crate::expr::{
    Answers, ConditionalSource, DnsKind, Expression, Failure, Interrupt, Lookup, LookupFailure, Scope,
    Setting, Value,
};

/// Evaluates as a host does, with answers from a function; gives what was asked beside the result.
fn run(
    source: &str,
    answer: impl Fn(&Lookup) -> Result<Value<'static>, LookupFailure>,
) -> (Result<Value<'static>, Interrupt>, Vec<Lookup>) {
    let expression = Expression::parse(source, Scope::Rcpt).unwrap();
    let mut world = World::default();
    let mut asked = Vec::new();
    loop {
        let lookup = match expression.evaluate(&world) {
            Err(Interrupt::Needs(lookup)) => lookup,
            result => return (result.map(Value::into_owned), asked),
        };
        asked.push(lookup.clone());
        let answer = answer(&lookup);
        world.answers.push(lookup, answer);
    }
}

fn dns(name: &str, kind: DnsKind) -> Lookup {
    Lookup::Dns { name: name.into(), kind }
}

#[test]
fn each_function_asks_its_question() {
    let (store, key) = (String::from("s"), String::from("bert@example.net"));
    for (source, lookup) in [
        ("is_local_address(rcpt)", Lookup::IsLocalAddress { address: key.clone() }),
        ("key_exists('s', rcpt)", Lookup::KeyExists { store: store.clone(), key: key.clone() }),
        ("key_get('s', rcpt)", Lookup::KeyGet { store: store.clone(), key: key.clone() }),
        (
            "key_set('s', rcpt, 5)",
            Lookup::KeySet { store: store.clone(), key: key.clone(), value: "5".into() },
        ),
        ("counter_get('s', rcpt)", Lookup::CounterGet { store: store.clone(), key: key.clone() }),
        ("counter_incr('s', rcpt, '3')", Lookup::CounterIncrease { store, key, by: 3 }),
        ("dns_query('a.example', 'ipv4')", dns("a.example", DnsKind::Ipv4)),
        ("dns_query('a.example', 'ipv6')", dns("a.example", DnsKind::Ipv6)),
        ("dns_query('a.example', 'ip')", dns("a.example", DnsKind::Ip)),
        ("dns_query('a.example', 'mx')", dns("a.example", DnsKind::Mx)),
        ("dns_query('a.example', 'txt')", dns("a.example", DnsKind::Txt)),
        ("dns_query('192.0.2.1', 'ptr')", dns("192.0.2.1", DnsKind::Ptr)),
    ] {
        let (result, asked) = run(source, |_| Ok(Value::from("answer")));
        assert_eq!(asked, [lookup], "{source}");
        assert_eq!(result, Ok(Value::from("answer")), "{source}");
    }
}

#[test]
fn questions_come_in_the_order_of_the_source() {
    let source =
        "key_get('a', key_get('b', '1')) + if_then(counter_incr('', 'n', 1) > 1, key_get('c', '2'), '')";
    let (result, asked) = run(source, |lookup| {
        Ok(match lookup {
            Lookup::KeyGet { store, key } => Value::from(format!("{store}{key}")),
            _ => Value::from(2),
        })
    });
    assert_eq!(result, Ok(Value::from("ab1c2")));
    assert_eq!(asked.len(), 4, "each question is asked once");
    assert!(matches!(asked.get(2), Some(Lookup::CounterIncrease { by: 1, .. })));
}

#[test]
fn answers_decide_which_questions_follow() {
    let source = "key_exists('a', rcpt) || key_exists('b', rcpt)";
    assert_eq!(run(source, |_| Ok(Value::from(true))).1.len(), 1);
    assert_eq!(run(source, |_| Ok(Value::from(false))).1.len(), 2);
}

#[test]
fn a_failed_lookup_fails_the_whole_evaluation() {
    for failure in [
        LookupFailure::Dns("SERVFAIL".into()),
        LookupFailure::TimedOut,
        LookupFailure::Store("connection refused".into()),
    ] {
        let (result, _) = run("is_empty(dns_query(rcpt_domain, 'mx')) || 1", |_| Err(failure.clone()));
        assert_eq!(result, Err(Interrupt::Failed(Failure::Lookup(failure))));
    }
}

#[test]
fn nothing_found_has_a_value() {
    assert_eq!(dns("a", DnsKind::Mx).nothing_found(), Value::from(vec![]));
    assert_eq!(dns("a", DnsKind::Txt).nothing_found(), Value::EMPTY);
    let counter = Lookup::CounterGet { store: String::new(), key: "k".into() };
    assert_eq!(counter.nothing_found(), Value::from(0));
}

#[test]
fn fields_replay_over_all_their_parts() {
    let source = ConditionalSource {
        cases: vec![("key_exists('a', rcpt)".into(), "counter_get('', rcpt)".into())],
        otherwise: "0".into(),
    };
    let setting = Setting::<i64>::parse(&source, Scope::Rcpt).unwrap();
    let mut world = World::default();
    for answer in [Value::from(true), Value::from(7)] {
        let Err(Interrupt::Needs(lookup)) = setting.evaluate(&world) else { panic!("it asks") };
        world.answers.push(lookup, Ok(answer));
    }
    assert_eq!(setting.evaluate(&world), Ok(7));
}

#[test]
fn answers_to_other_questions_are_not_taken() {
    let mut answers = Answers::default();
    answers.push(dns("a", DnsKind::Ip), Ok(Value::from(1)));
    assert_eq!(answers.take(&dns("b", DnsKind::Ip)), Some(Err(LookupFailure::OutOfStep)));
    answers.rewind();
    assert_eq!(answers.take(&dns("a", DnsKind::Ip)), Some(Ok(Value::from(1))));
    assert_eq!(answers.take(&dns("a", DnsKind::Ip)), None);
    answers.clear();
    assert_eq!(answers.take(&dns("a", DnsKind::Ip)), None);
}
