//! A large read-only map out of a file: one key on each line, and after white space its value.

use std::hash::{BuildHasher as _, RandomState};
use std::str::Utf8Error;

/// The lines of a file, found by their keys.
///
/// Takes the size of the file and 8 to 16 octets for each line: keys and values stay in the text, and the
/// index holds where each line begins.
pub struct Table {
    text: Box<str>,
    /// Where a line begins, plus one; 0: free. The number of places is a power of two.
    places: Box<[u32]>,
    entries: usize,
    hasher: RandomState,
}

/// Why a file is no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Something that is no text.
    #[error("line {line} is not UTF-8")]
    NotText {
        /// Counted from 1.
        line: usize,
    },
    /// More than 4 GiB.
    #[error("a file of more than 4 GiB")]
    TooLarge,
}

impl Table {
    /// Takes a file apart. Empty lines and those that begin with `#` are skipped; of two lines with one key the first
    /// counts.
    ///
    /// # Errors
    ///
    /// When it is not UTF-8, or larger than 4 GiB.
    pub fn new(octets: Vec<u8>) -> Result<Self, TableError> {
        if u32::try_from(octets.len()).is_err() {
            return Err(TableError::TooLarge);
        }
        let text = String::from_utf8(octets)
            .map_err(|error| TableError::NotText { line: line_of(error.as_bytes(), &error.utf8_error()) })?;
        let lines = text.lines().filter(|line| entry(line).is_some()).count();
        let mut table = Self {
            text: text.into_boxed_str(),
            // At most two thirds are taken, which keeps the runs of taken places short.
            places: vec![0; (lines.saturating_mul(3) / 2).next_power_of_two().max(2)].into(),
            entries: 0,
            hasher: RandomState::new(),
        };
        table.fill();
        Ok(table)
    }

    /// The value of a key; empty where the line has none.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let (mut place, mask) = self.first_place(key);
        loop {
            let start = usize::try_from(self.places.get(place)?.checked_sub(1)?).ok()?;
            if let Some((found, value)) = self.line_at(start)
                && found == key
            {
                return Some(value);
            }
            place = (place + 1) & mask;
        }
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    fn fill(&mut self) {
        let mut places = std::mem::take(&mut self.places);
        let mask = places.len().saturating_sub(1);
        let mut start = 0_usize;
        for line in self.text.split_inclusive('\n') {
            if let Some((key, _)) = entry(line) {
                let mut place = (self.hasher.hash_one(key) as usize) & mask;
                while let Some(taken) = places.get_mut(place) {
                    if *taken == 0 {
                        *taken = u32::try_from(start).unwrap_or(u32::MAX).saturating_add(1);
                        self.entries += 1;
                        break;
                    }
                    let other = usize::try_from(*taken - 1).unwrap_or(usize::MAX);
                    if self.line_at(other).is_some_and(|(known, _)| known == key) {
                        break;
                    }
                    place = (place + 1) & mask;
                }
            }
            start += line.len();
        }
        self.places = places;
    }

    fn first_place(&self, key: &str) -> (usize, usize) {
        let mask = self.places.len().saturating_sub(1);
        ((self.hasher.hash_one(key) as usize) & mask, mask)
    }

    fn line_at(&self, start: usize) -> Option<(&str, &str)> {
        entry(self.text.get(start..)?.split('\n').next()?)
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("entries", &self.entries).finish_non_exhaustive()
    }
}

/// Key and value of a line that is neither empty nor a comment.
#[must_use]
pub fn entry(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    Some((key, value.trim_start()))
}

fn line_of(octets: &[u8], error: &Utf8Error) -> usize {
    let before = octets.get(..error.valid_up_to()).unwrap_or_default();
    before.iter().filter(|octet| **octet == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::HashMap;

    use super::*;

    fn table(text: &str) -> Table {
        Table::new(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn each_line_is_a_key_and_perhaps_a_value() {
        let table = table("# comment\na\n\nb  one two\r\n  c\t3\na second\n\u{e4} x");
        let found = ["a", "b", "c", "\u{e4}", "#", "comment", "", "one"].map(|key| table.get(key));
        assert_eq!(found, [Some(""), Some("one two"), Some("3"), Some("x"), None, None, None, None]);
        assert_eq!(table.len(), 4);
    }

    #[test]
    fn an_empty_file_holds_nothing() {
        assert!(table("").is_empty());
        assert_eq!(table("\n# nothing\n").get("nothing"), None);
    }

    #[test]
    fn what_is_no_text_is_named_with_its_line() {
        assert_eq!(Table::new(b"a\nb\n\xff\n".to_vec()).unwrap_err(), TableError::NotText { line: 3 });
    }

    proptest! {
        #[test]
        fn it_answers_as_a_map_of_its_lines_does(lines in prop::collection::vec("[a-d]{0,3}( [x-z]{1,2})?", 0..60), asked in "[a-d]{1,3}") {
            let text = lines.join("\n");
            let mut map = HashMap::new();
            for (key, value) in text.lines().filter_map(entry) {
                map.entry(key).or_insert(value);
            }
            let table = table(&text);
            prop_assert_eq!(table.len(), map.len());
            prop_assert_eq!(table.get(&asked), map.get(&*asked).copied());
            for (key, value) in &map {
                prop_assert_eq!(table.get(key), Some(*value));
            }
        }
    }
}
