//! Replies, addresses and octets as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postern_core::smtp::address::{Address, ReversePath};
use postern_core::smtp::parameters::{MailParameters, RcptParameters};
use postern_core::smtp::reply::Reply;
use serde::{Deserialize, Serialize};

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
pub struct PathRecord(pub ReversePath);

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

impl OctetsRecord {
    pub(super) fn of(octets: &[u8]) -> Self {
        match std::str::from_utf8(octets) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64 { base64: Base64Record(octets.to_vec()) },
        }
    }

    pub(super) fn octets(&self) -> Box<[u8]> {
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
pub(super) fn rcpt_words(parameters: &RcptParameters) -> String {
    let notify = parameters.notify.map(|notify| format!("NOTIFY={notify}"));
    let orcpt = parameters.orcpt.as_ref().map(|orcpt| format!("ORCPT={orcpt}"));
    notify.into_iter().chain(orcpt).collect::<Vec<_>>().join(" ")
}
