//! Verdicts as JSON: in recordings, and in tests that say what a filter is to answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postern_core::envelope::Recipient;
use postern_core::message::edit::Edit;
use postern_core::smtp::address::{Address, ReversePath};
use postern_core::smtp::parameters::{MailParameters, RcptParameters};
use postern_core::smtp::reply::Reply;
use postern_core::verdict::{Generated, GeneratedMessage, Modification, Verdict};
use serde::{Deserialize, Serialize};

/// What a filter said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum VerdictRecord {
    /// Go on, with these changes.
    Pass(Vec<ChangeRecord>),
    /// 5xx
    Reject(ReplyRecord),
    /// 4xx
    Defer(ReplyRecord),
    /// Accept and deliver nothing.
    Discard,
    /// Reply if there is one, and close.
    Disconnect(Option<ReplyRecord>),
    /// It broke, for this reason.
    Failed(String),
}

/// A reply, as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplyRecord(pub Reply);

/// An address, as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRecord(pub Address);

/// A reverse path: an address, or nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathRecord(ReversePath);

/// Octets: text where they are UTF-8, else base64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OctetsRecord {
    /// Text.
    Text(String),
    /// Anything else.
    Base64 {
        /// RFC 4648
        base64: Base64Record,
    },
}

/// Octets in base64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Base64Record(Vec<u8>);

/// One change. Its parts are those of the [`Modification`] of that name.
#[expect(missing_docs, reason = "they are described where the session has them")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ChangeRecord {
    /// A new sender, and its parameters.
    SetSender {
        address: PathRecord,
        #[serde(default)]
        parameters: Option<String>,
    },
    /// One more recipient.
    AddRecipient {
        address: AddressRecord,
        #[serde(default)]
        parameters: Option<String>,
    },
    /// One less.
    RemoveRecipient { address: AddressRecord },
    /// Another one in place of the last.
    SetRecipient { address: AddressRecord },
    /// Its parameters.
    SetRecipientParameters { parameters: String },
    /// A field at the top.
    AddField { name: OctetsRecord, value: OctetsRecord },
    /// A field at that place, from 0.
    InsertField { index: u32, name: OctetsRecord, value: OctetsRecord },
    /// Another value for the n-th field of that name, from 1.
    ChangeField { index: u32, name: OctetsRecord, value: OctetsRecord },
    /// Without the n-th field of that name, from 1.
    RemoveField { index: u32, name: OctetsRecord },
    /// Another body.
    ReplaceBody(OctetsRecord),
    /// Another message.
    ReplaceMessage(OctetsRecord),
    /// The changes of the next filter follow.
    NextFilter,
    /// To quarantine, for this reason.
    Quarantine(String),
    /// Another message beside this one.
    Generate {
        sender: PathRecord,
        parameters: String,
        recipient: AddressRecord,
        recipient_parameters: String,
        message: GeneratedRecord,
    },
    /// Nothing of this message.
    Drop,
}

/// What a generated message holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GeneratedRecord {
    /// The message as it is then.
    InHand,
    /// Another form of it.
    Edited(OctetsRecord),
    /// A message of its own.
    Own(OctetsRecord),
}

impl VerdictRecord {
    /// A verdict, as it is kept.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Pass(changes) => Self::Pass(changes.iter().map(ChangeRecord::of).collect()),
            Verdict::Reject(reply) => Self::Reject(ReplyRecord(reply.clone())),
            Verdict::Defer(reply) => Self::Defer(ReplyRecord(reply.clone())),
            Verdict::Discard => Self::Discard,
            Verdict::Disconnect(reply) => Self::Disconnect(reply.clone().map(ReplyRecord)),
        }
    }

    /// The verdict; none where the filter broke.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        Some(match self {
            Self::Pass(changes) => Verdict::Pass(changes.iter().map(ChangeRecord::modification).collect()),
            Self::Reject(reply) => Verdict::Reject(reply.0.clone()),
            Self::Defer(reply) => Verdict::Defer(reply.0.clone()),
            Self::Discard => Verdict::Discard,
            Self::Disconnect(reply) => Verdict::Disconnect(reply.as_ref().map(|reply| reply.0.clone())),
            Self::Failed(_) => return None,
        })
    }
}

