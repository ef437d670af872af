//! What fields are made of: the types an expression's result is converted to (`docs/spec.md` section 2.0).

use std::sync::Arc;
use std::time::Duration;

use super::kinds::Kinds;
use super::token::unit_milliseconds;
use super::value::Value;
use super::word::Word;

/// Text of a field; cloning it copies no text.
pub type Text = Arc<str>;

/// List of text of a field; cloning it copies no text.
pub type TextList = Arc<[Text]>;

/// A type that a field can have.
pub trait Target: Clone {
    /// The type as a message names it, with its article.
    const WANTED: &'static str;

    /// The types of value of which at least some convert.
    const ACCEPTED: Kinds;

    /// Converts a value; `None` when there is no meaning in it.
    fn convert(value: Value<'_>) -> Option<Self>;

    /// The value as a report shows it.
    fn shown(&self) -> String;
}

/// Every value has a truth, so this never fails.
impl Target for bool {
    const WANTED: &'static str = "a truth value";
    const ACCEPTED: Kinds = Kinds::ANY;

    fn convert(value: Value<'_>) -> Option<Self> {
        Some(value.is_true())
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// Integers, floats without their fraction, numeric text.
impl Target for i64 {
    const WANTED: &'static str = "an integer";
    const ACCEPTED: Kinds = NUMERIC;

    fn convert(value: Value<'_>) -> Option<Self> {
        value.to_integer()
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// As `i64`; negative numbers do not convert.
impl Target for u64 {
    const WANTED: &'static str = "an integer that is not negative";
    const ACCEPTED: Kinds = NUMERIC;

    fn convert(value: Value<'_>) -> Option<Self> {
        value.to_integer().and_then(|number| number.try_into().ok())
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// As `i64`; numbers that do not fit do not convert.
impl Target for u32 {
    const WANTED: &'static str = "an integer from 0 to 4294967295";
    const ACCEPTED: Kinds = NUMERIC;

    fn convert(value: Value<'_>) -> Option<Self> {
        value.to_integer().and_then(|number| number.try_into().ok())
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// Positive numbers as milliseconds, or text with a unit (`'5m'`); `false`, 0 and empty text are `None`,
/// which means off. Longer ones than 36500 days are cut, so that adding one to a time cannot overflow.
impl Target for Option<Duration> {
    const WANTED: &'static str = "a duration";
    const ACCEPTED: Kinds = NUMERIC;

    fn convert(value: Value<'_>) -> Option<Self> {
        let milliseconds = match &value {
            Value::Text(text) if text.is_empty() => 0,
            Value::Text(text) => parse_duration(text)?,
            other => other.to_integer()?,
        };
        match u64::try_from(milliseconds).ok()?.min(LONGEST_MILLISECONDS) {
            0 => Some(None),
            milliseconds => Some(Some(Duration::from_millis(milliseconds))),
        }
    }

    fn shown(&self) -> String {
        self.map_or_else(|| "off".to_owned(), |span| format!("{span:?}"))
    }
}

/// Text only. Anything else is `None`, which means that there is none: `false` in `script` or `rewrite`.
///
/// Lists, floats and constants convert too, but a field that can yield nothing else is refused at load,
/// because it is a text whose quotes are missing.
impl Target for Option<Text> {
    const WANTED: &'static str = "text, or `false` for none";
    const ACCEPTED: Kinds = Kinds::TEXT.or(Kinds::INTEGER);

    fn convert(value: Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Text(text) => Some(Text::from(&*text)),
            _ => None,
        })
    }

    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "false".to_owned(), |text| Value::from(&**text).to_string())
    }
}

/// A list of scalars, each by its text, or one text; `false` and empty text are the empty list.
impl Target for TextList {
    const WANTED: &'static str = "a list of text";
    const ACCEPTED: Kinds = Kinds::LIST.or(Kinds::TEXT).or(Kinds::INTEGER);

    fn convert(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Integer(0) => Some(TextList::from([])),
            value @ (Value::List(_) | Value::Text(_)) => value
                .into_elements()
                .into_iter()
                .map(|element| match element {
                    Value::List(_) => None,
                    scalar => Some(Text::from(&*scalar.into_text())),
                })
                .collect(),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        Value::from(self.iter().map(|text| Value::from(&**text)).collect::<Vec<_>>()).to_string()
    }
}

/// The value itself, whatever it is.
impl Target for Value<'static> {
    const WANTED: &'static str = "a value";
    const ACCEPTED: Kinds = Kinds::ANY;

    fn convert(value: Value<'_>) -> Option<Self> {
        Some(value.into_owned())
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// What happens with a sender check's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verify {
    /// Check, and refuse what does not pass.
    Strict,
    /// Check, and record the result.
    Relaxed,
    /// Do not check.
    Disable,
}

impl Target for Verify {
    const WANTED: &'static str = "`strict`, `relaxed` or `disable`";
    const ACCEPTED: Kinds = Kinds::WORD;

    fn convert(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Word(Word::Strict) => Some(Self::Strict),
            Value::Word(Word::Relaxed) => Some(Self::Relaxed),
            Value::Word(Word::Disable) => Some(Self::Disable),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        let word = match self {
            Self::Strict => Word::Strict,
            Self::Relaxed => Word::Relaxed,
            Self::Disable => Word::Disable,
        };
        word.name().to_owned()
    }
}

/// A registered MT-PRIORITY profile (RFC 6710 section 9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PriorityProfile {
    /// MIXER (RFC 6758).
    Mixer,
    /// STANAG4406.
    Stanag4406,
    /// NSEP.
    Nsep,
}

impl PriorityProfile {
    /// The profile as EHLO advertises it.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Mixer => "MIXER",
            Self::Stanag4406 => "STANAG4406",
            Self::Nsep => "NSEP",
        }
    }
}

/// `false` is `None`, which means off.
impl Target for Option<PriorityProfile> {
    const WANTED: &'static str = "`mixer`, `stanag4406`, `nsep` or `false`";
    const ACCEPTED: Kinds = Kinds::WORD.or(Kinds::INTEGER);

