//! What was expected of a session, held against what came of it.

use postern_core::message::header::Header;
use postern_crds::kinds::filter::StageName;
use postern_crds::kinds::policy_test::{ExpectSpec, HandedOnSpec};

use crate::simulate::report::{Course, HandedOn};

/// Everything that is not as expected, each in one line.
pub(super) fn deviations(expect: &ExpectSpec, course: &Course) -> Vec<String> {
    let mut found = Vec::new();
    let outcome = &course.outcome;
    let reply = outcome.reply.as_deref().unwrap_or("no reply, the connection was closed");
    if let Some(wanted) = expect.reply.as_deref().filter(|wanted| !begins(reply, wanted)) {
        found.push(format!("reply: expected `{wanted}`, found `{}`", first_line(reply)));
    }
    if let Some(wanted) = expect.stage.map(name_of).filter(|wanted| *wanted != outcome.stage) {
        found.push(format!("stage: expected {wanted}, found {}", outcome.stage));
    }
    if let Some(by) = &expect.by {
        let holds = outcome.because.as_ref().is_some_and(|because| {
            because.object == by.object && (by.field.is_none() || because.field == by.field)
        });
        if !holds {
            let wanted = match &by.field {
                Some(field) => format!("{} {field}", by.object),
                None => by.object.clone(),
            };
            let because = outcome.because.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
            found.push(format!("by: expected {wanted}, found {because}"));
        }
    }
    for (recipient, wanted) in &expect.recipients {
        let reply = outcome.recipients.iter().find(|(named, _)| named == recipient);
        let reply = reply.map_or("it was never named", |(_, reply)| reply);
        if !begins(reply, wanted) {
            found.push(format!("recipient {recipient}: expected `{wanted}`, found `{}`", first_line(reply)));
        }
    }
    if let Some(wanted) = &expect.handed_on {
        handed_on(wanted, &course.handed_on, &mut found);
    }
    found
}

/// Whether a reply begins so, in whole words: `250 2` does not stand for `250 2.1.5`.
fn begins(reply: &str, wanted: &str) -> bool {
    // In a reply of several lines the first has a hyphen behind its code.
    let reply = match (reply.get(..3), reply.get(3..4), reply.get(4..)) {
        (Some(code), Some("-"), Some(rest)) => format!("{code} {rest}"),
        _ => reply.to_owned(),
    };
    let is_class = wanted.len() < 3;
    reply
        .strip_prefix(wanted)
        .is_some_and(|rest| is_class || rest.is_empty() || rest.starts_with([' ', '\n']))
}

fn handed_on(wanted: &[HandedOnSpec], found: &[HandedOn], deviations: &mut Vec<String>) {
    if wanted.len() != found.len() {
        let envelopes: Vec<_> =
            found.iter().map(|one| format!("{} to {}", one.route, one.to.join(", "))).collect();
        let what = if envelopes.is_empty() { "none".to_owned() } else { envelopes.join("; ") };
        deviations.push(format!("handedOn: expected {}, found {}: {what}", wanted.len(), found.len()));
        return;
    }
    for (place, (wanted, found)) in wanted.iter().zip(found).enumerate() {
        let mut differs = |what: &str, wanted: &str, found: &str| {
            deviations.push(format!("handedOn[{place}].{what}: expected `{wanted}`, found `{found}`"));
        };
        if let Some(route) = wanted.route.as_deref().filter(|route| *route != found.route) {
            differs("route", route, &found.route);
        }
        if let Some(from) = wanted.from.as_deref().filter(|from| !from.eq_ignore_ascii_case(&found.from)) {
            differs("from", from, &found.from);
        }
        if let Some(to) = &wanted.to {
            let sorted = |list: &[String]| {
                let mut list: Vec<String> = list.iter().map(|address| address.to_lowercase()).collect();
                list.sort();
                list.join(", ")
            };
            if sorted(to) != sorted(&found.to) {
                differs("to", &sorted(to), &sorted(&found.to));
            }
        }
        fields(wanted, found, &mut differs);
        if let Some(text) = wanted.contains.as_deref().filter(|text| !found.message.contains(*text)) {
            differs("contains", text, "a message without it");
        }
    }
}

fn fields(wanted: &HandedOnSpec, found: &HandedOn, differs: &mut impl FnMut(&str, &str, &str)) {
    let Ok(header) = Header::parse(&found.octets) else {
        differs("fields", "a header", "one that is too large");
        return;
    };
    let values = |name: &str| -> Vec<String> {
        let of_name = header.fields().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
        of_name.map(|field| unfolded(&String::from_utf8_lossy(field.value))).collect()
    };
    for (name, wanted) in &wanted.fields {
        let values = values(name);
        if !values.iter().any(|value| value.starts_with(wanted.as_str())) {
            let found = if values.is_empty() { "no such field".to_owned() } else { values.join("`, `") };
            differs(&format!("fields.{name}"), wanted, &found);
        }
    }
    for name in &wanted.no_fields {
        if let Some(value) = values(name).first() {
            differs(&format!("noFields.{name}"), "no such field", value);
        }
    }
}

/// A value in one line.
fn unfolded(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn first_line(reply: &str) -> &str {
    reply.lines().next().unwrap_or(reply)
}

const fn name_of(stage: StageName) -> &'static str {
    match stage {
        StageName::Connect => "connect",
        StageName::Ehlo => "ehlo",
        StageName::Auth => "auth",
        StageName::Mail => "mail",
        StageName::Rcpt => "rcpt",
        StageName::Data => "data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_begins_in_whole_words() {
        assert!(begins("550 5.7.1 not you", "550"));
        assert!(begins("550 5.7.1 not you", "550 5.7.1"));
        assert!(begins("550 5.7.1 not you", "5"));
        assert!(begins("550-5.7.1 not you\n550 5.7.1 at all", "550 5.7.1 not you"));
        assert!(!begins("550 5.7.10 not you", "550 5.7.1"));
        assert!(!begins("451 4.3.5 later", "5"));
    }
}
