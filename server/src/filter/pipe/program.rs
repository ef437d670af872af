//! Which file a pipe may run.

use std::path::{Component, Path, PathBuf};

use crate::filter::FilterError;

/// The program of that bare name in the folder. Links may lead about inside the folder, not out of it.
///
/// # Errors
/// When the name is no bare name, or there is no file of that name which stays inside.
pub(super) fn find(folder: &Path, name: &str) -> Result<PathBuf, FilterError> {
    let refused = |why: &str| FilterError::Failed(format!("the program {name:?} {why}"));
    let mut components = Path::new(name).components();
    let is_bare = matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name);
    if !is_bare {
        return Err(refused("is no bare file name"));
    }
    let unreadable = |error: std::io::Error| refused(&format!("cannot be used: {error}"));
    let folder = folder.canonicalize().map_err(unreadable)?;
    let file = folder.join(name).canonicalize().map_err(unreadable)?;
    if !file.starts_with(&folder) {
        return Err(refused("is a link out of the folder of programs"));
    }
    if !file.is_file() {
        return Err(refused("is no file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_files_inside_the_folder_are_found() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("pipes");
        fs::create_dir_all(folder.join("..data")).unwrap();
        fs::write(folder.join("..data/tag"), "").unwrap();
        fs::write(home.path().join("secret"), "").unwrap();
        symlink("..data/tag", folder.join("tag")).unwrap();
        symlink("../secret", folder.join("out")).unwrap();
        symlink("/bin/sh", folder.join("sh")).unwrap();
        symlink("nowhere", folder.join("dangling")).unwrap();
        let found = find(&folder, "tag").unwrap();
        assert_eq!(found, folder.canonicalize().unwrap().join("..data/tag"));
        for name in [
            "out",
            "sh",
            "dangling",
            "none",
            "..data",
            "..",
            ".",
            "",
            "../secret",
            "/bin/sh",
            "..data/tag",
            "tag/",
            "./tag",
        ] {
            assert!(find(&folder, name).is_err(), "{name}");
        }
        assert!(find(&home.path().join("none"), "tag").is_err());
    }
}
