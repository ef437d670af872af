//! Colours, where a person looks.

use std::io::IsTerminal;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// With escape sequences of ECMA-48.
    Colours,
    /// As it is.
    Plain,
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// It went well, or was added.
    Good,
    /// It went wrong, or was removed.
    Bad,
    /// It begins something.
    Title,
    /// It is said by the way.
    Faint,
}

impl Paint {
    /// Colours for a terminal, unless `NO_COLOR` is set to something.
    #[must_use]
    pub fn for_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match std::io::stdout().is_terminal() && !unwanted {
            true => Self::Colours,
            false => Self::Plain,
        }
    }

    /// The text in that tone. Control characters of it that could move the cursor are shown by name.
    #[must_use]
    pub fn tone(self, tone: Tone, text: &str) -> String {
        let text = harmless(text);
        let code = match tone {
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Title => 1,
            Tone::Faint => 2,
        };
        match self {
            Self::Colours => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Plain => text,
        }
    }
}

/// A text as a terminal can show it: what comes from messages and filters must not write elsewhere.
#[must_use]
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => shown.push(letter),
            letter if letter.is_control() => shown.extend(letter.escape_debug()),
            letter => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_holds_cannot_move_the_cursor() {
        assert_eq!(Paint::Plain.tone(Tone::Good, "a\u{1b}[2Jb\r"), "a\\u{1b}[2Jb\\r");
        assert_eq!(Paint::Colours.tone(Tone::Bad, "no"), "\u{1b}[31mno\u{1b}[0m");
    }
}
