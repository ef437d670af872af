//! Whether anything about a folder of manifests has changed, without reading a single file.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The files of a folder, and what tells their contents apart.
///
/// Links are followed: when a mounted volume switches its `..data` link, every file behind it becomes
/// another inode. The time of the last status change catches a file whose size and modification time
/// were put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, Option<Stamp>)>);

/// What tells one content of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    octets: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    /// Looks at every visible entry of `folder`, and at `others`, which the manifests refer to.
    ///
    /// # Errors
    /// When the folder cannot be listed. A single file that cannot be looked at is part of the print.
    pub(super) fn of(folder: &Path, others: &[PathBuf]) -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // A volume keeps its real files in hidden folders; editors keep their drafts there.
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                files.push(entry.path());
            }
        }
        files.extend_from_slice(others);
        files.sort_unstable();
        let stamped = files.into_iter().map(|file| {
            let stamp = fs::metadata(&file).ok().as_ref().map(Stamp::of);
            (file, stamp)
        });
        Ok(Self(stamped.collect()))
    }
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            octets: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn print(folder: &Path) -> Fingerprint {
        Fingerprint::of(folder, &[]).unwrap()
    }

    #[test]
    fn files_that_come_go_or_change_show() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        let empty = print(folder.path());
        fs::write(&file, "one").unwrap();
        let one = print(folder.path());
        assert_ne!(empty, one);
        assert_eq!(one, print(folder.path()));
        fs::write(&file, "three").unwrap();
        assert_ne!(one, print(folder.path()));
        fs::remove_file(&file).unwrap();
        assert_eq!(empty, print(folder.path()));
    }

    #[test]
    fn a_file_replaced_by_its_like_shows() {
        let folder = tempfile::tempdir().unwrap();
        let (file, draft) = (folder.path().join("a.yaml"), folder.path().join(".draft"));
        fs::write(&file, "one").unwrap();
        let before = print(folder.path());
        fs::write(&draft, "two").unwrap();
        let times = fs::FileTimes::new().set_modified(fs::metadata(&file).unwrap().modified().unwrap());
        fs::File::options().write(true).open(&draft).unwrap().set_times(times).unwrap();
        fs::rename(&draft, &file).unwrap();
        assert_ne!(before, print(folder.path()));
    }

    #[test]
    fn the_switch_of_a_mounted_volume_shows() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("a.yaml"), "same").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/a.yaml", at("a.yaml")).unwrap();
        let before = print(folder.path());
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_ne!(before, print(folder.path()));
    }

    #[test]
    fn files_elsewhere_are_watched_when_named() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let others = [elsewhere.path().join("tls.crt")];
        let missing = Fingerprint::of(folder.path(), &others).unwrap();
        fs::write(&others[0], "pem").unwrap();
        assert_ne!(missing, Fingerprint::of(folder.path(), &others).unwrap());
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Fingerprint::of(&folder.path().join("nowhere"), &[]).is_err());
    }
}
