//! Functions on values of any type.

use super::{Body, Function};
use crate::expr::kinds::Kinds;
use crate::expr::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::one("is_empty", Kinds::INTEGER, |value| {
        Ok(Value::truth(match &value {
            Value::Text(text) => text.is_empty(),
            Value::List(list) => list.is_empty(),
            _ => false,
        }))
    }),
    Function::one("is_number", Kinds::INTEGER, |value| {
        Ok(Value::truth(matches!(value, Value::Integer(_) | Value::Float(_))))
    }),
    Function::three("if_then", Kinds::ANY, |condition, yes, no| {
        Ok(if condition.is_true() { yes } else { no })
    }),
    Function::special("matches", Kinds::INTEGER, Body::Matches),
    Function::special("system", Kinds::TEXT, Body::System),
    Function::special(
        "metric",
        Kinds::FLOAT,
        Body::Refused(
            "metrics are counted per pod and read by Prometheus, so a policy cannot depend on them",
        ),
    ),
];
