//! A folder of manifests.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::complete::Contents;
use super::manifest::Reading;
use super::object::ObjectSet;
use crate::fault::Fault;

/// Largest file that is read, octets. Larger sets belong into `MtaLookup.file`.
const LARGEST_FILE: u64 = 64 << 20;

/// Reads every `*.yaml` and `*.yml` file of a folder, in the order of their names.
///
/// Folders inside it are not entered, and names that begin with a dot are skipped: a mounted ConfigMap keeps
/// its files in hidden folders and shows each as a link, and the link is what counts.
///
/// A file named `revision` says what the folder consists of; then nothing is read until all of it is there.
///
/// # Errors
/// The folder itself cannot be listed, or is not complete (`WouldBlock`). A file that cannot be read is a fault like any other.
pub fn read_folder(folder: &Path) -> io::Result<(ObjectSet, Vec<Fault>)> {
    let contents = Contents::of(folder)?;
    let texts: Vec<_> = manifests(folder)?.into_iter().map(|(name, path)| (name, read_file(&path))).collect();
    if let Some(contents) = contents {
        contents.check(texts.iter().map(|(name, text)| (name.as_str(), text.as_deref().ok())))?;
    }
    let mut reading = Reading::default();
    for (name, text) in texts {
        match text {
            Ok(text) => reading.yaml(&name, text),
            Err(error) => reading.unreadable(&name, format!("cannot be read: {error}")),
        }
    }
    Ok(reading.finish())
}

fn manifests(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        // A dangling link is kept, so that it is reported and not passed over.
        if is_yaml && !name.starts_with('.') && !path.is_dir() {
            files.push((name, path));
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LARGEST_FILE {
        return Err(io::Error::other(format!("it is larger than {} MiB", LARGEST_FILE >> 20)));
    }
    fs::read_to_string(path)
}
