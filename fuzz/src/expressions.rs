//! Expressions of policies: a source that is not understood says where; one that is has a value, or says why not, and
//! written out again it has the same one.

use postern_core::expr::{
    Expression, Facts, Interrupt, Lookup, LookupFailure, Scope, System, Value, Variable,
};

/// Runs one input.
pub fn run(octets: &[u8]) {
    let Ok(source) = str::from_utf8(octets) else { return };
    for scope in [Scope::Connection, Scope::Mail, Scope::Rcpt, Scope::Outbound] {
        let expression = match Expression::parse(source, scope) {
            Ok(expression) => expression,
            Err(faults) => {
                assert!(!faults.is_empty());
                faults.iter().for_each(|fault| drop(fault.to_string()));
                continue;
            }
        };
        let written = expression.to_string();
        let again =
            Expression::parse(&written, scope).unwrap_or_else(|faults| panic!("{written}: {faults:?}"));
        assert_eq!(outcome(&expression), outcome(&again), "{source:?} written as {written:?}");
        if let Some(constant) = expression.constant_value() {
            assert_eq!(outcome(&expression), Ok(shown(constant.borrowed())));
        }
    }
}

fn outcome(expression: &Expression) -> Result<String, String> {
    match expression.evaluate(&World) {
        Ok(value) => Ok(shown(value)),
        Err(Interrupt::Needs(lookup)) => Err(format!("asks {lookup:?}")),
        Err(Interrupt::Failed(failure)) => Err(failure.to_string()),
    }
}

/// NaN, which equals nothing, is shown like any other; who keeps the elements of a list is not shown.
fn shown(value: Value<'_>) -> String {
    format!("{:?}", value.into_owned())
}

/// Where every variable has some value, and half of all lookups fail.
struct World;

impl Facts for World {
    fn variable(&self, variable: Variable) -> Value<'_> {
        match variable {
            Variable::RemotePort | Variable::LocalPort | Variable::Asn | Variable::Size => Value::Integer(25),
            Variable::Recipients => {
                Value::from(vec![Value::from("a@example.org"), Value::from("b@example.org")])
            }
            _ => Value::from("a@example.org"),
        }
    }

    fn system(&self, _: System) -> Value<'_> {
        Value::from("mx.example.org")
    }

    fn is_local_domain(&self, domain: &str) -> bool {
        domain == "example.org"
    }

    fn lookup(&self, lookup: &Lookup) -> Option<Result<Value<'_>, LookupFailure>> {
        Some(match format!("{lookup:?}").len() % 3 {
            0 => Err(LookupFailure::TimedOut),
            1 => Ok(Value::Integer(1)),
            _ => Ok(Value::from("found")),
        })
    }
}
