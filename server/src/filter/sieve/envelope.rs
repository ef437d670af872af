//! The envelope as a script sees it, and what it changes of it.

use postern_core::envelope::{Envelope, Recipient};
use postern_core::smtp::address::{Address, ReversePath};
use postern_core::smtp::parameters::{DeliverByMode, DsnReturn, MailParameters, Notify, RcptParameters};
use postern_core::verdict::{Modification, Stage};
use sieve::Envelope as Part;
use sieve::runtime::Variable;

/// The parts of an envelope. The recipient in hand is the last of the envelope and comes first here, because
/// `${envelope.to}` and `set "envelope.to"` mean the first.
pub(super) fn parts(envelope: &Envelope, stage: Stage) -> Vec<(Part, Variable)> {
    let mut parts = Vec::new();
    if stage < Stage::Mail {
        return parts;
    }
    let mut add = |part, value: String| parts.push((part, Variable::from(value)));
    add(Part::From, envelope.sender.as_str().to_lowercase());
    let parameters = &envelope.parameters;
    if let Some(ret) = parameters.ret {
        add(Part::Ret, if ret == DsnReturn::Full { "FULL" } else { "HDRS" }.to_owned());
    }
    if let Some(envid) = &parameters.envid {
        add(Part::Envid, envid.clone());
    }
    if let Some(by) = &parameters.by {
        add(Part::ByMode, if by.mode == DeliverByMode::Notify { "N" } else { "R" }.to_owned());
        add(Part::ByTrace, if by.trace { "true" } else { "false" }.to_owned());
        add(Part::ByTimeRelative, by.seconds.to_string());
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(by.seconds);
        add(Part::ByTimeAbsolute, at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    let recipients = match stage {
        Stage::Mail => &[],
        // A script at Rcpt is asked about one recipient.
        Stage::Rcpt => envelope.recipients.last().map_or(&[][..], std::slice::from_ref),
        _ => &envelope.recipients[..],
    };
    for recipient in recipients.iter().rev() {
        add(Part::To, recipient.address.as_str().to_lowercase());
    }
    for Recipient { parameters, .. } in recipients.iter().rev() {
        if let Some(notify) = parameters.notify {
            add(Part::Notify, notify_words(notify));
        }
        if let Some(original) = &parameters.orcpt {
            add(Part::Orcpt, format!("{};{}", original.kind, original.address));
        }
    }
    parts
}

fn notify_words(notify: Notify) -> String {
    let Notify { success, failure, delay } = notify;
    let all = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
    let words: Vec<&str> = all.into_iter().filter(|(is_set, _)| *is_set).map(|(_, word)| word).collect();
    if words.is_empty() { "NEVER".to_owned() } else { words.join(",") }
}

/// What `set "envelope.…"` changes, in order; a value that does not fit changes nothing.
pub(super) fn modifications(
    envelope: &Envelope,
    stage: Stage,
    changes: &[(Part, String)],
) -> Vec<Modification> {
    let mut edited = Edited::of(envelope);
    for (part, value) in changes {
        edited.set(*part, value);
    }
    edited.modifications(envelope, stage)
}

/// The parts of an envelope that a script can change.
struct Edited {
    sender: ReversePath,
    parameters: MailParameters,
    recipient: Option<Recipient>,
}

impl Edited {
    fn of(envelope: &Envelope) -> Self {
        Self {
            sender: envelope.sender.clone(),
            parameters: envelope.parameters.clone(),
            recipient: envelope.recipients.last().cloned(),
        }
    }

    fn set(&mut self, part: Part, value: &str) {
        let recipient = self.recipient.as_mut();
        match part {
            Part::From if value.is_empty() => self.sender = ReversePath::Null,
            Part::From => {
                if let Ok(address) = Address::parse(value) {
                    self.sender = ReversePath::Mailbox(address);
                }
            }
            Part::To => {
                if let (Some(recipient), Ok(address)) = (recipient, Address::parse(value)) {
                    recipient.address = address;
                }
            }
            Part::Notify => set_of_recipient(recipient, "NOTIFY", value),
            Part::Orcpt => set_of_recipient(recipient, "ORCPT", value),
            Part::Ret => set_of_message(&mut self.parameters, "RET", value),
            Part::Envid => set_of_message(&mut self.parameters, "ENVID", value),
            Part::ByMode => {
                let mode = match value {
                    "N" | "n" => Some(DeliverByMode::Notify),
                    "R" | "r" => Some(DeliverByMode::Return),
                    _ => None,
                };
                if let (Some(by), Some(mode)) = (self.parameters.by.as_mut(), mode) {
                    by.mode = mode;
                }
            }
            Part::ByTrace => {
                if let Some(by) = self.parameters.by.as_mut() {
                    by.trace = matches!(value.to_ascii_lowercase().as_str(), "t" | "true" | "1");
                }
            }
            // A time that the client asked for is not ours to change.
            Part::ByTimeAbsolute | Part::ByTimeRelative => {}
        }
    }

    fn modifications(self, envelope: &Envelope, stage: Stage) -> Vec<Modification> {
        let mut modifications = Vec::new();
        if stage < Stage::Mail {
            return modifications;
        }
        let parameters = (self.parameters != envelope.parameters).then(|| Box::new(self.parameters));
        if self.sender != envelope.sender || parameters.is_some() {
            modifications.push(Modification::SetSender(self.sender, parameters));
        }
        if stage < Stage::Rcpt {
            return modifications;
        }
        if let (Some(new), Some(old)) = (self.recipient, envelope.recipients.last()) {
            if new.address != old.address {
                modifications.push(Modification::SetRecipient(new.address));
            }
            if new.parameters != old.parameters {
                modifications.push(Modification::SetRecipientParameters(Box::new(new.parameters)));
            }
        }
        modifications
    }
}

fn set_of_recipient(recipient: Option<&mut Recipient>, keyword: &str, value: &str) {
    if let Some(Recipient { parameters, .. }) = recipient {
        let mut next: RcptParameters = parameters.clone();
        if next.set(keyword, Some(&xtext(value))).is_ok() {
            *parameters = next;
        }
    }
}

fn set_of_message(parameters: &mut MailParameters, keyword: &str, value: &str) {
    // A value that cannot be read leaves the parameters as they were.
    let _ = parameters.set(keyword, Some(&xtext(value)));
}

/// A value in the form that a parameter has on the wire (RFC 3461 section 4), where some octets are written
/// in hexadecimal digits.
fn xtext(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '+' | '=' => text.push_str(&format!("+{:02X}", u32::from(c))),
            '!'..='~' => text.push(c),
            c if c.is_ascii() => text.push_str(&format!("+{:02X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn envelope() -> Envelope {
        let recipient = |text| Recipient {
            address: address(text),
            parameters: RcptParameters::from_filter("NOTIFY=DELAY"),
        };
        Envelope {
            sender: ReversePath::Mailbox(address("Ann@Example.org")),
            parameters: MailParameters::from_filter("RET=HDRS ENVID=a+2Bb BY=120;NT"),
            recipients: vec![recipient("bob@example.net"), recipient("Cid@example.net")],
        }
    }

    fn seen(envelope: &Envelope, stage: Stage, part: Part) -> Vec<String> {
        let parts = parts(envelope, stage).into_iter().filter(|(found, _)| *found == part);
        parts.map(|(_, value)| value.to_string().into_owned()).collect()
    }

    #[test]
    fn the_recipient_in_hand_comes_first_and_before_data_alone() {
        let envelope = envelope();
        assert_eq!(seen(&envelope, Stage::Data, Part::To), ["cid@example.net", "bob@example.net"]);
        assert_eq!(seen(&envelope, Stage::Rcpt, Part::To), ["cid@example.net"]);
        assert_eq!(seen(&envelope, Stage::Mail, Part::To), [""; 0]);
        assert_eq!(seen(&envelope, Stage::Mail, Part::From), ["ann@example.org"]);
        assert_eq!(seen(&envelope, Stage::Connect, Part::From), [""; 0]);
        assert_eq!(seen(&envelope, Stage::Mail, Part::Envid), ["a+b"]);
        assert_eq!(seen(&envelope, Stage::Mail, Part::ByTimeRelative), ["120"]);
        assert_eq!(seen(&envelope, Stage::Rcpt, Part::Notify), ["DELAY"]);
    }

    #[test]
    fn what_fits_is_changed_and_nothing_else() {
        let change = |part, value: &str| (part, value.to_owned());
        let changes = [
            change(Part::From, "no address"),
            change(Part::From, ""),
            change(Part::To, "nobody"),
            change(Part::To, "dan@example.net"),
            change(Part::Notify, "SUCCESS,FAILURE"),
            change(Part::Notify, "SOMETIMES"),
            change(Part::Ret, "FULL"),
            change(Part::Envid, "x y+z"),
            change(Part::ByMode, "R"),
            change(Part::ByTrace, "false"),
            change(Part::ByTimeRelative, "7"),
        ];
        let mut after = envelope();
        let made = modifications(&envelope(), Stage::Data, &changes);
        assert!(after.apply(made).is_empty());
        assert_eq!(after.sender, ReversePath::Null);
        assert_eq!(after.recipients[0].address.key(), "bob@example.net");
        assert_eq!(after.recipients[1].address.key(), "dan@example.net");
        let notify = Notify { success: true, failure: true, delay: false };
        assert_eq!(after.recipients[1].parameters.notify, Some(notify));
        assert_eq!(after.parameters.ret, Some(DsnReturn::Full));
        assert_eq!(after.parameters.envid.as_deref(), Some("x y+z"));
        let by = after.parameters.by.unwrap();
        assert_eq!((by.seconds, by.mode, by.trace), (120, DeliverByMode::Return, false));
    }

    #[test]
    fn an_untouched_envelope_is_not_mentioned() {
        assert_eq!(modifications(&envelope(), Stage::Data, &[]), []);
        let same = [(Part::From, "Ann@Example.org".to_owned())];
        assert_eq!(modifications(&envelope(), Stage::Data, &same), []);
    }

    #[test]
    fn before_mail_there_is_no_envelope_to_change() {
        let changes = [(Part::From, "x@example.org".to_owned())];
        assert_eq!(modifications(&envelope(), Stage::Ehlo, &changes), []);
    }
}
