//! `revision`: the file that says what a mounted folder consists of.
//!
//! The parts of a mounted policy are separate objects of the API, and a pod sees each change of one on its own.
//! Half of one policy and half of the next may well compile, and mean something that nobody wrote. So the folder
//! names the digest of each of its files, and is read only when all of them are there. The form is that of
//! `sha256sum`, so that `sha256sum -c revision` checks it by hand.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Name of the file.
pub const REVISION_FILE: &str = "revision";

/// Hex SHA-256 of a text.
#[must_use]
pub fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The text of the file for a folder of these files, by name, that is this revision.
pub fn revision_file<'a>(revision: &str, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = format!("# revision {revision}\n");
    for (name, contents) in files {
        text.push_str(&format!("{}  {name}\n", digest(contents)));
    }
    text
}

/// What a folder consists of, according to its `revision`.
#[derive(Debug)]
pub(super) struct Contents(BTreeMap<String, String>);

impl Contents {
    /// Reads the file; none when the folder has none, as when a person keeps it.
    pub(super) fn of(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(folder.join(REVISION_FILE)) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> io::Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let parts = lines.map(|line| {
            let (digest, name) = line.split_once("  ").ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("`{REVISION_FILE}` is not in the form of sha256sum"),
                )
            })?;
            Ok((name.to_owned(), digest.to_owned()))
        });
        parts.collect::<io::Result<_>>().map(Self)
    }

    /// Whether these files, each with what could be read of it, are all and nothing but what is named.
    pub(super) fn check<'a>(
        &self,
        files: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    ) -> io::Result<()> {
        let mut missing: BTreeMap<&str, &str> =
            self.0.iter().map(|(name, digest)| (name.as_str(), digest.as_str())).collect();
        for (name, text) in files {
            match (missing.remove(name), text) {
                (Some(expected), Some(text)) if digest(text) == expected => {}
                (Some(_), _) => return Err(incomplete(&format!("{name} is of another revision"))),
                (None, _) => return Err(incomplete(&format!("{name} is not part of this revision"))),
            }
        }
        match missing.first_key_value() {
            Some((name, _)) => Err(incomplete(&format!("{name} is not there yet"))),
            None => Ok(()),
        }
    }
}

/// It will be complete in a moment, so it is no fault of anybody.
fn incomplete(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, format!("the folder is not complete: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::read_folder;

    const ROUTE: &str = "apiVersion: mta.postern.dev/v1alpha1\nkind: MtaRoute\n\
                         metadata: {name: a}\nspec: {type: Discard}\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn problem(files: &[(&str, &str)]) -> String {
        let error = read_folder(folder(files).path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        error.to_string()
    }

    #[test]
    fn a_folder_is_read_when_everything_that_revision_names_is_there() {
        let revision = revision_file("abc", [("0.yaml", ROUTE)]);
        let folder = folder(&[("0.yaml", ROUTE), (REVISION_FILE, &revision)]);
        let (set, faults) = read_folder(folder.path()).unwrap();
        assert_eq!((set.len(), faults.len()), (1, 0));
    }

    #[test]
    fn a_mixture_of_two_revisions_is_not_read() {
        let revision = revision_file("abc", [("0.yaml", ROUTE), ("1.yaml", "")]);
        let changed = ROUTE.replace("name: a", "name: b");
        assert!(
            problem(&[("0.yaml", &changed), ("1.yaml", ""), (REVISION_FILE, &revision)])
                .contains("0.yaml is of")
        );
        assert!(
            problem(&[("0.yaml", ROUTE), (REVISION_FILE, &revision)]).contains("1.yaml is not there yet")
        );
        let three = [("0.yaml", ROUTE), ("1.yaml", ""), ("2.yaml", ""), (REVISION_FILE, revision.as_str())];
        assert!(problem(&three).contains("2.yaml is not part of"));
    }

    #[test]
    fn a_revision_in_another_form_is_an_error_and_no_permission() {
        let error = read_folder(folder(&[(REVISION_FILE, "hello\n")]).path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
