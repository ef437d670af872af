//! What the API server has, as far as it concerns one release, kept up to date by watches.

mod exposure;
mod follow;
mod inputs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postern_crds::ObjectRef;
use postern_crds::kinds::API_VERSION;
use serde_json::Value;
use tokio::sync::watch;

use crate::json::text;

pub(crate) use follow::plain;
pub use follow::{Source, follow, sources};
pub use inputs::Pod;

/// The cache. Watches write it; the reconcile, the webhook and the care for pods read it.
#[derive(Debug)]
pub struct World {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<ObjectRef, Arc<Value>>,
    /// Kinds that have not been listed yet.
    unknown: BTreeSet<&'static str>,
}

impl World {
    /// An empty cache that waits for these kinds.
    #[must_use]
    pub fn new(kinds: impl IntoIterator<Item = &'static str>) -> Self {
        let state = State { objects: BTreeMap::new(), unknown: kinds.into_iter().collect() };
        Self { state: Mutex::new(state), version: watch::Sender::new(0) }
    }

    /// Sees every change from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Says that something has changed that is not in the cache.
    pub fn touch(&self) {
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Whether every kind has been listed. Before that, what is not known yet would look deleted.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.lock().unknown.is_empty()
    }

    /// One object.
    #[must_use]
    pub fn get(&self, kind: &str, name: &str) -> Option<Arc<Value>> {
        self.lock().objects.get(&ObjectRef { kind: kind.into(), name: name.into() }).map(Arc::clone)
    }

    /// All objects of a kind that are there now, in the place of those that were.
    fn replace(&self, kind: &'static str, found: Vec<(ObjectRef, Arc<Value>)>) {
        let mut state = self.lock();
        state.objects.retain(|object, _| &*object.kind != kind);
        state.objects.extend(found);
        state.unknown.remove(kind);
        drop(state);
        self.touch();
    }

    /// A new or changed object. An older form that comes late is passed over.
    pub fn put(&self, object: ObjectRef, value: Arc<Value>) {
        let mut state = self.lock();
        let old = state.objects.get(&object);
        if old.is_some_and(|old| is_older(&value, old)) {
            return;
        }
        let is_news = old.is_none_or(|old| differs(old, &value));
        state.objects.insert(object, value);
        drop(state);
        if is_news {
            self.touch();
        }
    }

    fn remove(&self, object: &ObjectRef) {
        if self.lock().objects.remove(object).is_some() {
            self.touch();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a change calls for a new plan. What the operator itself has said in the status of our kinds does not.
fn differs(old: &Value, new: &Value) -> bool {
    let is_ours = text(new, &["apiVersion"]) == Some(API_VERSION);
    let relevant = |value: &Value| {
        let mut value = value.clone();
        if let Some(fields) = value.as_object_mut() {
            if is_ours {
                fields.remove("status");
            }
            if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("resourceVersion");
            }
        }
        value
    };
    relevant(old) != relevant(new)
}

/// Resource versions of one kind are numbers that grow (KEP-5504); where they are not, the newer event counts.
fn is_older(new: &Value, old: &Value) -> bool {
    let version = |value: &Value| text(value, &["metadata", "resourceVersion"])?.parse::<u128>().ok();
    let is_same = text(new, &["metadata", "uid"]) == text(old, &["metadata", "uid"]);
    is_same && matches!((version(new), version(old)), (Some(new), Some(old)) if new < old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn route(version: &str, generation: i64, status: &str) -> (ObjectRef, Arc<Value>) {
        let object = ObjectRef { kind: "MtaRoute".into(), name: "a".into() };
        let value = json!({
            "apiVersion": "mta.postern.dev/v1alpha1", "kind": "MtaRoute", "status": {"note": status},
            "metadata": {"name": "a", "uid": "u", "resourceVersion": version, "generation": generation},
        });
        (object, Arc::new(value))
    }

    #[test]
    fn it_is_complete_when_every_kind_was_listed() {
        let world = World::new(["MtaRoute", "Secret"]);
        world.replace("MtaRoute", Vec::new());
        assert!(!world.is_complete());
        world.replace("Secret", Vec::new());
        assert!(world.is_complete());
    }

    #[test]
    fn a_list_replaces_what_was_there_of_its_kind() {
        let world = World::new(["MtaRoute"]);
        let (object, value) = route("1", 1, "");
        world.put(object, value);
        world.replace("MtaRoute", Vec::new());
        assert_eq!(world.get("MtaRoute", "a"), None);
    }

    #[test]
    fn a_status_is_kept_and_is_no_news() {
        let world = World::new([]);
        let (object, value) = route("1", 1, "old");
        world.put(object, value);
        let mut changes = world.subscribe();
        let (object, value) = route("2", 1, "new");
        world.put(object, value);
        assert!(!changes.has_changed().unwrap());
        assert_eq!(world.get("MtaRoute", "a").unwrap()["status"]["note"], "new");
        let (object, value) = route("3", 2, "new");
        world.put(object, value);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
    }

    #[test]
    fn an_event_that_comes_late_does_not_bring_the_past_back() {
        let world = World::new([]);
        for (version, generation) in [("10", 2), ("9", 1)] {
            let (object, value) = route(version, generation, "");
            world.put(object, value);
        }
        assert_eq!(world.get("MtaRoute", "a").unwrap()["metadata"]["generation"], 2);
    }
}
