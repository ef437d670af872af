//! Answers as JSON.

use std::sync::Arc;

use postern_core::expr::{LookupFailure, Value};
use postern_core::session::check::{
    Check, CheckResult, Dmarc, DmarcPolicy, MessageResults, Signature, SignatureTags,
};
use postern_core::session::question::{Answer, DirectoryAnswer};
use postern_core::smtp::reply::Reply;
use serde::{Deserialize, Serialize};

use super::{AddressRecord, ReplyRecord, VerdictRecord};

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Recorded {
    /// Of a lookup.
    Value(ValueRecord),
    /// Of a lookup that failed.
    Failure(FailureRecord),
    /// Of reverse DNS or SPF.
    Check(CheckRecord),
    /// Of DKIM, ARC and DMARC.
    Message(MessageRecord),
    /// Of a filter.
    Verdict(VerdictRecord),
    /// Of a directory outside of the policy.
    Directory(DirectoryRecord),
    /// Of the next hops to new recipients: nothing, or the refusal.
    NextHops(Option<ReplyRecord>),
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ValueRecord {
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Several of them.
    List(Vec<ValueRecord>),
}

/// Why a lookup found nothing out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureRecord {
    /// DNS failed.
    Dns(String),
    /// The store failed.
    Store(String),
    /// The directory failed.
    Directory(String),
    /// Nobody answered in time.
    TimedOut,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckRecord {
    result: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<Arc<str>>,
}

/// The results of the checks of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dkim: Option<Vec<SignatureRecord>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arc: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dmarc: Option<DmarcRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SignatureRecord {
    result: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<TagsRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TagsRecord {
    domain: Arc<str>,
    selector: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<Arc<str>>,
    start: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DmarcRecord {
    result: Word,
    policy: Policy,
    from: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Arc<str>>,
}

/// What a directory knows of an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DirectoryRecord {
    /// A mailbox, under this address.
    Mailbox(AddressRecord),
    /// A list of these members.
    List(Vec<AddressRecord>),
    /// Nobody of that name.
    Unknown,
    /// It gave no answer.
    Unavailable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Pass,
    Fail,
    SoftFail,
    Neutral,
    None,
    TempError,
    PermError,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Policy {
    None,
    Quarantine,
    Reject,
}

impl Recorded {
    /// What next hops said.
    #[must_use]
    pub fn next_hops(refusal: Option<&Reply>) -> Self {
        Self::NextHops(refusal.cloned().map(ReplyRecord))
    }

    /// An answer that can be kept; nothing for those that are found out anew each time.
    #[must_use]
    pub fn of(answer: &Answer) -> Option<Self> {
        Some(match answer {
            Answer::Value(Ok(value)) => Self::Value(ValueRecord::of(value)),
            Answer::Value(Err(failure)) => Self::Failure(FailureRecord::of(failure)),
            Answer::Check(check) => {
                Self::Check(CheckRecord { result: Word::of(check.result), detail: check.detail.clone() })
            }
            Answer::Message(results) => Self::Message(MessageRecord::of(results)),
            Answer::Directory(found) => Self::Directory(DirectoryRecord::of(found)),
            Answer::Verified(refusal) => Self::next_hops(refusal.as_ref()),
            _ => return None,
        })
    }

    /// The answer; nothing for the verdict of a filter, which is only a part of one.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        Some(match self {
            Self::Value(value) => Answer::Value(Ok(value.value())),
            Self::Failure(failure) => Answer::Value(Err(failure.failure())),
            Self::Check(check) => {
                Answer::Check(Check { result: check.result.result(), detail: check.detail.clone() })
            }
            Self::Message(message) => Answer::Message(Box::new(message.results())),
            Self::Directory(found) => Answer::Directory(found.answer()),
            Self::NextHops(refusal) => Answer::Verified(refusal.as_ref().map(|record| record.0.clone())),
            Self::Verdict(_) => return None,
        })
    }
}

impl DirectoryRecord {
    fn of(answer: &DirectoryAnswer) -> Self {
        match answer {
            DirectoryAnswer::Mailbox(address) => Self::Mailbox(AddressRecord(address.clone())),
            DirectoryAnswer::List(members) => {
                Self::List(members.iter().cloned().map(AddressRecord).collect())
            }
            DirectoryAnswer::Unknown => Self::Unknown,
            DirectoryAnswer::Unavailable => Self::Unavailable,
        }
    }

