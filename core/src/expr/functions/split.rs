//! Functions that cut text into lists.
//!
//! An empty separator cuts at every character boundary, the two ends included.

use std::borrow::Cow;

use super::text::sliced;
use super::{Function, size};
use crate::expr::facts::Failure;
use crate::expr::kinds::Kinds;
use crate::expr::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::one("lines", Kinds::LIST, |text| cut(text, Cut::Lines)),
    Function::one("split_words", Kinds::LIST, |text| cut(text, Cut::Words)),
    Function::two("split", Kinds::LIST, |text, separator| cut(text, Cut::Each(&separator.into_text()))),
    Function::two("rsplit", Kinds::LIST, |text, separator| {
        cut(text, Cut::EachFromEnd(&separator.into_text()))
    }),
    Function::three("split_n", Kinds::LIST, |text, separator, cuts| {
        cut(text, Cut::AtMost(&separator.into_text(), size(&cuts)))
    }),
    Function::two("split_once", Kinds::LIST.or(Kinds::TEXT), |text, separator| {
        pair(text.into_text(), &separator.into_text(), |text, separator| text.split_once(separator))
    }),
    Function::two("rsplit_once", Kinds::LIST.or(Kinds::TEXT), |text, separator| {
        pair(text.into_text(), &separator.into_text(), |text, separator| text.rsplit_once(separator))
    }),
];

/// A way to cut.
#[derive(Clone, Copy)]
enum Cut<'s> {
    Lines,
    /// Words between blanks, of which only the alphanumeric ones are kept.
    Words,
    Each(&'s str),
    EachFromEnd(&'s str),
    /// So many cuts, from the left.
    AtMost(&'s str, usize),
}

impl<'s> Cut<'s> {
    fn parts<'t: 's>(self, text: &'t str) -> Box<dyn Iterator<Item = &'t str> + 's> {
        match self {
            Self::Lines => Box::new(text.lines()),
            Self::Words => {
                let words = text.split_whitespace();
                Box::new(words.filter(|word| word.chars().all(char::is_alphanumeric)))
            }
            Self::Each(separator) => Box::new(text.split(separator)),
            Self::EachFromEnd(separator) => Box::new(text.rsplit(separator)),
            Self::AtMost(separator, cuts) => Box::new(text.splitn(cuts.saturating_add(1), separator)),
        }
    }
}

/// The parts of a text as a list.
fn cut<'a>(text: Value<'a>, cut: Cut<'_>) -> Result<Value<'a>, Failure> {
    match text.into_text() {
        Cow::Borrowed(text) => Value::list(cut.parts(text).map(Value::from)),
        Cow::Owned(text) => Value::list(cut.parts(&text).map(|part| Value::from(part.to_owned()))),
    }
}

/// The parts before and behind a separator, or empty text without one.
fn pair<'a>(
    text: Cow<'a, str>,
    separator: &str,
    split: for<'t> fn(&'t str, &str) -> Option<(&'t str, &'t str)>,
) -> Result<Value<'a>, Failure> {
    if split(&text, separator).is_none() {
        return Ok(Value::EMPTY);
    }
    let before = sliced(text.clone(), |text| split(text, separator).map_or("", |(before, _)| before));
    let behind = sliced(text, |text| split(text, separator).map_or("", |(_, behind)| behind));
    Value::list([Value::Text(before), Value::Text(behind)])
}
