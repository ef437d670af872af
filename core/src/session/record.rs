//! What a session writes down of its decisions when somebody asks it to: for simulations and tests of policies.
//!
//! A server never asks, and then nothing is kept. A decision that is replayed is written down once, when it is
//! complete.

use std::cell::RefCell;

use crate::cause::Cause;
use crate::expr::{Failure, FieldPath, Lookup, LookupFailure, Value, Variable};

/// One thing that a decision did, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// A field was evaluated.
    Evaluated(Box<Evaluation>),
    /// A question was answered that is not a lookup: the n-th of this decision, lookups counted, from 0.
    Asked(usize),
}

/// One evaluation of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Where the field stands; unset for what no policy holds.
    pub origin: Option<Cause>,
    /// The part that decided; for one that failed the part that could not be evaluated.
    pub part: FieldPath,
    /// The variables that its source mentions, as they were.
    pub variables: Vec<(Variable, String)>,
    /// What it looked up, in order.
    pub lookups: Vec<LookedUp>,
    /// What came out, as text of the language.
    pub value: Result<String, Failure>,
}

/// A lookup and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct LookedUp {
    /// What was asked.
    pub lookup: Lookup,
    /// What was answered, as text of the language.
    pub answer: Result<String, LookupFailure>,
}

/// The notes of one run of a decision.
#[derive(Debug)]
pub(super) struct Notes {
    notes: Option<RefCell<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    notes: Vec<Note>,
    /// Lookups of the evaluation under way.
    lookups: Vec<LookedUp>,
}

impl Notes {
    /// Notes that are kept only if they are wanted.
    pub(super) fn new(wanted: bool) -> Self {
        Self { notes: wanted.then(RefCell::default) }
    }

    pub(super) fn asked(&self, place: usize) {
        if let Some(taken) = &self.notes {
            taken.borrow_mut().notes.push(Note::Asked(place));
        }
    }

    pub(super) fn looked_up(&self, lookup: &Lookup, answer: Result<&Value<'_>, &LookupFailure>) {
        if let Some(taken) = &self.notes {
            let answer = answer.map(ToString::to_string).map_err(Clone::clone);
            taken.borrow_mut().lookups.push(LookedUp { lookup: lookup.clone(), answer });
        }
    }

    /// The evaluation under way is over; what is known of it is only made when notes are wanted.
    pub(super) fn evaluated(&self, evaluation: impl FnOnce() -> Evaluation) {
        if let Some(taken) = &self.notes {
            let evaluation = evaluation();
            let mut taken = taken.borrow_mut();
            let lookups = std::mem::take(&mut taken.lookups);
            taken.notes.push(Note::Evaluated(Box::new(Evaluation { lookups, ..evaluation })));
        }
    }

    pub(super) fn into_notes(self) -> Vec<Note> {
        self.notes.map(|taken| taken.into_inner().notes).unwrap_or_default()
    }
}