    fn answer(&self) -> DirectoryAnswer {
        match self {
            Self::Mailbox(address) => DirectoryAnswer::Mailbox(address.0.clone()),
            Self::List(members) => {
                DirectoryAnswer::List(members.iter().map(|member| member.0.clone()).collect())
            }
            Self::Unknown => DirectoryAnswer::Unknown,
            Self::Unavailable => DirectoryAnswer::Unavailable,
        }
    }
}

impl ValueRecord {
    fn of(value: &Value<'_>) -> Self {
        match value {
            Value::Integer(number) => Self::Integer(*number),
            Value::List(list) => Self::List(list.iter().map(Self::of).collect()),
            other => Self::Text(other.clone().into_text().into_owned()),
        }
    }

    fn value(&self) -> Value<'static> {
        match self {
            Self::Integer(number) => Value::Integer(*number),
            Self::Text(text) => Value::from(text.clone()),
            Self::List(list) => Value::from(list.iter().map(Self::value).collect::<Vec<_>>()),
        }
    }
}

impl FailureRecord {
    fn of(failure: &LookupFailure) -> Self {
        match failure {
            LookupFailure::Dns(why) => Self::Dns(why.clone()),
            LookupFailure::Store(why) => Self::Store(why.clone()),
            LookupFailure::Directory(why) => Self::Directory(why.clone()),
            LookupFailure::TimedOut | LookupFailure::OutOfStep => Self::TimedOut,
        }
    }

    fn failure(&self) -> LookupFailure {
        match self {
            Self::Dns(why) => LookupFailure::Dns(why.clone()),
            Self::Store(why) => LookupFailure::Store(why.clone()),
            Self::Directory(why) => LookupFailure::Directory(why.clone()),
            Self::TimedOut => LookupFailure::TimedOut,
        }
    }
}

impl MessageRecord {
    fn of(results: &MessageResults) -> Self {
        let signature = |signature: &Signature| SignatureRecord {
            result: Word::of(signature.result),
            tags: signature.tags.clone().map(|tags| TagsRecord {
                domain: tags.domain,
                selector: tags.selector,
                identity: tags.identity,
                start: tags.start,
            }),
            reason: signature.reason.clone(),
        };
        Self {
            dkim: results.dkim.as_ref().map(|all| all.iter().map(signature).collect()),
            arc: results.arc.map(Word::of),
            dmarc: results.dmarc.as_ref().map(|dmarc| DmarcRecord {
                result: Word::of(dmarc.result),
                policy: match dmarc.policy {
                    DmarcPolicy::None => Policy::None,
                    DmarcPolicy::Quarantine => Policy::Quarantine,
                    DmarcPolicy::Reject => Policy::Reject,
                },
                from: Arc::clone(&dmarc.from),
                reason: dmarc.reason.clone(),
            }),
        }
    }

    fn results(&self) -> MessageResults {
        let signature = |record: &SignatureRecord| Signature {
            result: record.result.result(),
            tags: record.tags.clone().map(|tags| SignatureTags {
                domain: tags.domain,
                selector: tags.selector,
                identity: tags.identity,
                start: tags.start,
            }),
            reason: record.reason.clone(),
        };
        MessageResults {
            dkim: self.dkim.as_ref().map(|all| all.iter().map(signature).collect()),
            arc: self.arc.map(Word::result),
            dmarc: self.dmarc.as_ref().map(|record| Dmarc {
                result: record.result.result(),
                policy: match record.policy {
                    Policy::None => DmarcPolicy::None,
                    Policy::Quarantine => DmarcPolicy::Quarantine,
                    Policy::Reject => DmarcPolicy::Reject,
                },
                from: Arc::clone(&record.from),
                reason: record.reason.clone(),
            }),
        }
    }
}

impl Word {
    fn of(result: CheckResult) -> Self {
        match result {
            CheckResult::Pass => Self::Pass,
            CheckResult::Fail => Self::Fail,
            CheckResult::SoftFail => Self::SoftFail,
            CheckResult::Neutral => Self::Neutral,
            CheckResult::None => Self::None,
            CheckResult::TempError => Self::TempError,
            CheckResult::PermError => Self::PermError,
        }
    }

    fn result(self) -> CheckResult {
        match self {
            Self::Pass => CheckResult::Pass,
            Self::Fail => CheckResult::Fail,
            Self::SoftFail => CheckResult::SoftFail,
            Self::Neutral => CheckResult::Neutral,
            Self::None => CheckResult::None,
            Self::TempError => CheckResult::TempError,
            Self::PermError => CheckResult::PermError,
        }
    }
}
