//! The functions that `eval`, `let` and `while` know, beside operators.

use std::sync::LazyLock;

use postern_core::expr::{PureFunction, pure_functions};

/// A function, as the interpreter asks its host for it.
#[derive(Debug, Clone, Copy)]
pub enum Function {
    /// One that expressions of policy fields have too, and that needs nothing but its arguments.
    Pure(PureFunction),
    /// One that the server answers.
    Host(HostFunction),
}

/// Functions that the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostFunction {
    /// `is_local_domain(domain)`
    IsLocalDomain,
    /// `is_local_address(address)`
    IsLocalAddress,
    /// `key_exists(store, key)`
    KeyExists,
    /// `key_get(store, key)`
    KeyGet,
    /// `counter_get(store, key)`
    CounterGet,
    /// `dns_query(name, type)`
    DnsQuery,
    /// `dns_exists(name, type)`
    DnsExists,
    /// `is_body()`: whether the part in hand is a body of the message.
    IsBody,
    /// `is_attachment()`
    IsAttachment,
    /// `attachment_name()`
    AttachmentName,
    /// `mime_part_len()`: octets of the part in hand, decoded.
    MimePartLen,
    /// `is_encoding_problem()`
    IsEncodingProblem,
    /// `is_header_utf8_valid(name)`
    IsHeaderUtf8Valid,
    /// `received_part(n, what)`
    ReceivedPart,
    /// `var_names()`: names of the global variables.
    VarNames,
    /// `add_header(name, value)`
    AddHeader,
    /// `is_ascii(text)`
    IsAscii,
    /// `thread_name(subject)`
    ThreadName,
    /// `html_to_text(html)`
    HtmlToText,
    /// `levenshtein_distance(a, b)`
    LevenshteinDistance,
    /// `cosine_similarity(a, b)`
    CosineSimilarity,
    /// `jaccard_similarity(a, b)`
    JaccardSimilarity,
    /// `domain_part(domain, what)`
    DomainPart,
    /// `uri_part(uri, what)`
    UriPart,
    /// `puny_decode(domain)`
    PunyDecode,
    /// `has_zwsp(text)`
    HasZwsp,
    /// `has_obscured(text)`
    HasObscured,
}

use HostFunction as Host;

const HOST: &[(&str, u32, Host)] = &[
    ("is_local_domain", 1, Host::IsLocalDomain),
    ("is_local_address", 1, Host::IsLocalAddress),
    ("key_exists", 2, Host::KeyExists),
    ("key_get", 2, Host::KeyGet),
    ("counter_get", 2, Host::CounterGet),
    ("dns_query", 2, Host::DnsQuery),
    ("dns_exists", 2, Host::DnsExists),
    ("is_body", 0, Host::IsBody),
    ("is_attachment", 0, Host::IsAttachment),
    ("attachment_name", 0, Host::AttachmentName),
    ("mime_part_len", 0, Host::MimePartLen),
    ("is_encoding_problem", 0, Host::IsEncodingProblem),
    ("is_header_utf8_valid", 1, Host::IsHeaderUtf8Valid),
    ("received_part", 2, Host::ReceivedPart),
    ("var_names", 0, Host::VarNames),
    ("add_header", 2, Host::AddHeader),
    ("is_ascii", 1, Host::IsAscii),
    ("thread_name", 1, Host::ThreadName),
    ("html_to_text", 1, Host::HtmlToText),
    ("levenshtein_distance", 2, Host::LevenshteinDistance),
    ("cosine_similarity", 2, Host::CosineSimilarity),
    ("jaccard_similarity", 2, Host::JaccardSimilarity),
    ("domain_part", 2, Host::DomainPart),
    ("uri_part", 2, Host::UriPart),
    ("puny_decode", 1, Host::PunyDecode),
    ("has_zwsp", 1, Host::HasZwsp),
    ("has_obscured", 1, Host::HasObscured),
];

const NO_SQL: &str = "there is no SQL store; use `key_exists` or `key_get` with an MtaLookup";
const NO_WRITING: &str = "scripts only read stores; count and set keys in the expressions of a stage";
const NO_PROGRAMS: &str = "scripts start no programs; use an MtaPipe";
const NO_HTTP: &str = "scripts send no HTTP requests; use an MtaHook";
const NO_DATA: &str = "it needs tables that are not part of Postern; use an MtaHook or MtaSpamFilter";
const ONLY_IN_FIELDS: &str = "it is part of policy fields only";

/// Functions of the reference that are left out.
const REFUSED: &[(&str, &str)] = &[
    ("query", NO_SQL),
    ("sql_query", NO_SQL),
    ("key_set", NO_WRITING),
    ("counter_incr", NO_WRITING),
    ("exec", NO_PROGRAMS),
    ("http_header", NO_HTTP),
    ("img_metadata", NO_DATA),
    ("detect_language", NO_DATA),
    ("detect_file_type", NO_DATA),
    ("cure_text", NO_DATA),
    ("unicode_skeleton", NO_DATA),
    ("is_mixed_charset", NO_DATA),
    ("tokenize", NO_DATA),
    ("matches", "use the match type `:regex` of a test"),
    ("system", ONLY_IN_FIELDS),
    ("metric", "scripts read no metrics"),
];

struct Entry {
    name: &'static str,
    arity: u32,
    function: Function,
}

/// All functions; the place of one is the number under which programs know it.
static TABLE: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let pure = pure_functions().map(|function| Entry {
        name: function.name(),
        arity: u32::try_from(function.arity()).unwrap_or(0),
        function: Function::Pure(function),
    });
    let host = HOST.iter().map(|&(name, arity, host)| Entry { name, arity, function: Function::Host(host) });
    pure.chain(host).collect()
});

/// The function that a program knows under that number.
#[must_use]
pub fn function(id: u32) -> Option<Function> {
    TABLE.get(usize::try_from(id).ok()?).map(|entry| entry.function)
}

/// Every name.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|entry| entry.name)
}

/// Why a function of the reference is left out.
pub(super) fn refusal(name: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, why)| *why)
}

/// Number of arguments of a function.
pub(super) fn arity(name: &str) -> Option<u32> {
    TABLE.iter().find(|entry| entry.name == name).map(|entry| entry.arity)
}

/// The names as the compiler takes them. All are functions of the host, so that they may be methods of
/// something: the interpreter's own can be nothing but plain pointers.
pub(super) fn map() -> sieve::FunctionMap {
    TABLE.iter().zip(0..).fold(sieve::FunctionMap::new(), |map, (entry, id)| {
        map.with_external_function(entry.name, id, entry.arity)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_name_means_one_function_or_is_refused() {
        let mut seen = HashSet::new();
        for name in names().chain(REFUSED.iter().map(|(name, _)| *name)) {
            assert!(seen.insert(name), "{name}");
        }
    }
}
