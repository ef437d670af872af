//! `postern test`: the `MtaPolicyTest` documents of a folder, run against its policy (`docs/testing-policies.md`).
//!
//! A test is a simulated session with stubs, and what is to come of it. Nothing is asked outside of the process.

pub mod command;
mod coverage;
mod expect;
mod junit;
mod session;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::{Duration, Instant};

use postern_crds::kinds::policy_test::PolicyTestSpec;
use postern_crds::{Fault, Object};

use crate::simulate::Simulator;
use crate::simulate::report::Course;

/// What came of one test.
#[derive(Debug)]
pub struct Verdict {
    /// `metadata.name`
    pub name: String,
    /// The file and line of the test.
    pub place: String,
    /// How long it took.
    pub took: Duration,
    /// What is not as expected; empty: it passed.
    pub deviations: Vec<String>,
    /// What happened.
    pub course: Course,
}

impl Verdict {
    /// Whether all is as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.deviations.is_empty()
    }
}

/// Runs tests against a policy, in their order. `folder` is where their files are.
///
/// # Errors
/// Everything that keeps a test from being run at all.
pub async fn run(
    simulator: &Simulator,
    tests: &[Object<PolicyTestSpec>],
    folder: &Path,
) -> Result<Vec<Verdict>, Vec<Fault>> {
    let (mut prepared, mut faults) = (Vec::new(), Vec::new());
    for test in tests {
        match session::prepare(test, folder) {
            Ok(session) => prepared.push((test, session)),
            Err(fault) => faults.push(*fault),
        }
    }
    let mut verdicts = Vec::new();
    for (test, (visit, outside)) in prepared {
        let began = Instant::now();
        match simulator.run(&visit, &outside).await {
            Ok(course) => verdicts.push(Verdict {
                name: test.name.to_string(),
                place: place(test),
                took: began.elapsed(),
                deviations: expect::deviations(&test.spec.expect, &course),
                course,
            }),
            Err(error) => faults.push(test.fault("session", error.to_string())),
        }
    }
    if faults.is_empty() { Ok(verdicts) } else { Err(faults) }
}

fn place(test: &Object<PolicyTestSpec>) -> String {
    match test.place() {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.to_string(),
        (None, _) => String::new(),
    }
}
