//! Answers of hooks: whatever they hold, they are understood whole or not at all, and do no more than one may ask for.

use postern_core::hook;
use postern_core::verdict::Stage;

use crate::effects::{FINAL, judge};

const STAGES: [Stage; 6] = [Stage::Connect, Stage::Ehlo, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data];

/// Runs one input.
pub fn run(octets: &[u8]) {
    let Some((choice, answer)) = octets.split_first() else { return };
    // Most inputs are worth most at Data.
    let stage = STAGES.get(usize::from(*choice)).copied().unwrap_or(Stage::Data);
    match hook::read(answer, stage) {
        Err(error) => drop(error.to_string()),
        Ok(verdict) => judge(verdict, stage, FINAL),
    }
}
