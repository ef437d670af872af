//! What holds for every source and every tree.

use proptest::prelude::*;

use super::World;
use crate::expr::eval::Evaluation;
use crate::expr::fold::{Matches, fold, kinds};
use crate::expr::functions::{Body, Call, Function, LookupFunction};
use crate::expr::operators::{BinaryOperator, order};
use crate::expr::syntax::Node;
use crate::expr::{
    ConditionalSource, Expression, Interrupt, Lookup, LookupFailure, Scope, Setting, System, Value, Variable,
    Word,
};

/// Evaluates a tree with made-up answers.
fn run(node: &Node) -> Result<Value<'static>, Interrupt> {
    let mut world = World::default();
    loop {
        let lookup = match Evaluation::new(&world, true).value(node) {
            Err(Interrupt::Needs(lookup)) => lookup,
            result => return result.map(Value::into_owned),
        };
        let answer = answer(&lookup);
        world.answers.push(lookup, answer);
    }
}

fn answer(lookup: &Lookup) -> Result<Value<'static>, LookupFailure> {
    match lookup {
        Lookup::CounterIncrease { by, .. } => Ok(Value::from(*by)),
        Lookup::KeyGet { key, .. } => Ok(Value::from(key.clone())),
        Lookup::KeySet { .. } => Err(LookupFailure::TimedOut),
        Lookup::KeyExists { key, .. } => Ok(Value::from(key.len() % 2 == 0)),
        other => Ok(other.nothing_found()),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        r#"[a-c@.,:/ 0-9'"\\nrt]{0,12}"#,
        any::<String>(),
        Just("192.0.2.1".to_owned()),
        Just("local".to_owned()),
        Just("md5".to_owned()),
    ]
}

fn scalar() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::Integer),
        (-3_i64..5).prop_map(Value::Integer),
        any::<f64>().prop_filter("floats are finite", |number| number.is_finite()).prop_map(Value::Float),
        prop::sample::select(&Word::ALL[..]).prop_map(Value::Word),
    ]
}

fn leaf() -> impl Strategy<Value = Node> {
    prop_oneof![
        4 => scalar().prop_map(Node::Constant),
        1 => prop::collection::vec(scalar(), 0..4).prop_map(|list| Node::Constant(Value::from(list))),
        3 => prop::sample::select(&Variable::ALL[..])
            .prop_filter("variables of the scope", |variable| Scope::Rcpt.variables().contains(*variable))
            .prop_map(Node::Variable),
        1 => (0_usize..3).prop_map(Node::Capture),
        1 => prop::sample::select(&System::ALL[..]).prop_map(Node::System),
    ]
}

fn chain(inner: impl Strategy<Value = Node> + Clone) -> impl Strategy<Value = Node> {
    let operators = prop::sample::select(&BinaryOperator::ALL[..]);
    (inner.clone(), operators, prop::collection::vec((any::<prop::sample::Index>(), inner), 1..4)).prop_map(
        |(first, operator, rest)| {
            let level: Vec<_> =
                BinaryOperator::ALL.into_iter().filter(|other| other.level() == operator.level()).collect();
            let rest = rest.into_iter().map(|(pick, operand)| (*pick.get(&level), operand)).collect();
            Node::Chain(Box::new(first), rest)
        },
    )
}

fn call(inner: impl Strategy<Value = Node>) -> impl Strategy<Value = Node> {
    let functions: Vec<&'static Function> = Function::all().collect();
    (prop::sample::select(functions), prop::collection::vec(inner, 3)).prop_map(
        |(function, mut arguments)| {
            arguments.truncate(function.arity());
            match (&function.body, arguments.pop()) {
                (Body::IsLocalDomain, Some(domain)) => Node::IsLocalDomain(Box::new(domain)),
                (Body::Matches, Some(subject)) => {
                    Node::Matches(Box::new(regex::Regex::new(r"([a-c])\.?(\d)?").unwrap()), Box::new(subject))
                }
                (Body::Lookup(lookup), Some(last)) => {
                    arguments.push(last);
                    Node::Lookup(*lookup, arguments)
                }
                (Body::One(_) | Body::Two(_) | Body::Three(_), Some(last)) => {
                    arguments.push(last);
                    Node::Call(Box::new(Call::bind(function, arguments).unwrap()))
                }
                _ => Node::Lookup(
                    LookupFunction::DnsQuery,
                    vec![Node::Variable(Variable::Rcpt), Node::List(vec![])],
                ),
            }
        },
    )
}

