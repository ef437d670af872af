//! What a hand-off would give to each next hop, without giving it.

use std::sync::Arc;

use postern_core::envelope::Recipient;
use postern_core::handoff::plan;
use postern_core::policy::route::{Route, RouteTarget};
use postern_core::smtp::address::ReversePath;
use postern_core::smtp::parameters::MailParameters;

use super::Mailing;
use super::part::{content_for, marked};
use crate::message::Content;

/// One message as one next hop, or one mailbox, would get it.
#[derive(Debug)]
pub(crate) struct Preview<'a> {
    pub(crate) route: Arc<Route>,
    pub(crate) sender: &'a ReversePath,
    pub(crate) parameters: &'a MailParameters,
    pub(crate) recipients: Vec<&'a Recipient>,
    pub(crate) content: Content,
}

/// Every message with its envelope, in the order of the hand-off.
pub(crate) fn preview(mailings: &[Mailing], delivered_to: bool) -> Vec<Preview<'_>> {
    let mut previews = Vec::new();
    for mailing in mailings {
        for group in plan(mailing.copies.iter().map(|copy| &copy.route)) {
            let places = group.recipients.iter().filter_map(|place| mailing.copies.get(*place));
            let recipients: Vec<&Recipient> = places.map(|copy| &copy.recipient).collect();
            let show = |recipients: Vec<_>, content| Preview {
                route: Arc::clone(&group.route),
                sender: &mailing.sender,
                parameters: &mailing.parameters,
                recipients,
                content,
            };
            match &group.route.target {
                RouteTarget::Relay(relay) => {
                    let content = content_for(relay, &mailing.content, &recipients, delivered_to);
                    previews.push(show(recipients, content));
                }
                // Every mailbox has a file of its own.
                RouteTarget::Maildir(_) => previews.extend(recipients.into_iter().map(|recipient| {
                    let content = match delivered_to {
                        true => marked(&mailing.content, &recipient.address),
                        false => mailing.content.clone(),
                    };
                    show(vec![recipient], content)
                })),
                RouteTarget::Discard => previews.push(show(recipients, mailing.content.clone())),
            }
        }
    }
    previews
}
