//! What of Sieve there is at a gate, and what is left out and why.

use super::functions;
use crate::suggest::closest;

/// Commands and tests that a script may use.
pub(super) const WORDS: &[&str] = &[
    "addheader",
    "address",
    "allof",
    "anyof",
    "body",
    "break",
    "continue",
    "currentdate",
    "date",
    "deleteheader",
    "discard",
    "else",
    "elsif",
    "enclose",
    "envelope",
    "environment",
    "ereject",
    "error",
    "eval",
    "exists",
    "extracttext",
    "false",
    "foreverypart",
    "global",
    "header",
    "if",
    "ihave",
    "include",
    "keep",
    "let",
    "not",
    "notify",
    "notify_method_capability",
    "redirect",
    "reject",
    "replace",
    "require",
    "return",
    "set",
    "size",
    "spamtest",
    "stop",
    "string",
    "true",
    "valid_ext_list",
    "valid_notify_method",
    "virustest",
    "while",
];

/// Extensions that a script may ask for.
pub(super) const CAPABILITIES: &[&str] = &[
    "body",
    "comparator-i;ascii-casemap",
    "comparator-i;ascii-numeric",
    "comparator-i;octet",
    "copy",
    "date",
    "editheader",
    "enclose",
    "encoded-character",
    "enotify",
    "envelope",
    "envelope-deliverby",
    "envelope-dsn",
    "environment",
    "ereject",
    "extlists",
    "extracttext",
    "foreverypart",
    "ihave",
    "include",
    "index",
    "mime",
    "redirect-deliverby",
    "redirect-dsn",
    "regex",
    "reject",
    "relational",
    "replace",
    "spamtest",
    "spamtestplus",
    "subaddress",
    "variables",
    "virustest",
    "vnd.stalwart.expressions",
    "vnd.stalwart.while",
];

const NO_MAILBOXES: &str = "a gate has no mailboxes";
const NO_VACATION: &str = "a gate answers nobody on behalf of a mailbox; use `reject`, or `notify`";
const NO_MEMORY: &str = "a gate does not remember messages";
const NO_CONVERSION: &str =
    "the conversion loses header fields; use `extracttext` and `replace` in `foreverypart`";

/// Commands, tests and extensions of Sieve that are left out.
const REFUSED: &[(&str, &str)] = &[
    ("fileinto", NO_MAILBOXES),
    ("imap4flags", NO_MAILBOXES),
    ("setflag", NO_MAILBOXES),
    ("addflag", NO_MAILBOXES),
    ("removeflag", NO_MAILBOXES),
    ("hasflag", NO_MAILBOXES),
    ("mailbox", NO_MAILBOXES),
    ("mailboxid", NO_MAILBOXES),
    ("mailboxexists", NO_MAILBOXES),
    ("mailboxidexists", NO_MAILBOXES),
    ("special-use", NO_MAILBOXES),
    ("specialuse_exists", NO_MAILBOXES),
    ("mboxmetadata", NO_MAILBOXES),
    ("metadata", NO_MAILBOXES),
    ("metadataexists", NO_MAILBOXES),
    ("servermetadata", NO_MAILBOXES),
    ("servermetadataexists", NO_MAILBOXES),
    ("imapsieve", NO_MAILBOXES),
    ("fcc", NO_MAILBOXES),
    ("vacation", NO_VACATION),
    ("vacation-seconds", NO_VACATION),
    ("duplicate", NO_MEMORY),
    ("convert", NO_CONVERSION),
];

/// Tags that only make sense with something that is left out.
const REFUSED_TAGS: &[&str] = &["flags", "fcc", "mailboxid", "specialuse"];

/// What is wrong with a name, and which one may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) message: String,
    pub(super) suggestion: Option<String>,
}

impl Objection {
    fn left_out(what: &str, name: &str, why: &str) -> Self {
        Self { message: format!("{what} `{name}` is not available: {why}"), suggestion: None }
    }

    fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let suggestion = closest(name, known).map(str::to_owned);
        Self { message: format!("unknown {what} `{name}`"), suggestion }
    }
}

fn reason(name: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, why)| *why)
}

/// What is wrong with the name of a command or test.
pub(super) fn objection_to_word(name: &str) -> Option<Objection> {
    if WORDS.contains(&name) {
        return None;
    }
    Some(match reason(name) {
        Some(why) => Objection::left_out("the command", name, why),
        None => Objection::unknown("command", name, WORDS.iter().copied()),
    })
}

/// What is wrong with the name of an extension.
pub(super) fn objection_to_capability(name: &str) -> Option<Objection> {
    if CAPABILITIES.contains(&name) {
        return None;
    }
    Some(match reason(name) {
        Some(why) => Objection::left_out("the extension", name, why),
        None => Objection::unknown("extension", name, CAPABILITIES.iter().copied()),
    })
}

/// What is wrong with a tag.
pub(super) fn objection_to_tag(name: &str) -> Option<Objection> {
    REFUSED_TAGS.contains(&name).then(|| Objection::left_out("the tag", &format!(":{name}"), NO_MAILBOXES))
}

/// What is wrong with the name of a function.
pub(super) fn objection_to_function(name: &str) -> Option<Objection> {
    if functions::names().any(|known| known == name) {
        return None;
    }
    Some(match functions::refusal(name) {
        Some(why) => Objection::left_out("the function", name, why),
        None => Objection::unknown("function", name, functions::names()),
    })
}