fn tree() -> impl Strategy<Value = Node> {
    leaf().prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Node::List),
            inner.clone().prop_map(|operand| Node::Not(Box::new(operand))),
            inner.clone().prop_map(|operand| Node::Negate(Box::new(operand))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::Any),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::All),
            chain(inner.clone()),
            (inner.clone(), prop::collection::vec(inner.clone(), 1..3))
                .prop_map(|(base, places)| Node::Index(Box::new(base), places)),
            call(inner),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn parsing_never_panics(source in any::<String>()) {
        let _ = Expression::parse(&source, Scope::Rcpt);
    }

    #[test]
    fn parsing_pieces_of_the_language_never_panics(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "(", ")", "[", "]", ",", "'a'", "\"", "'", "\\", "1", "5m", "1.", "$1", "rcpt", "trim", "trim(",
                "matches('(a)', ", "if_then(", "+", "-", "!", "&&", "||", "==", "=<", "^", "strict", " ", "\n",
            ]),
            0..24,
        )
    ) {
        if let Ok(expression) = Expression::parse(&pieces.concat(), Scope::Rcpt) {
            let _ = expression.evaluate(&World::default());
        }
    }

    #[test]
    fn printed_trees_parse_to_the_same_value(tree in tree()) {
        let source = tree.to_string();
        let parsed = crate::expr::parser::parse(&source, Scope::Rcpt);
        let node = parsed.map_err(|faults| TestCaseError::fail(format!("{source}: {faults:?}")))?.node;
        prop_assert_eq!(run(&node), run(&tree), "{}", source);
    }

    #[test]
    fn folding_changes_no_value(tree in tree()) {
        let mut folded = tree.clone();
        fold(&mut folded, Matches::Keep);
        prop_assert_eq!(run(&folded), run(&tree), "{}", tree);
        let source = folded.to_string();
        let parsed = crate::expr::parser::parse(&source, Scope::Rcpt);
        let node = parsed.map_err(|faults| TestCaseError::fail(format!("{source}: {faults:?}")))?.node;
        prop_assert_eq!(run(&node), run(&tree), "{} written as {}", tree, source);
    }

    #[test]
    fn values_are_of_the_types_foretold(tree in tree()) {
        if let Ok(value) = run(&tree) {
            prop_assert!(value.kind().overlaps(kinds(&tree)), "{} gives {:?}, not {}", tree, value, kinds(&tree));
        }
    }

    #[test]
    fn evaluation_is_repeatable(tree in tree()) {
        prop_assert_eq!(run(&tree), run(&tree));
    }

    #[test]
    fn sorting_has_a_total_order(values in prop::collection::vec(scalar(), 3)) {
        if let [a, b, c] = values.as_slice() {
            prop_assert_eq!(order(a, b), order(b, a).reverse());
            if order(a, b).is_le() && order(b, c).is_le() {
                prop_assert!(order(a, c).is_le());
            }
        }
    }

    #[test]
    fn fields_of_any_text_never_panic(condition in tree(), then in tree(), otherwise in any::<String>()) {
        let source = ConditionalSource {
            cases: vec![(condition.to_string(), then.to_string())],
            otherwise,
        };
        if let Ok(setting) = Setting::<u64>::parse(&source, Scope::Rcpt) {
            let _ = setting.evaluate(&World::default());
        }
    }
}
