//! The operators (`docs/spec.md` section 3.4).

use std::borrow::Cow;
use std::cmp::Ordering;

use super::facts::Failure;
use super::kinds::Kinds;
use super::value::{MAX_VALUE_OCTETS, Number, Value};

/// An operator between two values that always needs both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryOperator {
    Xor,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// How strongly an operator binds, loosest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Xor,
    Equality,
    Relation,
    Sum,
    Product,
}

impl Level {
    /// The level that binds more strongly, `None` when that is a unary operator.
    pub(super) fn tighter(self) -> Option<Self> {
        match self {
            Self::Xor => Some(Self::Equality),
            Self::Equality => Some(Self::Relation),
            Self::Relation => Some(Self::Sum),
            Self::Sum => Some(Self::Product),
            Self::Product => None,
        }
    }
}

impl BinaryOperator {
    #[cfg(test)]
    pub(super) const ALL: [Self; 11] = [
        Self::Xor,
        Self::Equal,
        Self::NotEqual,
        Self::Greater,
        Self::Less,
        Self::GreaterOrEqual,
        Self::LessOrEqual,
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Divide,
    ];

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Xor => "^",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
        }
    }

    pub(super) fn level(self) -> Level {
        match self {
            Self::Xor => Level::Xor,
            Self::Equal | Self::NotEqual => Level::Equality,
            Self::Greater | Self::Less | Self::GreaterOrEqual | Self::LessOrEqual => Level::Relation,
            Self::Add | Self::Subtract => Level::Sum,
            Self::Multiply | Self::Divide => Level::Product,
        }
    }

    /// The result for two values.
    ///
    /// # Errors
    /// [`Failure::TooLarge`].
    pub(super) fn apply<'a>(self, left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Failure> {
        let truth = match self {
            Self::Add => return add(left, right),
            Self::Subtract => return Ok(subtract(left, right)),
            Self::Multiply => return Ok(multiply(left.to_number(), right.to_number())),
            Self::Divide => return Ok(divide(left.to_number(), right.to_number())),
            Self::Xor => left.is_true() != right.is_true(),
            Self::Equal => equals(&left, &right),
            Self::NotEqual => !equals(&left, &right),
            Self::Greater => compare(&left, &right).is_some_and(Ordering::is_gt),
            Self::Less => compare(&left, &right).is_some_and(Ordering::is_lt),
            Self::GreaterOrEqual => compare(&left, &right).is_some_and(Ordering::is_ge),
            Self::LessOrEqual => compare(&left, &right).is_some_and(Ordering::is_le),
        };
        Ok(Value::truth(truth))
    }

    /// The types the result may have.
    pub(super) fn kinds(self, left: Kinds, right: Kinds) -> Kinds {
        let either = left | right;
        let lists = if either.overlaps(Kinds::LIST) { Kinds::LIST } else { Kinds::NONE };
        match self {
            Self::Add => {
                let texts =
                    if either.overlaps(Kinds::TEXT | Kinds::WORD) { Kinds::TEXT } else { Kinds::NONE };
                // Empty text gives the other side as it is, so every type of either side may come out.
                either | texts
            }
            Self::Subtract => lists | Kinds::NUMBER,
            Self::Multiply => Kinds::NUMBER,
            Self::Divide => Kinds::FLOAT,
            _ => Kinds::INTEGER,
        }
    }
}

/// The arithmetic negative; text is read as a number.
pub(super) fn negate(value: &Value<'_>) -> Value<'static> {
    match value.to_number() {
        Number::Integer(number) => Value::Integer(number.saturating_neg()),
        Number::Float(number) => Value::Float(-number),
    }
}

/// Equality of the language: numbers by value, text against a number by the number it spells (0 when it
/// spells none), lists element by element. Constants equal nothing.
pub(super) fn equals(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => left == right,
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|(left, right)| equals(left, right))
        }
        (Value::List(_) | Value::Word(_), _) | (_, Value::List(_) | Value::Word(_)) => false,
        _ => compare_numbers(left.to_number(), right.to_number()) == Some(Ordering::Equal),
    }
}

