//! The changes that rspamd asks for: what it would tell a mail server that speaks the milter protocol.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::answer::{AnswerError, shortened};
use crate::message::edit::Edit;
use crate::message::field::{NameAndValue, is_one_field};
use crate::message::header::Header;
use crate::smtp::address::{Address, ReversePath};
use crate::verdict::Modification;

/// The `milter` block.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Milter {
    add_headers: BTreeMap<String, OneOrMore<NewField>>,
    /// 0: all of that name; n: the n-th; -n: the n-th from the end.
    remove_headers: BTreeMap<String, OneOrMore<i64>>,
    change_from: Option<String>,
    add_rcpt: Vec<String>,
    del_rcpt: Vec<String>,
    /// The mark of spam, for the action `add header`.
    pub(super) spam_header: Option<SpamHeader>,
    /// Whatever the action says, the message is to be delivered.
    pub(super) no_action: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::More(more) => more,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum NewField {
    Text(String),
    Number(serde_json::Number),
    Placed {
        value: String,
        #[serde(default)]
        order: Option<i64>,
    },
}

/// `spam_header`: a value for `X-Spam`, or fields.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum SpamHeader {
    Value(String),
    Fields(BTreeMap<String, String>),
}

impl SpamHeader {
    pub(super) fn fields(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Value(value) => vec![("X-Spam", value)],
            Self::Fields(fields) => {
                fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
            }
        }
    }
}

/// `dkim-signature`
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Signatures(OneOrMore<String>);

impl Signatures {
    pub(super) fn edits(self) -> Result<Vec<Modification>, AnswerError> {
        let edit = |signature: String| {
            let (name, value) = field("DKIM-Signature", &signature)?;
            Ok(Modification::Edit(Edit::AddField { name, value }))
        };
        self.0.into_vec().into_iter().map(edit).collect()
    }
}

impl Milter {
    /// Everything but the mark of spam. Removals come first, so that positions count what rspamd was shown.
    pub(super) fn modifications(self, header: &Header) -> Result<Vec<Modification>, AnswerError> {
        let mut changes = Vec::new();
        for (name, positions) in self.remove_headers {
            let (name, _) = field(&name, "")?;
            for position in positions.into_vec() {
                changes.extend(remove(header, &name, position));
            }
        }
        for (name, fields) in self.add_headers {
            for wanted in fields.into_vec() {
                changes.push(Modification::Edit(wanted.edit(&name, header)?));
            }
        }
        if let Some(sender) = self.change_from {
            changes.push(Modification::SetSender(path(&sender)?, None));
        }
        for address in self.add_rcpt {
            changes.push(Modification::AddRecipient(mailbox(&address)?, None));
        }
        for address in self.del_rcpt {
            changes.push(Modification::RemoveRecipient(mailbox(&address)?));
        }
        Ok(changes)
    }
}

impl NewField {
    fn edit(self, name: &str, header: &Header) -> Result<Edit, AnswerError> {
        let (text, order) = match self {
            Self::Text(text) => (text, None),
            Self::Number(number) => (number.to_string(), None),
            Self::Placed { value, order } => (value, order),
        };
        let (name, value) = field(name, &text)?;
        let Some(order) = order else { return Ok(Edit::AddField { name, value }) };
        // Negative positions count from the end: -1 is behind the last field.
        let fields = i64::try_from(header.fields().len()).unwrap_or(i64::MAX);
        let index = if order < 0 { fields.saturating_add(order).saturating_add(1) } else { order };
        Ok(Edit::InsertField { index: u32::try_from(index.max(0)).unwrap_or(u32::MAX), name, value })
    }
}

/// Takes fields away, the last first, since each removal changes the count of those behind it.
pub(super) fn remove(header: &Header, name: &[u8], position: i64) -> Vec<Modification> {
    let there = i64::try_from(header.count(name)).unwrap_or(i64::MAX);
    let places = match position {
        0 => 1..=there,
        1.. => position..=position,
        ..0 => {
            let place = there.saturating_add(position).saturating_add(1);
            place..=place
        }
    };
    places
        .rev()
        .filter(|place| (1..=there).contains(place))
        .filter_map(|place| u32::try_from(place).ok())
        .map(|index| Modification::Edit(Edit::RemoveField { index, name: name.into() }))
        .collect()
}

/// Name and value of one header field.
pub(super) fn field(name: &str, value: &str) -> Result<NameAndValue, AnswerError> {
    if is_one_field(name.as_bytes(), value.as_bytes()) {
        Ok((name.as_bytes().into(), value.as_bytes().into()))
    } else {
        Err(AnswerError::Field(shortened(name)))
    }
}

fn path(text: &str) -> Result<ReversePath, AnswerError> {
    match bare(text) {
        "" => Ok(ReversePath::Null),
        address => mailbox(address).map(ReversePath::Mailbox),
    }
}

fn mailbox(text: &str) -> Result<Address, AnswerError> {
    Address::parse(bare(text)).map_err(|_| AnswerError::Address(shortened(text)))
}

fn bare(address: &str) -> &str {
    let address = address.trim();
    address.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(address)
}
