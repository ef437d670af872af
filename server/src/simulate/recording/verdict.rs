//! Verdicts as JSON: in recordings, and in tests that say what a filter is to answer.

use postern_core::envelope::Recipient;
use postern_core::message::edit::Edit;
use postern_core::smtp::parameters::{MailParameters, RcptParameters};
use postern_core::verdict::{Generated, GeneratedMessage, Modification, Verdict};
use serde::{Deserialize, Serialize};

use super::parts::{AddressRecord, OctetsRecord, PathRecord, ReplyRecord, mail_words, rcpt_words};

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
    /// It had no verdict when the time for all filters of the stage was over.
    OutOfTime,
}

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
            Self::Failed(_) | Self::OutOfTime => return None,
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

#[cfg(test)]
mod tests {
    use postern_core::smtp::address::{Address, ReversePath};
    use postern_core::smtp::reply::Reply;

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
        assert_eq!(serde_json::from_str::<VerdictRecord>("\"outOfTime\"").unwrap().verdict(), None);
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
