//! Answers of the world outside, as a live run has written them down (`docs/testing-policies.md`).
//!
//! A recording is one JSON object: `format`, and `answers`, which maps what was asked to what was answered. Keys name
//! everything that an answer may depend on, so that one file can hold the answers to many sessions.

mod answer;
mod parts;
mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

pub use self::answer::Recorded;
pub use self::parts::{AddressRecord, ReplyRecord};
pub(crate) use self::parts::{as_lines, mail_words};
pub use self::verdict::{ChangeRecord, VerdictRecord};

/// A set of answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    format: Format,
    answers: BTreeMap<String, Recorded>,
}

/// The form of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    /// The questions of the first form did not hold everything that an answer may depend on.
    #[serde(rename = "postern-recording/2")]
    Second,
}

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is no recording.
    #[error("{}:{}:{}: this is no recording: {cause}", path.display(), cause.line(), cause.column())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        cause: serde_json::Error,
    },
}

impl Default for Recording {
    fn default() -> Self {
        Self { format: Format::Second, answers: BTreeMap::new() }
    }
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let file = |cause| RecordingError::File { path: path.to_owned(), cause };
        let text = fs::read_to_string(path).map_err(file)?;
        serde_json::from_str(&text)
            .map_err(|cause| RecordingError::Malformed { path: path.to_owned(), cause })
    }

    /// Writes a file.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn write(&self, path: &Path) -> Result<(), RecordingError> {
        let file = |cause| RecordingError::File { path: path.to_owned(), cause };
        let text = serde_json::to_string_pretty(self).map_err(|cause| file(cause.into()))?;
        fs::write(path, text + "\n").map_err(file)
    }

    /// The answer to what a key names.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Recorded> {
        self.answers.get(key)
    }

    /// Keeps an answer; the last one to a key counts.
    pub fn keep(&mut self, key: String, answer: Recorded) {
        self.answers.insert(key, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Recording, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let place = file.path().display().to_string();
        Recording::read(file.path()).map_err(|error| error.to_string().replace(&place, "FILE"))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut recording = Recording::default();
        recording.keep("reverse-dns 203.0.113.1".to_owned(), Recorded::next_hops(None));
        let text = serde_json::to_string(&recording).unwrap();
        assert_eq!(read(&text), Ok(recording));
    }

    #[test]
    fn another_form_is_refused_with_its_place() {
        assert!(read("{\"format\": \"postern-recording/1\", \"answers\": {}}").is_err());
        let error = read("{\n \"format\": \"other\", \"answers\": {}}").unwrap_err();
        assert!(error.starts_with("FILE:2:18: this is no recording: unknown variant `other`"), "{error}");
        assert!(read("{\"format\": \"postern-recording/2\"").unwrap_err().contains("FILE:1:"));
    }
}
