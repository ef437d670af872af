//! The envelope: who sends, to whom, and what was asked for along with it.

use crate::smtp::address::{Address, ReversePath};
use crate::smtp::parameters::{MailParameters, RcptParameters};
use crate::verdict::Modification;

/// Sender, recipients and their parameters, as they stand after every change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// The reverse path.
    pub sender: ReversePath,
    /// What MAIL asked for.
    pub parameters: MailParameters,
    /// The accepted recipients, in order, each once.
    pub recipients: Vec<Recipient>,
}

/// One recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Where the message goes.
    pub address: Address,
    /// What RCPT asked for.
    pub parameters: RcptParameters,
}

impl Envelope {
    /// Whether an address, in comparison form, is among the recipients.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.recipients.iter().any(|recipient| recipient.address.key() == key)
    }

    /// Takes over a change of the sender; any other change is left to others.
    pub fn set_sender(&mut self, modification: Modification) {
        if let Modification::SetSender(sender, parameters) = modification {
            self.sender = sender;
            if let Some(parameters) = parameters {
                self.parameters = *parameters;
            }
        }
    }

    /// Takes over every change of the envelope, in order, and hands back those of the message.
    pub fn apply(&mut self, modifications: Vec<Modification>) -> Vec<Modification> {
        let mut rest = Vec::new();
        for modification in modifications {
            match modification {
                Modification::SetSender(..) => self.set_sender(modification),
                Modification::AddRecipient(address, parameters) => {
                    if !self.has(address.key()) {
                        let parameters = parameters.map(|parameters| *parameters).unwrap_or_default();
                        self.recipients.push(Recipient { address, parameters });
                    }
                }
                Modification::RemoveRecipient(address) => {
                    self.recipients.retain(|recipient| recipient.address.key() != address.key());
                }
                Modification::SetRecipient(address) => {
                    if let Some(last) = self.recipients.last_mut() {
                        last.address = address;
                    }
                }
                Modification::SetRecipientParameters(parameters) => {
                    if let Some(last) = self.recipients.last_mut() {
                        last.parameters = *parameters;
                    }
                }
                Modification::Edit(_)
                | Modification::Quarantine(_)
                | Modification::Generate(_)
                | Modification::Drop => rest.push(modification),
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipient(address: &str) -> Recipient {
        Recipient { address: Address::parse(address).unwrap(), parameters: RcptParameters::default() }
    }

    #[test]
    fn recipients_are_added_once_and_removed_by_comparison_form() {
        let mut envelope = Envelope { recipients: vec![recipient("ann@example.org")], ..Envelope::default() };
        let address = |text| Address::parse(text).unwrap();
        let rest = envelope.apply(vec![
            Modification::AddRecipient(address("ANN@example.org"), None),
            Modification::AddRecipient(address("bob@example.org"), None),
            Modification::RemoveRecipient(address("Ann@EXAMPLE.org")),
            Modification::Quarantine("odd".into()),
        ]);
        assert_eq!(envelope.recipients, [recipient("bob@example.org")]);
        assert_eq!(rest, [Modification::Quarantine("odd".into())]);
    }
}
