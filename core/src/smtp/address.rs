//! Mailboxes (RFC 5321 section 4.1.2, RFC 6531 section 3.3).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::domain::normalise_host;

pub use super::domain::normalise_domain;
pub use super::path::{ForwardPath, PathError, ReversePath};

/// A mailbox, `local@domain`.
///
/// Keeps what the client wrote for the way to the next hop, and the form in which it is compared. Copies share both,
/// and most mailboxes are written as they are compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// As received: case and quoting of the local part kept.
    text: Arc<str>,
    /// Comparison form: lower case, quoting removed, the domain in A-labels.
    key: Arc<str>,
}

impl Address {
    /// Longest mailbox, in octets, without brackets (RFC 5321 section 4.5.3.1.3 gives a path 256).
    pub const MAX_OCTETS: usize = 256;

    /// Reads `local@domain`, without angle brackets.
    ///
    /// The local part is a dot-atom or a quoted string, the domain a name or an address literal. UTF-8
    /// is accepted in both; whether the session may use it is not decided here.
    ///
    /// # Errors
    ///
    /// An [`AddressError`] that names the part which is wrong.
    pub fn parse(mailbox: impl AsRef<[u8]>) -> Result<Self, AddressError> {
        let octets = mailbox.as_ref();
        if octets.len() > Self::MAX_OCTETS {
            return Err(AddressError::TooLong);
        }
        let text = std::str::from_utf8(octets).map_err(|_| AddressError::NotUtf8)?;
        // No domain holds an `@`, so the last one is the separator even after a quoted local part.
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoDomain)?;
        let unquoted = match local.strip_prefix('"') {
            Some(quoted) => Cow::Owned(unquote(quoted)?),
            None => Cow::Borrowed(dot_atom(local)?),
        };
        let host = normalise_host(domain)?;
        let is_lower = |octet: u8| octet.is_ascii() && !octet.is_ascii_uppercase();
        if local.bytes().all(is_lower) && *unquoted == *local && *host == *domain {
            let text = Arc::<str>::from(text);
            return Ok(Self { key: Arc::clone(&text), text });
        }
        let mut key = String::with_capacity(unquoted.len() + 1 + host.len());
        if unquoted.is_ascii() {
            key.push_str(&unquoted);
            key.make_ascii_lowercase();
        } else {
            key.push_str(&unquoted.to_lowercase());
        }
        key.push('@');
        key.push_str(&host);
        Ok(Self { text: text.into(), key: key.into() })
    }

    /// Joins a local part in comparison form (quoting removed) and a domain, and quotes where needed.
    ///
    /// # Errors
    ///
    /// As [`Address::parse`].
    pub fn from_parts(local: &str, domain: &str) -> Result<Self, AddressError> {
        if dot_atom(local).is_ok() {
            return Self::parse(format!("{local}@{domain}"));
        }
        let mut text = String::with_capacity(local.len() + domain.len() + 3);
        text.push('"');
        for c in local.chars() {
            if matches!(c, '"' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push_str("\"@");
        text.push_str(domain);
        Self::parse(text)
    }

    /// The mailbox as it was written, without angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The local part as it was written, quotes included.
    #[must_use]
    pub fn local(&self) -> &str {
        halves(&self.text).0
    }

    /// The domain or address literal as it was written.
    #[must_use]
    pub fn domain(&self) -> &str {
        halves(&self.text).1
    }

    /// The form in which mailboxes are compared: lower case, local part unquoted, domain in A-labels.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// As [`key`](Self::key), to be kept.
    #[must_use]
    pub fn shared_key(&self) -> Arc<str> {
        Arc::clone(&self.key)
    }

    /// The local part of the comparison form. It may itself hold an `@` that was quoted.
    #[must_use]
    pub fn key_local(&self) -> &str {
        halves(&self.key).0
    }

    /// The domain of the comparison form.
    #[must_use]
    pub fn key_domain(&self) -> &str {
        halves(&self.key).1
    }

    /// Whether the mailbox can be written without SMTPUTF8 (RFC 6531 section 3.4).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(mailbox: &str) -> Result<Self, Self::Err> {
        Self::parse(mailbox)
    }
}

/// Why a text is no mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// More than [`Address::MAX_OCTETS`].
    #[error("address longer than {} octets", Address::MAX_OCTETS)]
    TooLong,
    /// Octets above 127 that are not UTF-8 (RFC 6531 section 3.3).
    #[error("address is not valid UTF-8")]
    NotUtf8,
    /// No `@`.
    #[error("address without a domain")]
    NoDomain,
    /// The local part is neither a dot-atom nor a quoted string.
    #[error("malformed local part")]
    LocalPart,
    /// The domain is neither a name nor an address literal.
    #[error("malformed domain")]
    Domain,
}

fn halves(mailbox: &str) -> (&str, &str) {
    mailbox.rsplit_once('@').unwrap_or((mailbox, ""))
}

/// Dot-string of RFC 5321 section 4.1.2, atoms widened by RFC 6531 section 3.3.
fn dot_atom(local: &str) -> Result<&str, AddressError> {
    if local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext)) {
        Ok(local)
    } else {
        Err(AddressError::LocalPart)
    }
}

fn is_atext(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '/' | '=' | '?' => true,
        '^' | '_' | '`' | '{' | '|' | '}' | '~' => true,
        _ => !c.is_ascii() && !c.is_control(),
    }
}

