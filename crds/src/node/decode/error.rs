//! The error of the decoder: serde's messages in words that a writer of manifests understands.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::super::{Path, shortened};
use crate::suggest::closest;

/// An error with its path, once the reader through which it passed has added it.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) path: Path,
    pub(super) located: bool,
    pub(super) reason: Reason,
}

#[derive(Debug)]
pub(super) enum Reason {
    /// A field is missing in the map at the path.
    Missing(&'static str),
    /// What stands at the path is wrong.
    Wrong { message: String, suggestion: Option<String> },
}

impl Error {
    fn wrong(message: String, suggestion: Option<String>) -> Self {
        Self { path: Path::default(), located: false, reason: Reason::Wrong { message, suggestion } }
    }

    /// Adds the path where the error arose; paths of outer values leave it alone.
    pub(super) fn at(mut self, path: impl FnOnce() -> Path) -> Self {
        if !self.located {
            self.path = path();
            self.located = true;
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Missing(field) => write!(f, "{}.{field} is required", self.path),
            Reason::Wrong { message, .. } => write!(f, "{}: {message}", self.path),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::wrong(message.to_string(), None)
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wrong(format!("expected {}, found {}", wanted(expected), found(unexpected)), None)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let known: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
        let message = format!("unknown value {}, expected one of {}", shortened(variant), known.join(", "));
        Self::wrong(message, closest(variant, expected.iter().copied()).map(str::to_owned))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: Path::default(), located: false, reason: Reason::Missing(field) }
    }
}

/// The names that serde gives to Rust types, in words.
fn wanted(expected: &dyn Expected) -> String {
    let name = expected.to_string();
    match name.as_str() {
        "a string" | "string" => "a text".to_owned(),
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" => "a whole number from 0".to_owned(),
        "i32" => format!("a whole number from {} to {}", i32::MIN, i32::MAX),
        "i64" => "a whole number".to_owned(),
        "a sequence" => "a list".to_owned(),
        _ if name.starts_with("struct ") => "a map".to_owned(),
        _ if name.starts_with("enum ") => "a text".to_owned(),
        _ => name,
    }
}

fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("the boolean `{value}`"),
        Unexpected::Unsigned(value) => format!("the number `{value}`"),
        Unexpected::Signed(value) => format!("the number `{value}`"),
        Unexpected::Float(value) => format!("the number `{value}`"),
        Unexpected::Str(text) => format!("the text {}", shortened(text)),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        other => other.to_string(),
    }
}
