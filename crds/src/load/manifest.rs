//! Documents to objects: what kind they are, what they are called, and whether there is one too many.

use std::collections::HashMap;
use std::sync::Arc;

use super::object::{Object, ObjectSet, Source, TestDocument};
use super::secrets::{ConfigMap, SecretObject};
use crate::fault::{Fault, FaultClass, ObjectRef};
use crate::kinds::policy_test::PolicyTestSpec;
use crate::kinds::{API_VERSION, Cardinality, KindSpec, SINGLETON_NAME, for_each_kind};
use crate::node::{
    Node, Path, SourceFile, Step, Trail, Value, YamlFault, decode, from_json, read_documents, shortened,
    to_json,
};
use crate::suggest::closest;

/// Reads the documents of one YAML text. `name` stands for the file in messages.
pub fn read_yaml(name: &str, text: &str) -> (ObjectSet, Vec<Fault>) {
    let mut reading = Reading::default();
    reading.yaml(name, text.to_owned());
    reading.finish()
}

/// Reads objects as the API server has them.
pub fn read_objects<'a>(objects: impl IntoIterator<Item = &'a serde_json::Value>) -> (ObjectSet, Vec<Fault>) {
    let mut reading = Reading::default();
    for object in objects {
        reading.document(from_json(object), None);
    }
    reading.finish()
}

/// The documents of one YAML text as the API server would have them. `name` stands for the file in the message.
///
/// # Errors
/// The text is not YAML.
pub fn read_json(name: &str, text: &str) -> Result<Vec<serde_json::Value>, Box<Fault>> {
    match read_documents(text) {
        Ok(documents) => Ok(documents.iter().map(to_json).collect()),
        Err(error) => Err(Box::new(not_yaml(name, &error))),
    }
}

/// A set of objects while documents are added to it.
#[derive(Debug, Default)]
pub(super) struct Reading {
    set: ObjectSet,
    faults: Vec<Fault>,
    /// Objects that were met, with their place.
    seen: HashMap<ObjectRef, Option<String>>,
}

impl Reading {
    pub(super) fn finish(self) -> (ObjectSet, Vec<Fault>) {
        (self.set, self.faults)
    }

    /// A file that could not be read.
    pub(super) fn unreadable(&mut self, file: &str, message: String) {
        self.faults.push(file_fault(file, message));
    }

    /// Adds every document of a text.
    pub(super) fn yaml(&mut self, name: &str, text: String) {
        match read_documents(&text) {
            Ok(documents) => {
                let file = Arc::new(SourceFile { name: name.into(), text });
                for document in documents {
                    self.document(document, Some(Arc::clone(&file)));
                }
            }
            Err(error) => self.faults.push(not_yaml(name, &error)),
        }
    }

    fn document(&mut self, document: Node, file: Option<Arc<SourceFile>>) {
        if document.get("kind").and_then(Node::text) == Some(PolicyTestSpec::KIND) {
            self.set.tests.push(TestDocument { file, document: Arc::new(document) });
            return;
        }
        let mut manifest = Manifest { document: Arc::new(document), file, object: None };
        let Some(kind) = manifest.kind(&mut self.faults) else { return };
        let Some(name) = manifest.name(&mut self.faults) else { return };
        let object = ObjectRef { kind: kind.as_str().into(), name: Arc::clone(&name) };
        manifest.object = Some(object.clone());
        if let Some(first) = self.seen.get(&object) {
            let message = match first {
                Some(place) => format!("there is an object of this kind and name already, at {place}"),
                None => "there is an object of this kind and name already".to_owned(),
            };
            self.faults.push(manifest.name_fault(FaultClass::Conflict, message));
            return;
        }
        self.seen.insert(object, manifest.place());
        match kind.as_str() {
            "Secret" | "ConfigMap" => self.companion(&kind, name, &manifest),
            _ => self.known(&kind, name, manifest),
        }
    }

    /// A Secret or ConfigMap.
    fn companion(&mut self, kind: &str, name: Arc<str>, manifest: &Manifest) {
        let faults = &mut self.faults;
        let wrong = |field: &str, key: &str, message: String| {
            let path = if key.is_empty() { key_path(&[field]) } else { key_path(&[field, key]) };
            faults.push(Fault { message, ..manifest.fault(&path, false) });
        };
        match kind {
            "Secret" => self.set.secrets.push(SecretObject::read(name, &manifest.document, wrong)),
            _ => self.set.config_maps.push(ConfigMap::read(name, &manifest.document, wrong)),
        }
    }
}

