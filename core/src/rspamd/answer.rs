//! The answer to `/checkv2`.

use serde::Deserialize;

use super::changes::{Milter, Signatures, SpamHeader, field, remove};
use crate::message::edit::Edit;
use crate::message::header::Header;
use crate::policy::filter::SpamAction;
use crate::smtp::reply::{EnhancedCode, Reply};
use crate::verdict::{Modification, Verdict};

/// What the actions that hold mail back become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actions {
    /// `reject`
    pub on_reject: SpamAction,
    /// `soft reject`
    pub on_soft_reject: SpamAction,
    /// `greylist`
    pub on_greylist: SpamAction,
}

/// Why an answer cannot be honoured. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is not the JSON of rspamd.
    #[error("the answer is not the JSON of rspamd")]
    Json(#[from] serde_json::Error),
    /// rspamd could not check the message.
    #[error("rspamd says: {0}")]
    Refused(String),
    /// An action that means nothing here.
    #[error("the action {0:?} is none that is known")]
    Action(String),
    /// A name and value that do not make one header field.
    #[error("{0:?} and its value make no header field")]
    Field(String),
    /// An address that is none.
    #[error("{0:?} is no address")]
    Address(String),
}

/// Reads the answer for a message with this header.
///
/// # Errors
///
/// [`AnswerError`] when any part of it cannot be honoured.
pub fn read(answer: &[u8], header: &Header, actions: Actions) -> Result<Verdict, AnswerError> {
    let Answer { error, action, is_skipped, messages, milter, subject, signatures } =
        serde_json::from_slice(answer)?;
    if let Some(error) = error {
        return Err(AnswerError::Refused(shortened(&error)));
    }
    let action = action.ok_or_else(|| AnswerError::Action(String::new()))?;
    let mut milter = milter.unwrap_or_default();
    let outcome = match is_skipped || milter.no_action {
        true => Outcome::Deliver,
        false => Outcome::of(&action, actions)?,
    };
    let spam_header = milter.spam_header.take();
    let text = messages.and_then(|messages| messages.smtp_message).filter(|text| !text.is_empty());
    let mut wanted = milter.modifications(header)?;
    if let Some(signatures) = signatures {
        wanted.extend(signatures.edits()?);
    }
    match outcome {
        Outcome::Deliver => {}
        Outcome::Tag => wanted.extend(tag(spam_header.as_ref(), header)?),
        Outcome::NewSubject => wanted.extend(subject.as_deref().map(new_subject).transpose()?),
        Outcome::Quarantine => {
            let reason = text.unwrap_or_else(|| format!("rspamd: {}", shortened(&action)));
            wanted.push(Modification::Quarantine(reason));
        }
        Outcome::Discard => return Ok(Verdict::Discard),
        Outcome::Reject => return Ok(Verdict::Reject(said(REJECTED, text))),
        Outcome::Defer => return Ok(Verdict::Defer(said(LATER, text))),
    }
    Ok(Verdict::Pass(wanted))
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    is_skipped: bool,
    #[serde(default)]
    messages: Option<Messages>,
    #[serde(default)]
    milter: Option<Milter>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default, rename = "dkim-signature")]
    signatures: Option<Signatures>,
}

/// Texts beside the verdict; those of other names are meant for other readers.
#[derive(Debug, Deserialize)]
struct Messages {
    #[serde(default)]
    smtp_message: Option<String>,
}

/// What becomes of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Deliver,
    Tag,
    NewSubject,
    Quarantine,
    Discard,
    Reject,
    Defer,
}

impl Outcome {
    fn of(action: &str, actions: Actions) -> Result<Self, AnswerError> {
        Ok(match action {
            "no action" => Self::Deliver,
            "add header" => Self::Tag,
            "rewrite subject" => Self::NewSubject,
            "greylist" => actions.on_greylist.into(),
            "soft reject" => actions.on_soft_reject.into(),
            "reject" => actions.on_reject.into(),
            "quarantine" => Self::Quarantine,
            "discard" => Self::Discard,
            other => return Err(AnswerError::Action(shortened(other))),
        })
    }
}

