//! Which types of value an expression may yield: what is known of it before it runs.

use std::fmt;
use std::ops::BitOr;

/// A set of value types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kinds(u8);

impl Kinds {
    /// No type.
    pub const NONE: Self = Self(0);
    /// Text.
    pub const TEXT: Self = Self(1);
    /// A 64-bit integer; truth values are the integers 1 and 0.
    pub const INTEGER: Self = Self(2);
    /// A floating-point number.
    pub const FLOAT: Self = Self(4);
    /// A list.
    pub const LIST: Self = Self(8);
    /// A bare constant.
    pub const WORD: Self = Self(16);
    /// An integer or a float.
    pub const NUMBER: Self = Self(2 | 4);
    /// Any type.
    pub const ANY: Self = Self(31);

    /// The types of both sets; `|` in constants.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True when the sets have a type in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

impl fmt::Display for Kinds {
    /// `a list`, `text or an integer`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (kind, name) in NAMES {
            if self.overlaps(kind) {
                if !first {
                    f.write_str(" or ")?;
                }
                f.write_str(name)?;
                first = false;
            }
        }
        Ok(())
    }
}

const NAMES: [(Kinds, &str); 5] = [
    (Kinds::TEXT, "text"),
    (Kinds::INTEGER, "an integer"),
    (Kinds::FLOAT, "a float"),
    (Kinds::LIST, "a list"),
    (Kinds::WORD, "a constant"),
];
