//! The parameters of MAIL and RCPT as they are written for a next hop.

use std::fmt;

use super::extensions::Extensions;
use super::parameters::{
    BodyType, DeliverBy, DeliverByMode, DsnReturn, Hold, MailParameters, Notify, OriginalRecipient,
    RcptParameters,
};
use super::xtext;

/// One parameter of MAIL; its `Display` is the form on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailParameter<'a> {
    /// `SIZE=`
    Size(u64),
    /// `BODY=`
    Body(BodyType),
    /// `SMTPUTF8`
    SmtpUtf8,
    /// `REQUIRETLS`
    RequireTls,
    /// `RET=`
    Ret(DsnReturn),
    /// `ENVID=`, not yet encoded.
    EnvId(&'a str),
    /// `BY=`
    By(DeliverBy),
    /// `MT-PRIORITY=`
    MtPriority(i64),
    /// `HOLDFOR=` or `HOLDUNTIL=`
    Hold(Hold),
}

impl MailParameter<'_> {
    /// Whether a next hop understands the parameter.
    #[must_use]
    pub const fn is_offered(self, offered: &Extensions) -> bool {
        match self {
            Self::Size(_) => offered.size.is_some(),
            Self::Body(BodyType::BinaryMime) => offered.binary_mime && offered.chunking,
            Self::Body(_) => offered.eight_bit_mime,
            Self::SmtpUtf8 => offered.smtputf8,
            Self::RequireTls => offered.require_tls,
            Self::Ret(_) | Self::EnvId(_) => offered.dsn,
            Self::By(_) => offered.deliver_by,
            Self::MtPriority(_) => offered.mt_priority,
            Self::Hold(Hold::Contradictory) => false,
            Self::Hold(_) => offered.future_release,
        }
    }
}

impl fmt::Display for MailParameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(octets) => write!(f, "SIZE={octets}"),
            Self::Body(body) => write!(f, "BODY={body}"),
            Self::SmtpUtf8 => f.write_str("SMTPUTF8"),
            Self::RequireTls => f.write_str("REQUIRETLS"),
            Self::Ret(ret) => write!(f, "RET={ret}"),
            Self::EnvId(id) => write!(f, "ENVID={}", encoded(id)),
            Self::By(by) => write!(f, "BY={by}"),
            Self::MtPriority(priority) => write!(f, "MT-PRIORITY={priority}"),
            Self::Hold(Hold::For(seconds)) => write!(f, "HOLDFOR={seconds}"),
            Self::Hold(Hold::Until(time)) => write!(f, "HOLDUNTIL={time}"),
            // Refused when it was read; there is nothing that could be written for it.
            Self::Hold(Hold::Contradictory) => Ok(()),
        }
    }
}

impl MailParameters {
    /// The parameters that are set and that go from hop to hop.
    ///
    /// `AUTH=` is not among them: it would vouch for an identity that nobody here has checked.
    pub fn iter(&self) -> impl Iterator<Item = MailParameter<'_>> {
        [
            self.size.map(MailParameter::Size),
            self.body.map(MailParameter::Body),
            self.smtputf8.then_some(MailParameter::SmtpUtf8),
            self.require_tls.then_some(MailParameter::RequireTls),
            self.ret.map(MailParameter::Ret),
            self.envid.as_deref().map(MailParameter::EnvId),
            self.by.map(MailParameter::By),
            self.mt_priority.map(MailParameter::MtPriority),
            self.hold.map(MailParameter::Hold),
        ]
        .into_iter()
        .flatten()
    }

    /// Appends every parameter that the next hop offers, each with a space in front.
    ///
    /// What must not be lost when it is not offered (REQUIRETLS, BODY, SMTPUTF8) is for the caller to check.
    pub fn write_esmtp(&self, offered: &Extensions, out: &mut Vec<u8>) {
        for parameter in self.iter().filter(|parameter| parameter.is_offered(offered)) {
            out.extend_from_slice(format!(" {parameter}").as_bytes());
        }
    }
}

impl RcptParameters {
    /// Appends NOTIFY and ORCPT, each with a space in front, to a next hop that offers DSN.
    pub fn write_esmtp(&self, offered: &Extensions, out: &mut Vec<u8>) {
        if !offered.dsn {
            return;
        }
        if let Some(notify) = self.notify {
            out.extend_from_slice(format!(" NOTIFY={notify}").as_bytes());
        }
        if let Some(orcpt) = &self.orcpt {
            out.extend_from_slice(format!(" ORCPT={orcpt}").as_bytes());
        }
    }
}

