//! What the words of a script say: names that do not exist here, and the scripts it includes.

use super::lexer::{Placed, Token};
use super::{Finding, Include};
use super::{functions, language};

/// What was found in the words of a script.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) findings: Vec<Finding>,
    pub(super) includes: Vec<Include>,
    /// How many times as large as its largest value a script can grow: by values in one text, or by values
    /// that it keeps. The interpreter limits the size of each, and neither of these numbers.
    pub(super) growth: u64,
}

/// Reads a script once, from word to word.
pub(super) fn check(words: &[Placed]) -> Words {
    let mut reader = Reader { words, found: Words::default(), guards: Guards::default() };
    for (at, word) in words.iter().enumerate() {
        reader.guards.see(&word.token);
        reader.see(at, word);
    }
    Words { growth: growth(words), ..reader.found }
}

fn growth(words: &[Placed]) -> u64 {
    let keeps = |token: &Token| matches!(token, Token::Name(name) if matches!(name.as_str(), "set" | "let" | "extracttext"));
    let kept = words.iter().filter(|word| keeps(&word.token)).count();
    let in_one_text = words.iter().filter_map(|word| match &word.token {
        Token::Text(text) => Some(text.matches("${").count()),
        _ => None,
    });
    in_one_text.chain([kept, 1]).max().and_then(|most| u64::try_from(most).ok()).unwrap_or(u64::MAX)
}

struct Reader<'a> {
    words: &'a [Placed],
    found: Words,
    guards: Guards,
}

impl Reader<'_> {
    fn see(&mut self, at: usize, word: &Placed) {
        match &word.token {
            // What `ihave` asks about may well not exist (RFC 5463 section 4).
            _ if self.guards.is_guarded() => {}
            Token::Name(name) => {
                if let Some(objection) = language::objection_to_word(name) {
                    self.object(word, 0, objection);
                }
                match name.as_str() {
                    "require" => self.see_capabilities(at),
                    "include" => self.see_include(at),
                    "eval" | "while" => self.see_expression(self.text(at, 0)),
                    "let" => self.see_expression(self.text(at, 1)),
                    _ => {}
                }
            }
            Token::Tag(tag) => {
                if let Some(objection) = language::objection_to_tag(tag) {
                    self.object(word, 0, objection);
                }
            }
            Token::Text(_) | Token::Number | Token::Mark(_) => {}
        }
    }

    /// The words of the command at `at` up to its end or block.
    fn arguments(&self, at: usize) -> &[Placed] {
        let after = self.words.get(at + 1..).unwrap_or_default();
        let end = after.iter().position(|word| matches!(word.token, Token::Mark(';' | '{' | '}')));
        after.get(..end.unwrap_or(after.len())).unwrap_or_default()
    }

    /// The `nth` text after the word at `at`.
    fn text(&self, at: usize, nth: usize) -> Option<Placed> {
        let mut texts = self.arguments(at).iter().filter(|word| matches!(word.token, Token::Text(_)));
        texts.nth(nth).cloned()
    }

    fn see_capabilities(&mut self, at: usize) {
        for word in self.arguments(at).to_vec() {
            if let Token::Text(name) = &word.token
                && let Some(objection) = language::objection_to_capability(name)
            {
                self.object(&word, 0, objection);
            }
        }
    }

    fn see_include(&mut self, at: usize) {
        let is_optional = self.arguments(at).iter().any(|word| word.token == Token::Tag("optional".into()));
        let Some(Placed { token: Token::Text(name), line, column }) = self.text(at, 0) else { return };
        // A name with a variable in it is only known when the script runs.
        if !is_optional && !name.contains("${") {
            self.found.includes.push(Include { name, line, column });
        }
    }

    /// Every call in an expression: the function is there and has as many arguments as it takes.
    fn see_expression(&mut self, text: Option<Placed>) {
        let Some(word) = text else { return };
        let Token::Text(expression) = &word.token else { return };
        for call in calls(expression) {
            let objection = match language::objection_to_function(call.name) {
                Some(objection) => objection,
                None => match functions::arity(call.name) {
                    Some(arity) if call.arguments.is_some_and(|given| given != arity) => {
                        let given = call.arguments.unwrap_or_default();
                        let message = format!("`{}` takes {arity} arguments, not {given}", call.name);
                        language::Objection { message, suggestion: None }
                    }
                    _ => continue,
                },
            };
            // With an escape or a line end before it, the place in the text is not that in the script.
            let offset =
                if expression.contains(['\n', '"', '\\']) { 0 } else { call.offset.saturating_add(1) };
            self.object(&word, offset, objection);
        }
    }

    fn object(&mut self, word: &Placed, offset: u32, objection: language::Objection) {
        let language::Objection { message, suggestion } = objection;
        let column = word.column.saturating_add(offset);
        self.found.findings.push(Finding { line: word.line, column, message, suggestion });
    }
}

