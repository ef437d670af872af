//! What pods mount: a fixed number of ConfigMaps and Secrets that are one folder together.

use std::collections::BTreeMap;

use postern_crds::{ObjectRef, read_json, revision_file};
use sha2::{Digest, Sha256};

use super::document::Document;

/// ConfigMaps in the volume of a pod.
pub const CONFIG_PARTS: usize = 8;

/// Secrets in the volume of a pod.
pub const SECRET_PARTS: usize = 2;

/// The files of the folder. A file without text is not there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Objects and ConfigMaps, spread over the ConfigMaps of the volume.
    pub objects: [String; CONFIG_PARTS],
    /// Secrets, spread over the Secrets of the volume.
    pub secrets: [String; SECRET_PARTS],
    /// The file that says what the folder consists of; it lies in the first ConfigMap.
    pub revision: String,
}

impl std::fmt::Debug for Parts {
    /// Without what is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("objects", &self.objects).field("revision", &self.revision).finish()
    }
}

/// A part is too large for one object of the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("part {file} of the policy would have {octets} octets, and there is room for {LARGEST_PART}")]
pub struct PartError {
    /// Name of the file.
    pub file: String,
    /// What it would have.
    pub octets: usize,
}

impl Parts {
    /// Spreads manifests over the parts. An object has its place by its name, so that a change of one object
    /// changes one part.
    ///
    /// # Errors
    /// One part would be too large.
    pub(super) fn of(manifests: BTreeMap<ObjectRef, String>) -> Result<Self, PartError> {
        let mut parts = Self::default();
        for (object, yaml) in manifests {
            let files: &mut [String] =
                if &*object.kind == "Secret" { &mut parts.secrets } else { &mut parts.objects };
            let place = place_of(&object, files.len());
            if let Some(file) = files.get_mut(place) {
                file.push_str("---\n");
                file.push_str(&yaml);
            }
        }
        for (file, text) in parts.manifests() {
            if text.len() > LARGEST_PART {
                return Err(PartError { file, octets: text.len() });
            }
        }
        Ok(parts)
    }

    /// Makes it a revision.
    pub(super) fn seal(&mut self, revision: &str) {
        let files: Vec<_> = self.manifests().collect();
        self.revision = revision_file(revision, files.iter().map(|(name, text)| (name.as_str(), *text)));
    }

    /// Which revision it is; none before there is one.
    #[must_use]
    pub fn revision_id(&self) -> Option<&str> {
        self.revision.lines().next()?.strip_prefix("# revision ")
    }

    /// Names and texts of the files with manifests.
    pub fn manifests(&self) -> impl Iterator<Item = (String, &str)> {
        let objects =
            self.objects.iter().enumerate().map(|(index, text)| (objects_file(index), text.as_str()));
        let secrets =
            self.secrets.iter().enumerate().map(|(index, text)| (secrets_file(index), text.as_str()));
        objects.chain(secrets).filter(|(_, text)| !text.is_empty())
    }

    pub(super) fn all_manifests(&self) -> String {
        self.manifests().map(|(_, text)| text).collect()
    }

    /// What stands in them. A part that somebody has spoilt is passed over: it is written anew.
    pub(super) fn documents(&self) -> Vec<Document> {
        let parsed = self.manifests().filter_map(|(name, text)| read_json(&name, text).ok());
        parsed.flatten().filter_map(Document::of).collect()
    }
}

/// Name of the file in a ConfigMap of the volume.
#[must_use]
pub fn objects_file(index: usize) -> String {
    format!("objects-{index}.yaml")
}

/// Name of the file in a Secret of the volume.
#[must_use]
pub fn secrets_file(index: usize) -> String {
    format!("secrets-{index}.yaml")
}

fn place_of(object: &ObjectRef, places: usize) -> usize {
    let digest = Sha256::digest(object.to_string().as_bytes());
    let first = digest.first().copied().unwrap_or_default();
    usize::from(first).checked_rem(places).unwrap_or_default()
}

/// The API takes 1 MiB in a ConfigMap or Secret; the first one holds `revision` as well.
const LARGEST_PART: usize = (1 << 20) - (16 << 10);
