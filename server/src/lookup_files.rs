//! Large lookup tables on mounted volumes, read when they change and shared by all policies.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use postern_core::policy::table::{Table, TableError};

use crate::reload::Stamp;

/// The tables that the last policies have used.
#[derive(Debug, Default)]
pub struct LookupFiles {
    known: Mutex<HashMap<PathBuf, (Stamp, Arc<Table>)>>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LookupFileError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds no table.
    #[error("{}: {source}", path.display())]
    NoTable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TableError,
    },
}

impl LookupFiles {
    /// The table of a file; one that has not changed is not read again.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is no text.
    pub fn table(&self, path: &Path) -> Result<Arc<Table>, LookupFileError> {
        let unreadable = |source| LookupFileError::Unreadable { path: path.to_owned(), source };
        // Looked at before it is read: a change in between shows at the next load.
        let stamp = Stamp::of(&fs::metadata(path).map_err(unreadable)?);
        if let Some((known, table)) = self.lock().get(path)
            && *known == stamp
        {
            return Ok(Arc::clone(table));
        }
        let octets = fs::read(path).map_err(unreadable)?;
        let table = Table::new(octets)
            .map_err(|source| LookupFileError::NoTable { path: path.to_owned(), source })?;
        let table = Arc::new(table);
        self.lock().insert(path.to_owned(), (stamp, Arc::clone(&table)));
        Ok(table)
    }

    /// Forgets every table that is not among these.
    pub fn keep(&self, used: &[PathBuf]) {
        self.lock().retain(|path, _| used.contains(path));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Stamp, Arc<Table>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
        let files = LookupFiles::default();
        let first = files.table(&path).unwrap();
        assert!(Arc::ptr_eq(&first, &files.table(&path).unwrap()));
        fs::write(&path, "b.example reason\n").unwrap();
        let second = files.table(&path).unwrap();
        assert_eq!((second.get("a.example"), second.get("b.example")), (None, Some("reason")));
        files.keep(&[]);
        assert!(!Arc::ptr_eq(&second, &files.table(&path).unwrap()));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, binary) = (folder.path().join("missing"), folder.path().join("binary"));
        fs::write(&binary, b"a\n\xff").unwrap();
        let said = |path: &Path| LookupFiles::default().table(path).unwrap_err().to_string();
        assert!(said(&missing).ends_with("missing cannot be read: No such file or directory (os error 2)"));
        assert!(said(&binary).ends_with("binary: line 2 is not UTF-8"));
    }
}