impl fmt::Display for BodyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
            Self::BinaryMime => "BINARYMIME",
        })
    }
}

impl fmt::Display for DsnReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

impl fmt::Display for DeliverBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            DeliverByMode::Notify => 'N',
            DeliverByMode::Return => 'R',
        };
        write!(f, "{};{mode}{}", self.seconds, if self.trace { "T" } else { "" })
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (asked, word) in [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")] {
            if asked {
                write!(f, "{separator}{word}")?;
                separator = ",";
            }
        }
        if separator.is_empty() { f.write_str("NEVER") } else { Ok(()) }
    }
}

impl fmt::Display for OriginalRecipient {
    /// ASCII only, so that any next hop with DSN takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};", self.kind)?;
        if !self.kind.eq_ignore_ascii_case("utf-8") {
            return f.write_str(&encoded(&self.address));
        }
        // utf-8-addr-xtext of RFC 6533 section 3
        for c in self.address.chars() {
            match c {
                _ if c.is_ascii() => f.write_str(&encoded(c.encode_utf8(&mut [0; 4])))?,
                _ => write!(f, "\\x{{{:X}}}", u32::from(c))?,
            }
        }
        Ok(())
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    xtext::encode(text.as_bytes(), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::command::{Command, Utf8Addresses};
    use crate::smtp::extensions::SizeLimit;

    fn everything() -> Extensions {
        Extensions {
            chunking: true,
            eight_bit_mime: true,
            binary_mime: true,
            smtputf8: true,
            size: Some(SizeLimit::Unnamed),
            dsn: true,
            require_tls: true,
            deliver_by: true,
            mt_priority: true,
            future_release: true,
            ..Extensions::default()
        }
    }

    fn passed_on(line: &str, offered: &Extensions) -> String {
        let mut out = Vec::new();
        match Command::parse(line.as_bytes(), Utf8Addresses::Allowed).unwrap() {
            Command::Mail(mail) => mail.parameters.write_esmtp(offered, &mut out),
            Command::Rcpt(rcpt) => rcpt.parameters.write_esmtp(offered, &mut out),
            _ => {}
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_asked_for_is_asked_of_a_next_hop_that_offers_it() {
        for (path, given, wanted) in [
            (
                "MAIL FROM:<a@b>",
                " SIZE=10 BODY=8BITMIME SMTPUTF8 REQUIRETLS",
                " SIZE=10 BODY=8BITMIME SMTPUTF8 REQUIRETLS",
            ),
            ("MAIL FROM:<a@b>", " RET=HDRS ENVID=a+2Bb+20c", " RET=HDRS ENVID=a+2Bb+20c"),
            ("MAIL FROM:<a@b>", " BY=-5;rt MT-PRIORITY=+3", " BY=-5;RT MT-PRIORITY=3"),
            ("MAIL FROM:<a@b>", " HOLDFOR=60", " HOLDFOR=60"),
            ("MAIL FROM:<a@b>", " HOLDUNTIL=2030-01-02T03:04:05+01:00", " HOLDUNTIL=2030-01-02T02:04:05Z"),
            ("MAIL FROM:<a@b>", " BODY=BINARYMIME AUTH=<> CONPERM", " BODY=BINARYMIME"),
            ("MAIL FROM:<a@b>", " BODY=7BIT BY=5;N", " BODY=7BIT BY=5;N"),
            (
                "RCPT TO:<a@b>",
                " NOTIFY=delay,SUCCESS ORCPT=rfc822;a+2Bb@c",
                " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c",
            ),
            ("RCPT TO:<a@b>", " NOTIFY=NEVER", " NOTIFY=NEVER"),
            ("RCPT TO:<a@b>", " ORCPT=utf-8;ü=@c", " ORCPT=utf-8;\\x{FC}+3D@c"),
            ("RCPT TO:<a@b>", " RRVS=2014-04-03T23:01:00Z CONNEG", ""),
        ] {
            assert_eq!(passed_on(&format!("{path}{given}"), &everything()), wanted);
            assert_eq!(passed_on(&format!("{path}{given}"), &Extensions::default()), "");
        }
    }

    #[test]
    fn binary_messages_need_chunks() {
        let offered = Extensions { binary_mime: true, ..Extensions::default() };
        assert_eq!(passed_on("MAIL FROM:<a@b> BODY=BINARYMIME", &offered), "");
    }
}
