//! The language of `MtaSieveScript`: what it has, and how a script becomes a program (RFC 5228).
//!
//! This is the only place that knows the tables of the language. The operator uses it through the loader, to
//! refuse a script with line and column; the server gets the programs in its policy and asks here which
//! function a program means by a number.

mod check;
mod functions;
mod language;
mod lexer;
mod prepared;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use sha2::{Digest as _, Sha256};
use sieve::compiler::{CompileError, ErrorType};
use sieve::runtime::{RuntimeError, Variable};
use sieve::{Compiler, Event, Input, Runtime, Sieve};

use self::lexer::{Placed, Token};
use self::prepared::Prepared;

pub use self::functions::{Function, HostFunction, function};

/// Whether a script has to name its extensions with `require`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// It may leave that out.
    Optional,
    /// It has to.
    Needed,
}

/// A script that can be run.
#[derive(Debug)]
pub struct Script {
    /// What the interpreter runs.
    pub program: Arc<Sieve>,
    /// The scripts that it cannot do without.
    pub includes: Vec<Include>,
    /// How many times as large as its largest value it can grow: values in one text, or values it keeps.
    pub growth: u64,
    /// SHA-256 of its text.
    pub digest: [u8; 32],
}

/// A script that another one includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// Its name.
    pub name: String,
    /// Line in the script, from 1.
    pub line: u32,
    /// Column in that line, in characters, from 1.
    pub column: u32,
}

/// Something wrong in a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Line in the script, from 1.
    pub line: u32,
    /// Column in that line, in characters, from 1.
    pub column: u32,
    /// What is wrong. Lower case, no full stop.
    pub message: String,
    /// A known name that is close to the unknown one.
    pub suggestion: Option<String>,
}

/// Compiles a script.
///
/// # Errors
///
/// Everything that is wrong with it, in order of place.
pub fn compile(source: &str, require: Require) -> Result<Script, Vec<Finding>> {
    let words = lexer::words(source);
    let check::Words { mut findings, includes, growth } = check::check(&words);
    let prepared = Prepared::new(source, &words, require);
    let compiled = compiler(require).compile(prepared.text.as_bytes());
    let finding = match &compiled {
        Ok(program) if findings.is_empty() => too_many_variables(program).or_else(|| dry_run(program)),
        Ok(_) => None,
        Err(error) => Some(finding_of(error, &prepared, &words)),
    };
    // The compiler stops at what was found in the words already, and says less about it.
    findings.extend(finding.filter(|new| findings.iter().all(|found| found.line != new.line)));
    findings.sort_by_key(|finding| (finding.line, finding.column));
    match compiled {
        Ok(program) if findings.is_empty() => {
            let digest = Sha256::digest(source.as_bytes()).into();
            Ok(Script { program: Arc::new(program), includes, growth, digest })
        }
        _ => Err(findings),
    }
}

/// An interpreter that has the extensions of the language, with the limits of sieve-rs.
#[must_use]
pub fn runtime() -> Runtime {
    let refused = sieve::compiler::grammar::Capability::all()
        .iter()
        .filter(|capability| !language::CAPABILITIES.contains(&capability.to_string().as_str()));
    let runtime = Runtime::new().without_capabilities(refused.cloned());
    language::CAPABILITIES.iter().fold(runtime, |runtime, name| runtime.with_capability(*name))
}

/// Local variables that the interpreter has room for. It leaves out, without a word, a script that needs more.
pub const MAX_VARIABLES: u64 = 256;

/// Match variables, `${0}` to `${62}`, likewise.
const MAX_MATCH_VARIABLES: u64 = 63;

/// Longest field value that a script may write, octets; the reference has the same.
pub const MAX_HEADER_VALUE: usize = 10_240;

