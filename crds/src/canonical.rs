//! The canonical form of a set of objects, and the revision that identifies its meaning.
//!
//! Comments, order, file names, metadata, and the different ways to write one value leave no trace in it.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::kinds::{API_VERSION, KindSpec, for_each_kind};
use crate::load::{Object, ObjectSet, SecretValue};
use crate::yaml_out::{WriteError, to_yaml};

/// One object in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manifest {
    /// `kind`
    pub kind: &'static str,
    /// `metadata.name`
    pub name: String,
    /// The document, without `---`.
    pub yaml: String,
}

/// The manifest without anything that its meaning does not depend on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: BTreeMap<&'static str, &'a str>,
    spec: Plain,
}

/// A JSON value whose maps are sorted and hold no nulls, whatever `serde_json` was built to do.
#[derive(Serialize)]
#[serde(untagged)]
enum Plain {
    Map(BTreeMap<String, Plain>),
    List(Vec<Plain>),
    Scalar(serde_json::Value),
}

impl From<serde_json::Value> for Plain {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Object(fields) => Self::Map(
                fields
                    .into_iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(key, value)| (key, value.into()))
                    .collect(),
            ),
            serde_json::Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            scalar => Self::Scalar(scalar),
        }
    }
}

fn manifest<T: KindSpec>(object: &Object<T>) -> Result<Manifest, CanonicalError> {
    let document = Document {
        api_version: API_VERSION,
        kind: T::KIND,
        metadata: BTreeMap::from([("name", &*object.name)]),
        spec: serde_json::to_value(&object.spec)?.into(),
    };
    Ok(Manifest { kind: T::KIND, name: object.name.to_string(), yaml: to_yaml(&document)? })
}

/// Why an object has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// It cannot be written as YAML.
    #[error(transparent)]
    Yaml(#[from] WriteError),
    /// It cannot be written at all.
    #[error("cannot be serialised")]
    Json(#[from] serde_json::Error),
}

macro_rules! manifests {
    ($($(#[$doc:meta])* $field:ident: $module:ident::$spec:ident, $resource:ident;)*) => {
        /// Every object in canonical form, sorted by kind and name.
        ///
        /// # Errors
        /// An object cannot be written, which no object that was read can be the cause of.
        pub fn canonical(set: &ObjectSet) -> Result<Vec<Manifest>, CanonicalError> {
            let mut all = Vec::with_capacity(set.len());
            $(for object in &set.$field {
                all.push(manifest(object)?);
            })*
            all.sort();
            Ok(all)
        }
    };
}

for_each_kind!(manifests);

/// Hex SHA-256 over the canonical form, and over the contents of the Secrets and ConfigMaps beside it.
///
/// # Errors
/// As [`canonical`].
pub fn revision(set: &ObjectSet) -> Result<String, CanonicalError> {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        // Lengths keep the boundaries, so that nothing can move from one part into the next.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    for manifest in canonical(set)? {
        part(&manifest.yaml);
    }
    let mut maps: Vec<_> = set.config_maps.iter().collect();
    maps.sort_by(|a, b| a.name.cmp(&b.name));
    for map in maps {
        part("ConfigMap");
        part(&map.name);
        map.data.iter().for_each(|(key, value)| {
            part(key);
            part(value);
        });
    }
    let mut secrets: Vec<_> = set.secrets.iter().collect();
    secrets.sort_by(|a, b| a.name.cmp(&b.name));
    for secret in secrets {
        part("Secret");
        part(&secret.name);
        for key in secret.keys() {
            part(key);
            if let SecretValue::Text(value) = secret.get(key) {
                part(value.expose());
            }
        }
    }
    let digest = hash.finalize();
    Ok(digest.iter().map(|octet| format!("{octet:02x}")).collect())
}
