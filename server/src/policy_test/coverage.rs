//! What of a policy no test has reached: values of fields with conditions, scripts, filters.

use std::collections::HashSet;
use std::fmt::Write as _;

use postern_core::verdict::FilterKind;

use super::Verdict;
use crate::simulate::Simulator;
use crate::simulate::report::{Decider, Finding};

/// What was reached, and what there is.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// Values of fields, scripts and filters that some test has reached.
    reached: usize,
    /// All of them.
    total: usize,
    /// The others, each with its place.
    missed: Vec<String>,
}

impl Coverage {
    /// Counts what tests have reached of a policy.
    pub(super) fn of(simulator: &Simulator, verdicts: &[Verdict]) -> Self {
        let (mut parts, mut filters) = (HashSet::new(), HashSet::new());
        let steps = verdicts.iter().flat_map(|verdict| &verdict.course.steps);
        for finding in steps.flat_map(|step| &step.findings) {
            match finding {
                Finding::Field { at: Some(at), part, .. } => {
                    parts.insert((at.clone(), part.clone()));
                }
                Finding::Filters { said, .. } => filters.extend(said.iter().map(|one| one.filter.clone())),
                _ => {}
            }
        }
        let mut coverage = Self::default();
        for arm in &simulator.arms {
            let key = (Decider::from(&arm.field), arm.part.to_string());
            let place = match (&arm.file, arm.line) {
                (Some(file), Some(line)) => format!("{file}:{line}: "),
                _ => String::new(),
            };
            coverage.count(parts.contains(&key), || format!("{place}{} {}", key.0, key.1));
        }
        for filter in filters_of(simulator) {
            coverage.count(filters.contains(&filter), || format!("{filter} was never asked"));
        }
        coverage
    }

    fn count(&mut self, is_reached: bool, what: impl FnOnce() -> String) {
        self.total += 1;
        match is_reached {
            true => self.reached += 1,
            false => self.missed.push(what()),
        }
    }

    /// As text: a sum, and what was missed.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "\ncoverage: {} of {} values of fields, scripts and filters were reached\n",
            self.reached, self.total
        );
        for one in &self.missed {
            // Writing into a text cannot fail.
            let _ = writeln!(text, "  not reached: {one}");
        }
        text
    }
}

/// Every filter, by kind and name.
fn filters_of(simulator: &Simulator) -> Vec<String> {
    let filters = &simulator.policy().filters;
    let named = |kind: FilterKind, name: &str| format!("{}/{name}", kind.object_kind());
    let mut scripts: Vec<_> =
        filters.scripts.values().map(|script| named(FilterKind::Sieve, &script.name)).collect();
    scripts.sort();
    let milters = filters.milters.iter().map(|milter| named(FilterKind::Milter, &milter.process.name));
    let spam_filter = filters.spam_filter.iter().map(|one| named(FilterKind::SpamFilter, &one.process.name));
    let pipes = filters.pipes.iter().map(|pipe| named(FilterKind::Pipe, &pipe.process.name));
    let hooks = filters.hooks.iter().map(|hook| named(FilterKind::Hook, &hook.process.name));
    milters.chain(scripts).chain(spam_filter).chain(pipes).chain(hooks).collect()
}
