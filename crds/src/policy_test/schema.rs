//! The published JSON schema of `MtaPolicyTest`, and what schemas know of the other kinds.

use serde_json::{Value, json};

use crate::kinds::policy_test::PolicyTestSpec;
use crate::kinds::{API_VERSION, KindSpec, for_each_kind};

/// The schema of a whole document, for editors and for CI (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Value {
    let mut spec = serde_json::to_value(schemars::schema_for!(PolicyTestSpec)).unwrap_or_default();
    let definitions = spec.as_object_mut().map(|spec| {
        spec.remove("$schema");
        spec.remove("title");
        spec.remove("$defs").unwrap_or_default()
    });
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": PolicyTestSpec::KIND,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": { "const": API_VERSION },
            "kind": { "const": PolicyTestSpec::KIND },
            "metadata": {
                "type": "object",
                "additionalProperties": true,
                "required": ["name"],
                "properties": { "name": { "type": "string", "minLength": 1 } }
            },
            "spec": spec,
        },
        "$defs": definitions.unwrap_or_default(),
    });
    close(&mut schema);
    schema
}

/// Unknown fields are mistakes everywhere but in metadata, which Kubernetes owns.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let has_fields = map.contains_key("properties") && map.contains_key("type");
            if has_fields && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

macro_rules! fields_of_kinds {
    ($($(#[$doc:meta])* $field:ident: $module:ident::$spec:ident, $resource:ident;)*) => {
        /// The fields below `spec` of a kind; nothing for a kind that does not exist.
        pub(super) fn fields_of(kind: &str) -> Option<Vec<String>> {
            $(if kind == <crate::kinds::$module::$spec as KindSpec>::KIND {
                return Some(names(&schemars::schema_for!(crate::kinds::$module::$spec)));
            })*
            None
        }
    };
}

for_each_kind!(fields_of_kinds);

fn names(schema: &schemars::Schema) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}
