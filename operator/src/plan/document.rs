//! One manifest as the API server has it.

use std::sync::Arc;

use postern_crds::ObjectRef;
use serde_json::Value;

/// A manifest and what it is called.
#[derive(Debug, Clone)]
pub struct Document {
    /// Kind and name.
    pub object: ObjectRef,
    /// All of it.
    pub value: Arc<Value>,
}

impl Document {
    /// Takes a manifest; none when it says neither kind nor name.
    pub fn of(value: impl Into<Arc<Value>>) -> Option<Self> {
        let value = value.into();
        let kind = value.get("kind")?.as_str()?.into();
        let name = value.get("metadata")?.get("name")?.as_str()?.into();
        Some(Self { object: ObjectRef { kind, name }, value })
    }

    /// Whether it is a Secret or a ConfigMap, which only stand beside the objects that name them.
    #[must_use]
    pub fn is_companion(&self) -> bool {
        is_companion(&self.object)
    }

    /// `metadata.generation`; 0 for what does not come from a cluster.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.metadata("generation").and_then(Value::as_i64).unwrap_or_default()
    }

    /// Whether it carries an annotation.
    #[must_use]
    pub fn has_annotation(&self, name: &str) -> bool {
        self.metadata("annotations").is_some_and(|annotations| annotations.get(name).is_some())
    }

    fn metadata(&self, field: &str) -> Option<&Value> {
        self.value.get("metadata")?.get(field)
    }
}

/// Whether it is a Secret or a ConfigMap.
pub(super) fn is_companion(object: &ObjectRef) -> bool {
    matches!(&*object.kind, "Secret" | "ConfigMap")
}
