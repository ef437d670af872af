//! The candidate as pods will read it, and the proof that they can.

use std::collections::BTreeMap;

use postern_crds::{Fault, FaultClass, ObjectRef, compile, read_objects, read_yaml, to_yaml};
use serde::Serialize;
use serde_json::Value;

use super::Hold;
use super::choice::{Choice, options};
use super::document::{Document, is_companion};
use super::inventory::{DATA, Inventory, texts};
use super::parts::Parts;
use crate::json::at;

/// Writes what was chosen, reads it back, and compiles it.
///
/// # Errors
/// It is not to be mounted; what is mounted stays.
pub(super) fn build(inventory: &Inventory, choice: &Choice) -> Result<Parts, Hold> {
    if let Some(hold) = &inventory.hold {
        return Err(hold.clone());
    }
    let (set, _) = read_objects(choice.documents.iter().map(|document| &*document.value));
    let mut manifests = texts(&set);
    for value in inventory.companions(&|object, key| choice.is_pinned(object, key)) {
        manifests.extend(companion(value, choice)?);
    }
    let mut parts = Parts::of(manifests)?;
    let (set, faults) = read_yaml("", &parts.all_manifests());
    let outcome = compile(&set, faults, &options(inventory));
    let Some(policy) = outcome.policy else {
        let missing = outcome.warnings.iter().filter(|warning| warning.class == FaultClass::Reference);
        let faults = outcome.faults.iter().chain(missing);
        return Err(Hold::Faults(faults.map(said).collect()));
    };
    if policy.listeners.is_empty() {
        return Err(Hold::NoListener);
    }
    parts.seal(&policy.revision);
    Ok(parts)
}

/// Without the position in a text that nobody has written.
fn said(fault: &Fault) -> String {
    Fault { file: None, line: None, column: None, ..fault.clone() }.to_string()
}

/// A Secret or ConfigMap with the keys that are named, and nothing else.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Companion<'a> {
    api_version: &'static str,
    kind: &'a str,
    metadata: BTreeMap<&'static str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    data: BTreeMap<&'a str, &'a Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    string_data: BTreeMap<&'a str, &'a Value>,
}

fn companion(value: Value, choice: &Choice) -> Result<Option<(ObjectRef, String)>, Hold> {
    let Some(Document { object, value }) = Document::of(value) else { return Ok(None) };
    debug_assert!(is_companion(&object));
    let [data, string_data] = DATA.map(|field| -> BTreeMap<&str, &Value> {
        let entries = at(&value, &[field]).as_object().into_iter().flatten();
        entries
            .map(|(key, value)| (key.as_str(), value))
            .filter(|(key, _)| choice.keys.contains(&(object.clone(), (*key).to_owned())))
            .collect()
    });
    if data.is_empty() && string_data.is_empty() {
        return Ok(None);
    }
    let metadata = BTreeMap::from([("name", &*object.name)]);
    let document = Companion { api_version: "v1", kind: &object.kind, metadata, data, string_data };
    let text = to_yaml(&document).map_err(|error| Hold::Faults(vec![format!("{object}: {error}")]))?;
    Ok(Some((object.clone(), text)))
}
