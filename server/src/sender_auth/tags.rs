//! Lists of `tag=value`, as signatures, keys and policies are written (RFC 6376 section 3.2).

/// The tags of a list, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tags(Vec<(String, String)>);

impl Tags {
    /// Reads a list; nothing when it is none, or has a tag twice.
    pub(super) fn parse(list: &[u8]) -> Option<Self> {
        let list = std::str::from_utf8(list).ok()?.trim_ascii();
        let list = list.strip_suffix(';').unwrap_or(list);
        let mut tags: Vec<(String, String)> = Vec::new();
        for tag in list.split(';') {
            let (name, value) = tag.split_once('=')?;
            let name = name.trim_ascii().to_ascii_lowercase();
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_name || tags.iter().any(|(other, _)| *other == name) {
                return None;
            }
            tags.push((name, value.trim_ascii().to_owned()));
        }
        Some(Self(tags))
    }

    /// The value of a tag, without white space around it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(tag, _)| tag == name).map(|(_, value)| value.as_str())
    }

    /// The first tag, which has to be the version in some lists.
    pub(super) fn first(&self) -> Option<(&str, &str)> {
        self.0.first().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a tag, a list with colons, has an item; names are compared without case.
    pub(super) fn lists(&self, name: &str, item: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.split(':').any(|other| other.trim_ascii().eq_ignore_ascii_case(item)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_without_white_space() {
        let tags = Tags::parse(b" v=DKIM1; K = rsa ;\r\n\th=sha1 : SHA256; p=; n=a=b ;").unwrap();
        assert_eq!(tags.first(), Some(("v", "DKIM1")));
        assert_eq!(tags.get("k"), Some("rsa"));
        assert_eq!(tags.get("p"), Some(""));
        assert_eq!(tags.get("n"), Some("a=b"));
        assert_eq!(tags.get("x"), None);
        assert!(tags.lists("h", "sha256") && !tags.lists("h", "sha") && !tags.lists("x", ""));
    }

    #[test]
    fn lists_that_are_none_are_refused() {
        for list in ["", ";", "a", "a=1;;b=2", "a=1; a=2", "a=1; A=2", "=1", "1=a", "a b=1", "a=1; b"] {
            assert_eq!(Tags::parse(list.as_bytes()), None, "{list}");
        }
        assert_eq!(Tags::parse(b"a=\xff"), None);
    }
}
