//! The envelope: who sends, to whom, and what was asked for along with it.

use crate::smtp::address::{Address, ReversePath};
use crate::smtp::parameters::{MailParameters, RcptParameters};

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
