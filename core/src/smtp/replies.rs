//! The replies that several parts give, or that say why a line is no command. Codes are fixed by the
//! behaviour, texts are free.

use super::reply::{EnhancedCode, Reply};

/// Replies with fixed codes, in the order of their codes.
impl Reply {
    /// 250 2.0.0: RSET, NOOP, and a message that was taken.
    pub const OK: Self = Self::new(250, EnhancedCode(2, 0, 0), "OK");
    /// 500 5.5.1: an unknown verb or an empty line.
    pub const UNKNOWN_COMMAND: Self = Self::new(500, EnhancedCode(5, 5, 1), "Unknown command");
    /// 421 4.7.0: a request of HTTP. Whoever sends it does not mean to speak SMTP, but what follows might be made to
    /// look like it by somebody else; so the connection ends here.
    pub const NOT_HTTP: Self = Self::new(421, EnhancedCode(4, 7, 0), "This is a mail server");
    /// 501 5.5.2: a command that cannot be read.
    pub const SYNTAX_ERROR: Self = Self::new(501, EnhancedCode(5, 5, 2), "Syntax error");
    /// 501 5.1.8: the path of MAIL holds no mailbox.
    pub const BAD_SENDER: Self = Self::new(501, EnhancedCode(5, 1, 8), "Malformed sender address");
    /// 501 5.1.3: the path of RCPT holds no mailbox.
    pub const BAD_RECIPIENT: Self = Self::new(501, EnhancedCode(5, 1, 3), "Malformed recipient address");
    /// 501 5.5.4: a known parameter with a bad value, or one that may not be used here.
    pub const BAD_PARAMETER: Self = Self::new(501, EnhancedCode(5, 5, 4), "Invalid parameter");
    /// 504 5.5.4: a parameter that no extension defines.
    pub const UNKNOWN_PARAMETER: Self = Self::new(504, EnhancedCode(5, 5, 4), "Unknown parameter");
    /// 550 5.1.2: no relaying and no such mailbox.
    pub const NO_SUCH_RECIPIENT: Self = Self::new(550, EnhancedCode(5, 1, 2), "Recipient unknown here");
    /// 550 5.6.7: international addresses for a next hop without the extension (RFC 6531 section 3.5).
    pub const NEEDS_SMTPUTF8: Self =
        Self::new(550, EnhancedCode(5, 6, 7), "The next hop does not offer SMTPUTF8");
    /// 550 5.7.10: REQUIRETLS for a next hop without the extension (RFC 8689 section 4.2.1).
    pub const NEEDS_REQUIRETLS: Self =
        Self::new(550, EnhancedCode(5, 7, 10), "The next hop does not offer REQUIRETLS");
    /// 552 5.3.4: more than `maxMessageSize`.
    pub const TOO_BIG: Self = Self::new(552, EnhancedCode(5, 3, 4), "Message too big");
    /// 553 5.6.7: octets above 127 in an address without SMTPUTF8 (RFC 6531 section 3.5).
    pub const UNDECLARED_UTF8: Self = Self::new(553, EnhancedCode(5, 6, 7), "Address needs SMTPUTF8");
    /// 554 5.6.3: octets above 127 for a next hop without the extension (RFC 6152 section 3).
    pub const NEEDS_8BITMIME: Self =
        Self::new(554, EnhancedCode(5, 6, 3), "The next hop does not offer 8BITMIME");
    /// 554 5.0.0: a refusal whose own words were unusable.
    pub const FAILED: Self = Self::new(554, EnhancedCode(5, 0, 0), "Transaction failed");
}
