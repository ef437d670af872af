//! Functions about text that only scripts have.

use std::collections::{HashMap, HashSet};

/// The subject of a conversation: without the prefixes of answers and forwards (RFC 5256 section 2.1).
pub(super) fn thread_name(subject: &str) -> &str {
    let mut rest = subject.trim();
    loop {
        let Some((prefix, after)) = rest.split_once(':') else { return rest };
        // `Re[2]:` counts too.
        let word = prefix.split(['[', '(']).next().unwrap_or_default().trim();
        let is_prefix = ["re", "fw", "fwd", "aw", "wg", "sv", "tr", "antw"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known));
        if !is_prefix {
            return rest;
        }
        rest = after.trim();
    }
}

/// The text of a page.
pub(super) fn from_html(html: &str) -> String {
    mail_parser::decoders::html::html_to_text(html)
}

/// How many characters have to be changed, added or removed; nothing when a text is too long to be compared.
pub(super) fn levenshtein_distance(a: &str, b: &str) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().saturating_mul(b.len()) > MOST_COMPARISONS {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(&b) {
            let changed = diagonal + usize::from(left != right);
            diagonal = *cell;
            before = changed.min(before + 1).min(*cell + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied()
}

/// Cells of the table that comparing two texts needs; one call counts as one instruction of a script.
const MOST_COMPARISONS: usize = 4_000_000;

/// The cosine of the angle between two texts, taken as counts of their words: 1.0 for the same, 0.0 for
/// nothing in common.
pub(super) fn cosine_similarity(a: &str, b: &str) -> f64 {
    let (a, b) = (counts(a), counts(b));
    let product: f64 = a.iter().filter_map(|(word, n)| Some(n * b.get(word)?)).sum();
    let length = |counts: &HashMap<String, f64>| counts.values().map(|n| n * n).sum::<f64>().sqrt();
    let lengths = length(&a) * length(&b);
    if lengths > 0.0 { product / lengths } else { 0.0 }
}

/// The share of words of two texts that both have.
pub(super) fn jaccard_similarity(a: &str, b: &str) -> f64 {
    let (a, b): (HashSet<String>, HashSet<String>) = (words(a).collect(), words(b).collect());
    let all = a.union(&b).count();
    #[expect(clippy::cast_precision_loss, reason = "no text has that many words")]
    if all > 0 { a.intersection(&b).count() as f64 / all as f64 } else { 0.0 }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn counts(text: &str) -> HashMap<String, f64> {
    let mut counts = HashMap::new();
    for word in words(text) {
        *counts.entry(word).or_insert(0.0) += 1.0;
    }
    counts
}

/// `sld`: the last two labels, `tld`: the last one, `host`: the first one. Suffixes of two labels, such as
/// `co.uk`, are not known here.
pub(super) fn domain_part<'a>(domain: &'a str, what: &str) -> &'a str {
    let domain = domain.trim_end_matches('.');
    let after = |dots: usize| match domain.rmatch_indices('.').nth(dots) {
        Some((dot, _)) => domain.get(dot + 1..).unwrap_or_default(),
        None => domain,
    };
    match what {
        "tld" => after(0),
        "sld" if domain.contains('.') => after(1),
        "host" => domain.split('.').next().unwrap_or_default(),
        _ => "",
    }
}

/// A part of a URI (RFC 3986 section 3).
pub(super) fn uri_part<'a>(uri: &'a str, what: &str) -> &'a str {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let rest_without_fragment = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (path_with_authority, query) =
        rest_without_fragment.split_once('?').unwrap_or((rest_without_fragment, ""));
    let (authority, path) = match path_with_authority.strip_prefix("//") {
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
        None => ("", path_with_authority),
    };
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port_at = host_and_port
        .rfind(':')
        .filter(|colon| host_and_port.get(*colon..).is_some_and(|port| !port.contains(']')));
    let (host, port) = match port_at {
        Some(colon) => (host_and_port.get(..colon), host_and_port.get(colon + 1..)),
        None => (Some(host_and_port), None),
    };
    match what {
        "scheme" => scheme,
        "authority" => authority,
        "host" => host.unwrap_or_default(),
        "port" => port.unwrap_or_default(),
        "path" => path,
        "query" => query,
        "path_query" => {
            let end = path.len() + if query.is_empty() { 0 } else { query.len() + 1 };
            let start = path_with_authority.len() - path.len();
            rest_without_fragment.get(start..start + end).unwrap_or(path)
        }
        _ => "",
    }
}

/// A domain with its internationalised labels as they are read.
pub(super) fn puny_decode(domain: &str) -> String {
    let (decoded, result) = idna::domain_to_unicode(domain);
    if result.is_ok() { decoded } else { domain.to_owned() }
}

/// Whether a text has a space of no width.
pub(super) fn has_zero_width_space(text: &str) -> bool {
    text.contains(['\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{ad}'])
}

/// Whether a text has characters that hide or turn around what is read.
pub(super) fn has_obscured(text: &str) -> bool {
    text.contains(|c| {
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_keeps_its_name() {
        for subject in ["Hello: you", "Re: Hello: you", "RE[2]: Fwd:  Hello: you ", "Aw:re:Hello: you"] {
            assert_eq!(thread_name(subject), "Hello: you", "{subject}");
        }
        assert_eq!(thread_name("Re:"), "");
    }

    #[test]
    fn texts_are_compared() {
        assert_eq!(levenshtein_distance("kitten", "sitting"), Some(3));
        assert_eq!(levenshtein_distance("", "abc"), Some(3));
        assert_eq!(levenshtein_distance("abc", ""), Some(3));
        assert_eq!(levenshtein_distance(&"a".repeat(3000), &"b".repeat(3000)), None);
        assert!((cosine_similarity("a b b", "B a b!") - 1.0).abs() < 1e-9);
        assert!(cosine_similarity("a", "b").abs() < 1e-9);
        assert!((jaccard_similarity("a b", "b c d") - 0.25).abs() < 1e-9);
        assert!(jaccard_similarity("", "").abs() < 1e-9);
    }

    #[test]
    fn domains_and_uris_have_parts() {
        let domain = |what| domain_part("mail.example.org.", what);
        assert_eq!(
            [domain("tld"), domain("sld"), domain("host"), domain("x")],
            ["org", "example.org", "mail", ""]
        );
        assert_eq!([domain_part("org", "sld"), domain_part("org", "tld")], ["", "org"]);
        let uri = |what| uri_part("https://ann@[2001:db8::1]:8443/a/b?c=d#e", what);
        assert_eq!(uri("scheme"), "https");
        assert_eq!(uri("authority"), "ann@[2001:db8::1]:8443");
        assert_eq!([uri("host"), uri("port")], ["[2001:db8::1]", "8443"]);
        assert_eq!([uri("path"), uri("query"), uri("path_query")], ["/a/b", "c=d", "/a/b?c=d"]);
        let mail = |what| uri_part("mailto:a@example.org", what);
        assert_eq!([mail("scheme"), mail("host"), mail("path")], ["mailto", "", "a@example.org"]);
        assert_eq!(uri_part("http://[::1]", "host"), "[::1]");
    }

    #[test]
    fn what_cannot_be_seen_is_found() {
        assert!(has_zero_width_space("pay\u{200b}pal") && !has_zero_width_space("paypal"));
        assert!(has_obscured("abc\u{202e}cba") && !has_obscured("é 中"));
        assert_eq!(puny_decode("xn--bcher-kva.example"), "bücher.example");
    }
}
