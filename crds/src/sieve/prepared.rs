//! A script as the compiler of sieve-rs takes it: what it reads otherwise than the language is put right.

use std::collections::BTreeSet;

use super::Require;
use super::lexer::{Placed, Token};

/// The text that is compiled, and where it differs from the one that was written.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) text: String,
    /// Where something was put in: line and column, from 1, and its length in characters.
    line: u32,
    column: u32,
    length: u32,
}

impl Prepared {
    /// Two things are put right. A variable that is first set inside of a block is one of the whole script
    /// (RFC 5229 section 3); the compiler forgets it at the end of the block, unless it was set before. And the
    /// compiler knows some parts of the envelope by other names in `set` than in variables.
    pub(super) fn new(source: &str, words: &[Placed], require: Require) -> Self {
        let (line, column) = after_requires(words);
        let declared = declarations(words, require);
        let at = offset(source, line, column);
        let (before, after) = source.split_at_checked(at).unwrap_or((source, ""));
        Self {
            text: format!("{}{declared}{}", with_known_parts(before), with_known_parts(after)),
            line,
            column,
            length: u32::try_from(declared.chars().count()).unwrap_or(u32::MAX),
        }
    }

    /// The place in the script as it was written.
    pub(super) fn original_place(&self, line: u32, column: u32) -> (u32, u32) {
        if line == self.line && column >= self.column {
            return (line, column.saturating_sub(self.length).max(self.column));
        }
        (line, column)
    }
}

/// Names that are replaced are as long as before, so that places stay.
fn with_known_parts(source: &str) -> String {
    [
        ("\"envelope.by_mode\"", "\"envelope.bymode\" "),
        ("\"envelope.by_trace\"", "\"envelope.bytrace\" "),
        ("\"envelope.by_time_absolute\"", "\"envelope.bytimeabsolute\"  "),
        ("\"envelope.by_time_relative\"", "\"envelope.bytimerelative\"  "),
    ]
    .into_iter()
    .fold(source.to_owned(), |text, (ours, theirs)| text.replace(ours, theirs))
}

/// The place behind the `require` commands that a script begins with.
fn after_requires(words: &[Placed]) -> (u32, u32) {
    let mut place = (1, 1);
    let mut rest = words;
    while let [Placed { token: Token::Name(name), .. }, ..] = rest
        && name == "require"
    {
        let Some(end) = rest.iter().position(|word| word.token == Token::Mark(';')) else { break };
        place = rest.get(end).map_or(place, |word| (word.line, word.column.saturating_add(1)));
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    place
}

fn offset(source: &str, line: u32, column: u32) -> usize {
    let mut start = 0;
    for (number, text) in (1..).zip(source.split_inclusive('\n')) {
        if number == line {
            let columns = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
            return start + text.char_indices().nth(columns).map_or(text.len(), |(at, _)| at);
        }
        start += text.len();
    }
    start
}

/// A `set` for each variable that is set inside of a block, and nowhere declared as `global`.
fn declarations(words: &[Placed], require: Require) -> String {
    let is_named =
        |name: &str| words.iter().any(|word| matches!(&word.token, Token::Text(text) if text == name));
    if require == Require::Needed && !is_named("variables") {
        return String::new();
    }
    let mut inside = BTreeSet::new();
    let mut global = BTreeSet::new();
    let mut depth = 0_u32;
    for (at, word) in words.iter().enumerate() {
        match &word.token {
            Token::Mark('{') => depth = depth.saturating_add(1),
            Token::Mark('}') => depth = depth.saturating_sub(1),
            Token::Name(name) if name == "global" => global.extend(texts(words, at)),
            Token::Name(name) if depth > 0 => {
                let from_the_end = match name.as_str() {
                    "set" | "let" => 1,
                    "extracttext" => 0,
                    _ => continue,
                };
                inside.extend(texts(words, at).rev().nth(from_the_end));
            }
            _ => {}
        }
    }
    let is_plain =
        |name: &&String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    inside.difference(&global).filter(is_plain).map(|name| format!("set \"{name}\" \"\"; ")).collect()
}

/// The texts of the command at `at`, in lower case, as names of variables are compared.
fn texts(words: &[Placed], at: usize) -> impl DoubleEndedIterator<Item = String> {
    let after = words.get(at + 1..).unwrap_or_default();
    let end = after.iter().position(|word| matches!(word.token, Token::Mark(';' | '{' | '}')));
    let own = after.get(..end.unwrap_or(after.len())).unwrap_or_default();
    own.iter().filter_map(|word| match &word.token {
        Token::Text(text) => Some(text.to_lowercase()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::lexer;
    use super::*;

    fn prepared(source: &str) -> Prepared {
        Prepared::new(source, &lexer::words(source), Require::Optional)
    }

    #[test]
    fn variables_of_blocks_are_declared_behind_the_requires() {
        let source = "require \"x\"; require\n [\"y\"]; keep;\nif true { set \"B\" \"\"; set \"c\" \"\"; set \
                      \"envelope.to\" \"\"; extracttext :first 3 \"a\"; let \"d\" \"1\"; }\nglobal \"C\"; set \"e\" \"\";";
        let Prepared { text, line, column, length } = prepared(source);
        assert_eq!((line, column, length), (2, 8, 36));
        let wanted = "[\"y\"];set \"a\" \"\"; set \"b\" \"\"; set \"d\" \"\";  keep;";
        assert!(text.contains(wanted), "{text}");
    }

    #[test]
    fn places_are_those_of_the_script_as_it_was_written() {
        let prepared = prepared("require \"x\"; keep;\nif true { set \"a\" \"\"; }");
        assert_eq!(prepared.original_place(1, 5), (1, 5));
        assert_eq!(prepared.original_place(1, 13 + prepared.length), (1, 13));
        assert_eq!(prepared.original_place(1, 14), (1, 13));
        assert_eq!(prepared.original_place(2, 30), (2, 30));
    }

    #[test]
    fn a_script_without_blocks_stays_as_it_is() {
        for source in ["", "keep;", "set \"a\" \"é\"; addheader \"X\" \"${a}\";", "\u{feff}keep;"] {
            assert_eq!(prepared(source).text, source);
        }
        assert_eq!(prepared("set \"envelope.by_mode\" \"N\";").text, "set \"envelope.bymode\"  \"N\";");
    }
}
