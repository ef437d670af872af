//! The words of a script, each with its place (RFC 5228 section 8.1).
//!
//! The compiler of sieve-rs finds what is wrong in the grammar, but it takes unknown commands for instructions
//! that fail when they are reached, and says of many of its findings only roughly where they are. Sieve's
//! grammar is so regular that the words alone tell which commands, tests and extensions a script uses.

use std::iter::Peekable;
use std::str::Chars;

/// A word of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// The name of a command or a test, in lower case.
    Name(String),
    /// `:name`, in lower case, without the colon.
    Tag(String),
    /// A quoted text, or one of several lines.
    Text(String),
    /// A number with its unit.
    Number,
    /// Any of `[](){},;`, and whatever else stands alone.
    Mark(char),
}

/// A word and where it begins: line and column in characters, both from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// All words of a script. A text or comment that does not end ends with the script; the compiler refuses it.
pub(super) fn words(source: &str) -> Vec<Placed> {
    let mut reader = Reader { chars: source.chars().peekable(), line: 1, column: 1 };
    let mut words = Vec::new();
    while let Some(&next) = reader.chars.peek() {
        let (line, column) = (reader.line, reader.column);
        let token = match next {
            '#' => {
                reader.skip_line();
                continue;
            }
            '"' => Token::Text(reader.quoted()),
            ':' => {
                reader.next();
                Token::Tag(reader.name())
            }
            '0'..='9' => {
                reader.name();
                Token::Number
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let name = reader.name();
                // `text:` begins a text of several lines.
                if name == "text" && reader.chars.peek() == Some(&':') {
                    reader.next();
                    Token::Text(reader.lines())
                } else {
                    Token::Name(name)
                }
            }
            _ => {
                reader.next();
                if next.is_whitespace() {
                    continue;
                }
                if next == '/' && reader.chars.peek() == Some(&'*') {
                    reader.skip_comment();
                    continue;
                }
                Token::Mark(next)
            }
        };
        words.push(Placed { token, line, column });
    }
    words
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    line: u32,
    column: u32,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.chars.next()?;
        if next == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(next)
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while self.chars.peek().is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.extend(self.next().map(|c| c.to_ascii_lowercase()));
        }
        name
    }

    fn quoted(&mut self) -> String {
        let mut text = String::new();
        self.next();
        while let Some(c) = self.next() {
            match c {
                '"' => break,
                '\\' => text.extend(self.next()),
                c => text.push(c),
            }
        }
        text
    }

    /// The lines up to one that is a dot, dots at the beginning of the others undone.
    fn lines(&mut self) -> String {
        self.skip_line();
        let mut text = String::new();
        loop {
            let mut line = String::new();
            let mut is_last = true;
            while let Some(c) = self.next() {
                line.push(c);
                if c == '\n' {
                    is_last = false;
                    break;
                }
            }
            if is_last || line.trim_end_matches(['\r', '\n']) == "." {
                return text;
            }
            text.push_str(line.strip_prefix('.').filter(|_| line.starts_with("..")).unwrap_or(&line));
        }
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|c| c != '\n') {}
    }

    fn skip_comment(&mut self) {
        self.next();
        let mut last = ' ';
        while let Some(c) = self.next() {
            if (last, c) == ('*', '/') {
                break;
            }
            last = c;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(source: &str) -> Vec<String> {
        words(source)
            .into_iter()
            .map(|Placed { token, line, column }| {
                let token = match token {
                    Token::Name(name) => name,
                    Token::Tag(tag) => format!(":{tag}"),
                    Token::Text(text) => format!("{text:?}"),
                    Token::Number => "number".into(),
                    Token::Mark(mark) => mark.to_string(),
                };
                format!("{line}:{column} {token}")
            })
            .collect()
    }

    #[test]
    fn every_word_has_its_place() {
        let source = "if Header :IS \"a\\\"é\" 10K { # no {\n  /* keep;\n */ keep; }\n";
        let wanted = [
            "1:1 if",
            "1:4 header",
            "1:11 :is",
            "1:15 \"a\\\"é\"",
            "1:22 number",
            "1:26 {",
            "3:5 keep",
            "3:9 ;",
            "3:11 }",
        ];
        assert_eq!(seen(source), wanted);
    }

    #[test]
    fn a_text_of_several_lines_is_one_word() {
        let wanted = ["1:1 reject", "1:8 \"a # b\\n.c\\n\"", "5:1 ;", "5:3 keep", "5:7 ;"];
        assert_eq!(seen("reject text: # why\na # b\n..c\n.\n; keep;"), wanted);
    }

    #[test]
    fn what_does_not_end_ends_with_the_script() {
        for source in ["\"open", "/* open", "text:\nopen", "text:", "# only", "\\", ":"] {
            assert!(words(source).len() <= 1, "{source}");
        }
    }
}
