//! What there is: in the cluster, in the baseline, and mounted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use postern_crds::{ObjectRef, canonical, read_json, read_objects};
use serde_json::{Map, Value};

use super::document::Document;
use super::{Hold, Inputs, PLACEHOLDER};
use crate::json::{at, set};

/// Everything, by kind and name.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// The newest forms.
    pub(super) live: BTreeMap<ObjectRef, Document>,
    /// The custom resources, which are the objects that have a status.
    pub(super) resources: BTreeMap<ObjectRef, Document>,
    /// The last accepted forms: what is mounted.
    pub(super) last: BTreeMap<ObjectRef, Document>,
    /// The last accepted forms once more, as canonical text.
    pub(super) last_text: BTreeMap<ObjectRef, String>,
    /// Secrets and ConfigMaps as they are.
    pub(super) companions: BTreeMap<ObjectRef, Arc<Value>>,
    /// Secrets and ConfigMaps as they are mounted.
    pub(super) last_companions: BTreeMap<ObjectRef, Arc<Value>>,
    /// The folder of programs that pipes may run in the pods.
    pub(super) pipe_dir: Option<PathBuf>,
    /// Why nothing may change.
    pub(super) hold: Option<Hold>,
}

impl Inventory {
    pub(super) fn of(inputs: &Inputs) -> Self {
        let mut inventory = Self { pipe_dir: inputs.pipe_dir.clone(), ..Self::default() };
        for value in &inputs.objects {
            inventory
                .resources
                .extend(Document::of(Arc::clone(value)).map(|found| (found.object.clone(), found)));
        }
        for value in inputs.config_maps.iter().chain(&inputs.secrets) {
            if let Some(found) = Document::of(Arc::clone(value)) {
                inventory.companions.insert(found.object, found.value);
            }
        }
        inventory.baseline(inputs.baseline.as_deref());
        inventory.mounted(inputs);
        inventory
    }

    /// Custom resources, and what the baseline has where there is none.
    fn baseline(&mut self, files: Option<&[(String, String)]>) {
        if files.is_none() {
            self.hold = Some(Hold::Baseline("its ConfigMap is not there".to_owned()));
        }
        for (name, text) in files.into_iter().flatten() {
            match read_json(name, text) {
                Ok(values) => {
                    values.into_iter().filter_map(Document::of).for_each(|found| self.add_baseline(found));
                }
                Err(fault) => self.hold = Some(Hold::Baseline(fault.to_string())),
            }
        }
        for (object, resource) in &self.resources {
            if !is_placeholder(resource) {
                self.live.insert(object.clone(), resource.clone());
            }
        }
    }

    fn add_baseline(&mut self, found: Document) {
        if found.is_companion() {
            self.companions.entry(found.object).or_insert(found.value);
        } else {
            self.live.entry(found.object.clone()).or_insert(found);
        }
    }

    fn mounted(&mut self, inputs: &Inputs) {
        for found in inputs.mounted.documents() {
            if found.is_companion() {
                self.last_companions.insert(found.object, found.value);
            } else {
                self.last.insert(found.object.clone(), found);
            }
        }
        // The text is made afresh: what another version has written may say the same in other words.
        let (set, _) = read_objects(self.last.values().map(|last| &*last.value));
        self.last_text = texts(&set);
    }

    /// What is mounted and has been deleted since.
    pub(super) fn gone(&self) -> impl Iterator<Item = &Document> {
        self.last.values().filter(|last| !self.live.contains_key(&last.object))
    }

    /// Secrets and ConfigMaps as the candidate sees them: as they are; what has been deleted, and what is
    /// `pinned`, as it is mounted.
    pub(super) fn companions(&self, pinned: &dyn Fn(&ObjectRef, &str) -> bool) -> Vec<Value> {
        let mut all = self.companions.clone();
        for (object, last) in &self.last_companions {
            let merged = match all.get(object) {
                Some(live) => Arc::new(merge(live, last, |key| pinned(object, key))),
                None => Arc::clone(last),
            };
            all.insert(object.clone(), merged);
        }
        all.into_values().map(|value| data_only(&value)).collect()
    }

    /// Whether that key of a Secret or ConfigMap is there now.
    pub(super) fn has_key(&self, object: &ObjectRef, key: &str) -> bool {
        self.companions
            .get(object)
            .is_some_and(|value| DATA.iter().any(|field| !at(value, &[*field, key]).is_null()))
    }
}

/// Canonical texts by kind and name.
pub(super) fn texts(set: &postern_crds::ObjectSet) -> BTreeMap<ObjectRef, String> {
    // What was read can be written.
    let manifests = canonical(set).unwrap_or_default();
    manifests
        .into_iter()
        .map(|manifest| (ObjectRef { kind: manifest.kind.into(), name: manifest.name.into() }, manifest.yaml))
        .collect()
}

/// Whether it is the MtaSettings that the operator made, and nobody has edited since.
fn is_placeholder(resource: &Document) -> bool {
    resource.has_annotation(PLACEHOLDER) && resource.generation() <= 1
}

/// `live`, with those values of `last` that it does not have or that are `preferred`.
fn merge(live: &Value, last: &Value, preferred: impl Fn(&str) -> bool) -> Value {
    let mut merged = data_only(live);
    for field in DATA {
        let Some(old) = at(last, &[field]).as_object() else { continue };
        for (key, value) in old {
            let lacks = DATA.iter().all(|field| at(live, &[*field, key]).is_null());
            if lacks || preferred(key) {
                set(&mut merged, &[field, key], value.clone());
            }
        }
    }
    merged
}

/// Kind, name and data: what the loader reads, and so what belongs to a policy.
fn data_only(companion: &Value) -> Value {
    let mut plain = Map::new();
    for field in ["apiVersion", "kind"] {
        plain.insert(field.to_owned(), at(companion, &[field]).clone());
    }
    plain.insert("metadata".to_owned(), serde_json::json!({"name": at(companion, &["metadata", "name"])}));
    for field in DATA.into_iter().filter(|field| at(companion, &[*field]).is_object()) {
        plain.insert(field.to_owned(), at(companion, &[field]).clone());
    }
    Value::Object(plain)
}

/// Fields of Secrets and ConfigMaps with values; `stringData` stands in baselines only.
pub(super) const DATA: [&str; 2] = ["data", "stringData"];