impl From<SpamAction> for Outcome {
    fn from(action: SpamAction) -> Self {
        match action {
            SpamAction::Reject => Self::Reject,
            SpamAction::TempFail => Self::Defer,
            SpamAction::Quarantine => Self::Quarantine,
            SpamAction::Tag => Self::Tag,
            SpamAction::Ignore => Self::Deliver,
        }
    }
}

/// The mark of spam: what rspamd wants it to be, else `X-Spam: Yes`, as its own proxy adds it. One that the
/// message came with is no mark of ours and goes.
fn tag(wanted: Option<&SpamHeader>, header: &Header) -> Result<Vec<Modification>, AnswerError> {
    let mut changes = Vec::new();
    for (name, value) in wanted.map_or_else(|| vec![("X-Spam", "Yes")], SpamHeader::fields) {
        let (name, value) = field(name, value)?;
        changes.extend(remove(header, &name, 0));
        changes.push(Modification::Edit(Edit::AddField { name, value }));
    }
    Ok(changes)
}

fn new_subject(subject: &str) -> Result<Modification, AnswerError> {
    let (name, value) = field("Subject", subject)?;
    Ok(Modification::Edit(Edit::ChangeField { index: 1, name, value }))
}

fn said(reply: Reply, text: Option<String>) -> Reply {
    match text {
        Some(text) => reply.with_text(text),
        None => reply,
    }
}

/// Enough of a text to know it again in a log.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

