//! Functions on lists. A scalar is taken as a list of itself, empty text as an empty list.

use std::collections::HashSet;

use super::Function;
use crate::expr::facts::Failure;
use crate::expr::kinds::Kinds;
use crate::expr::operators::{equals, order};
use crate::expr::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::one("count", Kinds::INTEGER, |value| {
        Ok(Value::count(match &value {
            Value::List(list) => list.len(),
            Value::Text(text) if text.is_empty() => 0,
            _ => 1,
        }))
    }),
    Function::two("sort", Kinds::LIST, |list, ascending| {
        let mut elements = list.into_elements();
        elements.sort_by(order);
        if !ascending.is_true() {
            elements.reverse();
        }
        Ok(Value::from(elements))
    }),
    Function::one("dedup", Kinds::LIST, dedup),
    Function::one("winnow", Kinds::LIST, |list| {
        let mut elements = list.into_elements();
        elements.retain(|element| !matches!(element, Value::Text(text) if text.is_empty()));
        Ok(Value::from(elements))
    }),
    Function::two("is_intersect", Kinds::INTEGER, is_intersect),
];

/// Keeps the first of equal elements, in their order.
fn dedup(list: Value<'_>) -> Result<Value<'_>, Failure> {
    let mut elements = list.into_elements();
    if let Some(texts) = texts(&elements) {
        let mut seen = HashSet::with_capacity(texts.len());
        let first: Vec<bool> = texts.into_iter().map(|text| seen.insert(text)).collect();
        let mut first = first.into_iter();
        elements.retain(|_| first.next().unwrap_or(true));
        return Ok(Value::from(elements));
    }
    let mut kept: Vec<Value<'_>> = Vec::with_capacity(elements.len());
    for element in elements {
        if !kept.iter().any(|earlier| equals(earlier, &element)) {
            kept.push(element);
        }
    }
    Ok(Value::from(kept))
}

fn is_intersect<'a>(left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Failure> {
    let (left, right) = (left.into_elements(), right.into_elements());
    Ok(Value::truth(match (texts(&left), texts(&right)) {
        (Some(left), Some(right)) => {
            let left: HashSet<_> = left.into_iter().collect();
            right.iter().any(|text| left.contains(text))
        }
        _ => left.iter().any(|element| right.iter().any(|other| equals(element, other))),
    }))
}

/// The elements as texts if they are nothing else: what a client or the DNS can make long is text, and
/// must not cost a comparison of each element with each.
fn texts<'v>(elements: &'v [Value<'_>]) -> Option<Vec<&'v str>> {
    elements
        .iter()
        .map(|element| match element {
            Value::Text(text) => Some(&**text),
            _ => None,
        })
        .collect()
}
