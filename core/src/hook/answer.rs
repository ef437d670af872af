//! What a hook answers, and what follows from it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use crate::message::edit::Edit;
use crate::message::field::{NameAndValue, is_one_field};
use crate::smtp::address::{Address, ReversePath};
use crate::smtp::parameters::{MailParameters, RcptParameters};
use crate::smtp::reply::{EnhancedCode, Reply};
use crate::verdict::{Modification, Stage, Verdict};

/// Why an answer cannot be honoured. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is not the JSON of a hook.
    #[error("the answer is not the JSON of a hook")]
    Json(#[from] serde_json::Error),
    /// The status is no code of a reply that this action can have.
    #[error("`response.status` {0} is no status of such an action")]
    Status(u16),
    /// An address that is none.
    #[error("{0:?} is no address")]
    Address(String),
    /// A name and value that do not make one header field.
    #[error("{0:?} and its value make no header field")]
    Field(String),
    /// Contents that do not follow their encoding.
    #[error("the contents are not in base64")]
    Base64(#[from] base64::DecodeError),
}

/// Reads an answer to a question of that stage. Modifications count at Data only.
///
/// # Errors
///
/// [`AnswerError`] when any part of it cannot be honoured.
pub fn read(answer: &[u8], stage: Stage) -> Result<Verdict, AnswerError> {
    let Answer { action, response, modifications } = serde_json::from_slice(answer)?;
    let modifications = modifications.unwrap_or_default();
    let changes = modifications.into_iter().map(TryInto::try_into).collect::<Result<Vec<_>, _>>()?;
    let response = response.unwrap_or_default();
    let disconnect = response.disconnect.unwrap_or_default();
    match action {
        Action::Accept if stage == Stage::Data => Ok(Verdict::Pass(changes)),
        Action::Accept => Ok(Verdict::Pass(Vec::new())),
        Action::Reject => {
            let reply = response.reply()?.unwrap_or(REFUSED);
            Ok(match reply.code() {
                400..=599 if disconnect => Verdict::Disconnect(Some(reply)),
                400..=499 => Verdict::Defer(reply),
                500..=599 => Verdict::Reject(reply),
                // It would read like an acceptance of what is refused.
                code => return Err(AnswerError::Status(code)),
            })
        }
        // Delivered after all, so there is no refusal that a close could follow.
        Action::Quarantine if stage == Stage::Data => {
            let reason = response.message.unwrap_or_default();
            let quarantine = Modification::Quarantine(reason);
            Ok(Verdict::Pass(changes.into_iter().chain([quarantine]).collect()))
        }
        Action::Discard | Action::Quarantine => {
            let reply = response.reply()?;
            Ok(match (reply, stage) {
                (reply, _) if disconnect => Verdict::Disconnect(Some(reply.unwrap_or(TAKEN))),
                // What is refused here is gone either way; only the words are the hook's.
                (Some(reply), Stage::Connect | Stage::Ehlo) => Verdict::Reject(reply),
                _ => Verdict::Discard,
            })
        }
    }
}

const REFUSED: Reply = Reply::new(503, EnhancedCode(5, 5, 3), "Message rejected");
const TAKEN: Reply = Reply::new(250, EnhancedCode(2, 0, 0), "OK");

#[derive(Debug, Deserialize)]
struct Answer {
    action: Action,
    #[serde(default)]
    response: Option<Response>,
    #[serde(default)]
    modifications: Option<Vec<Wanted>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Accept,
    Discard,
    Reject,
    Quarantine,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(default)]
    status: Option<u16>,
    #[serde(default, alias = "enhanced_status")]
    enhanced_status: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    disconnect: Option<bool>,
}

impl Response {
    /// The reply that it names; none without a status.
    fn reply(&self) -> Result<Option<Reply>, AnswerError> {
        let Some(status) = self.status else { return Ok(None) };
        // 3xx would have the client send what nobody waits for.
        let code = matches!(status, 200..=299 | 400..=599).then(|| status.to_string());
        let code = code.and_then(Reply::from_text).ok_or(AnswerError::Status(status))?;
        let reply = code.with_text(self.message.clone().unwrap_or_default());
        let enhanced = self.enhanced_status.as_deref().and_then(EnhancedCode::parse);
        // One of another class would contradict the status (RFC 2034 section 4).
        let enhanced = enhanced.filter(|enhanced| u16::from(enhanced.0) == status / 100);
        Ok(Some(match enhanced {
            Some(enhanced) => reply.or_enhanced(enhanced),
            None => reply,
        }))
    }
}

