//! What is to be said about one object before it is written.

use std::collections::BTreeSet;
use std::sync::Arc;

use postern_crds::{Fault, FaultClass, ObjectRef, Outcome, compile, read_objects};
use serde_json::Value;

use super::choice::options;
use super::document::Document;
use super::inventory::Inventory;
use super::{Inputs, Parts};

/// The judgement on an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Review {
    /// Why it is refused; empty when it is not.
    pub faults: Vec<Fault>,
    /// What its writer should know.
    pub warnings: Vec<Fault>,
}

/// Judges an object among those that are there.
///
/// What is wrong with it alone is a fault, and so is what it makes wrong with others, such as an open relay
/// that a new listener is. What it names need not be there yet, and what does not go together may be changed
/// next: those are warnings.
#[must_use]
pub fn review(mut inputs: Inputs, newest: &Value) -> Review {
    // What is mounted has no say here, and is as much to read as everything else.
    inputs.mounted = Parts::default();
    let inventory = Inventory::of(&inputs);
    let Some(newest) = Document::of(newest.clone()) else { return Review::default() };
    let object = newest.object.clone();
    let before = inventory.live.clone();
    let mut after = inventory;
    after.live.insert(object.clone(), newest);
    let outcome = judge(&after);
    let mut review = Review::default();
    let (of_object, of_others): (Vec<Fault>, Vec<Fault>) =
        outcome.faults.into_iter().partition(|fault| fault.object.as_ref() == Some(&object));
    for fault in of_object {
        let list = if fault.class == FaultClass::Own { &mut review.faults } else { &mut review.warnings };
        list.push(fault);
    }
    if !of_others.is_empty() {
        after.live = before;
        let known: BTreeSet<(Option<ObjectRef>, String)> =
            judge(&after).faults.into_iter().map(key).collect();
        for fault in of_others.into_iter().filter(|fault| !known.contains(&key(fault.clone()))) {
            let list = if fault.class == FaultClass::Own { &mut review.faults } else { &mut review.warnings };
            list.push(fault);
        }
    }
    review
        .warnings
        .extend(outcome.warnings.into_iter().filter(|fault| fault.object.as_ref() == Some(&object)));
    review
}

fn key(fault: Fault) -> (Option<ObjectRef>, String) {
    (fault.object, format!("{} {}", fault.path, fault.message))
}

fn judge(inventory: &Inventory) -> Outcome {
    let companions = inventory.companions(&|_, _| false);
    let documents: Vec<Arc<Value>> =
        inventory.live.values().map(|document| Arc::clone(&document.value)).collect();
    let (set, faults) = read_objects(documents.iter().map(|value| &**value).chain(&companions));
    compile(&set, faults, &options(inventory))
}
