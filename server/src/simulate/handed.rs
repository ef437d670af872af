//! What next hops would get, put together by the code that the server hands on with.

use postern_core::session::event::{Delivery, Dispatch};
use postern_core::smtp::address::ReversePath;

use super::diff;
use super::recording::mail_words;
use super::report::HandedOn;
use crate::connection;
use crate::handoff;
use crate::message::{Content, Whole};

/// Every message with its envelope, one for each next hop; nothing when the changes cannot be applied.
pub(super) async fn of(mut delivery: Delivery, whole: &Whole) -> Option<Vec<HandedOn>> {
    let (counting, notices): (Vec<_>, Vec<_>) =
        std::mem::take(&mut delivery.dispatches).into_iter().partition(Dispatch::counts);
    let mut mailings = connection::mailings(whole, &mut delivery, counting)?;
    for notice in notices {
        mailings.push(connection::mailing_of(notice, whole, &delivery)?);
    }
    let received = text(&octets(&Content::unchanged(whole.message.clone())).await?);
    let mut handed_on = Vec::new();
    for preview in handoff::preview(&mailings, delivery.delivered_to) {
        let octets = octets(&preview.content).await?;
        let message = text(&octets);
        handed_on.push(HandedOn {
            route: preview.route.name.to_string(),
            from: match preview.sender {
                ReversePath::Null => String::new(),
                ReversePath::Mailbox(address) => address.to_string(),
            },
            parameters: mail_words(preview.parameters),
            to: preview.recipients.iter().map(|recipient| recipient.address.to_string()).collect(),
            diff: diff::unified(&received, &message),
            message,
            octets,
        });
    }
    Some(handed_on)
}

/// All of a message.
pub(super) async fn octets(content: &Content) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut blocks = content.blocks();
    while let Some(block) = blocks.next().await.ok()? {
        octets.extend_from_slice(block);
    }
    Some(octets)
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).replace("\r\n", "\n")
}