impl ChangeRecord {
    fn of(change: &Modification) -> Self {
        match change {
            Modification::SetSender(sender, parameters) => Self::SetSender {
                address: PathRecord(sender.clone()),
                parameters: parameters.as_deref().map(mail_words),
            },
            Modification::AddRecipient(address, parameters) => Self::AddRecipient {
                address: AddressRecord(address.clone()),
                parameters: parameters.as_deref().map(rcpt_words),
            },
            Modification::RemoveRecipient(address) => {
                Self::RemoveRecipient { address: AddressRecord(address.clone()) }
            }
            Modification::SetRecipient(address) => {
                Self::SetRecipient { address: AddressRecord(address.clone()) }
            }
            Modification::SetRecipientParameters(parameters) => {
                Self::SetRecipientParameters { parameters: rcpt_words(parameters) }
            }
            Modification::Edit(edit) => Self::of_edit(edit),
            Modification::Quarantine(reason) => Self::Quarantine(reason.clone()),
            Modification::Generate(generated) => Self::Generate {
                sender: PathRecord(generated.sender.clone()),
                parameters: mail_words(&generated.parameters),
                recipient: AddressRecord(generated.recipient.address.clone()),
                recipient_parameters: rcpt_words(&generated.recipient.parameters),
                message: match &generated.message {
                    GeneratedMessage::InHand => GeneratedRecord::InHand,
                    GeneratedMessage::Edited(octets) => GeneratedRecord::Edited(OctetsRecord::of(octets)),
                    GeneratedMessage::Own(octets) => GeneratedRecord::Own(OctetsRecord::of(octets)),
                },
            },
            Modification::Drop => Self::Drop,
        }
    }

    fn of_edit(edit: &Edit) -> Self {
        let octets = |octets: &[u8]| OctetsRecord::of(octets);
        match edit {
            Edit::AddField { name, value } => Self::AddField { name: octets(name), value: octets(value) },
            Edit::InsertField { index, name, value } => {
                Self::InsertField { index: *index, name: octets(name), value: octets(value) }
            }
            Edit::ChangeField { index, name, value } => {
                Self::ChangeField { index: *index, name: octets(name), value: octets(value) }
            }
            Edit::RemoveField { index, name } => Self::RemoveField { index: *index, name: octets(name) },
            Edit::ReplaceBody(body) => Self::ReplaceBody(octets(body)),
            Edit::ReplaceMessage(message) => Self::ReplaceMessage(octets(message)),
            Edit::NextFilter => Self::NextFilter,
        }
    }

    /// The change.
    #[must_use]
    pub fn modification(&self) -> Modification {
        match self {
            Self::SetSender { address, parameters } => {
                let parameters =
                    parameters.as_deref().map(|text| Box::new(MailParameters::from_filter(text)));
                Modification::SetSender(address.0.clone(), parameters)
            }
            Self::AddRecipient { address, parameters } => {
                let parameters =
                    parameters.as_deref().map(|text| Box::new(RcptParameters::from_filter(text)));
                Modification::AddRecipient(address.0.clone(), parameters)
            }
            Self::RemoveRecipient { address } => Modification::RemoveRecipient(address.0.clone()),
            Self::SetRecipient { address } => Modification::SetRecipient(address.0.clone()),
            Self::SetRecipientParameters { parameters } => {
                Modification::SetRecipientParameters(Box::new(RcptParameters::from_filter(parameters)))
            }
            Self::Quarantine(reason) => Modification::Quarantine(reason.clone()),
            Self::Generate { sender, parameters, recipient, recipient_parameters, message } => {
                Modification::Generate(Box::new(Generated {
                    sender: sender.0.clone(),
                    parameters: MailParameters::from_filter(parameters),
                    recipient: Recipient {
                        address: recipient.0.clone(),
                        parameters: RcptParameters::from_filter(recipient_parameters),
                    },
                    message: match message {
                        GeneratedRecord::InHand => GeneratedMessage::InHand,
                        GeneratedRecord::Edited(octets) => GeneratedMessage::Edited(octets.octets()),
                        GeneratedRecord::Own(octets) => GeneratedMessage::Own(octets.octets()),
                    },
                }))
            }
            Self::Drop => Modification::Drop,
            edit => Modification::Edit(edit.edit()),
        }
    }

    fn edit(&self) -> Edit {
        match self {
            Self::AddField { name, value } => Edit::AddField { name: name.octets(), value: value.octets() },
            Self::InsertField { index, name, value } => {
                Edit::InsertField { index: *index, name: name.octets(), value: value.octets() }
            }
            Self::ChangeField { index, name, value } => {
                Edit::ChangeField { index: *index, name: name.octets(), value: value.octets() }
            }
            Self::RemoveField { index, name } => Edit::RemoveField { index: *index, name: name.octets() },
            Self::ReplaceBody(body) => Edit::ReplaceBody(body.octets()),
            Self::ReplaceMessage(message) => Edit::ReplaceMessage(message.octets()),
            _ => Edit::NextFilter,
        }
    }
}

impl OctetsRecord {
    fn of(octets: &[u8]) -> Self {
        match std::str::from_utf8(octets) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64 { base64: Base64Record(octets.to_vec()) },
        }
    }

    fn octets(&self) -> Box<[u8]> {
        match self {
            Self::Text(text) => text.as_bytes().into(),
            Self::Base64 { base64 } => base64.0.as_slice().into(),
        }
    }
}

