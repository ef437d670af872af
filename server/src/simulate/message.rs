//! The message of a simulated session, from a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

/// Why a file is no message that can be sent.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It cannot be read.
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It ends in its header section.
    #[error(
        "{place}:{line}:{column}: the message is truncated: its header section has no end (an empty line)"
    )]
    Truncated {
        /// The file, or the field that holds the message.
        place: String,
        /// Line of the last octet, from 1.
        line: usize,
        /// Column behind it, from 1.
        column: usize,
    },
}

/// The message that is sent when none is given.
pub fn plain(from: &str, to: &[String]) -> Arc<[u8]> {
    let author = if from.is_empty() { "nobody@example.net" } else { from };
    format!(
        "From: <{author}>\r\nTo: {}\r\nSubject: a simulated message\r\n\r\nThis message was never sent.\r\n",
        to.iter().map(|address| format!("<{address}>")).collect::<Vec<_>>().join(", ")
    )
    .into_bytes()
    .into()
}

/// Reads a message from a file.
///
/// # Errors
/// [`MessageError`].
pub fn read(path: &Path) -> Result<Arc<[u8]>, MessageError> {
    let octets = fs::read(path).map_err(|cause| MessageError::Unreadable { path: path.to_owned(), cause })?;
    parse(&path.display().to_string(), &octets)
}

/// A message as a client sends it. Lines of a file end with LF or CRLF; a lone CR stays.
///
/// # Errors
/// When it ends in its header section. What is no message at all is the gate's to refuse.
pub fn parse(place: &str, octets: &[u8]) -> Result<Arc<[u8]>, MessageError> {
    let message = with_crlf(octets);
    let has_end = message.starts_with(b"\r\n") || message.windows(4).any(|four| four == b"\r\n\r\n");
    let begins_with_field = message
        .split(|octet| *octet == b'\n')
        .next()
        .is_some_and(|line| line.iter().position(|octet| *octet == b':').is_some_and(|colon| colon > 0));
    if message.is_empty() || (begins_with_field && !has_end) {
        let lines: Vec<&[u8]> = octets.split(|octet| *octet == b'\n').collect();
        let column = lines.last().map_or(0, |line| line.len()) + 1;
        return Err(MessageError::Truncated { place: place.to_owned(), line: lines.len(), column });
    }
    Ok(message.into())
}

fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(octets.len() + octets.len() / 32);
    let mut before = b'\n';
    for octet in octets {
        if *octet == b'\n' && before != b'\r' {
            message.push(b'\r');
        }
        message.push(*octet);
        before = *octet;
    }
    if !message.is_empty() && !message.ends_with(b"\r\n") {
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// What a client sends after 354: dots doubled, and the end (RFC 5321 section 4.5.2).
pub(super) fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(message.len() + 16);
    let mut at_line_start = true;
    for octet in message {
        if at_line_start && *octet == b'.' {
            octets.push(b'.');
        }
        octets.push(*octet);
        at_line_start = *octet == b'\n';
    }
    octets.extend_from_slice(b".\r\n");
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_file_become_lines_of_a_message() {
        let parsed = |octets: &[u8]| parse("a.eml", octets).unwrap().to_vec();
        assert_eq!(parsed(b"A: b\n\nc"), b"A: b\r\n\r\nc\r\n");
        assert_eq!(parsed(b"A: b\r\n\r\nc\r\n"), b"A: b\r\n\r\nc\r\n");
        assert_eq!(parsed(b"no field at all\n"), b"no field at all\r\n");
    }

    #[test]
    fn a_message_that_ends_in_its_header_is_truncated_there() {
        let error = parse("a.eml", b"Subject: a\nFrom: b").unwrap_err();
        assert!(error.to_string().starts_with("a.eml:2:8: the message is truncated"), "{error}");
        assert!(parse("a.eml", b"").is_err());
    }

    #[test]
    fn a_dot_at_the_beginning_of_a_line_is_doubled() {
        assert_eq!(on_the_wire(b"A: b\r\n\r\n.c\r\n"), b"A: b\r\n\r\n..c\r\n.\r\n");
    }
}
