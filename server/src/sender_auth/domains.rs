//! How domains relate.

/// Whether a name is the domain or lies below it; without regard to case and a final dot.
pub(super) fn is_within(name: &str, domain: &str) -> bool {
    let (name, domain) = (plain(name), plain(domain));
    let Some(split) = name.len().checked_sub(domain.len()) else { return false };
    name.split_at_checked(split).is_some_and(|(below, end)| {
        end.eq_ignore_ascii_case(domain) && (below.is_empty() || below.ends_with('.'))
    })
}

/// A name without its final dot.
pub(super) fn plain(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_within_whole_labels_only() {
        for (name, domain, wanted) in [
            ("example.org", "example.org", true),
            ("a.EXAMPLE.org.", "example.ORG", true),
            ("aexample.org", "example.org", false),
            ("org", "example.org", false),
            ("é.example.org", "example.org", true),
            ("xé", "\u{a9}", false),
        ] {
            assert_eq!(is_within(name, domain), wanted, "{name} {domain}");
        }
    }
}
