//! From what a session has written down to what a report tells.

use postern_core::expr::Lookup;
use postern_core::session::record::{Evaluation, Note};

use super::report::{Decider, Finding, LookupFinding, Outcome, Source, Step};
use super::visit::Visit;
use super::words::lookup_words;
use super::world::Told;

/// What a decision did, and what it was told, in one list.
pub(super) fn findings(notes: Vec<Note>, told: Vec<Told>) -> Vec<Finding> {
    let mut sources: Vec<(_, _)> = Vec::new();
    let mut found = Vec::new();
    for one in told {
        match one {
            Told::Lookup(lookup, source) => {
                sources.push((lookup, source));
                found.push(None);
            }
            Told::Finding(finding) => found.push(Some(*finding)),
        }
    }
    let finding = |note| match note {
        Note::Asked(place) => found.get_mut(place).and_then(Option::take),
        Note::Evaluated(evaluation) => Some(field(*evaluation, &sources)),
    };
    notes.into_iter().filter_map(finding).collect()
}

fn field(evaluation: Evaluation, sources: &[(Lookup, Source)]) -> Finding {
    let Evaluation { origin, part, variables, lookups, value } = evaluation;
    let (value, failure) = match value {
        Ok(value) => (Some(value), None),
        Err(failure) => (None, Some(failure.to_string())),
    };
    let lookups = lookups.into_iter().map(|one| LookupFinding {
        source: sources
            .iter()
            .find(|(lookup, _)| *lookup == one.lookup)
            .map_or(Source::Policy, |(_, source)| *source),
        asked: lookup_words(&one.lookup),
        answer: one.answer.unwrap_or_else(|failure| failure.to_string()),
    });
    Finding::Field {
        at: origin.as_ref().map(Decider::from),
        part: part.to_string(),
        variables: variables.into_iter().map(|(variable, text)| (variable.name().to_owned(), text)).collect(),
        lookups: lookups.collect(),
        value,
        failure,
    }
}

/// The step that decided about the message: the one that the message came with, else the last refusal.
pub(super) fn outcome_of(steps: &[Step], recipients: Vec<(String, String)>) -> Outcome {
    let refuses = |step: &&Step| {
        step.stage != "quit"
            && (step.closed || step.replies.iter().any(|reply| reply.starts_with(['4', '5'])))
    };
    let ended_by = |step: &&Step| step.stage == "data" && !step.client.starts_with("DATA");
    let decisive = steps.iter().rev().find(ended_by).or_else(|| steps.iter().rev().find(refuses));
    match decisive.or(steps.last()) {
        Some(step) => Outcome {
            stage: step.stage,
            reply: step
                .replies
                .iter()
                .find(|reply| reply.starts_with(['4', '5']))
                .or(step.replies.first())
                .cloned(),
            because: step.because.clone(),
            recipients,
        },
        None => Outcome { stage: "connect", reply: None, because: None, recipients },
    }
}

/// The reply to each recipient that the client came to name.
pub(super) fn recipients_of(steps: &[Step], visit: &Visit) -> Vec<(String, String)> {
    let replies = steps.iter().filter(|step| step.stage == "rcpt").map(|step| step.replies.first());
    let named = visit.to.iter().cloned().zip(replies);
    named.map(|(recipient, reply)| (recipient, reply.cloned().unwrap_or_default())).collect()
}
