//! A tree to a typed value, reporting everything that is wrong with it instead of the first thing.
//!
//! serde stops at the first error. So each error is recorded with its path, and the value is decoded
//! again with a harmless stand-in at that path, until nothing new turns up. What depends on a stand-in is
//! not trusted: its paths are handed back, and no later check reports anything inside them.

mod error;
mod reader;
mod stand_in;

use std::cell::RefCell;

use serde::de::DeserializeOwned;

use super::{Node, Path, Step, Trail};
use error::{Error, Reason};
use reader::Reader;

/// What became of a tree.
#[derive(Debug)]
pub(crate) struct Decoded<T> {
    /// The value; none when not even stand-ins made one.
    pub(crate) value: Option<T>,
    /// Paths where the value holds a stand-in.
    pub(crate) untrusted: Vec<Path>,
    /// Everything that is wrong, in the order of the rounds.
    pub(crate) problems: Vec<Problem>,
}

/// One thing that is wrong with the shape of a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The field.
    pub(crate) path: Path,
    /// Whether the key is to blame and not what stands under it.
    pub(crate) at_key: bool,
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

/// Decodes `node`, whose path is `trail`. `renamed` holds names of other systems or versions and what to
/// write instead.
pub(crate) fn decode<T: DeserializeOwned>(
    node: &Node,
    trail: &Trail<'_>,
    renamed: &'static [(&'static str, &'static str)],
) -> Decoded<T> {
    let mut round = Round { renamed, ..Round::default() };
    // Each round but the last adds a path, and there are no more of them than nodes that a person wrote
    // wrongly; the bound only guards against a decoder that fails on its own stand-ins.
    for _ in 0..MOST_ROUNDS {
        match T::deserialize(Reader::new(node, *trail, &round)) {
            Ok(value) => {
                return Decoded {
                    value: Some(value),
                    untrusted: round.untrusted(),
                    problems: round.problems.into_inner(),
                };
            }
            Err(error) => {
                if !round.learn(error) {
                    break;
                }
            }
        }
    }
    Decoded { value: None, untrusted: round.untrusted(), problems: round.problems.into_inner() }
}

/// What is known after some rounds.
#[derive(Debug, Default)]
struct Round {
    renamed: &'static [(&'static str, &'static str)],
    /// Values that are replaced by stand-ins.
    replaced: Vec<Path>,
    /// Values that are left out, because no stand-in fits.
    removed: Vec<Path>,
    /// Fields that are missing: the map, and the field that is added to it.
    added: Vec<(Path, &'static str)>,
    problems: RefCell<Vec<Problem>>,
}

impl Round {
    fn untrusted(&self) -> Vec<Path> {
        let added = self.added.iter().map(|(map, field)| {
            let mut path = map.clone();
            path.push(Step::Key((*field).to_owned()));
            path
        });
        self.replaced.iter().cloned().chain(self.removed.iter().cloned()).chain(added).collect()
    }

    /// Whether there is a reason to look no closer at this path.
    fn is_untrusted(&self, path: &Path) -> bool {
        self.untrusted().iter().any(|untrusted| path.is_within(untrusted))
    }

    fn note(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// Records an error and arranges for the next round to get past it. False when nothing can be done.
    fn learn(&mut self, error: Error) -> bool {
        let path = error.path;
        match error.reason {
            Reason::Missing(field) => {
                let mut missing = path.clone();
                missing.push(Step::Key(field.to_owned()));
                if self.added.contains(&(path.clone(), field)) || self.removed.contains(&missing) {
                    return false;
                }
                if !self.is_untrusted(&missing) {
                    let message = "is required".to_owned();
                    self.note(Problem { path: missing, at_key: false, message, suggestion: None });
                }
                self.added.push((path, field));
            }
            Reason::Wrong { message, suggestion } => {
                if self.removed.contains(&path) {
                    return false;
                }
                if self.replaced.contains(&path) {
                    self.removed.push(path);
                    return true;
                }
                // Something inside was replaced, and the stand-in may be the cause.
                let is_aftermath = self.replaced.iter().any(|replaced| replaced.is_within(&path));
                if !self.is_untrusted(&path) && !is_aftermath {
                    self.note(Problem { path: path.clone(), at_key: false, message, suggestion });
                }
                self.replaced.push(path);
            }
        }
        true
    }
}

const MOST_ROUNDS: usize = 500;

#[cfg(test)]
mod tests;
