//! Fields of a line of text.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// `name=value` after the message, as the subscriber itself would write them but without colours. Control characters are
/// escaped: nothing that a client or a next hop has said can begin a line of its own.
pub(super) struct Plain;

impl<'writer> FormatFields<'writer> for Plain {
    fn format_fields<R: RecordFields>(&self, mut out: Writer<'writer>, fields: R) -> fmt::Result {
        // One text of all, because what stands behind a writer is asked anew for each piece.
        let mut visitor =
            Visitor { text: String::with_capacity(USUAL_OCTETS), is_first: true, outcome: Ok(()) };
        fields.record(&mut visitor);
        visitor.outcome?;
        match is_visible(&visitor.text) {
            true => out.write_str(&visitor.text),
            false => write_visibly(&visitor.text, &mut out),
        }
    }
}

/// Room for the fields of a line; few need more.
const USUAL_OCTETS: usize = 1024;

struct Visitor {
    text: String,
    is_first: bool,
    outcome: fmt::Result,
}

impl Visitor {
    fn name(&mut self, field: &Field) {
        if !std::mem::take(&mut self.is_first) {
            self.text.push(' ');
        }
        if !is_message(field) {
            self.text.push_str(field.name());
            self.text.push('=');
        }
    }

    fn value(&mut self, value: fmt::Arguments<'_>) {
        self.outcome = self.outcome.and_then(|()| self.text.write_fmt(value));
    }
}

impl Visit for Visitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        if is_message(field) {
            self.text.push_str(value);
        } else if value.bytes().all(needs_no_escape) {
            self.text.extend(["\"", value, "\""]);
        } else {
            self.value(format_args!("{value:?}"));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        self.value(format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.name(field);
        self.value(format_args!("{value:?}"));
    }
}

/// In the form of Rust's string literals.
const fn needs_no_escape(octet: u8) -> bool {
    matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\')
}

fn is_message(field: &Field) -> bool {
    field.name() == "message"
}

/// Whether no control character is in it.
fn is_visible(text: &str) -> bool {
    // Without a branch, so that the compiler makes vector instructions of it. The later control characters are C2 80 to
    // C2 9F, and no text ends with C2.
    let is_control =
        |octet: u8, next: u8| (octet < b' ') | (octet == 0x7f) | ((octet == 0xc2) & (next < 0xa0));
    let octets = text.as_bytes();
    let pairs = octets.iter().zip(octets.get(1..).unwrap_or_default());
    !pairs.fold(octets.last().is_some_and(|last| is_control(*last, 0)), |found, (octet, next)| {
        found | is_control(*octet, *next)
    })
}

/// Escapes control characters.
fn write_visibly(text: &str, out: &mut impl Write) -> fmt::Result {
    let mut written = 0;
    for (at, character) in text.char_indices().filter(|(_, character)| character.is_control()) {
        out.write_str(text.get(written..at).unwrap_or_default())?;
        write!(out, "{}", character.escape_default())?;
        written = at + character.len_utf8();
    }
    out.write_str(text.get(written..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_everything_else_is_left() {
        let (said, mut visible) =
            ("550 5.1.1 gr\u{fc}n\r\nINFO session\u{1b}[31m\u{9b}\u{7f}", String::new());
        write_visibly(said, &mut visible).unwrap();
        assert_eq!(visible, "550 5.1.1 gr\u{fc}n\\r\\nINFO session\\u{1b}[31m\\u{9b}\\u{7f}");
    }

    #[test]
    fn only_control_characters_cost_a_second_look() {
        for shown in ["", "250 2.0.0 Ok ~", "in 1.2\u{b5}s", "gr\u{fc}n \u{a0}"] {
            assert!(is_visible(shown), "{shown:?}");
        }
        for hidden in ["\n", "a\r", "\tb", "\u{7f}", "a\u{80}", "a\u{9f}b", "\0"] {
            assert!(!is_visible(hidden) && !is_visible(&format!("a{hidden}b")), "{hidden:?}");
        }
    }
}
