//! The two paths of an envelope: a mailbox in angle brackets (RFC 5321 section 4.1.2).

use std::fmt;

use super::address::{Address, AddressError};
use super::domain::normalise_host;

/// The path of MAIL: a mailbox, or none at all for notifications (RFC 5321 section 4.5.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum ReversePath {
    /// `<>`
    #[default]
    Null,
    /// `<local@domain>`
    Mailbox(Address),
}

impl ReversePath {
    /// Reads a path with its angle brackets; a source route is dropped (RFC 5321 appendix C).
    ///
    /// # Errors
    ///
    /// A [`PathError`] when the brackets are not there or hold no mailbox.
    pub fn parse(path: impl AsRef<[u8]>) -> Result<Self, PathError> {
        Self::from_inner(whole_path(path.as_ref())?)
    }

    /// Reads what stands between the brackets.
    pub(super) fn from_inner(inner: &[u8]) -> Result<Self, PathError> {
        if inner.is_empty() {
            return Ok(Self::Null);
        }
        Ok(Self::Mailbox(Address::parse(without_route(inner)?)?))
    }

    /// The mailbox, unless this is the null path.
    #[must_use]
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Mailbox(address) => Some(address),
        }
    }

    /// The mailbox as it was written, without brackets; empty for the null path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.address().map_or("", Address::as_str)
    }

    /// The comparison form of the mailbox; empty for the null path.
    #[must_use]
    pub fn key(&self) -> &str {
        self.address().map_or("", Address::key)
    }

    /// Whether the path can be written without SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.as_str().is_ascii()
    }
}

impl From<Address> for ReversePath {
    fn from(address: Address) -> Self {
        Self::Mailbox(address)
    }
}

impl fmt::Display for ReversePath {
    /// The form on the wire, `<local@domain>` or `<>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

/// The path of RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, in any case (RFC 5321 section 4.5.1).
    Postmaster,
    /// `<local@domain>`
    Mailbox(Address),
}

impl ForwardPath {
    /// Reads a path with its angle brackets; a source route is dropped (RFC 5321 appendix C).
    ///
    /// # Errors
    ///
    /// A [`PathError`] when the brackets are not there or hold no mailbox, `<>` included.
    pub fn parse(path: impl AsRef<[u8]>) -> Result<Self, PathError> {
        Self::from_inner(whole_path(path.as_ref())?)
    }

    /// Reads what stands between the brackets.
    pub(super) fn from_inner(inner: &[u8]) -> Result<Self, PathError> {
        let mailbox = without_route(inner)?;
        if mailbox.eq_ignore_ascii_case(b"postmaster") {
            return Ok(Self::Postmaster);
        }
        Ok(Self::Mailbox(Address::parse(mailbox)?))
    }

    /// The mailbox, unless this is the bare postmaster.
    #[must_use]
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Postmaster => None,
            Self::Mailbox(address) => Some(address),
        }
    }

    /// Whether the path can be written without SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.address().is_none_or(Address::is_ascii)
    }
}

impl From<Address> for ForwardPath {
    fn from(address: Address) -> Self {
        Self::Mailbox(address)
    }
}

impl fmt::Display for ForwardPath {
    /// The form on the wire, `<local@domain>` or `<postmaster>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("<postmaster>"),
            Self::Mailbox(address) => write!(f, "<{address}>"),
        }
    }
}

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The angle brackets are missing, or something is glued to them.
    #[error("path without angle brackets")]
    Brackets,
    /// The source route in front of the mailbox is malformed (RFC 5321 appendix C).
    #[error("malformed source route")]
    Route,
    /// The brackets hold no mailbox.
    #[error(transparent)]
    Mailbox(#[from] AddressError),
}

/// Splits `<path>rest` into what stands between the brackets and the rest.
///
/// A `>` inside a quoted local part belongs to the mailbox.
pub(super) fn split_path(input: &[u8]) -> Result<(&[u8], &[u8]), PathError> {
    let inner = input.strip_prefix(b"<").ok_or(PathError::Brackets)?;
    let mut quoted = false;
    let mut octets = inner.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                octets.next();
            }
            b'>' if !quoted => {
                let (path, rest) = inner.split_at(at);
                return Ok((path, rest.strip_prefix(b">").unwrap_or(rest)));
            }
            _ => {}
        }
    }
    Err(PathError::Brackets)
}

fn whole_path(path: &[u8]) -> Result<&[u8], PathError> {
    match split_path(path)? {
        (inner, []) => Ok(inner),
        _ => Err(PathError::Brackets),
    }
}

/// Drops `@one,@two:` in front of a mailbox, after a look at its form.
fn without_route(inner: &[u8]) -> Result<&[u8], PathError> {
    if !inner.starts_with(b"@") {
        return Ok(inner);
    }
    let mut in_literal = false;
    let colon = inner.iter().position(|octet| {
        match octet {
            b'[' => in_literal = true,
            b']' => in_literal = false,
            _ => {}
        }
        *octet == b':' && !in_literal
    });
    let (route, mailbox) = inner.split_at(colon.ok_or(PathError::Route)?);
    let route = std::str::from_utf8(route).map_err(|_| PathError::Route)?;
    for hop in route.split(',') {
        let host = hop.strip_prefix('@').ok_or(PathError::Route)?;
        normalise_host(host).map_err(|_| PathError::Route)?;
    }
    Ok(mailbox.strip_prefix(b":").unwrap_or(mailbox))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(path: &str) -> Result<String, PathError> {
        ForwardPath::parse(path).map(|path| path.to_string())
    }

    #[test]
    fn paths_are_written_as_they_were_read() {
        for path in [
            "<a@b.example>",
            "<\"a b\"@c>",
            "<\"a>b\"@c>",
            "<\"a\\\">b\"@c>",
            "<u@[IPv6:::1]>",
            "<ü@ü.example>",
        ] {
            assert_eq!(forward(path).as_deref(), Ok(path));
            assert_eq!(ReversePath::parse(path).unwrap().to_string(), path);
        }
        assert_eq!(ReversePath::parse("<>").unwrap().to_string(), "<>");
    }

    #[test]
    fn null_path_and_postmaster_are_different_things() {
        assert_eq!(ReversePath::parse("<>"), Ok(ReversePath::Null));
        assert_eq!(ForwardPath::parse("<>"), Err(PathError::Mailbox(AddressError::NoDomain)));
        for path in ["<postmaster>", "<Postmaster>", "<POSTMASTER>"] {
            assert_eq!(ForwardPath::parse(path), Ok(ForwardPath::Postmaster));
            assert!(ReversePath::parse(path).is_err());
        }
    }

    #[test]
    fn source_routes_are_dropped() {
        assert_eq!(forward("<@a.example,@b.example:user@c.example>").as_deref(), Ok("<user@c.example>"));
        assert_eq!(forward("<@[IPv6:::1]:user@c.example>").as_deref(), Ok("<user@c.example>"));
        for path in ["<@a.example>", "<@a,b:user@c>", "<@:user@c>", "<@a b:user@c>"] {
            assert_eq!(ForwardPath::parse(path), Err(PathError::Route), "{path}");
        }
    }

    #[test]
    fn missing_or_glued_brackets_are_no_path() {
        for path in ["", "a@b", "<a@b", "a@b>", "<a@b>x", "<a@b>>", " <a@b>", "<\"a>@b", "<\"a\\\">@b"] {
            assert_eq!(ForwardPath::parse(path), Err(PathError::Brackets), "{path}");
        }
    }
}
