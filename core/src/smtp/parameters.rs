//! The parameters of MAIL and RCPT, checked for form but not yet for whether the extension is on.

use super::parameter_values as values;

/// Parameters of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// `SIZE=`, octets (RFC 1870).
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152, RFC 3030).
    pub body: Option<BodyType>,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `REQUIRETLS` (RFC 8689).
    pub require_tls: bool,
    /// `RET=` (RFC 3461 section 4.3).
    pub ret: Option<DsnReturn>,
    /// `ENVID=`, decoded from xtext (RFC 3461 section 4.4).
    pub envid: Option<String>,
    /// `BY=` (RFC 2852).
    pub by: Option<DeliverBy>,
    /// `MT-PRIORITY=`, as given; the allowed range depends on the session (RFC 6710).
    pub mt_priority: Option<i64>,
    /// `HOLDFOR=` or `HOLDUNTIL=` (RFC 4865).
    pub hold: Option<Hold>,
    /// `AUTH=`, decoded from xtext; read, not used (RFC 4954 section 5).
    pub auth: Option<String>,
}

impl MailParameters {
    /// Takes one parameter, the keyword in any case. One that was set before is replaced.
    ///
    /// # Errors
    ///
    /// A [`ParameterError`]; nothing is changed then.
    pub fn set(&mut self, keyword: &str, value: Option<&str>) -> Result<(), ParameterError> {
        match upper_case(keyword, &mut [0; 16]) {
            "SIZE" => self.size = Some(values::of(value, values::size)?),
            "BODY" => self.body = Some(values::of(value, values::body)?),
            "SMTPUTF8" => self.smtputf8 = values::none(value)?,
            "REQUIRETLS" => self.require_tls = values::none(value)?,
            "RET" => self.ret = Some(values::of(value, values::ret)?),
            "ENVID" => self.envid = Some(values::of(value, values::envid)?),
            "BY" => self.by = Some(values::of(value, values::by)?),
            "MT-PRIORITY" => self.mt_priority = Some(values::of(value, values::mt_priority)?),
            "HOLDFOR" => {
                let hold = Hold::For(values::of(value, values::hold_for)?);
                self.hold =
                    Some(if let Some(Hold::Until(_)) = self.hold { Hold::Contradictory } else { hold });
            }
            "HOLDUNTIL" => {
                let hold = Hold::Until(values::of(value, values::date_time)?);
                self.hold = Some(if let Some(Hold::For(_)) = self.hold { Hold::Contradictory } else { hold });
            }
            "AUTH" => self.auth = Some(values::of(value, values::auth)?),
            "SOLICIT" => values::of(value, values::solicit)?,
            "TRANSID" => values::of(value, values::transaction_id)?,
            "MTRK" => values::of(value, values::tracking)?,
            "CONPERM" => values::none(value).map(|_| ())?,
            _ => return Err(ParameterError::Unknown),
        }
        Ok(())
    }

    /// Reads what a filter says along with a sender: parameters parted by spaces. Bad ones are ignored.
    #[must_use]
    pub fn from_filter(text: &str) -> Self {
        let mut parameters = Self::default();
        for (keyword, value) in text.split_ascii_whitespace().map(split_parameter) {
            // A parameter that cannot be read must not undo the change that it came with.
            let _ = parameters.set(keyword, value);
        }
        parameters
    }
}

/// `BODY=`: what the message's octets are (RFC 6152, RFC 3030 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyType {
    /// Lines of 7-bit text.
    SevenBit,
    /// Lines with octets above 127.
    EightBitMime,
    /// No lines at all; only for BDAT.
    BinaryMime,
}

/// `RET=`: how much of the message a failure notification carries (RFC 3461 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DsnReturn {
    /// The whole message.
    Full,
    /// Its header section.
    Headers,
}

/// `BY=`: deliver by a time, or say so (RFC 2852 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliverBy {
    /// Seconds from now; negative when already late.
    pub seconds: i64,
    /// What happens when the time has passed.
    pub mode: DeliverByMode,
    /// Whether each relay is to be reported.
    pub trace: bool,
}

/// The mode of `BY=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliverByMode {
    /// `N`: notify and go on.
    Notify,
    /// `R`: return the message.
    Return,
}

/// A request to hold a message back (RFC 4865 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// `HOLDFOR=`: seconds, 1 to 999999999.
    For(u32),
    /// `HOLDUNTIL=`: a point in time.
    Until(jiff::Timestamp),
    /// Both were given, which the session refuses.
    Contradictory,
}

/// Parameters of RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParameters {
    /// `NOTIFY=` (RFC 3461 section 4.1).
    pub notify: Option<Notify>,
    /// `ORCPT=` (RFC 3461 section 4.2).
    pub orcpt: Option<OriginalRecipient>,
}

impl RcptParameters {
    /// Takes one parameter, the keyword in any case. One that was set before is replaced.
    ///
    /// # Errors
    ///
    /// A [`ParameterError`]; nothing is changed then.
    pub fn set(&mut self, keyword: &str, value: Option<&str>) -> Result<(), ParameterError> {
        match upper_case(keyword, &mut [0; 16]) {
            "NOTIFY" => self.notify = Some(values::of(value, values::notify)?),
            "ORCPT" => self.orcpt = Some(values::of(value, values::original_recipient)?),
            "RRVS" => values::of(value, values::required_since)?,
            "CONNEG" => {}
            _ => return Err(ParameterError::Unknown),
        }
        Ok(())
    }

    /// Reads what a filter says along with a recipient: parameters parted by spaces. Bad ones are ignored.
    #[must_use]
    pub fn from_filter(text: &str) -> Self {
        let mut parameters = Self::default();
        for (keyword, value) in text.split_ascii_whitespace().map(split_parameter) {
            // A parameter that cannot be read must not undo the change that it came with.
            let _ = parameters.set(keyword, value);
        }
        parameters
    }
}

/// Why a parameter cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// No extension defines it, or it has a value where none may be.
    #[error("unknown parameter")]
    Unknown,
    /// The value is missing or malformed.
    #[error("invalid value")]
    Value,
}

/// A keyword in upper case, without an allocation; empty when it is longer than any that is known.
fn upper_case<'a>(keyword: &str, space: &'a mut [u8; 16]) -> &'a str {
    let Some(place) = space.get_mut(..keyword.len()) else { return "" };
    place.copy_from_slice(keyword.as_bytes());
    place.make_ascii_uppercase();
    std::str::from_utf8(place).unwrap_or_default()
}

/// `keyword=value` in its parts.
pub(super) fn split_parameter(word: &str) -> (&str, Option<&str>) {
    word.split_once('=').map_or((word, None), |(keyword, value)| (keyword, Some(value)))
}

/// `NOTIFY=`: when the sender wants to hear of this recipient. All false is `NEVER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notify {
    /// `SUCCESS`
    pub success: bool,
    /// `FAILURE`
    pub failure: bool,
    /// `DELAY`
    pub delay: bool,
}

/// `ORCPT=`: the recipient that the sender first named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// Address type, as given; usually `rfc822`.
    pub kind: String,
    /// The address, decoded from xtext.
    pub address: String,
}
