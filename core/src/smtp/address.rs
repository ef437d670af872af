//! Mailboxes and the two paths of an envelope (RFC 5321 section 4.1.2).

use std::fmt;

/// A mailbox, `local@domain`.
///
/// Keeps what the client wrote for the way to the next hop, and the form in which it is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// As received: case and quoting of the local part kept.
    text: Box<str>,
    /// Comparison form: lower case, quoting removed, the domain in A-labels.
    key: Box<str>,
}

impl Address {
    /// The mailbox as it was written, without angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The form in which mailboxes are compared: lower case, local part unquoted, domain in A-labels.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The path of MAIL: a mailbox, or none at all for notifications (RFC 5321 section 4.5.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum ReversePath {
    /// `<>`
    #[default]
    Null,
    /// `<local@domain>`
    Mailbox(Address),
}

/// The path of RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, in any case (RFC 5321 section 4.5.1).
    Postmaster,
    /// `<local@domain>`
    Mailbox(Address),
}