impl ObjectSet {
    /// The documents of tests as objects, and what is wrong with their shape.
    pub(crate) fn read_tests(&self) -> (Vec<Object<PolicyTestSpec>>, Vec<Fault>) {
        let (mut tests, mut faults) = (Vec::<Object<PolicyTestSpec>>::new(), Vec::new());
        for TestDocument { file, document } in &self.tests {
            let mut manifest = Manifest { document: Arc::clone(document), file: file.clone(), object: None };
            if document.get("apiVersion").and_then(Node::text) != Some(API_VERSION) {
                manifest.report(&mut faults, &["apiVersion"], format!("expected `{API_VERSION}`"), None);
                continue;
            }
            let Some(name) = manifest.name(&mut faults) else { continue };
            manifest.object = Some(ObjectRef { kind: PolicyTestSpec::KIND.into(), name: Arc::clone(&name) });
            if tests.iter().any(|test| test.name == name) {
                let message = "there is a test of this name already".to_owned();
                faults.push(manifest.name_fault(FaultClass::Conflict, message));
            } else if manifest.is_welcome::<PolicyTestSpec>(&name, true, &mut faults) {
                tests.extend(manifest.decode(name, &mut faults));
            }
        }
        (tests, faults)
    }
}

fn file_fault(file: &str, message: String) -> Fault {
    Fault {
        message,
        file: Some(file.into()),
        ..Source::default().fault(FaultClass::Own, None, &Path::default(), false)
    }
}

fn not_yaml(file: &str, error: &YamlFault) -> Fault {
    let message = format!("this is not YAML: {}", error.message);
    Fault { line: error.line, column: error.column, ..file_fault(file, message) }
}

fn key_path(keys: &[&str]) -> Path {
    let mut path = Path::default();
    keys.iter().for_each(|key| path.push(Step::Key((*key).to_owned())));
    path
}