const REJECTED: Reply = Reply::new(554, EnhancedCode(5, 7, 1), "Spam message rejected");
const LATER: Reply = Reply::new(451, EnhancedCode(4, 7, 1), "Try again later");

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIONS: Actions = Actions {
        on_reject: SpamAction::Reject,
        on_soft_reject: SpamAction::TempFail,
        on_greylist: SpamAction::TempFail,
    };

    const HEADER: &[u8] = b"Subject: buy\r\nX-Spam: No\r\nX-Old: 1\r\nX-Old: 2\r\nX-Old: 3\r\n\r\n";

    fn verdict_with(answer: &str, actions: Actions) -> Result<Verdict, AnswerError> {
        read(answer.as_bytes(), &Header::parse(HEADER).unwrap(), actions)
    }

    fn verdict(answer: &str) -> Result<Verdict, AnswerError> {
        verdict_with(answer, ACTIONS)
    }

    fn changes(answer: &str) -> Vec<String> {
        shown(verdict(answer).unwrap())
    }

    fn shown(verdict: Verdict) -> Vec<String> {
        let Verdict::Pass(changes) = verdict else { panic!("{verdict:?}") };
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let one = |change: &Modification| match change {
            Modification::Edit(Edit::AddField { name, value }) => format!("+{}: {}", text(name), text(value)),
            Modification::Edit(Edit::InsertField { index, name, value }) => {
                format!("+{index} {}: {}", text(name), text(value))
            }
            Modification::Edit(Edit::ChangeField { index, name, value }) => {
                format!("={index} {}: {}", text(name), text(value))
            }
            Modification::Edit(Edit::RemoveField { index, name }) => format!("-{index} {}", text(name)),
            other => format!("{other:?}"),
        };
        changes.iter().map(one).collect()
    }

    #[test]
    fn every_action_has_its_consequence() {
        assert_eq!(verdict(r#"{"action": "no action"}"#).unwrap(), Verdict::Pass(Vec::new()));
        assert_eq!(changes(r#"{"action": "add header"}"#), ["-1 X-Spam", "+X-Spam: Yes"]);
        let subject = r#"{"action": "rewrite subject", "subject": "[spam] buy"}"#;
        assert_eq!(changes(subject), ["=1 Subject: [spam] buy"]);
        assert_eq!(changes(r#"{"action": "rewrite subject"}"#), [""; 0]);
        assert_eq!(verdict(r#"{"action": "reject"}"#).unwrap(), Verdict::Reject(REJECTED));
        assert_eq!(verdict(r#"{"action": "soft reject"}"#).unwrap(), Verdict::Defer(LATER));
        assert_eq!(verdict(r#"{"action": "greylist"}"#).unwrap(), Verdict::Defer(LATER));
        assert_eq!(verdict(r#"{"action": "discard"}"#).unwrap(), Verdict::Discard);
        assert_eq!(changes(r#"{"action": "quarantine"}"#), ["Quarantine(\"rspamd: quarantine\")"]);
        let skipped = r#"{"action": "reject", "is_skipped": true}"#;
        assert_eq!(verdict(skipped).unwrap(), Verdict::Pass(Vec::new()));
    }

    #[test]
    fn the_policy_says_what_becomes_of_a_rejection() {
        let with =
            |on_reject| verdict_with(r#"{"action": "reject"}"#, Actions { on_reject, ..ACTIONS }).unwrap();
        assert_eq!(with(SpamAction::TempFail), Verdict::Defer(LATER));
        assert_eq!(with(SpamAction::Ignore), Verdict::Pass(Vec::new()));
        assert_eq!(shown(with(SpamAction::Quarantine)), ["Quarantine(\"rspamd: reject\")"]);
        assert_eq!(shown(with(SpamAction::Tag)), ["-1 X-Spam", "+X-Spam: Yes"]);
    }

    #[test]
    fn a_refusal_is_said_in_the_words_of_rspamd_on_one_line() {
        let answer = r#"{"action": "soft reject", "messages": {"smtp_message": "wait\r\n250 ok", "a": "b"}}"#;
        let Verdict::Defer(reply) = verdict(answer).unwrap() else { panic!("not deferred") };
        assert_eq!(reply.to_string(), "451 4.7.1 wait  250 ok");
    }

    #[test]
    fn the_milter_block_is_applied() {
        let answer = r#"{"action": "no action", "milter": {
            "add_headers": {"X-A": "1", "X-B": {"value": "2", "order": 1},
                "X-C": [{"value": "3", "order": 0}, "4"], "X-D": 5, "X-E": {"value": "6", "order": -1}},
            "remove_headers": {"X-Old": 0, "X-Spam": 1, "Subject": -1, "X-None": 0, "X-Far": 7},
            "change_from": "new@example.org", "add_rcpt": ["a@example.org"], "del_rcpt": ["b@example.org"]},
            "dkim-signature": "v=1; a=rsa-sha256"}"#;
        let all = changes(answer);
        let edits: Vec<_> = all.iter().filter(|change| change.starts_with(['+', '-', '='])).collect();
        assert_eq!(
            edits,
            [
                "-1 Subject",
                "-3 X-Old",
                "-2 X-Old",
                "-1 X-Old",
                "-1 X-Spam",
                "+X-A: 1",
                "+1 X-B: 2",
                "+0 X-C: 3",
                "+X-C: 4",
                "+X-D: 5",
                "+5 X-E: 6",
                "+DKIM-Signature: v=1; a=rsa-sha256"
            ]
        );
        assert_eq!(all.len(), edits.len() + 3, "{all:?}");
    }

    #[test]
    fn the_mark_of_spam_is_what_rspamd_wants_it_to_be() {
        let named = r#"{"action": "add header", "milter": {"spam_header": {"X-Old": "spam"}}}"#;
        assert_eq!(changes(named), ["-3 X-Old", "-2 X-Old", "-1 X-Old", "+X-Old: spam"]);
        let plain = r#"{"action": "add header", "milter": {"spam_header": "Very"}}"#;
        assert_eq!(changes(plain), ["-1 X-Spam", "+X-Spam: Very"]);
        let quiet = r#"{"action": "no action", "milter": {"spam_header": "Very"}}"#;
        assert_eq!(changes(quiet), [""; 0]);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for answer in [
            "",
            "<html></html>",
            "{}",
            r#"{"error": "no such command"}"#,
            r#"{"action": "set on fire"}"#,
            r#"{"action": 5}"#,
            r#"{"action": "no action", "milter": {"add_headers": {"X-A": "b\r\nX-B: c"}}}"#,
            r#"{"action": "no action", "milter": {"add_headers": {"X A": "b"}}}"#,
            r#"{"action": "no action", "milter": {"add_headers": {"X-A": {"order": 1}}}}"#,
            r#"{"action": "no action", "milter": {"add_rcpt": ["nobody"]}}"#,
            r#"{"action": "rewrite subject", "subject": "a\r\n\r\nb"}"#,
        ] {
            assert!(verdict(answer).is_err(), "{answer}");
        }
    }
}
