//! A course as text: stage by stage, then what became of the message.

use std::fmt::Write as _;

use super::paint::{Paint, Tone, harmless};
use super::recording::VerdictRecord;
use super::report::{Course, FilterFinding, Finding, HandedOn, LookupFinding, Step};

/// The whole course.
pub(super) fn of(course: &Course, paint: Paint) -> String {
    let mut text = String::new();
    line(&mut text, 0, &paint.tone(Tone::Faint, &format!("world outside: {}", course.outside)));
    let mut stage = "";
    for step in &course.steps {
        if step.stage != stage {
            stage = step.stage;
            line(&mut text, 0, &paint.tone(Tone::Title, &format!("== {stage}")));
        }
        write_step(&mut text, step, paint);
    }
    line(&mut text, 0, &paint.tone(Tone::Title, "== outcome"));
    write_outcome(&mut text, course, paint);
    course.handed_on.iter().for_each(|handed_on| write_handed_on(&mut text, handed_on, paint));
    text
}

fn write_step(text: &mut String, step: &Step, paint: Paint) {
    line(text, 0, &format!("C: {}", harmless(&step.client)));
    for finding in &step.findings {
        write_finding(text, finding, paint);
    }
    if step.waited > 0.0 {
        line(text, 1, &format!("waits {} s", step.waited));
    }
    for reply in &step.replies {
        let tone = if reply.starts_with(['4', '5']) { Tone::Bad } else { Tone::Good };
        reply.lines().for_each(|one| line(text, 0, &paint.tone(tone, &format!("S: {one}"))));
    }
    if let Some(because) = &step.because {
        line(text, 1, &format!("because {because}"));
    }
    if step.closed {
        line(text, 1, "closed");
    }
}

fn write_finding(text: &mut String, finding: &Finding, paint: Paint) {
    match finding {
        Finding::Field { at, part, variables, lookups, value, failure } => {
            let place = at.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let result = match (value, failure) {
                (Some(value), _) => harmless(value),
                (None, failure) => {
                    let why = failure.as_deref().unwrap_or("unknown");
                    paint.tone(Tone::Bad, &format!("cannot be evaluated: {why}"))
                }
            };
            line(text, 1, &format!("{} {} = {result}", harmless(&place), paint.tone(Tone::Faint, part)));
            let known: Vec<_> = variables.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            if !known.is_empty() {
                line(text, 3, &paint.tone(Tone::Faint, &format!("with {}", known.join(", "))));
            }
            for LookupFinding { asked, answer, source } in lookups {
                let found = format!("{asked} = {answer} ({})", source.word());
                line(text, 3, &paint.tone(Tone::Faint, &found));
            }
        }
        Finding::Answer { asked, answer, source } => {
            line(text, 1, &format!("{}: {} ({})", harmless(asked), harmless(answer), source.word()));
        }
        Finding::Filters { said, ruling } => {
            said.iter().for_each(|one| write_filter(text, one));
            line(text, 1, &format!("filters together: {}", harmless(ruling)));
        }
    }
}

fn write_filter(text: &mut String, finding: &FilterFinding) {
    let FilterFinding { filter, verdict, source, observed } = finding;
    let observed = if *observed { ", only observed" } else { "" };
    let words = match verdict {
        VerdictRecord::OutOfTime => "failed: the time for all filters is over".to_owned(),
        VerdictRecord::Failed(why) => format!("failed: {why}"),
        verdict => verdict.verdict().map(|verdict| super::filters::words(&verdict)).unwrap_or_default(),
    };
    line(text, 1, &format!("{}: {} ({}{observed})", harmless(filter), harmless(&words), source.word()));
    if let VerdictRecord::Pass(changes) = verdict {
        for change in changes {
            let change = serde_json::to_string(change).unwrap_or_default();
            line(text, 3, &harmless(&shortened(&change)));
        }
    }
}

/// A change in one line: a new body says little beyond its beginning.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_CHANGE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

const LONGEST_CHANGE: usize = 160;

fn write_outcome(text: &mut String, course: &Course, paint: Paint) {
    let outcome = &course.outcome;
    let reply = outcome.reply.as_deref().unwrap_or("the connection is closed without a reply");
    let reply = reply.lines().collect::<Vec<_>>().join(" / ");
    let because = outcome.because.as_ref().map(|cause| format!(", because {cause}")).unwrap_or_default();
    let tone = if outcome.is_accepted() { Tone::Good } else { Tone::Bad };
    line(text, 0, &paint.tone(tone, &format!("at {}: {reply}{because}", outcome.stage)));
    for (recipient, reply) in &outcome.recipients {
        let first = reply.lines().next().unwrap_or("no reply");
        line(text, 1, &format!("{}: {}", harmless(recipient), harmless(first)));
    }
    if course.handed_on.is_empty() {
        line(text, 0, "nothing would be handed on");
    }
}

fn write_handed_on(text: &mut String, handed_on: &HandedOn, paint: Paint) {
    let to: Vec<_> = handed_on.to.iter().map(|address| format!("<{address}>")).collect();
    let gap = if handed_on.parameters.is_empty() { "" } else { " " };
    let envelope = format!("from <{}>{gap}{} to {}", handed_on.from, handed_on.parameters, to.join(", "));
    let title = format!("== would be handed to MtaRoute/{}", handed_on.route);
    line(text, 0, &paint.tone(Tone::Title, &title));
    line(text, 0, &harmless(&envelope));
    if handed_on.diff.is_empty() {
        line(text, 0, "the message as it came in");
    }
    for one in handed_on.diff.lines() {
        let shown = match one.as_bytes().first() {
            Some(b'+') => paint.tone(Tone::Good, one),
            Some(b'-') => paint.tone(Tone::Bad, one),
            Some(b'@') => paint.tone(Tone::Faint, one),
            _ => harmless(one),
        };
        line(text, 0, &shown);
    }
}

fn line(text: &mut String, depth: usize, content: &str) {
    // Writing into a text cannot fail.
    let _ = writeln!(text, "{:depth$}{content}", "", depth = depth * 2);
}