    fn convert(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Word(Word::Mixer) => Some(Some(PriorityProfile::Mixer)),
            Value::Word(Word::Stanag4406) => Some(Some(PriorityProfile::Stanag4406)),
            Value::Word(Word::Nsep) => Some(Some(PriorityProfile::Nsep)),
            Value::Integer(0) => Some(None),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        self.map_or("false", PriorityProfile::keyword).to_lowercase()
    }
}

/// A SASL mechanism that AUTH can offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SaslMechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN (draft-murchison-sasl-login).
    Login,
    /// OAUTHBEARER (RFC 7628).
    OauthBearer,
    /// XOAUTH2, the older form of bearer tokens.
    Xoauth2,
}

impl SaslMechanism {
    /// Every mechanism there is, in the order EHLO advertises them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Login, Self::OauthBearer, Self::Xoauth2];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
        }
    }

    /// The mechanism of that name, in any case (RFC 4422 section 3.1).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    fn from_word(word: Word) -> Option<Self> {
        match word {
            Word::Plain => Some(Self::Plain),
            Word::Login => Some(Self::Login),
            Word::OauthBearer => Some(Self::OauthBearer),
            Word::Xoauth2 => Some(Self::Xoauth2),
            _ => None,
        }
    }
}

/// A set of SASL mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct SaslMechanisms(u8);

impl SaslMechanisms {
    /// The set without members: AUTH is off.
    pub const NONE: Self = Self(0);

    /// True when AUTH is off.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when the mechanism is a member.
    pub fn contains(self, mechanism: SaslMechanism) -> bool {
        self.0 & (1 << mechanism as u8) != 0
    }

    /// The members, in the order of [`SaslMechanism::ALL`].
    pub fn iter(self) -> impl Iterator<Item = SaslMechanism> {
        SaslMechanism::ALL.into_iter().filter(move |mechanism| self.contains(*mechanism))
    }
}

impl FromIterator<SaslMechanism> for SaslMechanisms {
    fn from_iter<I: IntoIterator<Item = SaslMechanism>>(mechanisms: I) -> Self {
        Self(mechanisms.into_iter().fold(0, |bits, mechanism| bits | 1 << mechanism as u8))
    }
}

/// A mechanism or a list of them; `false`, 0 and the empty list turn AUTH off.
impl Target for SaslMechanisms {
    const WANTED: &'static str = "a list of `plain`, `login`, `oauthbearer` and `xoauth2`, or `false`";
    const ACCEPTED: Kinds = Kinds::LIST.or(Kinds::WORD).or(Kinds::INTEGER);

    fn convert(value: Value<'_>) -> Option<Self> {
        let mechanism = |value: &Value<'_>| match value {
            Value::Word(word) => SaslMechanism::from_word(*word),
            _ => None,
        };
        match &value {
            Value::Integer(0) => Some(Self::NONE),
            Value::List(list) => list.iter().map(mechanism).collect(),
            scalar => mechanism(scalar).map(|mechanism| Self::from_iter([mechanism])),
        }
    }

    fn shown(&self) -> String {
        let names: Vec<_> = self.iter().map(|mechanism| mechanism.name().to_lowercase()).collect();
        format!("[{}]", names.join(", "))
    }
}

/// Milliseconds of a number with a unit, or of a bare number.
fn parse_duration(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let unit = text.get(digits.len()..).filter(|unit| !unit.is_empty()).unwrap_or("ms");
    // Only overflow can fail here, and durations are cut anyway.
    Some(digits.parse().unwrap_or(i64::MAX).saturating_mul(unit_milliseconds(unit)?))
}

const NUMERIC: Kinds = Kinds::NUMBER.or(Kinds::TEXT);

/// 36500 days.
const LONGEST_MILLISECONDS: u64 = 36_500 * 86_400_000;
