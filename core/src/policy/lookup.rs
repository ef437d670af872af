//! `MtaLookup`: read-only sets and maps for `key_exists`, `key_get` and Sieve's `:list`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::table::Table;

/// All namespaces.
#[derive(Debug, Default)]
pub struct Lookups {
    namespaces: HashMap<Box<str>, Namespace>,
}

/// One namespace: exact keys and glob patterns, each with a value that may be empty.
#[derive(Debug, Default)]
pub struct Namespace {
    exact: HashMap<Box<str>, Arc<str>>,
    /// In the order of the manifests; the first that matches counts.
    globs: Vec<(Glob, Arc<str>)>,
    /// Large sets on mounted volumes; the server reads them and attaches their tables.
    files: Vec<PathBuf>,
    tables: Vec<Arc<Table>>,
}

impl Lookups {
    /// Adds an entry; a key that is there already keeps its first value.
    pub fn insert(&mut self, namespace: &str, key: &str, value: Arc<str>) {
        self.namespace(namespace).exact.entry(key.into()).or_insert(value);
    }

    /// Adds a pattern, in which `*` stands for any text and `?` for one character.
    pub fn insert_glob(&mut self, namespace: &str, pattern: &str, value: Arc<str>) {
        self.namespace(namespace).globs.push((Glob::new(pattern), value));
    }

    /// Adds a file of keys.
    pub fn insert_file(&mut self, namespace: &str, path: PathBuf) {
        self.namespace(namespace).files.push(path);
    }

    /// Declares a namespace, which may stay empty.
    pub fn namespace(&mut self, name: &str) -> &mut Namespace {
        self.namespaces.entry(name.into()).or_default()
    }

    /// Every namespace with its name, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Namespace)> {
        self.namespaces.iter().map(|(name, namespace)| (&**name, namespace))
    }

    /// The namespace of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }
}

impl Namespace {
    /// The value of a key, by exact match and then by pattern.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let exact = || self.exact.get(key).map(|value| &**value);
        let from_file = || self.tables.iter().find_map(|table| table.get(key));
        let by_pattern = || self.globs.iter().find(|(glob, _)| glob.matches(key)).map(|(_, value)| &**value);
        exact().or_else(from_file).or_else(by_pattern)
    }

    /// Adds what one of the files holds.
    pub fn attach(&mut self, table: Arc<Table>) {
        self.tables.push(table);
    }

    /// Whether every file is attached, so that what is not found is not there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.files.len() == self.tables.len()
    }

    /// Files that belong to this namespace.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

/// A pattern with `*` and `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<[char]>);

impl Glob {
    /// Every text is a pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Whether the whole text matches. Linear in the product of both lengths at worst.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (&*self.0, text);
        // Where to go on when what follows the last `*` turns out not to match.
        let mut retry: Option<(&[char], &str)> = None;
        loop {
            let mut chars = rest.chars();
            match (pattern, chars.next()) {
                (['*', tail @ ..], _) => {
                    retry = Some((tail, rest));
                    pattern = tail;
                }
                ([], None) => return true,
                ([expected, tail @ ..], Some(found)) if *expected == '?' || *expected == found => {
                    (pattern, rest) = (tail, chars.as_str());
                }
                _ => match retry.take() {
                    Some((tail, from)) => {
                        let mut chars = from.chars();
                        if chars.next().is_none() {
                            return false;
                        }
                        retry = Some((tail, chars.as_str()));
                        (pattern, rest) = (tail, chars.as_str());
                    }
                    None => return false,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_texts_only() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "example.org", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xxaxxbxxb", true),
            ("*a*b", "xxaxxbxxc", false),
            ("a**b", "ab", true),
            ("?", "é", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} against {text}");
        }
    }

    #[test]
    fn exact_keys_come_before_patterns() {
        let mut lookups = Lookups::default();
        lookups.insert_glob("n", "a*", "pattern".into());
        lookups.insert("n", "ab", "exact".into());
        let namespace = lookups.get("n").unwrap();
        assert_eq!(namespace.get("ab"), Some("exact"));
        assert_eq!(namespace.get("ac"), Some("pattern"));
        assert_eq!(namespace.get("b"), None);
    }
}
