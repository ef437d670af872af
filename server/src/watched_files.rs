//! Large files beside the manifests, read when they change and shared by all policies.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postern_core::policy::table::{Table, TableError};

use crate::reload::Stamp;

/// What the last policies have used, by path.
#[derive(Debug)]
pub struct WatchedFiles<T> {
    known: Mutex<HashMap<PathBuf, (Stamp, Arc<T>)>>,
}

/// What a file can hold.
pub trait Content: Sized {
    /// Why octets are not this.
    type Error: Error;

    /// Makes it of the whole file.
    ///
    /// # Errors
    ///
    /// When the octets are something else.
    fn of(octets: Vec<u8>) -> Result<Self, Self::Error>;
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError<E: Error> {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: E,
    },
}

impl<T: Content> WatchedFiles<T> {
    /// What a file holds; one that has not changed is not read again.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds something else.
    pub fn read(&self, path: &Path) -> Result<Arc<T>, FileError<T::Error>> {
        let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
        // Looked at before it is read: a change in between shows at the next load.
        let stamp = Stamp::of(&fs::metadata(path).map_err(unreadable)?);
        if let Some((known, content)) = self.lock().get(path)
            && *known == stamp
        {
            return Ok(Arc::clone(content));
        }
        let octets = fs::read(path).map_err(unreadable)?;
        let content =
            T::of(octets).map_err(|source| FileError::Unusable { path: path.to_owned(), source })?;
        let content = Arc::new(content);
        self.lock().insert(path.to_owned(), (stamp, Arc::clone(&content)));
        Ok(content)
    }

    /// Forgets every file that is not among these.
    pub fn keep(&self, used: &[PathBuf]) {
        self.lock().retain(|path, _| used.contains(path));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, (Stamp, Arc<T>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for WatchedFiles<T> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl Content for Table {
    type Error = TableError;

    fn of(octets: Vec<u8>) -> Result<Self, TableError> {
        Self::new(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_only_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blocked");
        fs::write(&path, "a.example\n").unwrap();
        let files = WatchedFiles::<Table>::default();
        let first = files.read(&path).unwrap();
        assert!(Arc::ptr_eq(&first, &files.read(&path).unwrap()));
        fs::write(&path, "b.example reason\n").unwrap();
        let second = files.read(&path).unwrap();
        assert_eq!((second.get("a.example"), second.get("b.example")), (None, Some("reason")));
        files.keep(&[]);
        assert!(!Arc::ptr_eq(&second, &files.read(&path).unwrap()));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, binary) = (folder.path().join("missing"), folder.path().join("binary"));
        fs::write(&binary, b"a\n\xff").unwrap();
        let said = |path: &Path| WatchedFiles::<Table>::default().read(path).unwrap_err().to_string();
        assert!(said(&missing).ends_with("missing cannot be read: No such file or directory (os error 2)"));
        assert!(said(&binary).ends_with("binary: line 2 is not UTF-8"));
    }
}
