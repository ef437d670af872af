//! How deep messages lie within one another, before anything is made of them.
//!
//! The parser keeps a message within a message inside of it, and copies and frees what it keeps by recursion.
//! A hundred thousand empty messages, one in the other, fit into a few megabytes and would be the end of the
//! stack, which is the end of the process: no panic is left to be caught. So messages are counted first, in
//! the octets, and rather too many than too few.

use mail_parser::parsers::MessageStream;
use memchr::memchr;

/// Whether there may be more messages within one another than the stack has room for.
pub(super) fn is_too_deep(message: &[u8]) -> bool {
    let mut seen = Seen::default();
    seen.read(message, MOST_ENCODED_LEVELS);
    seen.messages > MOST_MESSAGES || seen.encoded > MOST_ENCODED
}

/// Fields that make a part a message. Far more than a digest has, and far less than a stack holds.
const MOST_MESSAGES: usize = 2000;

/// Parts that are decoded to be looked at.
const MOST_ENCODED: usize = 32;

/// Encoded messages within encoded messages that the parser decodes.
const MOST_ENCODED_LEVELS: u8 = 3;

#[derive(Default)]
struct Seen {
    messages: usize,
    encoded: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Base64,
    QuotedPrintable,
}

/// Lines up to a blank one, which may be the header of a part.
#[derive(Default)]
struct Block {
    is_typed: bool,
    is_message: bool,
    encoding: Option<Encoding>,
}

impl Seen {
    fn read(&mut self, octets: &[u8], levels: u8) {
        let mut block = Block::default();
        let mut field = Field::Other;
        let mut rest = octets;
        while !rest.is_empty() && self.messages <= MOST_MESSAGES && self.encoded <= MOST_ENCODED {
            let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            rest = after;
            if line.trim_ascii().is_empty() {
                self.end_of_block(&std::mem::take(&mut block), rest, levels);
                field = Field::Other;
                continue;
            }
            if !line.first().is_some_and(|first| first.is_ascii_whitespace()) {
                field = Field::of(line);
            }
            match field {
                Field::Type => {
                    block.is_typed = true;
                    // Parts of a digest are messages without saying so.
                    if contains(line, b"message") || contains(line, b"digest") {
                        block.is_message = true;
                        self.messages += 1;
                    }
                }
                Field::Encoding if contains(line, b"base64") => block.encoding = Some(Encoding::Base64),
                Field::Encoding if contains(line, b"quoted-printable") => {
                    block.encoding = Some(Encoding::QuotedPrintable);
                }
                Field::Encoding | Field::Other => {}
            }
        }
    }

    /// A part begins. One that is encoded, and a message or perhaps one of a digest, is decoded.
    fn end_of_block(&mut self, block: &Block, part: &[u8], levels: u8) {
        let Some(encoding) = block.encoding.filter(|_| block.is_message || !block.is_typed) else { return };
        let Some(levels) = levels.checked_sub(1) else { return };
        self.encoded += 1;
        match encoding {
            Encoding::Base64 => {
                // No boundary is made of the characters of base64 alone.
                let end = memchr(b'-', part).unwrap_or(part.len());
                let part = part.get(..end).unwrap_or_default();
                self.read(&MessageStream::new(part).decode_base64_mime(b"").1, levels);
            }
            Encoding::QuotedPrintable => self.read(&unquoted(part), levels),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Type,
    Encoding,
    Other,
}

impl Field {
    fn of(line: &[u8]) -> Self {
        let begins =
            |name: &[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        match () {
            () if begins(b"content-type") => Self::Type,
            () if begins(b"content-transfer-encoding") => Self::Encoding,
            () => Self::Other,
        }
    }
}

fn contains(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// Quoted-printable text decoded; what is no code stays as it is.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(b'=', rest) {
        let (plain, code) = rest.split_at(at);
        decoded.extend_from_slice(plain);
        let taken = match code {
            [_, b'\r', b'\n', ..] => 3,
            [_, b'\n', ..] => 2,
            [_, high, low, ..] => match hexadecimal(*high).zip(hexadecimal(*low)) {
                Some((high, low)) => {
                    decoded.push(high << 4 | low);
                    3
                }
                None => 1,
            },
            _ => 1,
        };
        rest = code.get(taken..).unwrap_or_default();
    }
    decoded.extend_from_slice(rest);
    decoded
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn nested(depth: usize) -> String {
        "Content-Type: message/rfc822\r\n\r\n".repeat(depth) + "Subject: x\r\n\r\nbody\r\n"
    }

    #[test]
    fn a_digest_is_not_too_deep_and_a_pit_is() {
        let part = "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nThe message is this.\r\n";
        let digest =
            format!("Content-Type: multipart/digest; boundary=b\r\n\r\n{}--b--\r\n", part.repeat(1000));
        assert!(!is_too_deep(digest.as_bytes()));
        assert!(!is_too_deep("This is a message about a message/rfc822.\r\n".repeat(100_000).as_bytes()));
        assert!(is_too_deep(nested(3000).as_bytes()));
        assert!(is_too_deep(nested(3000).to_uppercase().replace("TYPE: ", "TYPE:\r\n\t").as_bytes()));
    }

    #[test]
    fn a_pit_is_found_behind_its_encoding() {
        for header in ["Content-Type: message/rfc822\r\n", "X-Part: of a digest\r\n"] {
            let base64 = BASE64_STANDARD.encode(nested(3000));
            let message = format!("{header}Content-Transfer-Encoding: base64\r\n\r\n{base64}\r\n--b--\r\n");
            assert!(is_too_deep(message.as_bytes()), "{header}");
            let quoted = nested(3000).replace('m', "=6D").replace("822", "8=\r\n22");
            let message = format!("{header}Content-Transfer-Encoding: quoted-printable\r\n\r\n{quoted}");
            assert!(is_too_deep(message.as_bytes()), "{header}");
        }
        let twice = BASE64_STANDARD.encode(nested(3000));
        let twice =
            format!("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{twice}");
        let message = format!(
            "Content-Type: message/global\r\nContent-Transfer-Encoding: BASE64\r\n\r\n{}",
            BASE64_STANDARD.encode(twice)
        );
        assert!(is_too_deep(message.as_bytes()));
    }

    #[test]
    fn many_encoded_parts_cost_no_more_than_a_few() {
        let part = "Content-Transfer-Encoding: quoted-printable\r\n\r\n";
        assert!(is_too_deep(part.repeat(1000).as_bytes()));
    }
}
