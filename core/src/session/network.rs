//! The network that a client comes from, as databases of the operator know it.

use std::fmt;

/// What is known of the client's network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Number of the autonomous system; 0 when unknown.
    pub number: u32,
    /// Who runs that system; empty when unknown.
    pub name: Box<str>,
    /// The country.
    pub country: Country,
}

/// A country by its two letters (ISO 3166-1), or none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Country(Option<[u8; 2]>);

impl Country {
    /// The country of a code, in capitals whatever the source writes; anything else is no country.
    #[must_use]
    pub fn of(code: &str) -> Self {
        match code.as_bytes() {
            [first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
                Self(Some([first.to_ascii_uppercase(), second.to_ascii_uppercase()]))
            }
            _ => Self(None),
        }
    }

    /// The code; empty for none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.0.as_ref().and_then(|code| str::from_utf8(code).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Country").field(&self.code()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_letters_are_a_country() {
        let code = |text: &str| Country::of(text).code().to_owned();
        assert_eq!((code("DE").as_str(), code("fr").as_str()), ("DE", "FR"));
        for other in ["", "D", "DEU", "ä", "D1", "\u{0}\u{0}"] {
            assert_eq!(code(other), "", "{other:?}");
        }
    }
}