/// A total order for sorting: numbers, then text by octets, then constants by name, then lists.
///
/// The comparison operators are no order (`'9' < 10`, `10 < '9a'` and `'9a' > '9'`), so sorting by them
/// would depend on the input's order.
pub(super) fn order(left: &Value<'_>, right: &Value<'_>) -> Ordering {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => left.cmp(right),
        (Value::Integer(_) | Value::Float(_), Value::Integer(_) | Value::Float(_)) => {
            left.to_number().as_float().total_cmp(&right.to_number().as_float())
        }
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Word(left), Value::Word(right)) => left.name().cmp(right.name()),
        (Value::List(left), Value::List(right)) => left
            .iter()
            .zip(right.iter())
            .map(|(left, right)| order(left, right))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| left.len().cmp(&right.len())),
        _ => rank(left).cmp(&rank(right)),
    }
}

fn rank(value: &Value<'_>) -> u8 {
    match value {
        Value::Integer(_) | Value::Float(_) => 0,
        Value::Text(_) => 1,
        Value::Word(_) => 2,
        Value::List(_) => 3,
    }
}

/// The order the comparison operators see; `None` (all of them false) where a constant takes part.
fn compare(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Word(_), _) | (_, Value::Word(_)) => None,
        (Value::List(left), Value::List(right)) => {
            for (left, right) in left.iter().zip(right.iter()) {
                match compare(left, right) {
                    Some(Ordering::Equal) => {}
                    decided => return decided,
                }
            }
            Some(left.len().cmp(&right.len()))
        }
        (Value::List(_), _) => Some(Ordering::Greater),
        (_, Value::List(_)) => Some(Ordering::Less),
        _ => compare_numbers(left.to_number(), right.to_number()),
    }
}

fn compare_numbers(left: Number, right: Number) -> Option<Ordering> {
    match (left, right) {
        (Number::Integer(left), Number::Integer(right)) => Some(left.cmp(&right)),
        _ => left.as_float().partial_cmp(&right.as_float()),
    }
}

fn add<'a>(left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Failure> {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => Ok(Value::Integer(left.saturating_add(right))),
        (left @ (Value::Integer(_) | Value::Float(_)), right @ (Value::Integer(_) | Value::Float(_))) => {
            Ok(finite(left.to_number().as_float() + right.to_number().as_float()))
        }
        (Value::List(left), Value::List(right)) => {
            Value::list(left.into_elements().into_iter().chain(right.into_elements()))
        }
        (Value::List(left), right) => Value::list(left.into_elements().into_iter().chain([right])),
        (left, Value::List(right)) => Value::list([left].into_iter().chain(right.into_elements())),
        // An absent text changes nothing, not even the type of the other side.
        (Value::Text(left), right) if left.is_empty() => Ok(right),
        (left, Value::Text(right)) if right.is_empty() => Ok(left),
        (left, right) => concatenate(left.into_text(), &right.into_text()),
    }
}

fn concatenate<'a>(left: Cow<'a, str>, right: &str) -> Result<Value<'a>, Failure> {
    if left.len() + right.len() > MAX_VALUE_OCTETS {
        return Err(Failure::TooLarge);
    }
    let mut text = left.into_owned();
    text.push_str(right);
    Ok(Value::from(text))
}

fn subtract<'a>(left: Value<'a>, right: Value<'a>) -> Value<'a> {
    match (left, right) {
        (Value::List(list), value) | (value, Value::List(list)) => {
            let mut elements = list.into_elements();
            elements.retain(|element| !equals(element, &value));
            Value::from(elements)
        }
        (left, right) => match (left.to_number(), right.to_number()) {
            (Number::Integer(left), Number::Integer(right)) => Value::Integer(left.saturating_sub(right)),
            (left, right) => finite(left.as_float() - right.as_float()),
        },
    }
}

fn multiply(left: Number, right: Number) -> Value<'static> {
    match (left, right) {
        (Number::Integer(left), Number::Integer(right)) => Value::Integer(left.saturating_mul(right)),
        _ => finite(left.as_float() * right.as_float()),
    }
}

fn divide(left: Number, right: Number) -> Value<'static> {
    let divisor = right.as_float();
    if divisor == 0.0 { Value::Float(0.0) } else { finite(left.as_float() / divisor) }
}

/// Keeps floats finite as integers are kept in range.
fn finite(number: f64) -> Value<'static> {
    Value::Float(if number.is_nan() { 0.0 } else { number.clamp(f64::MIN, f64::MAX) })
}
