//! Folders of manifests: whatever they hold, there is a policy or there are faults, each with its place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postern_crds::{LoadOptions, Origin, compile, read_yaml};

fuzz_target!(|text: &str| {
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
});