/// One modification, as it is written.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Wanted {
    ChangeFrom {
        value: String,
        #[serde(default)]
        parameters: Option<Parameters>,
    },
    #[serde(alias = "addRcpt")]
    AddRecipient {
        value: String,
        #[serde(default)]
        parameters: Option<Parameters>,
    },
    #[serde(alias = "deleteRcpt")]
    DeleteRecipient {
        value: String,
    },
    #[serde(rename_all = "camelCase")]
    ReplaceContents {
        value: String,
        #[serde(default)]
        contents_encoding: Option<Encoding>,
    },
    AddHeader {
        name: String,
        value: String,
    },
    InsertHeader {
        index: u32,
        name: String,
        value: String,
    },
    ChangeHeader {
        index: u32,
        name: String,
        value: String,
    },
    DeleteHeader {
        index: u32,
        name: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Text,
    Base64,
}

/// ESMTP parameters by keyword.
type Parameters = BTreeMap<String, Parameter>;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Parameter {
    Nothing(()),
    Text(String),
    Number(serde_json::Number),
}

impl Parameter {
    fn text(self) -> Option<String> {
        match self {
            Self::Nothing(()) => None,
            Self::Text(text) => Some(text),
            Self::Number(number) => Some(number.to_string()),
        }
    }
}

impl TryFrom<Wanted> for Modification {
    type Error = AnswerError;

    fn try_from(wanted: Wanted) -> Result<Self, AnswerError> {
        Ok(match wanted {
            Wanted::ChangeFrom { value, parameters } => {
                let sender = match bare(&value) {
                    "" => ReversePath::Null,
                    address => ReversePath::Mailbox(mailbox(address)?),
                };
                Self::SetSender(sender, parameters.map(of_mail).map(Box::new))
            }
            Wanted::AddRecipient { value, parameters } => {
                Self::AddRecipient(mailbox(bare(&value))?, parameters.map(of_rcpt).map(Box::new))
            }
            Wanted::DeleteRecipient { value } => Self::RemoveRecipient(mailbox(bare(&value))?),
            Wanted::ReplaceContents { value, contents_encoding } => {
                let octets = match contents_encoding {
                    None | Some(Encoding::Text) => value.into_bytes(),
                    Some(Encoding::Base64) => BASE64.decode(value)?,
                };
                Self::Edit(Edit::ReplaceBody(octets.into()))
            }
            Wanted::AddHeader { name, value } => {
                let (name, value) = field(name, value)?;
                Self::Edit(Edit::AddField { name, value })
            }
            Wanted::InsertHeader { index, name, value } => {
                let (name, value) = field(name, value)?;
                Self::Edit(Edit::InsertField { index, name, value })
            }
            Wanted::ChangeHeader { index, name, value } => {
                let (name, value) = field(name, value)?;
                Self::Edit(match value.is_empty() {
                    true => Edit::RemoveField { index, name },
                    false => Edit::ChangeField { index, name, value },
                })
            }
            Wanted::DeleteHeader { index, name } => {
                let (name, _) = field(name, String::new())?;
                Self::Edit(Edit::RemoveField { index, name })
            }
        })
    }
}

/// An address without the brackets that it may be written in.
fn bare(address: &str) -> &str {
    let address = address.trim();
    address.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(address)
}

fn mailbox(address: &str) -> Result<Address, AnswerError> {
    Address::parse(address).map_err(|_| AnswerError::Address(shortened(address)))
}

fn field(name: String, value: String) -> Result<NameAndValue, AnswerError> {
    if !is_one_field(name.as_bytes(), value.as_bytes()) {
        return Err(AnswerError::Field(shortened(&name)));
    }
    Ok((name.into_bytes().into(), value.into_bytes().into()))
}

/// Enough of a text to know it again in a log.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

fn of_mail(wanted: Parameters) -> MailParameters {
    let mut parameters = MailParameters::default();
    for (keyword, value) in wanted {
        // A parameter that cannot be read must not undo the change that it came with.
        let _ = parameters.set(&keyword, value.text().as_deref());
    }
    parameters
}

