//! What a filter is shown.

use std::sync::Arc;

use bytes::Bytes;
use postern_core::envelope::Envelope;
use postern_core::expr::SaslMechanism;
use postern_core::message::draft::{Body, Draft};
use postern_core::session::Session;
use postern_core::session::check::{Check, MessageResults};
use postern_core::session::question::Subject;
use postern_core::verdict::Stage;

use super::FilterError;
use crate::gate::Gate;
use crate::message::{Content, ContentBuilder, Reservation, Whole};

/// One question to one filter.
pub(crate) struct Case<'a> {
    /// Services of the process.
    pub(crate) gate: &'a Arc<Gate>,
    /// The session as it was before the command in hand. Where that says more, the methods here know it.
    pub(crate) session: &'a Session,
    pub(crate) stage: Stage,
    /// The command in hand.
    pub(crate) subject: &'a Subject,
    /// The envelope as the filters before have left it; at Rcpt the recipient in hand is its last one.
    pub(crate) envelope: &'a Envelope,
    /// The message as the filters before have left it; only at Data.
    pub(crate) message: Option<InHand<'a>>,
}

impl Case<'_> {
    /// The EHLO name, with the one that is being judged.
    pub(crate) fn helo(&self) -> Option<&str> {
        match self.subject {
            Subject::Helo { name, .. } => Some(name),
            _ => Some(self.session.helo()).filter(|name| !name.is_empty()),
        }
    }

    /// SPF of that name, if it was checked.
    pub(crate) fn helo_spf(&self) -> Option<&Check> {
        match self.subject {
            Subject::Helo { spf, .. } => spf.as_ref(),
            _ => self.session.helo_spf(),
        }
    }

    /// The account, with the one that is logging in.
    pub(crate) fn account(&self) -> Option<&str> {
        match self.subject {
            Subject::Login { account, .. } => Some(account),
            _ => self.session.account(),
        }
    }

    /// How the account logged in.
    pub(crate) fn mechanism(&self) -> Option<SaslMechanism> {
        match self.subject {
            Subject::Login { mechanism, .. } => Some(*mechanism),
            _ => self.session.sasl_mechanism(),
        }
    }

    /// Reverse DNS of the client, if it was checked.
    pub(crate) fn reverse_dns(&self) -> Option<&Check> {
        match self.subject {
            Subject::Sender { reverse_dns, .. } => reverse_dns.as_ref(),
            _ => self.session.reverse_dns(),
        }
    }

    /// DKIM, ARC and DMARC of the message; only at Data.
    pub(crate) fn results(&self) -> Option<&MessageResults> {
        match self.subject {
            Subject::Message { results, .. } => Some(results),
            _ => None,
        }
    }

    /// Fields of ours that will stand before the message; empty before Data.
    pub(crate) fn server_fields(&self) -> &[u8] {
        match self.subject {
            Subject::Message { fields, .. } => fields,
            _ => &[],
        }
    }

    /// The message, for filters that are only asked at Data.
    pub(crate) fn in_hand(&self) -> Result<&InHand<'_>, FilterError> {
        self.message.as_ref().ok_or(FilterError::NoMessage)
    }
}

/// The message with the changes so far.
pub(crate) struct InHand<'a> {
    whole: &'a Whole,
    draft: &'a Draft,
}

/// A copy of something in memory, with the room that was reserved for it.
#[derive(Default)]
pub(crate) struct Loan {
    octets: Bytes,
    _room: Option<Reservation>,
}

#[cfg(test)]
impl Loan {
    /// Octets that no budget knows of.
    pub(super) fn of(octets: Vec<u8>) -> Self {
        Self { octets: octets.into(), _room: None }
    }
}

impl std::ops::Deref for Loan {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.octets
    }
}

impl<'a> InHand<'a> {
    pub(crate) fn new(whole: &'a Whole, draft: &'a Draft) -> Self {
        Self { whole, draft }
    }

    /// Header and changes.
    pub(crate) fn draft(&self) -> &Draft {
        self.draft
    }

    /// Size of the whole message, octets.
    pub(crate) fn octets(&self) -> u64 {
        self.draft.octets()
    }

    /// The whole message, in pieces.
    pub(crate) fn content(&self) -> Content {
        Content::edited(self.whole.message.clone(), self.draft)
    }

    /// The body, in pieces.
    pub(crate) fn body(&self) -> Content {
        let content = ContentBuilder::new(self.whole.message.clone());
        match self.draft.body() {
            Body::Original(range) => content.original(range.clone()).build(),
            Body::New(octets) => content.new_octets(octets.clone()).build(),
        }
    }

    /// Everything of a content at once, for what cannot work on parts.
    pub(crate) async fn load(&self, gate: &Gate, content: &Content) -> Result<Loan, FilterError> {
        // One run in memory is there already and is shared.
        if let Some([whole]) = content.in_memory().as_deref() {
            return Ok(Loan { octets: whole.clone(), _room: None });
        }
        let octets = content.octets();
        let room = gate.messages.budget().memory(octets).ok_or(FilterError::NoRoom { octets })?;
        let mut copy = Vec::with_capacity(usize::try_from(octets).unwrap_or_default());
        let mut blocks = content.blocks();
        while let Some(block) = blocks.next().await.map_err(FilterError::Unreadable)? {
            copy.extend_from_slice(block);
        }
        Ok(Loan { octets: copy.into(), _room: Some(room) })
    }
}
