//! The documents name tests that exist.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use postern_tests::gate::file_of_tree;

/// Every file of Rust below a folder of the tree.
fn sources(folder: &Path, all: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, all)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Whether a folder has a file of this name, with or without its ending; a star at the end stands for more.
fn is_file(folder: &Path, name: &str) -> bool {
    let path = folder.join(name);
    let starts = |start: &str, parent: &Path| {
        fs::read_dir(parent).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(start))
        })
    };
    match (name.strip_suffix('*'), path.parent(), path.file_name()) {
        (Some(_), Some(parent), Some(file)) => starts(file.to_string_lossy().trim_end_matches('*'), parent),
        _ => path.exists() || path.with_extension("rs").exists(),
    }
}

#[test]
fn the_page_on_security_names_tests_that_exist() -> Result<()> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut code = String::new();
    for part in ["core", "crds", "server", "operator", "tests"] {
        sources(&tree.join(part), &mut code)?;
    }
    let page = file_of_tree("docs/security.md")?;
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut named = 0;
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        for name in tests.split('`').skip(1).step_by(2) {
            let last = name.rsplit([':', ' ']).next().unwrap_or_default();
            let is_known = code.contains(&format!("fn {last}("))
                || code.contains(&format!("mod {last}"))
                || [".", "tests", "tests/tests", "tests/transcripts"]
                    .iter()
                    .any(|folder| is_file(&tree.join(folder), name));
            ensure!(is_known, "docs/security.md names `{name}`, which is no test");
            named += 1;
        }
    }
    ensure!(named > 30, "only {named} tests are named");
    Ok(())
}
