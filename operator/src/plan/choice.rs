//! Which form of each object is a candidate: its newest, or the last one that was accepted.

use std::collections::{BTreeMap, BTreeSet};

use postern_crds::{
    Fault, FaultClass, LoadOptions, ObjectRef, ObjectSet, Origin, Outcome, Use, compile, read_objects,
};

use super::document::{Document, is_companion};
use super::inventory::{Inventory, texts};

/// What was chosen, and why not something newer.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// The objects, without Secrets and ConfigMaps.
    pub(super) documents: Vec<Document>,
    /// The keys of Secrets and ConfigMaps that they name.
    pub(super) keys: BTreeSet<(ObjectRef, String)>,
    /// Keys that stay as they are mounted, because what is there now is no good.
    pub(super) pinned: BTreeSet<(ObjectRef, String)>,
    /// What is wrong with newest forms themselves.
    pub(super) own: BTreeMap<ObjectRef, Vec<Fault>>,
    /// What they name that is not there.
    pub(super) unresolved: BTreeMap<ObjectRef, Vec<String>>,
    /// Objects whose newest form is not a candidate.
    pub(super) fallen: BTreeSet<ObjectRef>,
    /// Canonical texts of the newest forms, as far as they can be read.
    pub(super) newest_text: BTreeMap<ObjectRef, String>,
}

/// How the control plane compiles: no file, no environment, and pipes as pods have them.
pub(super) fn options(inventory: &Inventory) -> LoadOptions {
    LoadOptions { origin: Origin::Cluster, pipe_dir: inventory.pipe_dir.clone(), base: None }
}

/// Takes newest forms as far as they are sound and complete.
///
/// An object that falls back may leave another one without what it names, so this goes on until nothing falls.
/// Every round fells at least one, and an object that has fallen does not rise again.
pub(super) fn choose(inventory: &Inventory) -> Choice {
    let mut choice = Choice::default();
    loop {
        let documents = choice.forms(inventory);
        let (set, outcome) = choice.compile(inventory, &documents);
        if choice.newest_text.is_empty() {
            choice.newest_text = texts(&set);
        }
        let fell = choice.judge(inventory, &outcome);
        if !fell {
            choice.settle(inventory, documents, &outcome.uses);
            return choice;
        }
    }
}

impl Choice {
    /// The form of each object in this round. What was deleted comes first: of two routes with one name, the
    /// compiler takes the later, and that is the one somebody wants.
    fn forms(&self, inventory: &Inventory) -> Vec<Document> {
        let mut documents: Vec<Document> = inventory.gone().cloned().collect();
        for (object, newest) in &inventory.live {
            let form = if self.fallen.contains(object) { inventory.last.get(object) } else { Some(newest) };
            documents.extend(form.cloned());
        }
        documents
    }

    fn compile(&self, inventory: &Inventory, documents: &[Document]) -> (ObjectSet, Outcome) {
        let companions = inventory.companions(&|object, key| self.is_pinned(object, key));
        let values = documents.iter().map(|document| &*document.value).chain(&companions);
        let (set, faults) = read_objects(values);
        let outcome = compile(&set, faults, &options(inventory));
        (set, outcome)
    }

    pub(super) fn is_pinned(&self, object: &ObjectRef, key: &str) -> bool {
        self.pinned.iter().any(|(pinned, of)| pinned == object && of == key)
    }

    /// Lets those fall that are wrong; when there are none, those that name what is not there, because a
    /// wrong object may have been what they name.
    fn judge(&mut self, inventory: &Inventory, outcome: &Outcome) -> bool {
        let faults = outcome.faults.iter();
        let own = self.group(inventory, faults.filter(|fault| fault.class == FaultClass::Own));
        let is_unsound = !own.is_empty();
        for (object, faults) in own {
            self.fell(inventory, &object, &outcome.uses);
            self.own.entry(object).or_insert(faults);
        }
        if is_unsound {
            return true;
        }
        let dangling = outcome.warnings.iter().filter(|fault| fault.class == FaultClass::Reference);
        let dangling = self.group(inventory, dangling);
        let is_dangling = !dangling.is_empty();
        for (object, faults) in dangling {
            self.fell(inventory, &object, &outcome.uses);
            let messages =
                faults.iter().map(|fault| Fault { object: None, ..fault.clone() }.to_string()).collect();
            self.unresolved.entry(object).or_insert(messages);
        }
        is_dangling
    }

    /// Faults of objects that still stand, by object.
    fn group<'a>(
        &self,
        inventory: &Inventory,
        faults: impl Iterator<Item = &'a Fault>,
    ) -> BTreeMap<ObjectRef, Vec<Fault>> {
        let mut groups: BTreeMap<ObjectRef, Vec<Fault>> = BTreeMap::new();
        for fault in faults {
            if let Some(object) = &fault.object
                && inventory.live.contains_key(object)
                && !self.fallen.contains(object)
            {
                groups.entry(object.clone()).or_default().push(fault.clone());
            }
        }
        groups
    }

    fn fell(&mut self, inventory: &Inventory, object: &ObjectRef, uses: &[Use]) {
        self.fallen.insert(object.clone());
        let newest = self.newest_text.get(object);
        if newest.is_some() && newest == inventory.last_text.get(object) {
            // It has not changed, so what it names has become bad, and has to stay as it was too.
            let keys = uses.iter().filter(|used| used.by == *object).filter_map(companion_key);
            self.pinned.extend(keys);
        }
    }

    /// Drops deleted objects that nothing refers to any more, and notes what the rest needs.
    fn settle(&mut self, inventory: &Inventory, documents: Vec<Document>, uses: &[Use]) {
        let mut named_by: BTreeMap<&ObjectRef, Vec<&ObjectRef>> = BTreeMap::new();
        for used in uses.iter().filter(|used| !is_companion(&used.object)) {
            named_by.entry(&used.by).or_default().push(&used.object);
        }
        let mut kept: BTreeSet<&ObjectRef> = inventory.live.keys().collect();
        let mut open: Vec<&ObjectRef> = kept.iter().copied().collect();
        while let Some(by) = open.pop() {
            for &object in named_by.get(by).into_iter().flatten() {
                if kept.insert(object) {
                    open.push(object);
                }
            }
        }
        self.keys = uses.iter().filter(|used| kept.contains(&used.by)).filter_map(companion_key).collect();
        for used in uses.iter().filter(|used| inventory.live.contains_key(&used.by)) {
            self.note_deleted(inventory, used);
        }
        self.documents = documents.into_iter().filter(|document| kept.contains(&document.object)).collect();
    }

    /// What was deleted and stays because it is named is missing all the same.
    fn note_deleted(&mut self, inventory: &Inventory, used: &Use) {
        let what = match &used.key {
            Some(key) if !inventory.has_key(&used.object, key) => format!("key `{key}` of {}", used.object),
            None if !inventory.live.contains_key(&used.object) => used.object.to_string(),
            _ => return,
        };
        let message = format!("{what} has been deleted; what it was stays in force while it is named");
        self.unresolved.entry(used.by.clone()).or_default().push(message);
    }
}

fn companion_key(used: &Use) -> Option<(ObjectRef, String)> {
    Some((used.object.clone(), used.key.as_deref()?.to_owned()))
}