/// Blocks that are only reached where `ihave` has said yes, or no.
#[derive(Debug, Default)]
struct Guards {
    /// Of each open block.
    open: Vec<bool>,
    /// The block that is about to begin.
    next: bool,
    /// The block that has ended last; `else` belongs to it.
    last: bool,
}

impl Guards {
    fn see(&mut self, token: &Token) {
        match token {
            Token::Name(name) if name == "ihave" => self.next = true,
            Token::Name(name) if name == "else" || name == "elsif" => self.next = self.last,
            Token::Mark('{') => {
                let guarded = self.next || self.is_guarded();
                self.open.push(guarded);
                self.next = false;
            }
            Token::Mark('}') => self.last = self.open.pop().unwrap_or(false),
            Token::Mark(';') => self.next = false,
            _ => {}
        }
    }

    fn is_guarded(&self) -> bool {
        self.open.last().copied().unwrap_or(false)
    }
}

/// A call in an expression.
struct Call<'a> {
    name: &'a str,
    /// Where it begins, in characters.
    offset: u32,
    /// How many arguments it has; unknown when the call does not end.
    arguments: Option<u32>,
}

/// Every name that a parenthesis follows, outside of quoted texts.
fn calls(expression: &str) -> Vec<Call<'_>> {
    let chars: Vec<(usize, char)> = outside_of_quotes(expression);
    let mut calls = Vec::new();
    let mut begin: Option<usize> = None;
    for (place, &(octet, c)) in chars.iter().enumerate() {
        let is_word = c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        match (is_word, begin) {
            (true, None) => begin = Some(place),
            (false, Some(first)) => {
                begin = None;
                let rest = chars.get(place..).unwrap_or_default();
                let open = rest.iter().position(|(_, c)| !c.is_whitespace());
                let is_call = open.and_then(|open| rest.get(open)).is_some_and(|(_, c)| *c == '(');
                let start = chars.get(first).map_or(0, |(octet, _)| *octet);
                if let (true, Some(name)) = (is_call, expression.get(start..octet)) {
                    let offset = expression.get(..start).map_or(0, |before| before.chars().count());
                    let arguments = rest.get(open.unwrap_or(0)..).and_then(arguments);
                    calls.push(Call { name, offset: u32::try_from(offset).unwrap_or(0), arguments });
                }
            }
            _ => {}
        }
    }
    calls
}

/// The characters of an expression with their offsets; a quoted text is one `'`.
fn outside_of_quotes(expression: &str) -> Vec<(usize, char)> {
    let mut outside = Vec::new();
    let mut chars = expression.char_indices();
    while let Some((at, c)) = chars.next() {
        if matches!(c, '\'' | '"') {
            outside.push((at, '\''));
            while let Some((_, inside)) = chars.next() {
                match inside {
                    '\\' => {
                        chars.next();
                    }
                    end if end == c => break,
                    _ => {}
                }
            }
        } else {
            outside.push((at, c));
        }
    }
    outside
}

/// How many arguments stand between the parenthesis that this begins with and its end.
fn arguments(call: &[(usize, char)]) -> Option<u32> {
    let (mut depth, mut commas, mut is_empty) = (0_u32, 0_u32, true);
    for (_, c) in call {
        match c {
            '(' | '[' => {
                is_empty &= depth == 0;
                depth += 1;
            }
            ')' | ']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(if is_empty { 0 } else { commas + 1 });
                }
            }
            ',' if depth == 1 => commas += 1,
            c => is_empty &= c.is_whitespace(),
        }
    }
    None
}
