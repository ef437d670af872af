//! The changes that a milter asks for at the end of a message, until its last word makes them count.

use super::error::MilterError;
use super::frame::{Frame, split_text};
use super::options::{Options, action};
use crate::message::edit::Edit;
use crate::smtp::address::{Address, ReversePath};
use crate::smtp::parameters::{MailParameters, RcptParameters};
use crate::verdict::Modification;

/// What one milter asks for of one message.
#[derive(Debug)]
pub(super) struct Changes {
    modifications: Vec<Modification>,
    body: Option<Vec<u8>>,
    octets: u64,
    max_octets: u64,
}

impl Changes {
    pub(super) fn new(max_octets: u64) -> Self {
        Self { modifications: Vec::new(), body: None, octets: 0, max_octets }
    }

    /// Octets that are held.
    pub(super) const fn octets(&self) -> u64 {
        self.octets
    }

    /// Takes one change.
    ///
    /// # Errors
    ///
    /// When it was not offered, cannot be read, or is one too many.
    pub(super) fn take(&mut self, frame: &Frame<'_>, options: &Options) -> Result<(), MilterError> {
        let code = char::from(frame.code);
        if !action_of(frame.code).is_some_and(|action| options.allows(action)) {
            return Err(MilterError::NotOffered(code));
        }
        self.octets = self.octets.saturating_add(frame.payload.len() as u64);
        if self.octets > self.max_octets {
            return Err(MilterError::TooLarge { most: self.max_octets });
        }
        if frame.code == b'b' {
            self.body.get_or_insert_default().extend_from_slice(frame.payload);
            return Ok(());
        }
        if self.modifications.len() >= MAX_CHANGES {
            return Err(MilterError::TooMany { most: MAX_CHANGES });
        }
        self.modifications.extend(modification(frame)?);
        Ok(())
    }

    /// All of them, in order.
    pub(super) fn into_modifications(self) -> Vec<Modification> {
        let mut all = self.modifications;
        all.extend(self.body.map(|body| Modification::Edit(Edit::ReplaceBody(body.into()))));
        all
    }
}

const fn action_of(code: u8) -> Option<u32> {
    Some(match code {
        b'h' | b'i' => action::ADD_FIELDS,
        b'm' => action::CHANGE_FIELDS,
        b'b' => action::CHANGE_BODY,
        b'+' => action::ADD_RECIPIENT,
        b'2' => action::ADD_RECIPIENT_WITH_PARAMETERS,
        b'-' => action::DELETE_RECIPIENT,
        b'e' => action::CHANGE_SENDER,
        b'q' => action::QUARANTINE,
        _ => return None,
    })
}

/// What a frame asks for; nothing when there is nothing to do.
fn modification(frame: &Frame<'_>) -> Result<Option<Modification>, MilterError> {
    let malformed = || MilterError::Malformed(frame.code.into());
    Ok(Some(match frame.code {
        b'h' => {
            let (name, value) = field(frame.payload, frame.code)?;
            Modification::Edit(Edit::AddField { name: name.into(), value: value.into() })
        }
        b'i' | b'm' => {
            let (index, rest) = frame.payload.split_first_chunk().ok_or_else(malformed)?;
            let index = u32::from_be_bytes(*index);
            // libmilter has an `int` there.
            if index > i32::MAX.unsigned_abs() {
                return Err(malformed());
            }
            let (name, value) = field(rest, frame.code)?;
            let (name, value) = (name.into(), Box::<[u8]>::from(value));
            Modification::Edit(match frame.code {
                b'i' => Edit::InsertField { index, name, value },
                _ if value.is_empty() => Edit::RemoveField { index, name },
                _ => Edit::ChangeField { index, name, value },
            })
        }
        b'+' | b'2' => {
            let (address, rest) = split_text(frame.payload).ok_or_else(malformed)?;
            let parameters = parameters(rest).map(|text| Box::new(RcptParameters::from_filter(&text)));
            Modification::AddRecipient(mailbox(address)?, parameters)
        }
        b'-' => {
            let (address, _) = split_text(frame.payload).ok_or_else(malformed)?;
            // What is no address is no recipient either.
            let Ok(address) = mailbox(address) else { return Ok(None) };
            Modification::RemoveRecipient(address)
        }
        b'e' => {
            let (address, rest) = split_text(frame.payload).ok_or_else(malformed)?;
            let sender = match without_brackets(address) {
                b"" => ReversePath::Null,
                address => ReversePath::Mailbox(mailbox(address)?),
            };
            let parameters = parameters(rest).map(|text| Box::new(MailParameters::from_filter(&text)));
            Modification::SetSender(sender, parameters)
        }
        b'q' => {
            let (reason, _) = split_text(frame.payload).ok_or_else(malformed)?;
            Modification::Quarantine(String::from_utf8_lossy(reason).into_owned())
        }
        _ => return Err(malformed()),
    }))
}

/// Name and value. The value may be folded, with CRLF or LF, and end with a line end; nothing else of that kind may
/// stand in either, or the field would be several, or the header would end there.
fn field(payload: &[u8], code: u8) -> Result<(&[u8], &[u8]), MilterError> {
    let malformed = || MilterError::Malformed(code.into());
    let (name, rest) = split_text(payload).ok_or_else(malformed)?;
    let (value, _) = split_text(rest).ok_or_else(malformed)?;
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    let is_name = !name.is_empty() && name.iter().all(|octet| matches!(octet, b'!'..=b'9' | b';'..=b'~'));
    if is_name && is_folded_well(value) { Ok((name, value)) } else { Err(MilterError::BrokenField) }
}

fn is_folded_well(value: &[u8]) -> bool {
    memchr::memchr2_iter(b'\r', b'\n', value).all(|at| {
        let next = value.get(at + 1);
        match value.get(at) {
            Some(b'\r') => next == Some(&b'\n'),
            _ => matches!(next, Some(b' ' | b'\t')),
        }
    })
}

fn without_brackets(address: &[u8]) -> &[u8] {
    let address = address.trim_ascii();
    address.strip_prefix(b"<").and_then(|address| address.strip_suffix(b">")).unwrap_or(address)
}

fn mailbox(address: &[u8]) -> Result<Address, MilterError> {
    let unusable = || {
        let text = String::from_utf8_lossy(address);
        MilterError::Address(text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect())
    };
    Address::parse(without_brackets(address)).map_err(|_| unusable())
}

/// Parameters behind an address, if there are any.
fn parameters(payload: &[u8]) -> Option<String> {
    let (text, _) = split_text(payload)?;
    Some(String::from_utf8_lossy(text).into_owned()).filter(|text| !text.trim().is_empty())
}

/// As many header fields as a message may have.
const MAX_CHANGES: usize = crate::message::header::MAX_FIELDS;

/// Characters of a wrong address that an error shows.
const MAX_SHOWN: usize = 100;