/// The content of a quoted string whose opening quote is already gone.
///
/// An empty one is refused although the grammar allows it: nobody has such a mailbox, and `@domain` as
/// its comparison form would pass for the catch-all of the domain.
fn unquote(quoted: &str) -> Result<String, AddressError> {
    let mut content = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    loop {
        match chars.next().ok_or(AddressError::LocalPart)? {
            '"' => break,
            '\\' => match chars.next() {
                Some(c @ ' '..='~') => content.push(c),
                _ => return Err(AddressError::LocalPart),
            },
            c if c.is_control() => return Err(AddressError::LocalPart),
            c => content.push(c),
        }
    }
    if content.is_empty() || chars.next().is_some() {
        return Err(AddressError::LocalPart);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mailboxes_keep_their_spelling_and_get_a_comparison_form() {
        for (given, key) in [
            ("john@example.org", "john@example.org"),
            ("John.Doe+tag@Example.ORG", "john.doe+tag@example.org"),
            ("\"a b\"@c.example", "a b@c.example"),
            ("\"A\\\"b\\\\c\"@c.example", "a\"b\\c@c.example"),
            ("\"john\"@example.org", "john@example.org"),
            ("\"a@b\"@c.example", "a@b@c.example"),
            ("\"..\"@c.example", "..@c.example"),
            ("a@[192.0.2.1]", "a@[192.0.2.1]"),
            ("a@[IPv6:2001:DB8::0:1]", "a@[ipv6:2001:db8::1]"),
            ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
            ("ÄÖ@x.example", "äö@x.example"),
            ("!#$%&'*+-/=?^_`{|}~@x", "!#$%&'*+-/=?^_`{|}~@x"),
        ] {
            let address = Address::parse(given).unwrap();
            assert_eq!(address.key(), key);
            assert_eq!(address.to_string(), given);
            assert_eq!(format!("{}@{}", address.local(), address.domain()), given);
            assert_eq!(format!("{}@{}", address.key_local(), address.key_domain()), key);
        }
    }

    #[test]
    fn what_is_no_mailbox_is_refused_with_its_reason() {
        use AddressError::{Domain, LocalPart, NoDomain};
        for (given, why) in [
            ("", NoDomain),
            ("john", NoDomain),
            ("@example.org", LocalPart),
            (".a@b", LocalPart),
            ("a.@b", LocalPart),
            ("a..b@c", LocalPart),
            ("a@b@c", LocalPart),
            ("a b@c", LocalPart),
            ("a(b)@c", LocalPart),
            ("a\r@b", LocalPart),
            ("a\0@b", LocalPart),
            ("a\u{85}b@c", LocalPart),
            ("\"a@c", LocalPart),
            ("\"\"@c", LocalPart),
            ("\"a\"b@c", LocalPart),
            ("\"a\"\"b\"@c", LocalPart),
            ("\"a\rb\"@c", LocalPart),
            ("\"a\\\"@c", LocalPart),
            ("\"a\\\u{1}\"@c", LocalPart),
            ("a\"b\"@c", LocalPart),
            ("a@", Domain),
            ("a@b..c", Domain),
            ("a@.b", Domain),
            ("a@b.", Domain),
            ("a@b c", Domain),
            ("a@b\n", Domain),
            ("a@[b]", Domain),
        ] {
            assert_eq!(Address::parse(given), Err(why), "{given:?}");
        }
        assert_eq!(Address::parse(b"a\xff@b"), Err(AddressError::NotUtf8));
    }

    #[test]
    fn mailboxes_end_at_256_octets() {
        let just = format!("{}@example.org", "a".repeat(244));
        assert_eq!(just.len(), 256);
        assert!(Address::parse(&just).is_ok());
        assert_eq!(Address::parse(format!("a{just}")), Err(AddressError::TooLong));
    }

    #[test]
    fn parts_are_quoted_where_needed() {
        for (local, domain, wanted) in [
            ("john", "example.org", "john@example.org"),
            ("a b", "example.org", "\"a b\"@example.org"),
            ("a\"b\\", "example.org", "\"a\\\"b\\\\\"@example.org"),
            ("a@b", "example.org", "\"a@b\"@example.org"),
            ("a..b", "example.org", "\"a..b\"@example.org"),
        ] {
            assert_eq!(Address::from_parts(local, domain).unwrap().as_str(), wanted);
        }
        assert!(Address::from_parts("", "example.org").is_err());
        assert!(Address::from_parts("a\r\nb", "example.org").is_err());
        assert!(Address::from_parts("a", "b>\r\nDATA").is_err());
    }

    proptest! {
        #[test]
        fn any_octets_are_parsed_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(address) = Address::parse(&octets) {
                prop_assert_eq!(address.as_str().as_bytes(), &octets[..]);
            }
        }

        #[test]
        fn printing_and_reading_gives_the_same_mailbox(local in "[a-zA-Z0-9.\"\\\\ @éß-]{1,20}", domain in "[a-zA-Zé.-]{1,20}") {
            if let Ok(address) = Address::from_parts(&local, &domain) {
                prop_assert_eq!(&Address::parse(address.to_string()).unwrap(), &address);
                prop_assert_eq!(address.key_local(), local.to_lowercase());
            }
        }

        #[test]
        fn the_comparison_form_is_its_own_comparison_form(text in "[a-zA-Z0-9\"\\\\. éΣİ]{1,20}@[a-zA-Zéß.]{1,20}") {
            if let Ok(address) = Address::parse(&text) {
                let again = Address::from_parts(address.key_local(), address.key_domain()).unwrap();
                prop_assert_eq!(again.key(), address.key());
            }
        }
    }
}
