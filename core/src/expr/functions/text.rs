//! Functions on text. Other values are taken by their text; some apply to each element of a list.

use std::borrow::Cow;

use super::{Function, size};
use crate::expr::facts::Failure;
use crate::expr::kinds::Kinds;
use crate::expr::operators::equals;
use crate::expr::value::Value;

const TEXT: Kinds = Kinds::TEXT;
const TRUTH: Kinds = Kinds::INTEGER;
const COUNT: Kinds = Kinds::INTEGER;
const TEXT_OR_LIST: Kinds = TEXT.or(Kinds::LIST);
const TRUTH_OR_LIST: Kinds = TRUTH.or(Kinds::LIST);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::one("trim", TEXT_OR_LIST, |value| map(value, |text| sliced(text, str::trim))),
    Function::one("trim_start", TEXT_OR_LIST, |value| map(value, |text| sliced(text, str::trim_start))),
    Function::one("trim_end", TEXT_OR_LIST, |value| map(value, |text| sliced(text, str::trim_end))),
    Function::one("to_lowercase", TEXT_OR_LIST, |value| map(value, to_lowercase)),
    Function::one("to_uppercase", TEXT_OR_LIST, |value| map(value, |text| text.to_uppercase().into())),
    Function::one("is_lowercase", TRUTH_OR_LIST, |value| {
        test(value, |text| letters(text).all(char::is_lowercase))
    }),
    Function::one("is_uppercase", TRUTH_OR_LIST, |value| {
        test(value, |text| letters(text).all(char::is_uppercase))
    }),
    Function::one("has_digits", TRUTH_OR_LIST, |value| {
        test(value, |text| text.contains(|c: char| c.is_ascii_digit()))
    }),
    Function::one("len", COUNT, len),
    Function::one("count_chars", COUNT, |value| count(value, |_| true)),
    Function::one("count_spaces", COUNT, |value| count(value, char::is_whitespace)),
    Function::one("count_uppercase", COUNT, |value| count(value, char::is_uppercase)),
    Function::one("count_lowercase", COUNT, |value| count(value, char::is_lowercase)),
    Function::two("contains", TRUTH, contains),
    Function::two("contains_ignore_case", TRUTH, contains_ignore_case),
    Function::two("eq_ignore_case", TRUTH, |left, right| {
        Ok(Value::truth(left.into_text().eq_ignore_ascii_case(&right.into_text())))
    }),
    Function::two("starts_with", TRUTH, |text, part| {
        Ok(Value::truth(text.into_text().starts_with(&*part.into_text())))
    }),
    Function::two("ends_with", TRUTH, |text, part| {
        Ok(Value::truth(text.into_text().ends_with(&*part.into_text())))
    }),
    Function::two("strip_prefix", TEXT, |text, part| {
        let part = part.into_text();
        Ok(Value::Text(sliced(text.into_text(), |text| text.strip_prefix(&*part).unwrap_or_default())))
    }),
    Function::two("strip_suffix", TEXT, |text, part| {
        let part = part.into_text();
        Ok(Value::Text(sliced(text.into_text(), |text| text.strip_suffix(&*part).unwrap_or_default())))
    }),
    Function::three("substring", TEXT, substring),
];

/// A part of a text; borrowed when the text is.
pub(super) fn sliced<'a>(text: Cow<'a, str>, part: impl Fn(&str) -> &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(part(text)),
        Cow::Owned(text) => {
            let part = part(&text);
            if part.len() == text.len() { Cow::Owned(text) } else { Cow::Owned(part.to_owned()) }
        }
    }
}

/// Applies a function to the text, or to each element of a list.
fn map<'a>(
    value: Value<'a>,
    function: impl Fn(Cow<'a, str>) -> Cow<'a, str> + Copy,
) -> Result<Value<'a>, Failure> {
    each(value, |text| Value::Text(function(text)))?.bounded()
}

/// Tests the text, or each element of a list.
fn test<'a>(value: Value<'a>, predicate: impl Fn(&str) -> bool + Copy) -> Result<Value<'a>, Failure> {
    each(value, |text| Value::truth(predicate(&text)))
}

fn each<'a>(
    value: Value<'a>,
    function: impl Fn(Cow<'a, str>) -> Value<'a> + Copy,
) -> Result<Value<'a>, Failure> {
    match value {
        Value::List(list) => {
            let elements: Result<Vec<_>, _> =
                list.into_elements().into_iter().map(|element| each(element, function)).collect();
            elements.map(Value::from)
        }
        scalar => Ok(function(scalar.into_text())),
    }
}

fn to_lowercase(text: Cow<'_, str>) -> Cow<'_, str> {
    // Addresses and domains arrive in lower case, so most calls need no copy.
    let already = text.bytes().all(|octet| octet.is_ascii() && !octet.is_ascii_uppercase());
    if already { text } else { Cow::Owned(text.to_lowercase()) }
}

fn letters(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| c.is_alphabetic())
}

fn len(value: Value<'_>) -> Result<Value<'_>, Failure> {
    Ok(Value::count(match value {
        Value::List(list) => list.len(),
        scalar => scalar.into_text().len(),
    }))
}

fn count(value: Value<'_>, counted: impl Fn(char) -> bool) -> Result<Value<'_>, Failure> {
    Ok(Value::count(value.into_text().chars().filter(|c| counted(*c)).count()))
}

fn contains<'a>(value: Value<'a>, part: Value<'a>) -> Result<Value<'a>, Failure> {
    Ok(Value::truth(match value {
        Value::List(list) => list.iter().any(|element| equals(element, &part)),
        scalar => scalar.into_text().contains(&*part.into_text()),
    }))
}

fn contains_ignore_case<'a>(value: Value<'a>, part: Value<'a>) -> Result<Value<'a>, Failure> {
    let part = to_lowercase(part.into_text());
    Ok(Value::truth(match value {
        Value::List(list) => list.iter().any(|element| to_lowercase(element.borrowed().into_text()) == part),
        scalar => to_lowercase(scalar.into_text()).contains(&*part),
    }))
}

fn substring<'a>(text: Value<'a>, start: Value<'a>, count: Value<'a>) -> Result<Value<'a>, Failure> {
    let (start, count) = (size(&start), size(&count));
    Ok(Value::Text(sliced(text.into_text(), |text| {
        let tail = text.char_indices().nth(start).map_or("", |(at, _)| text.get(at..).unwrap_or_default());
        tail.char_indices().nth(count).map_or(tail, |(at, _)| tail.get(..at).unwrap_or_default())
    })))
}
