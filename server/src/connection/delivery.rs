//! From the session's delivery to the hand-off: contents are put together, and answers come back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postern_core::handoff::Outcome;
use postern_core::message::draft::Draft;
use postern_core::message::edit::Edit;
use postern_core::policy::listener::Protocol;
use postern_core::session::event::{Delivery, Dispatch, DispatchContent, HandedOff};
use postern_trace::Place;
use tokio::time::Instant;

use super::Connection;
use super::answer::UNABLE;
use crate::handoff::{self, Answers, Mailing};
use crate::message::{Content, ContentBuilder, Whole};

impl Connection {
    pub(super) async fn hand_off(&mut self, mut delivery: Box<Delivery>) -> HandedOff {
        let (counting, notices): (Vec<_>, Vec<_>) =
            std::mem::take(&mut delivery.dispatches).into_iter().partition(Dispatch::counts);
        let recipients = delivery.copies.len() + counting.len();
        let unable = || HandedOff { overall: UNABLE, each: vec![UNABLE; recipients] };
        let Some(whole) = self.kept.take() else { return unable() };
        let Some(mailings) = mailings(&whole, &mut delivery, counting) else {
            tracing::warn!(id = %delivery.id, "the changes to a message cannot be applied");
            return unable();
        };
        let answers = match self.session.client().listener.protocol {
            Protocol::Smtp => Answers::One,
            Protocol::Lmtp => Answers::PerRecipient,
        };
        let delivered = self.gate.handoff.deliver(handed_on(&delivery, mailings, answers)).await;
        self.journal.handed_on(delivered.handed);
        // A client that has to try again brings about the same notices then.
        if delivered.overall.is_positive() && !notices.is_empty() {
            let mailings = notices.into_iter().map(|notice| mailing_of(notice, &whole, &delivery)).collect();
            if let Some(mailings) = mailings {
                self.send_notices(handed_on(&delivery, mailings, Answers::PerRecipient));
            }
        }
        let each = delivered.outcomes.iter().map(Outcome::reply).collect();
        HandedOff { overall: delivered.overall, each }
    }

    /// Sends what nobody waits for. The process ends no sooner than a transaction would let it.
    fn send_notices(&self, notices: handoff::Delivery) {
        let (gate, in_transaction) = (Arc::clone(&self.gate), self.gate.drain.begin_transaction());
        let sending = async move {
            let delivered = gate.handoff.deliver(notices).await;
            if !delivered.overall.is_positive() {
                tracing::warn!(answer = %delivered.overall, "a notification was not taken");
            }
            drop(in_transaction);
        };
        tokio::spawn(Place::here().around(sending));
    }
}

fn handed_on(delivery: &Delivery, mailings: Vec<Mailing>, answers: Answers) -> handoff::Delivery {
    handoff::Delivery {
        id: delivery.id.to_string().into(),
        hostname: Arc::clone(&delivery.hostname),
        mailings,
        delivered_to: delivery.delivered_to,
        answers,
        deadline: Instant::now() + CLIENT_PATIENCE,
    }
}

/// The message itself, then what was generated beside it.
pub(crate) fn mailings(
    whole: &Whole,
    delivery: &mut Delivery,
    generated: Vec<Dispatch>,
) -> Option<Vec<Mailing>> {
    let generated: Option<Vec<Mailing>> =
        generated.into_iter().map(|dispatch| mailing_of(dispatch, whole, delivery)).collect();
    let mut mailings = Vec::new();
    if !delivery.copies.is_empty() {
        mailings.push(Mailing {
            sender: delivery.envelope.sender.clone(),
            parameters: delivery.envelope.parameters.clone(),
            copies: std::mem::take(&mut delivery.copies),
            content: edited(whole, &delivery.edits)?.prepended(delivery.prefix.clone()),
        });
    }
    mailings.extend(generated?);
    Some(mailings)
}

/// One message that was generated.
pub(crate) fn mailing_of(dispatch: Dispatch, whole: &Whole, delivery: &Delivery) -> Option<Mailing> {
    let new = |octets: Box<[u8]>| {
        ContentBuilder::new(whole.message.clone()).new_octets(Bytes::from(octets)).build()
    };
    let content = match dispatch.content {
        DispatchContent::InHand(edits) => {
            edited(whole, delivery.edits.get(..edits)?)?.prepended(delivery.prefix.clone())
        }
        DispatchContent::Edited(octets) => new(octets).prepended(delivery.prefix.clone()),
        DispatchContent::Own(octets) => new(octets),
    };
    let Dispatch { sender, parameters, copy, .. } = dispatch;
    Some(Mailing { sender, parameters, copies: vec![copy], content })
}

/// The message as received with changes.
fn edited(whole: &Whole, edits: &[Edit]) -> Option<Content> {
    if edits.is_empty() {
        return Some(Content::unchanged(whole.message.clone()));
    }
    let mut draft = Draft::new(Arc::clone(&whole.header), whole.message.octets());
    draft.apply(edits.iter().cloned()).ok()?;
    Some(Content::edited(whole.message.clone(), &draft))
}

/// How long a client waits for the reply after its final dot (RFC 5321 section 4.5.3.2.6 asks for 10
/// minutes), less what the way back may take. The loader holds filters and final replies below it.
const CLIENT_PATIENCE: Duration = Duration::from_secs(9 * 60 + 30);
