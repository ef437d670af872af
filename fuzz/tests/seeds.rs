//! What is kept of earlier runs of the fuzzers: each input that led somewhere new, and each that was a finding.

use std::error::Error;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use postern_fuzz::TARGETS;

#[test]
fn no_seed_is_a_finding() -> Result<(), Box<dyn Error>> {
    let mut findings = Vec::new();
    for (target, run) in TARGETS {
        let mut seeds = 0;
        for seed in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target))? {
            let seed = seed?.path();
            let octets = fs::read(&seed)?;
            if catch_unwind(|| run(&octets)).is_err() {
                findings.push(seed);
            }
            seeds += 1;
        }
        assert!(seeds > 0, "{target} has no seeds");
    }
    assert!(findings.is_empty(), "{findings:#?}");
    Ok(())
}

#[test]
fn every_folder_of_seeds_and_every_program_has_its_target() -> Result<(), Box<dyn Error>> {
    for folder in ["seeds", "engine/src/bin"] {
        let mut names = Vec::new();
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))? {
            names.push(entry?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
        names.sort();
        assert_eq!(names, TARGETS.map(|(target, _)| target), "in {folder}");
    }
    Ok(())
}