impl TryFrom<String> for Base64Record {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        STANDARD.decode(&text).map(Self).map_err(|error| error.to_string())
    }
}

impl From<Base64Record> for String {
    fn from(record: Base64Record) -> Self {
        STANDARD.encode(record.0)
    }
}

impl TryFrom<String> for ReplyRecord {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Reply::from_text(&text).map(Self).ok_or_else(|| format!("`{}` is no reply", text.escape_debug()))
    }
}

impl From<ReplyRecord> for String {
    fn from(record: ReplyRecord) -> Self {
        as_lines(&record.0)
    }
}

impl TryFrom<String> for AddressRecord {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Address::parse(&text).map(Self).map_err(|error| format!("`{}`: {error}", text.escape_debug()))
    }
}

impl From<AddressRecord> for String {
    fn from(record: AddressRecord) -> Self {
        record.0.to_string()
    }
}

impl TryFrom<String> for PathRecord {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(ReversePath::Null));
        }
        AddressRecord::try_from(text).map(|AddressRecord(address)| Self(ReversePath::Mailbox(address)))
    }
}

impl From<PathRecord> for String {
    fn from(record: PathRecord) -> Self {
        record.0.address().map(ToString::to_string).unwrap_or_default()
    }
}

/// A reply as the client sees it, its lines parted by LF.
pub(crate) fn as_lines(reply: &Reply) -> String {
    let mut octets = Vec::new();
    reply.write_to(&mut octets);
    String::from_utf8_lossy(&octets).replace("\r\n", "\n").trim_end().to_owned()
}

/// Parameters of MAIL in one text.
pub(crate) fn mail_words(parameters: &MailParameters) -> String {
    parameters.iter().map(|parameter| parameter.to_string()).collect::<Vec<_>>().join(" ")
}

/// Parameters of RCPT in one text.
fn rcpt_words(parameters: &RcptParameters) -> String {
    let notify = parameters.notify.map(|notify| format!("NOTIFY={notify}"));
    let orcpt = parameters.orcpt.as_ref().map(|orcpt| format!("ORCPT={orcpt}"));
    notify.into_iter().chain(orcpt).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_comes_back_as_it_was() {
        let address = || Address::parse("ann@example.org").unwrap();
        let field =
            |octets: &[u8]| Edit::ChangeField { index: 2, name: (*b"X-A").into(), value: octets.into() };
        let generated = Generated {
            sender: ReversePath::Null,
            parameters: MailParameters::from_filter("REQUIRETLS"),
            recipient: Recipient {
                address: address(),
                parameters: RcptParameters::from_filter("NOTIFY=NEVER"),
            },
            message: GeneratedMessage::Edited((*b"A: b\r\n\r\n").into()),
        };
        let changes = vec![
            Modification::SetSender(ReversePath::Null, Some(Box::default())),
            Modification::AddRecipient(address(), None),
            Modification::RemoveRecipient(address()),
            Modification::SetRecipient(address()),
            Modification::SetRecipientParameters(Box::new(RcptParameters::from_filter("NOTIFY=DELAY"))),
            Modification::Edit(field(b"plain")),
            Modification::Edit(field(&[0xFF, 0])),
            Modification::Edit(Edit::NextFilter),
            Modification::Edit(Edit::RemoveField { index: 1, name: (*b"X-B").into() }),
            Modification::Edit(Edit::ReplaceBody((*b"new").into())),
            Modification::Quarantine("odd".to_owned()),
            Modification::Generate(Box::new(generated)),
            Modification::Drop,
        ];
        let reply = || Reply::from_text("550-5.7.1 one\n550 5.7.1 two").unwrap();
        for verdict in [
            Verdict::Pass(changes),
            Verdict::Reject(reply()),
            Verdict::Defer(Reply::from_text("451 later").unwrap()),
            Verdict::Discard,
            Verdict::Disconnect(None),
            Verdict::Disconnect(Some(reply())),
        ] {
            let text = serde_json::to_string(&VerdictRecord::of(&verdict)).unwrap();
            let back: VerdictRecord = serde_json::from_str(&text).unwrap();
            assert_eq!(back.verdict(), Some(verdict), "{text}");
        }
        assert_eq!(VerdictRecord::Failed("gone".to_owned()).verdict(), None);
    }

    #[test]
    fn what_is_no_reply_is_no_record() {
        assert!(serde_json::from_str::<VerdictRecord>(r#"{"reject": "go away"}"#).is_err());
        assert!(
            serde_json::from_str::<VerdictRecord>(r#"{"pass": [{"addRecipient": {"address": "x"}}]}"#)
                .is_err()
        );
    }
}
