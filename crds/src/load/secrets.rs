//! `v1` Secrets and ConfigMaps, which stand beside the manifests that name them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postern_core::policy::Secret;

use crate::node::{Node, Value};

/// A Secret.
pub struct SecretObject {
    /// `metadata.name`
    pub name: Arc<str>,
    /// `type`, such as `kubernetes.io/tls`.
    pub kind: Option<String>,
    /// Its keys. Values that are no UTF-8 are none: Postern reads passwords, tokens and PEM.
    data: BTreeMap<String, Option<Secret>>,
}

impl fmt::Debug for SecretObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretObject").field("name", &self.name).field("keys", &self.data.keys()).finish()
    }
}

/// What a Secret has to say to the question for a key.
pub(crate) enum SecretValue<'a> {
    Text(&'a Secret),
    NotText,
    Missing,
}

impl SecretObject {
    /// Makes one of texts.
    pub fn new(name: impl Into<Arc<str>>, data: impl IntoIterator<Item = (String, Secret)>) -> Self {
        let data = data.into_iter().map(|(key, value)| (key, Some(value))).collect();
        Self { name: name.into(), kind: None, data }
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.data.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, key: &str) -> SecretValue<'_> {
        match self.data.get(key) {
            Some(Some(secret)) => SecretValue::Text(secret),
            Some(None) => SecretValue::NotText,
            None => SecretValue::Missing,
        }
    }

    /// Reads `data`, in base64, and `stringData`, which wins. `wrong` is told field, key and what is wrong.
    pub(super) fn read(name: Arc<str>, document: &Node, mut wrong: impl FnMut(&str, &str, String)) -> Self {
        let mut data = BTreeMap::new();
        for (key, value) in entries(document, "data", &mut wrong) {
            // Line breaks are common in base64 that was pasted.
            let packed: String = value.chars().filter(|c| !c.is_whitespace()).collect();
            match STANDARD.decode(packed) {
                Ok(octets) => {
                    data.insert(key.to_owned(), String::from_utf8(octets).ok().map(Secret::new));
                }
                Err(_) => wrong("data", key, "is not base64".to_owned()),
            }
        }
        for (key, value) in entries(document, "stringData", &mut wrong) {
            data.insert(key.to_owned(), Some(Secret::new(value)));
        }
        Self { name, kind: document.get("type").and_then(Node::text).map(str::to_owned), data }
    }
}

/// A ConfigMap.
#[derive(Debug)]
pub struct ConfigMap {
    /// `metadata.name`
    pub name: Arc<str>,
    /// `data`
    pub data: BTreeMap<String, Arc<str>>,
}

impl ConfigMap {
    pub(super) fn read(name: Arc<str>, document: &Node, mut wrong: impl FnMut(&str, &str, String)) -> Self {
        let data = entries(document, "data", &mut wrong)
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Arc::from(value)))
            .collect();
        Self { name, data }
    }
}

fn entries<'a>(
    document: &'a Node,
    field: &str,
    wrong: &mut impl FnMut(&str, &str, String),
) -> Vec<(&'a str, &'a str)> {
    let Some(node) = document.get(field) else { return Vec::new() };
    let Value::Map(entries) = &node.value else {
        if node.value != Value::Null {
            wrong(field, "", format!("expected a map, found {}", node.describe()));
        }
        return Vec::new();
    };
    let mut texts = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match value.text() {
            Some(text) => texts.push((key.text.as_str(), text)),
            // The value is a secret perhaps, so the message does not repeat it.
            None => wrong(field, &key.text, "expected a text; numbers and booleans need quotes".to_owned()),
        }
    }
    texts
}