fn of_rcpt(wanted: Parameters) -> RcptParameters {
    let mut parameters = RcptParameters::default();
    for (keyword, value) in wanted {
        let _ = parameters.set(&keyword, value.text().as_deref());
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(answer: &str) -> Result<Verdict, AnswerError> {
        read(answer.as_bytes(), Stage::Data)
    }

    fn changes(modifications: &str) -> Result<Vec<Modification>, AnswerError> {
        match data(&format!("{{\"action\": \"accept\", \"modifications\": [{modifications}]}}"))? {
            Verdict::Pass(changes) => Ok(changes),
            other => panic!("{other:?}"),
        }
    }

    fn wire(verdict: &Verdict) -> String {
        let (Verdict::Reject(reply) | Verdict::Defer(reply) | Verdict::Disconnect(Some(reply))) = verdict
        else {
            panic!("{verdict:?}")
        };
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_needs_no_more_than_its_action() {
        assert_eq!(data(r#"{"action": "accept"}"#).unwrap(), Verdict::Pass(Vec::new()));
        let nulls = r#"{"action": "accept", "response": null, "modifications": null, "more": {"a": [1]}}"#;
        assert_eq!(data(nulls).unwrap(), Verdict::Pass(Vec::new()));
        assert_eq!(data(r#"{"action": "discard"}"#).unwrap(), Verdict::Discard);
        assert_eq!(wire(&data(r#"{"action": "reject"}"#).unwrap()), "503 5.5.3 Message rejected\r\n");
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for answer in [
            "",
            "<html><body>It works!</body></html>",
            "[]",
            "null",
            r#"{"action": "approve"}"#,
            r#"{"response": {"status": 550}}"#,
            r#"{"action": "accept""#,
            r#"{"action": "accept"} {"action": "reject"}"#,
            r#"{"action": "accept", "modifications": [{"type": "setOnFire"}]}"#,
            r#"{"action": "accept", "modifications": [{"name": "X-A", "value": "b"}]}"#,
            r#"{"action": "accept", "modifications": [{"type": "insertHeader", "index": -1, "name": "A", "value": "b"}]}"#,
            r#"{"action": "accept", "modifications": [{"type": "changeFrom", "value": "a@b.example", "parameters": {"SIZE": [1]}}]}"#,
            r#"{"action": "reject", "response": {"status": "550"}}"#,
            r#"{"action": "reject", "response": {"status": 999}}"#,
            r#"{"action": "reject", "response": {"status": 250}}"#,
            r#"{"action": "reject", "response": {"status": 354}}"#,
        ] {
            assert!(data(answer).is_err(), "{answer}");
        }
    }

    #[test]
    fn a_refusal_is_said_in_the_words_of_the_hook() {
        let answer = |more: &str| {
            format!(r#"{{"action": "reject", "response": {{"status": 550, "message": "not today"{more}}}}}"#)
        };
        let said = |more| wire(&data(&answer(more)).unwrap());
        assert_eq!(said(""), "550 not today\r\n");
        assert_eq!(said(r#", "enhancedStatus": "5.7.1""#), "550 5.7.1 not today\r\n");
        assert_eq!(said(r#", "enhanced_status": "5.7.1""#), "550 5.7.1 not today\r\n");
        assert_eq!(said(r#", "enhancedStatus": "4.7.1""#), "550 not today\r\n");
        let closing = data(&answer(r#", "disconnect": true"#)).unwrap();
        assert!(matches!(closing, Verdict::Disconnect(_)), "{closing:?}");
        let later = data(r#"{"action": "reject", "response": {"status": 451}}"#).unwrap();
        assert!(matches!(later, Verdict::Defer(_)), "{later:?}");
    }

    #[test]
    fn no_text_of_a_hook_makes_a_second_reply() {
        let answer =
            r#"{"action": "reject", "response": {"status": 550, "message": "no\r\n250 2.0.0 yes\n550 x"}}"#;
        let said = wire(&data(answer).unwrap());
        assert_eq!(said.matches('\n').count(), 1, "{said:?}");
        assert!(said.starts_with("550 no "), "{said:?}");
    }

    #[test]
    fn before_data_a_hook_changes_nothing() {
        let answer =
            br#"{"action": "accept", "modifications": [{"type": "changeFrom", "value": "a@b.example"}]}"#;
        for stage in [Stage::Connect, Stage::Ehlo, Stage::Auth, Stage::Mail, Stage::Rcpt] {
            assert_eq!(read(answer, stage).unwrap(), Verdict::Pass(Vec::new()));
        }
    }

    #[test]
    fn quarantine_delivers_a_message_and_discards_everything_else() {
        let answer = r#"{"action": "quarantine", "response": {"message": "odd", "disconnect": false}}"#;
        assert_eq!(data(answer).unwrap(), Verdict::Pass(vec![Modification::Quarantine("odd".into())]));
        let bare = data(r#"{"action": "quarantine"}"#).unwrap();
        assert_eq!(bare, Verdict::Pass(vec![Modification::Quarantine(String::new())]));
        assert_eq!(read(answer.as_bytes(), Stage::Rcpt).unwrap(), Verdict::Discard);
    }

    #[test]
    fn a_discard_at_connect_is_said_in_the_words_of_the_hook() {
        let answer = br#"{"action": "discard", "response": {"status": 250, "message": "bye"}}"#;
        assert_eq!(wire(&read(answer, Stage::Connect).unwrap()), "250 bye\r\n");
        assert_eq!(read(answer, Stage::Mail).unwrap(), Verdict::Discard);
    }

    #[test]
    fn every_modification_is_understood() {
        let address = |text| Address::parse(text).unwrap();
        let (name, value): (Box<[u8]>, Box<[u8]>) = ((*b"X-A").into(), (*b"b").into());
        let of = |text: &str| changes(text).unwrap().remove(0);
        let Modification::SetSender(sender, Some(parameters)) = of(
            r#"{"type": "changeFrom", "value": "<New@b.example>", "parameters": {"ENVID": "a1", "size": 7, "X": "y", "SMTPUTF8": null}}"#,
        ) else {
            panic!("no new sender");
        };
        assert_eq!(sender.as_str(), "New@b.example");
        assert_eq!((parameters.envid.as_deref(), parameters.size), (Some("a1"), Some(7)));
        assert!(parameters.smtputf8);
        let null = of(r#"{"type": "changeFrom", "value": "<>", "parameters": null}"#);
        assert_eq!(null, Modification::SetSender(ReversePath::Null, None));
        for kind in ["addRecipient", "addRcpt"] {
            let added = of(&format!(r#"{{"type": "{kind}", "value": "c@d.example"}}"#));
            assert_eq!(added, Modification::AddRecipient(address("c@d.example"), None));
        }
        for kind in ["deleteRecipient", "deleteRcpt"] {
            let removed = of(&format!(r#"{{"type": "{kind}", "value": "<c@d.example>"}}"#));
            assert_eq!(removed, Modification::RemoveRecipient(address("c@d.example")));
        }
        for (text, wanted) in [
            (r#""type": "replaceContents", "value": "a\r\n""#, Edit::ReplaceBody((*b"a\r\n").into())),
            (
                r#""type": "replaceContents", "contentsEncoding": "base64", "value": "/w==""#,
                Edit::ReplaceBody((*b"\xff").into()),
            ),
            (
                r#""type": "addHeader", "name": "X-A", "value": "b""#,
                Edit::AddField { name: name.clone(), value: value.clone() },
            ),
            (
                r#""type": "insertHeader", "index": 2, "name": "X-A", "value": "b""#,
                Edit::InsertField { index: 2, name: name.clone(), value: value.clone() },
            ),
            (
                r#""type": "changeHeader", "index": 1, "name": "X-A", "value": "b""#,
                Edit::ChangeField { index: 1, name: name.clone(), value },
            ),
            (
                r#""type": "changeHeader", "index": 1, "name": "X-A", "value": """#,
                Edit::RemoveField { index: 1, name: name.clone() },
            ),
            (r#""type": "deleteHeader", "index": 1, "name": "X-A""#, Edit::RemoveField { index: 1, name }),
        ] {
            assert_eq!(of(&format!("{{{text}}}")), Modification::Edit(wanted), "{text}");
        }
    }

    #[test]
    fn what_would_be_more_than_one_field_or_no_address_is_an_error() {
        for text in [
            r#"{"type": "addHeader", "name": "X-A", "value": "b\r\nX-B: c"}"#,
            r#"{"type": "addHeader", "name": "X-A", "value": "b\r\n\r\nbody"}"#,
            r#"{"type": "addHeader", "name": "X-A", "value": "b\rc"}"#,
            r#"{"type": "addHeader", "name": "X-A: b\r\nX-B", "value": "c"}"#,
            r#"{"type": "addHeader", "name": "", "value": "c"}"#,
            r#"{"type": "changeFrom", "value": "nobody"}"#,
            r#"{"type": "addRecipient", "value": "a@b.example> NOTIFY=NEVER"}"#,
            r#"{"type": "addRecipient", "value": ""}"#,
            r#"{"type": "replaceContents", "contentsEncoding": "base64", "value": "!"}"#,
            r#"{"type": "replaceContents", "contentsEncoding": "rot13", "value": "a"}"#,
        ] {
            assert!(changes(text).is_err(), "{text}");
        }
        assert_eq!(
            changes(r#"{"type": "addHeader", "name": "X-A", "value": "b\r\n c\r\n"}"#).unwrap().len(),
            1
        );
    }
}
