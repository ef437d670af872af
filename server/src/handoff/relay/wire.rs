//! An envelope as it is written for one hop, and what the hop must be able to do for it.

use std::io::Write as _;

use postern_core::envelope::Recipient;
use postern_core::smtp::address::ReversePath;
use postern_core::smtp::extensions::Extensions;
use postern_core::smtp::parameters::{BodyType, MailParameters};
use postern_core::smtp::reply::{EnhancedCode, Reply};

use crate::message::Content;
use crate::tls::Security;

/// What is put to a hop: sender, parameters and the recipients of its route.
#[derive(Debug)]
pub(crate) struct Letter<'a> {
    sender: &'a ReversePath,
    parameters: MailParameters,
    recipients: Vec<&'a Recipient>,
    /// The message is not made of lines, so that only BDAT can carry it.
    binary: bool,
}

/// How much goes out before the hop has accepted its envelope.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ahead<'a> {
    /// Nothing: other hops have to agree first, or no message is there yet.
    Nothing,
    /// RSET: the hop is only asked.
    Reset,
    /// As much as is safe: this hop alone decides.
    Message(&'a Content),
}

impl<'a> Letter<'a> {
    /// The envelope of a message that is not there yet.
    pub(crate) fn inquiry(
        sender: &'a ReversePath,
        parameters: &MailParameters,
        recipient: &'a Recipient,
    ) -> Self {
        let binary = parameters.body == Some(BodyType::BinaryMime);
        let mut letter = Self { sender, parameters: parameters.clone(), recipients: vec![recipient], binary };
        letter.parameters.smtputf8 = letter.has_utf8_address();
        letter
    }

    /// The envelope of `content`.
    ///
    /// What the client asked for is replaced by what the message needs now: filters may have changed its
    /// size and its octets, and a hop must not be refused for an extension that nothing makes use of.
    pub(crate) fn new(
        sender: &'a ReversePath,
        parameters: &MailParameters,
        recipients: Vec<&'a Recipient>,
        content: &Content,
    ) -> Self {
        let survey = content.survey();
        let binary =
            parameters.body == Some(BodyType::BinaryMime) && (survey.nul || !survey.is_whole_lines_of_crlf());
        let mut letter = Self { sender, parameters: parameters.clone(), recipients, binary };
        letter.parameters.size = Some(content.octets());
        letter.parameters.body = match survey.eight_bit {
            _ if binary => Some(BodyType::BinaryMime),
            true => Some(BodyType::EightBitMime),
            false => parameters.body.map(|_| BodyType::SevenBit),
        };
        letter.parameters.smtputf8 =
            letter.has_utf8_address() || (parameters.smtputf8 && !content.has_ascii_header());
        letter
    }

    fn has_utf8_address(&self) -> bool {
        !self.sender.is_ascii() || self.recipients.iter().any(|recipient| !recipient.address.is_ascii())
    }

    pub(crate) fn recipients(&self) -> &[&'a Recipient] {
        &self.recipients
    }

    pub(super) fn is_binary(&self) -> bool {
        self.binary
    }

    /// Whether the hop can take the message at all.
    ///
    /// # Errors
    ///
    /// The refusal, when it lacks what the message cannot do without.
    pub(super) fn fits(&self, offered: &Extensions, security: Security) -> Result<(), Reply> {
        let parameters = &self.parameters;
        if parameters.require_tls && !(offered.require_tls && security == Security::Verified) {
            return Err(Reply::NEEDS_REQUIRETLS);
        }
        if parameters.smtputf8 && !offered.smtputf8 {
            return Err(Reply::NEEDS_SMTPUTF8);
        }
        if self.binary && !(offered.binary_mime && offered.chunking) {
            return Err(NEEDS_BINARYMIME);
        }
        if parameters.body == Some(BodyType::EightBitMime) && !offered.eight_bit_mime {
            return Err(Reply::NEEDS_8BITMIME);
        }
        match (parameters.size, offered.max_octets()) {
            (Some(size), Some(limit)) if size > limit => Err(Reply::TOO_BIG),
            _ => Ok(()),
        }
    }

    /// Appends the MAIL command.
    pub(super) fn write_mail(&self, offered: &Extensions, out: &mut Vec<u8>) {
        out.extend_from_slice(b"MAIL FROM:<");
        out.extend_from_slice(self.sender.as_str().as_bytes());
        out.push(b'>');
        self.parameters.write_esmtp(offered, out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a RCPT command.
pub(super) fn write_rcpt(recipient: &Recipient, offered: &Extensions, out: &mut Vec<u8>) {
    out.extend_from_slice(b"RCPT TO:<");
    out.extend_from_slice(recipient.address.as_str().as_bytes());
    out.push(b'>');
    recipient.parameters.write_esmtp(offered, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends the BDAT command for a message in one chunk (RFC 3030 section 2).
pub(super) fn write_bdat(octets: u64, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = write!(out, "BDAT {octets} LAST\r\n");
}

const NEEDS_BINARYMIME: Reply =
    Reply::new(554, EnhancedCode(5, 6, 3), "The next hop does not offer BINARYMIME");