fn compiler(require: Require) -> Compiler {
    static COMPILER: LazyLock<Compiler> = LazyLock::new(|| {
        Compiler::new()
            .with_max_script_size(MAX_SCRIPT)
            .with_max_string_size(MAX_SCRIPT)
            .with_max_variable_name_size(100)
            .with_max_nested_blocks(50)
            .with_max_nested_tests(50)
            .with_max_nested_foreverypart(10)
            .with_max_match_variables(63)
            .with_max_local_variables(256)
            .with_max_header_size(MAX_HEADER_VALUE)
            .with_max_includes(10)
            .register_functions(&mut functions::map())
    });
    COMPILER.clone().with_no_capability_check(require == Require::Optional)
}

/// More than fits into an object of a cluster.
const MAX_SCRIPT: usize = 4 * 1024 * 1024;

fn too_many_variables(program: &Sieve) -> Option<Finding> {
    // The interpreter does not show these numbers otherwise.
    let json = serde_json::to_value(program).unwrap_or_default();
    let number = |name| json.get(name).and_then(serde_json::Value::as_u64).unwrap_or(u64::MAX);
    let too_many = number("num_vars") > MAX_VARIABLES || number("num_match_vars") > MAX_MATCH_VARIABLES;
    too_many.then(|| Finding {
        line: 1,
        column: 1,
        message: format!("more than {MAX_VARIABLES} variables"),
        suggestion: None,
    })
}

/// Runs a script on an empty message. Some of what the interpreter does not do it only says when it gets there.
fn dry_run(program: &Sieve) -> Option<Finding> {
    let at_start = |message| Finding { line: 1, column: 1, message, suggestion: None };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let runtime = runtime().with_cpu_limit(10_000).with_max_variable_size(4096);
        let mut context = runtime.filter(b"");
        let mut input = Input::script("", Arc::new(program.clone()));
        for _ in 0..1000 {
            input = match context.run(input)? {
                Ok(Event::Function { .. }) => Input::FncResult(Variable::default()),
                Ok(_) => Input::False,
                Err(
                    error @ (RuntimeError::CapabilityNotAllowed(_) | RuntimeError::CapabilityNotSupported(_)),
                ) => {
                    return Some(at_start(without_full_stop(&error.to_string())));
                }
                // That an empty message is not enough says nothing about the script.
                Err(_) => return None,
            };
        }
        None
    }));
    outcome.unwrap_or_else(|_| Some(at_start("the interpreter breaks on this script".to_owned())))
}

fn finding_of(error: &CompileError, source: &Prepared, words: &[Placed]) -> Finding {
    let (line, column) = place_of(error, source, words);
    let message = match error.error_type() {
        ErrorType::UnexpectedToken { expected, found } => {
            format!("expected {expected} instead of `{found}`")
        }
        ErrorType::UndeclaredCapability(capability) => {
            format!("`require` does not name the extension `{capability}`")
        }
        _ => {
            let text = error.to_string();
            let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
            without_full_stop(text)
        }
    };
    Finding { line, column, message, suggestion: None }
}

/// Where an error is. The compiler counts octets, from 0 on the first line and from 1 on the others; for a
/// regular expression it names the word after it, and for an end that came too early nothing.
fn place_of(error: &CompileError, source: &Prepared, words: &[Placed]) -> (u32, u32) {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    if error.line_num() == 0 {
        return words.last().map_or((1, 1), |word| (word.line, word.column));
    }
    let octets = if error.line_num() == 1 { error.line_pos() } else { error.line_pos().saturating_sub(1) };
    let line = source.text.split('\n').nth(error.line_num() - 1).unwrap_or_default();
    let before = line.as_bytes().get(..octets).unwrap_or(line.as_bytes());
    let column = number(String::from_utf8_lossy(before).chars().count() + 1);
    let place = source.original_place(number(error.line_num()), column);
    let is_about_regex = matches!(error.error_type(), ErrorType::InvalidRegex(_));
    let text_before = words
        .iter()
        .rev()
        .find(|word| (word.line, word.column) < place && matches!(word.token, Token::Text(_)));
    match text_before.filter(|_| is_about_regex) {
        Some(text) => (text.line, text.column),
        None => place,
    }
}

/// The texts of sieve-rs are sentences; ours are parts of a line.
fn without_full_stop(sentence: &str) -> String {
    let mut chars = sentence.trim_end_matches('.').chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
