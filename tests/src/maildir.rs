//! Reading a Maildir as another program wrote it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// A Maildir folder, which need not exist yet.
#[derive(Debug, Clone)]
pub struct Maildir {
    root: PathBuf,
}

impl Maildir {
    /// The Maildir at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// All delivered messages (`new` and `cur`), in the order of their file names.
    ///
    /// # Errors
    /// When a file that is listed cannot be read.
    pub fn messages(&self) -> Result<Vec<Vec<u8>>> {
        let mut files = self.files("new")?;
        files.extend(self.files("cur")?);
        files.sort();
        files.iter().map(|file| Ok(fs::read(file)?)).collect()
    }

    /// How many delivered messages contain `text`.
    ///
    /// # Errors
    /// As for [`Self::messages`].
    pub fn count(&self, text: &str) -> Result<usize> {
        let wanted = text.as_bytes();
        let holds = |message: &Vec<u8>| message.windows(wanted.len()).any(|part| part == wanted);
        Ok(self.messages()?.iter().filter(|message| holds(message)).count())
    }

    /// Files that a delivery began and did not finish.
    ///
    /// # Errors
    /// When the folder exists and cannot be listed.
    pub fn unfinished(&self) -> Result<Vec<PathBuf>> {
        self.files("tmp")
    }

    fn files(&self, part: &str) -> Result<Vec<PathBuf>> {
        let folder = self.root.join(part);
        if !folder.exists() {
            return Ok(Vec::new());
        }
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    }
}