macro_rules! kind_table {
    ($($(#[$doc:meta])* $field:ident: $module:ident::$spec:ident, $resource:ident;)*) => {
        /// Every kind of ours.
        const KINDS: &[&str] = &[$(<crate::kinds::$module::$spec as KindSpec>::KIND),*];

        impl Reading {
            fn known(&mut self, kind: &str, name: Arc<str>, manifest: Manifest) {
                $(if kind == <crate::kinds::$module::$spec as KindSpec>::KIND {
                    let is_first = self.set.$field.is_empty();
                    if manifest.is_welcome::<crate::kinds::$module::$spec>(&name, is_first, &mut self.faults)
                        && let Some(object) = manifest.decode(name, &mut self.faults)
                    {
                        self.set.$field.push(object);
                    }
                    return;
                })*
            }
        }
    };
}

for_each_kind!(kind_table);

/// One document under way to an object.
struct Manifest {
    document: Arc<Node>,
    file: Option<Arc<SourceFile>>,
    object: Option<ObjectRef>,
}

impl Manifest {
    fn fault(&self, path: &Path, at_key: bool) -> Fault {
        self.source().fault(FaultClass::Own, self.object.clone(), path, at_key)
    }

    fn name_fault(&self, class: FaultClass, message: String) -> Fault {
        Fault { class, message, ..self.fault(&key_path(&["metadata", "name"]), false) }
    }

    fn source(&self) -> Source {
        Source { file: self.file.clone(), document: Some(Arc::clone(&self.document)), untrusted: Vec::new() }
    }

    /// `file:line` of the document, for messages about a second one.
    fn place(&self) -> Option<String> {
        let line = self.document.at?.line;
        Some(format!("{}:{line}", self.file.as_ref()?.name))
    }

    fn report(&self, faults: &mut Vec<Fault>, path: &[&str], message: String, suggestion: Option<&str>) {
        let suggestion = suggestion.map(str::to_owned);
        faults.push(Fault { message, suggestion, ..self.fault(&key_path(path), false) });
    }

    /// The kind, when it is one that is read here.
    fn kind(&self, faults: &mut Vec<Fault>) -> Option<String> {
        if !matches!(self.document.value, Value::Map(_)) {
            let message = format!("expected a manifest, found {}", self.document.describe());
            self.report(faults, &[], message, None);
            return None;
        }
        let text = |field: &str| self.document.get(field).and_then(Node::text);
        let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            for field in ["apiVersion", "kind"] {
                if text(field).is_none() {
                    self.report(faults, &[field], "is required, as a text".to_owned(), None);
                }
            }
            return None;
        };
        let companion = matches!(kind, "Secret" | "ConfigMap");
        let expected = if companion { "v1" } else { API_VERSION };
        if !companion && !KINDS.contains(&kind) {
            let close = closest(kind, KINDS.iter().copied());
            self.report(faults, &["kind"], format!("unknown kind {}", shortened(kind)), close);
            return None;
        }
        if version != expected {
            let message = format!("unknown version {}, expected `{expected}`", shortened(version));
            self.report(faults, &["apiVersion"], message, None);
            return None;
        }
        Some(kind.to_owned())
    }

    /// `metadata.name`, when it is a name at all.
    fn name(&self, faults: &mut Vec<Fault>) -> Option<Arc<str>> {
        let name = self.document.get("metadata").and_then(|metadata| metadata.get("name"));
        match name.map(|name| (name.text(), name)) {
            Some((Some(name), _)) => return Some(name.into()),
            Some((None, other)) => {
                let message = format!("expected a text, found {}", other.describe());
                faults.push(self.name_fault(FaultClass::Own, message));
            }
            None => faults.push(self.name_fault(FaultClass::Own, "is required".to_owned())),
        }
        None
    }

    /// Whether there may be an object of that name beside those that are there.
    fn is_welcome<T: KindSpec>(&self, name: &str, is_first: bool, faults: &mut Vec<Fault>) -> bool {
        match T::CARDINALITY {
            Cardinality::Singleton if !is_first => {
                let message = format!("there is one {} already, and there can be no other", T::KIND);
                faults.push(self.name_fault(FaultClass::Conflict, message));
                return false;
            }
            Cardinality::Singleton if name != SINGLETON_NAME => {
                let message = format!("the one {} is named `{SINGLETON_NAME}`", T::KIND);
                faults.push(self.name_fault(FaultClass::Own, message));
            }
            _ if !is_dns_label(name) => {
                let name = shortened(name);
                let message =
                    format!("{name} is no DNS label (lower-case letters, digits and hyphens, at most 63)");
                faults.push(self.name_fault(FaultClass::Own, message));
            }
            _ => {}
        }
        true
    }

    /// The object, and everything that is wrong with its shape.
    fn decode<T: KindSpec>(self, name: Arc<str>, faults: &mut Vec<Fault>) -> Option<Object<T>> {
        self.check_top_level(faults);
        let empty = Node { value: Value::Map(Vec::new()), at: self.document.at };
        let spec = self.document.get("spec").filter(|spec| spec.value != Value::Null).unwrap_or(&empty);
        let decoded = decode::<T>(spec, &Trail::SPEC, T::RENAMED);
        for problem in decoded.problems {
            let fault = self.fault(&problem.path, problem.at_key);
            faults.push(Fault { message: problem.message, suggestion: problem.suggestion, ..fault });
        }
        let generation = self.document.get("metadata").and_then(|metadata| metadata.get("generation"));
        let generation = match generation.map(|generation| &generation.value) {
            Some(Value::Int(generation)) => Some(*generation),
            _ => None,
        };
        let source = Source { untrusted: decoded.untrusted, ..self.source() };
        decoded.value.map(|spec| Object { name, generation, spec, source })
    }

    fn check_top_level(&self, faults: &mut Vec<Fault>) {
        const KNOWN: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
        let Value::Map(entries) = &self.document.value else { return };
        for (key, _) in entries.iter().filter(|(key, _)| !KNOWN.contains(&key.text.as_str())) {
            let message = format!("unknown field {}", shortened(&key.text));
            let suggestion = closest(&key.text, KNOWN).map(str::to_owned);
            faults.push(Fault { message, suggestion, ..self.fault(&key_path(&[&key.text]), true) });
        }
    }
}

/// RFC 1123: lower-case letters, digits and inner hyphens, 1 to 63 octets.
fn is_dns_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}
