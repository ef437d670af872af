//! Authentication-Results fields that claim to be ours (RFC 8601 section 5).

use super::edit::Edit;
use super::field::is_blank;
use super::header::Header;
use crate::smtp::address::normalise_domain;

/// The name of the field (RFC 8601 section 2.2).
pub const AUTHENTICATION_RESULTS: &[u8] = b"Authentication-Results";

impl Header {
    /// The edits that remove every Authentication-Results field which claims `hostname`.
    ///
    /// Nobody but this host writes its name there; a field that arrives with it is forged, or is of a
    /// message that passed here before and says nothing about this time. No filter is shown it, so the list
    /// ends with [`Edit::NextFilter`] unless it is empty.
    #[must_use]
    pub fn forged_results(&self, hostname: &str) -> Vec<Edit> {
        let mut edits: Vec<_> = self
            .fields()
            .filter(|field| field.is(AUTHENTICATION_RESULTS))
            .zip(1..)
            .filter(|(field, _)| claims(field.value, hostname))
            .map(|(_, index)| Edit::RemoveField { index, name: AUTHENTICATION_RESULTS.into() })
            .collect();
        // From the bottom, because a removed field is no longer counted.
        edits.reverse();
        if !edits.is_empty() {
            edits.push(Edit::NextFilter);
        }
        edits
    }
}

/// Whether the authserv-id of an Authentication-Results value is `hostname` (RFC 8601 section 2.5).
#[must_use]
pub fn claims(value: &[u8], hostname: &str) -> bool {
    let id = String::from_utf8_lossy(&authserv_id(value)).into_owned();
    let (id, own) = (id.trim_end_matches('.'), hostname.trim_end_matches('.'));
    if id.eq_ignore_ascii_case(own) {
        return true;
    }
    // The same name may be spelt in A-labels or in Unicode.
    matches!((normalise_domain(id), normalise_domain(own)), (Ok(id), Ok(own)) if id == own)
}

/// The first word: a token or a quoted string, behind comments and white space.
fn authserv_id(value: &[u8]) -> Vec<u8> {
    let rest = skip_comments(value);
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        return rest.iter().copied().take_while(|b| is_token_octet(*b)).collect();
    };
    let mut id = Vec::new();
    let mut octets = quoted.iter().copied();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => break,
            b'\\' => id.extend(octets.next()),
            b'\r' | b'\n' => {}
            _ => id.push(octet),
        }
    }
    id
}

/// Takes off folding white space and comments, nested ones too (RFC 5322 section 3.2.2).
fn skip_comments(value: &[u8]) -> &[u8] {
    let mut depth = 0_usize;
    let mut octets = value.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b'\\' if depth > 0 => {
                octets.next();
            }
            _ if depth > 0 || is_blank(*octet) || matches!(octet, b'\r' | b'\n') => {}
            _ => return value.get(at..).unwrap_or_default(),
        }
    }
    &[]
}

/// token of RFC 2045 section 5.1, with the octets that RFC 6531 adds.
const fn is_token_octet(octet: u8) -> bool {
    matches!(octet, b'!'..=b'~' | 0x80..)
        && !matches!(
            octet,
            b'(' | b')'
                | b'<'
                | b'>'
                | b'@'
                | b','
                | b';'
                | b':'
                | b'\\'
                | b'"'
                | b'/'
                | b'['
                | b']'
                | b'?'
                | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::draft::Draft;

    #[test]
    fn own_names_are_found_however_they_are_dressed() {
        for value in [
            " mx.example; spf=pass",
            "mx.example",
            " MX.Example;none",
            " mx.example 1; spf=pass",
            " (comment (nested \\) one)) mx.example (v) 1; spf=pass",
            "\r\n\tmx.example;\r\n\tspf=pass",
            " \"mx.example\"; spf=pass",
            " \"mx\\.example\"; spf=pass",
            " mx.example.; spf=pass",
            " mx.example/1; spf=pass",
            " mx.example(x)",
        ] {
            assert!(claims(value.as_bytes(), "mx.example"), "{value:?}");
        }
        assert!(claims(" bücher.example; none".as_bytes(), "xn--bcher-kva.example"));
    }

    #[test]
    fn names_of_others_are_left_alone() {
        for value in [
            "",
            ";",
            " other.example; x=mx.example",
            " mx.example.org; none",
            " (mx.example) other; none",
            " (mx.example",
            "x mx.example",
        ] {
            assert!(!claims(value.as_bytes(), "mx.example"), "{value:?}");
        }
    }

    #[test]
    fn all_forged_fields_go_and_no_others() {
        let message =
            b"Authentication-Results: mx.example; a\r\nA: b\r\nauthentication-results : other; b\r\n\
            Authentication-Results:\r\n mx.example; c\r\nAuthentication-Results: MX.EXAMPLE\r\n\r\nbody";
        let header = Header::parse(message).unwrap();
        let mut edits = header.forged_results("mx.example");
        edits.push(Edit::InsertField { index: 1, name: b"X"[..].into(), value: b"y"[..].into() });
        let mut draft = Draft::new(header.into(), message.len() as u64);
        draft.apply(edits).unwrap();
        assert_eq!(draft.header_section(), b"A: b\r\nX: y\r\nauthentication-results : other; b\r\n\r\n");
    }
}
