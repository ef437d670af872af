//! Custom resource definitions.

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::kinds::for_each_kind;
use crate::yaml_out::{WriteError, to_yaml};

/// One custom resource definition.
#[derive(Debug)]
pub struct Definition {
    /// `kind`
    pub kind: String,
    /// Name of the resource in API paths, which the file is named for.
    pub plural: String,
    /// The whole object.
    pub json: Value,
}

impl Definition {
    /// The definition as YAML.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn yaml(&self) -> Result<String, WriteError> {
        let note = "# Generated from the Rust types: cargo run -p postern-crds --features kube --bin postern-crd-gen\n";
        Ok(format!("{note}{}", to_yaml(&self.json)?))
    }

    /// The schema of the one version.
    #[must_use]
    pub fn schema(&self) -> &Value {
        self.json.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap_or(&Value::Null)
    }
}

macro_rules! all_definitions {
    ($($(#[$doc:meta])* $field:ident: $module:ident::$spec:ident, $resource:ident;)*) => {
        /// The definition of every kind.
        ///
        /// # Errors
        /// One cannot be written as JSON.
        pub fn definitions() -> Result<Vec<Definition>, serde_json::Error> {
            [$(crate::kinds::$module::$resource::crd()),*]
                .into_iter()
                .map(|crd| {
                    let mut json = serde_json::to_value(&crd)?;
                    if let Some(schema) = json.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
                        tidy(schema);
                        name_objects(schema);
                    }
                    Ok(Definition { kind: crd.spec.names.kind, plural: crd.spec.names.plural, json: sorted(json) })
                })
                .collect()
        }
    };
}

for_each_kind!(all_definitions);

/// Takes out what the derives write and Kubernetes does not want.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // An optional field may be left out; writing `null` is another thing, and the loader refuses it.
            fields.remove("nullable");
            // Formats of unsigned numbers are unknown to the API server, which warns of each.
            if fields.get("format").and_then(Value::as_str).is_some_and(is_foreign_format) {
                fields.remove("format");
            }
            if fields.get("default").is_some_and(|default| is_empty(&strip_nulls(default))) {
                fields.remove("default");
            } else if let Some(default) = fields.get_mut("default") {
                *default = strip_nulls(default);
            }
            shorten_enum(fields);
            for bound in ["minimum", "maximum"] {
                if let Some(whole) = fields.get(bound).and_then(Value::as_f64).and_then(whole_number) {
                    fields.insert(bound.to_owned(), whole);
                }
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn is_foreign_format(format: &str) -> bool {
    format.starts_with("uint") || format == "int8" || format == "int16"
}

fn is_empty(value: &Value) -> bool {
    value.is_null()
        || value.as_object().is_some_and(Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}

fn strip_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), strip_nulls(value)))
            .filter(|(_, value)| !value.is_null())
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// A bound of integers, which the derive writes with a fraction of zero.
fn whole_number(bound: f64) -> Option<Value> {
    format!("{bound:.0}").parse::<i64>().ok().map(Value::from)
}

/// An enum without `null` among its values, which the derive adds to optional ones.
fn shorten_enum(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(values)) = fields.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// Descriptions and list types of the parts that no doc comment can reach.
fn name_objects(schema: &mut Value) {
    let described =
        [("/properties/spec", "What is wanted."), ("/properties/status", "What the operator reports.")];
    for (path, text) in described {
        if let Some(Value::Object(fields)) = schema.pointer_mut(path) {
            fields.insert("description".to_owned(), json!(text));
        }
    }
}

/// Maps in the order of their keys, whatever `serde_json` was built to do, so that the files never move.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut entries: Vec<(String, Value)> = fields.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            entries.into_iter().map(|(key, value)| (key, sorted(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        scalar => scalar,
    }
}
