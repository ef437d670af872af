//! Folders of manifests: whatever they hold, there is a policy or there are faults, each with its place.

use postern_crds::{LoadOptions, Origin, compile, read_yaml};

/// Runs one input.
pub fn run(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    let (set, faults) = read_yaml("fuzz.yaml", text);
    for origin in [Origin::Folder, Origin::Cluster] {
        let outcome = compile(&set, faults.clone(), &LoadOptions { origin, ..LoadOptions::default() });
        let is_faulty = !outcome.faults.is_empty();
        assert!(!(is_faulty && outcome.policy.is_some()), "a policy with faults");
        for fault in outcome.faults.iter().chain(&outcome.warnings) {
            assert!(!fault.to_string().is_empty());
        }
        if origin == Origin::Folder {
            assert!(is_faulty || outcome.policy.is_some(), "neither a policy nor a fault");
        }
    }
}
