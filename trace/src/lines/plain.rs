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
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { out: Visible(writer), is_first: true, outcome: Ok(()) };
        fields.record(&mut visitor);
        visitor.outcome
    }
}

struct Visitor<'writer> {
    out: Visible<Writer<'writer>>,
    is_first: bool,
    outcome: fmt::Result,
}

impl<'writer> Visitor<'writer> {
    fn put(&mut self, field: &Field, value: impl FnOnce(&mut Visible<Writer<'writer>>) -> fmt::Result) {
        if self.outcome.is_ok() {
            self.outcome = self.name(field).and_then(|()| value(&mut self.out));
        }
    }

    fn name(&mut self, field: &Field) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_char(' ')?;
        }
        if is_message(field) {
            return Ok(());
        }
        self.out.write_str(field.name())?;
        self.out.write_char('=')
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(
            field,
            |out| if is_message(field) { out.write_str(value) } else { write!(out, "{value:?}") },
        );
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, |out| write!(out, "{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, |out| write!(out, "{value:?}"));
    }
}

fn is_message(field: &Field) -> bool {
    field.name() == "message"
}

/// Escapes control characters.
struct Visible<W>(W);

impl<W: Write> Write for Visible<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_plain = |octet: u8| octet >= b' ' && octet.is_ascii() && octet != 0x7f;
        if text.bytes().all(is_plain) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|character| match character.is_control() {
            true => write!(self.0, "{}", character.escape_default()),
            false => self.0.write_char(character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_everything_else_is_left() {
        let mut visible = Visible(String::new());
        visible.write_str("550 5.1.1 gr\u{fc}n\r\nINFO session\u{1b}[31m\u{9b}\u{7f}").unwrap();
        assert_eq!(visible.0, "550 5.1.1 gr\u{fc}n\\r\\nINFO session\\u{1b}[31m\\u{9b}\\u{7f}");
    }
}
