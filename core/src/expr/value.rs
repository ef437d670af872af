//! Values of the language and their conversions (`docs/spec.md` section 3.3).

use std::borrow::Cow;
use std::ops::Deref;

use super::facts::Failure;
use super::kinds::Kinds;
use super::word::Word;

/// Largest value an expression may produce, in octets: text by its length, a list as the sum of its
/// elements and 32 for each of them.
///
/// Exceeding it is [`Failure::TooLarge`]. The bound exists because a policy may double a text that a
/// client supplied as often as it likes.
pub const MAX_VALUE_OCTETS: usize = 1 << 20;

/// A value. Text and lists are borrowed from the policy or the session wherever that is possible.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Text. True unless empty, so `'0'` and `'false'` are true.
    Text(Cow<'a, str>),
    /// An integer; arithmetic saturates. `true` is 1 and `false` is 0.
    Integer(i64),
    /// A float. Arithmetic keeps it finite.
    Float(f64),
    /// A list, true unless empty.
    List(List<'a>),
    /// A bare constant, always true.
    Word(Word),
}

impl<'a> Value<'a> {
    /// The empty text: what is absent, unknown or out of range.
    pub const EMPTY: Value<'static> = Value::Text(Cow::Borrowed(""));

    /// The type of this value.
    pub fn kind(&self) -> Kinds {
        match self {
            Self::Text(_) => Kinds::TEXT,
            Self::Integer(_) => Kinds::INTEGER,
            Self::Float(_) => Kinds::FLOAT,
            Self::List(_) => Kinds::LIST,
            Self::Word(_) => Kinds::WORD,
        }
    }

    /// The truth of this value. Every value has one.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Integer(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::List(list) => !list.is_empty(),
            Self::Word(_) => true,
        }
    }

    /// This value as text: numbers in shortest decimal, lists joined with CRLF, constants by name.
    pub fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Float(number) => Cow::Owned(number.to_string()),
            Self::Word(word) => Cow::Borrowed(word.name()),
            Self::List(list) => {
                let lines: Vec<_> = list.iter().map(|element| element.borrowed().into_text()).collect();
                Cow::Owned(lines.join("\r\n"))
            }
        }
    }

    /// This value as an integer: integers, floats without their fraction, numeric text.
    pub fn to_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            // The cast saturates and takes NaN to 0.
            Self::Float(number) => Some(*number as i64),
            Self::Text(text) => Number::parse(text).map(Number::truncated),
            Self::List(_) | Self::Word(_) => None,
        }
    }

    /// The same value without a copy of its text or elements.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Integer(number) => Value::Integer(*number),
            Self::Float(number) => Value::Float(*number),
            Self::List(list) => Value::List(List::Shared(list)),
            Self::Word(word) => Value::Word(*word),
        }
    }

    /// The same value, independent of what it was borrowed from.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Integer(number) => Value::Integer(number),
            Self::Float(number) => Value::Float(number),
            Self::Word(word) => Value::Word(word),
            Self::List(list) => {
                Value::List(List::Owned(list.into_elements().into_iter().map(Value::into_owned).collect()))
            }
        }
    }

    /// The elements of a list. Any other value is its own single element, except empty text, which has none.
    pub fn into_elements(self) -> Vec<Value<'a>> {
        match self {
            Self::List(list) => list.into_elements(),
            Self::Text(text) if text.is_empty() => Vec::new(),
            scalar => vec![scalar],
        }
    }

    /// A truth value: the integer 1 or 0.
    pub(super) fn truth(truth: bool) -> Value<'static> {
        Value::Integer(i64::from(truth))
    }

    /// A count as an integer.
    pub(super) fn count(count: usize) -> Value<'static> {
        Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Collects a list, and stops as soon as it would exceed [`MAX_VALUE_OCTETS`].
    pub(super) fn list(elements: impl IntoIterator<Item = Value<'a>>) -> Result<Value<'a>, Failure> {
        let mut list = Vec::new();
        let mut octets = 0;
        for element in elements {
            octets += ELEMENT_OCTETS + element.octets();
            if octets > MAX_VALUE_OCTETS {
                return Err(Failure::TooLarge);
            }
            list.push(element);
        }
        Ok(Value::List(List::Owned(list)))
    }

    /// This value, unless it is larger than [`MAX_VALUE_OCTETS`].
    pub(super) fn bounded(self) -> Result<Self, Failure> {
        if self.octets() > MAX_VALUE_OCTETS { Err(Failure::TooLarge) } else { Ok(self) }
    }

    /// The size that counts against [`MAX_VALUE_OCTETS`].
    pub(super) fn octets(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(list) => list.iter().map(|element| ELEMENT_OCTETS + element.octets()).sum(),
            Self::Integer(_) | Self::Float(_) | Self::Word(_) => 0,
        }
    }

    /// This value as an operand of arithmetic: text is read as a number, whatever is none counts as 0.
    pub(super) fn to_number(&self) -> Number {
        match self {
            Self::Integer(number) => Number::Integer(*number),
            Self::Float(number) => Number::Float(*number),
            Self::Text(text) => Number::parse(text).unwrap_or(Number::Integer(0)),
            Self::List(_) | Self::Word(_) => Number::Integer(0),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Self::Integer(i64::from(truth))
    }
}

impl<'a> From<Vec<Value<'a>>> for Value<'a> {
    fn from(elements: Vec<Value<'a>>) -> Self {
        Self::List(List::Owned(elements))
    }
}

/// The elements of a list, shared with the policy or the session, or made by the evaluation.
#[derive(Debug, Clone)]
pub enum List<'a> {
    /// Elements that somebody else keeps.
    Shared(&'a [Value<'a>]),
    /// Elements of this value.
    Owned(Vec<Value<'a>>),
}

impl<'a> List<'a> {
    /// The elements; shared ones are borrowed one by one.
    pub fn into_elements(self) -> Vec<Value<'a>> {
        match self {
            Self::Owned(elements) => elements,
            Self::Shared(elements) => elements.iter().map(Value::borrowed).collect(),
        }
    }

    /// The element at a place counted from 0.
    pub(super) fn take(self, place: usize) -> Option<Value<'a>> {
        match self {
            Self::Owned(elements) => elements.into_iter().nth(place),
            Self::Shared(elements) => elements.get(place).map(Value::borrowed),
        }
    }
}

impl<'a> Deref for List<'a> {
    type Target = [Value<'a>];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Shared(elements) => elements,
            Self::Owned(elements) => elements,
        }
    }
}

impl PartialEq for List<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// A number of either type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
}

impl Number {
    /// The number a text spells, if it spells a finite one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Some(Self::Integer(number));
        }
        text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Float)
    }

    pub(super) fn as_float(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    fn truncated(self) -> i64 {
        match self {
            Self::Integer(number) => number,
            Self::Float(number) => number as i64,
        }
    }
}

/// What an element costs apart from its text.
const ELEMENT_OCTETS: usize = 32;
