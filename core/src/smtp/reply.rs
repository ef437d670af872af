//! Replies to a client (RFC 5321 section 4.2, RFC 2034).

use std::borrow::Cow;

/// A reply: three digits, mostly an enhanced status code, and text.
///
/// The text holds no line end but `\n`, which separates the lines of a reply with several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    text: Cow<'static, str>,
}

/// An enhanced status code: class, subject, detail (RFC 3463).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl Reply {
    /// A reply with a fixed text.
    #[must_use]
    pub const fn new(code: u16, enhanced: EnhancedCode, text: &'static str) -> Self {
        Self { code, enhanced: Some(enhanced), text: Cow::Borrowed(text) }
    }

    /// The three digits.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, when there is one.
    #[must_use]
    pub const fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The text, its lines separated by `\n`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}
