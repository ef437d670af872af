//! Promises of the language as a whole.

mod faults;
mod functions;
mod operators;
mod properties;
mod replay;
mod settings;
mod world;

use super::{Expression, Scope, Value};
use world::World;

/// The value of an expression in the RCPT scope, with nothing looked up.
fn value(source: &str) -> Value<'static> {
    let expression = Expression::parse(source, Scope::Rcpt).unwrap_or_else(|faults| {
        panic!("{source}: {}", faults.first().map(ToString::to_string).unwrap_or_default())
    });
    let world = World::default();
    expression.evaluate(&world).unwrap_or_else(|interrupt| panic!("{source}: {interrupt}")).into_owned()
}

/// Checks that each source has the same value as the source beside it.
fn assert_table(table: &[(&str, &str)]) {
    for (source, expected) in table {
        assert_eq!(value(source), value(expected), "{source}");
    }
}
