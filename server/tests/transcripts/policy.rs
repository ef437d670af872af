//! The manifests of a transcript: named files first, then its own objects, which take their place.

use std::path::Path;

use postern_core::policy::Policy;
use postern_crds::{LoadOptions, Origin};

/// One manifest.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) text: String,
}

/// All manifests of a policy; of two with the same kind and name the later one counts.
pub(crate) fn manifests(folder: &Path, files: &[String], objects: &str) -> Result<Vec<Manifest>, String> {
    let mut all: Vec<Manifest> = Vec::new();
    for file in files {
        let path = folder.join(format!("{file}.yaml"));
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for document in text.split("\n---\n").filter(|document| !document.trim().is_empty()) {
            replace(&mut all, whole(document).ok_or_else(|| format!("{file}: a manifest without a name"))?);
        }
    }
    for object in own_objects(objects)? {
        replace(&mut all, object);
    }
    Ok(all)
}

fn replace(all: &mut Vec<Manifest>, manifest: Manifest) {
    all.retain(|other| (&other.kind, &other.name) != (&manifest.kind, &manifest.name));
    all.push(manifest);
}

fn whole(text: &str) -> Option<Manifest> {
    let kind = text.lines().find_map(|line| line.strip_prefix("kind: "))?;
    let name = text.lines().find_map(|line| line.strip_prefix("metadata: {name: ")?.strip_suffix('}'))?;
    Some(Manifest { kind: kind.to_owned(), name: name.to_owned(), text: text.to_owned() })
}

/// `Kind: spec` or `Kind/name: spec`, where the spec may go on in deeper lines.
fn own_objects(text: &str) -> Result<Vec<Manifest>, String> {
    let mut objects: Vec<Manifest> = Vec::new();
    for line in text.lines() {
        match (line.starts_with(' '), objects.last_mut()) {
            (true, Some(object)) => object.text.push_str(&format!("{line}\n")),
            (true, None) => return Err("a spec without a kind".to_owned()),
            (false, _) => {
                let (object, spec) = line.split_once(':').ok_or_else(|| format!("no spec: {line}"))?;
                let (kind, name) = object.split_once('/').unwrap_or((object, "default"));
                let text = format!(
                    "apiVersion: mta.postern.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:{spec}\n"
                );
                objects.push(Manifest { kind: kind.to_owned(), name: name.to_owned(), text });
            }
        }
    }
    Ok(objects)
}

/// The policy that the gate would run.
pub(crate) fn compile(manifests: &[Manifest]) -> Result<Policy, String> {
    let text: Vec<_> = manifests.iter().map(|manifest| manifest.text.trim_end()).collect();
    let (set, faults) = postern_crds::read_yaml("transcript.yaml", &text.join("\n---\n"));
    let options = LoadOptions { origin: Origin::Folder, pipe_dir: None, base: None };
    let outcome = postern_crds::compile(&set, faults, &options);
    let faults: Vec<_> = outcome.faults.iter().map(ToString::to_string).collect();
    outcome.policy.ok_or_else(|| faults.join("; "))
}
