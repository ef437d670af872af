//! The recipients of one delivery that share a route: prepared, then sent or taken back.

use std::sync::Arc;

use postern_core::envelope::Recipient;
use postern_core::handoff::{Group, Outcome};
use postern_core::policy::listener::Protocol;
use postern_core::policy::route::{Maildir, Relay, RouteTarget};
use postern_core::smtp::address::Address;
use postern_trace::Span;

use super::handed::{self, Hop};
use super::maildir::{self, MaildirError, Written};
use super::relay::{Ahead, Claim, Letter, Offer, Offered, Permit, RelayRoute};
use super::{Delivery, HandOff, Mailing, Phase, RouteKind};
use crate::message::Content;

/// What a route has in hand for its recipients.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// Position of its message among the mailings of the delivery.
    pub(super) mailing: usize,
    pub(super) group: &'a Group,
    /// What the route said of each recipient so far; `Delivered` stands for "would take it".
    pub(super) answers: Vec<Outcome>,
    /// Who has answered, where there is a next hop.
    pub(super) hop: Option<Hop>,
    /// From the first word to the last.
    pub(super) span: Span,
    held: Held<'a>,
}

/// How much of the delivery a part may do on its own.
#[derive(Debug)]
pub(super) enum Company {
    /// It is the only one.
    Alone,
    /// Others have to agree first; so connections were reserved for all before.
    Others(Option<Permit>),
}

#[derive(Debug)]
enum Held<'a> {
    /// A transaction at a hop.
    Transaction { relay: Arc<RelayRoute>, letter: Letter<'a>, content: Content, offered: Box<Offered> },
    /// Files that nobody sees yet; none where writing failed.
    Files(Vec<Option<Written>>),
    /// Nothing is needed, or all is lost already.
    Nothing,
}

impl<'a> Part<'a> {
    /// The part of a route that did not answer in time.
    pub(super) fn lost(mailing: usize, group: &'a Group) -> Self {
        let answers = vec![Outcome::LOST; group.recipients.len()];
        Self { mailing, answers, group, hop: None, span: Span::NONE, held: Held::Nothing }
    }
}

impl HandOff {
    /// Gets a route to the point where it has promised everything that it can promise.
    pub(super) async fn prepare<'a>(
        &self,
        delivery: &'a Delivery,
        ordinal: usize,
        group: &'a Group,
        company: Company,
    ) -> Part<'a> {
        let Some(mailing) = delivery.mailings.get(ordinal) else { return Part::lost(ordinal, group) };
        let recipients: Vec<&Recipient> = group
            .recipients
            .iter()
            .filter_map(|place| mailing.copies.get(*place).map(|copy| &copy.recipient))
            .collect();
        let span = handed::span(&group.route, recipients.len());
        let prepared = async {
            match &group.route.target {
                RouteTarget::Discard => (vec![Outcome::Delivered; recipients.len()], Held::Nothing),
                RouteTarget::Maildir(maildir) => {
                    self.write_files(delivery, mailing, maildir, &recipients).await
                }
                RouteTarget::Relay(relay) => {
                    self.put_envelope(delivery, mailing, group, relay, recipients, company).await
                }
            }
        };
        let (answers, held) = span.around(prepared).await;
        let hop = match &held {
            Held::Transaction { offered, .. } => Some(Hop { peer: offered.peer(), said: None }),
            Held::Files(_) | Held::Nothing => None,
        };
        Part { mailing: ordinal, group, answers, hop, span, held }
    }

    async fn put_envelope<'a>(
        &self,
        delivery: &'a Delivery,
        mailing: &'a Mailing,
        group: &Group,
        relay: &Relay,
        recipients: Vec<&'a Recipient>,
        company: Company,
    ) -> (Vec<Outcome>, Held<'a>) {
        let content = content_for(relay, &mailing.content, &recipients, delivery.delivered_to);
        let count = recipients.len();
        let letter = Letter::new(&mailing.sender, &mailing.parameters, recipients, &content);
        let (ahead, claim) = match company {
            Company::Alone => (Ahead::Message(&content), Claim::Queued),
            Company::Others(permit) => (Ahead::Nothing, Claim::Reserved(permit)),
        };
        let verifies = relay.verify_recipients;
        let relay = self.shared.relays.get(&group.route, relay);
        match relay.offer(&delivery.hostname, &letter, ahead, claim).await {
            Offer::Answered(offered) => {
                let answers = offered.answers().to_vec();
                if verifies && offered.sender_accepted() {
                    self.unlearn(group, letter.recipients(), &answers);
                }
                (answers, Held::Transaction { relay, letter, content, offered })
            }
            Offer::Failed(outcome, phase) => {
                if let Some(phase) = phase {
                    self.shared.metrics.count_failure(RouteKind::of(&group.route), phase);
                }
                (vec![outcome; count], Held::Nothing)
            }
        }
    }

    /// A recipient that was good when the client named it is not any more.
    fn unlearn(&self, group: &Group, recipients: &[&Recipient], answers: &[Outcome]) {
        for (recipient, answer) in recipients.iter().zip(answers) {
            if matches!(answer, Outcome::Refused(_)) {
                self.learn(&group.route, recipient, answer);
            }
        }
    }

    async fn write_files<'a>(
        &self,
        delivery: &Delivery,
        mailing: &Mailing,
        maildir: &Maildir,
        recipients: &[&Recipient],
    ) -> (Vec<Outcome>, Held<'a>) {
        let jobs: Vec<(Address, Content)> = recipients
            .iter()
            .map(|recipient| match delivery.delivered_to {
                true => (recipient.address.clone(), marked(&mailing.content, &recipient.address)),
                false => (recipient.address.clone(), mailing.content.clone()),
            })
            .collect();
        let (maildir, hostname) = (maildir.clone(), Arc::clone(&delivery.hostname));
        let written = self
            .on_disk(move || {
                let write = |(address, content): &(Address, Content)| {
                    maildir::write(&maildir, address, content, &hostname)
                };
                jobs.iter().map(write).collect::<Vec<_>>()
            })
            .await;
        let Some(written) = written else { return (vec![Outcome::LOST; recipients.len()], Held::Nothing) };
        let (answers, files) = written
            .into_iter()
            .map(|written| match written {
                Ok(file) => (Outcome::Delivered, Some(file)),
                Err(error) => (self.file_failed(&error), None),
            })
            .unzip();
        (answers, Held::Files(files))
    }

    /// Hands the message to the recipients that the route would take it for.
    pub(super) async fn send(&self, part: &mut Part<'_>) {
        match std::mem::replace(&mut part.held, Held::Nothing) {
            Held::Nothing => {}
            Held::Transaction { relay, letter, content, offered } => {
                let (answers, said) = relay.send(*offered, &letter, &content).await;
                part.answers = answers;
                if let Some(hop) = &mut part.hop {
                    hop.said = said;
                }
            }
            Held::Files(files) => {
                let publish = move || files.into_iter().map(|file| file.map(Written::publish)).collect();
                let published: Vec<Option<Result<(), MaildirError>>> =
                    self.on_disk(publish).await.unwrap_or_default();
                let mut published = published.into_iter();
                for answer in &mut part.answers {
                    match published.next() {
                        Some(None | Some(Ok(()))) => {}
                        Some(Some(Err(error))) => *answer = self.file_failed(&error),
                        // The thread was lost with its results.
                        None => *answer = Outcome::LOST,
                    }
                }
            }
        }
    }

    /// Takes everything back: nobody gets the message by this route.
    pub(super) async fn withdraw(&self, part: &mut Part<'_>) {
        for answer in part.answers.iter_mut().filter(|answer| **answer == Outcome::Delivered) {
            *answer = Outcome::Withheld;
        }
        match std::mem::replace(&mut part.held, Held::Nothing) {
            Held::Transaction { relay, offered, .. } => relay.abandon(*offered).await,
            // Removing a file blocks as writing does.
            Held::Files(files) => drop(self.on_disk(move || drop(files)).await),
            Held::Nothing => {}
        }
    }

    fn file_failed(&self, error: &MaildirError) -> Outcome {
        self.shared.metrics.count_failure(RouteKind::Maildir, Phase::File);
        let cause = std::error::Error::source(error).map(tracing::field::display);
        tracing::warn!(%error, cause, "Maildir delivery failed");
        error.outcome()
    }

    /// Runs file work on a blocking thread; nothing when that thread was lost.
    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let permit = Arc::clone(&self.shared.files).acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.ok()
    }
}

/// What a relay gets: a copy for one recipient says so, where its route wants that.
pub(super) fn content_for(
    relay: &Relay,
    content: &Content,
    recipients: &[&Recipient],
    delivered_to: bool,
) -> Content {
    let says_so = relay.protocol == Protocol::Lmtp || relay.add_delivered_to;
    match recipients {
        [only] if delivered_to && says_so => marked(content, &only.address),
        _ => content.clone(),
    }
}

/// The content with a `Delivered-To` field on top.
pub(super) fn marked(content: &Content, recipient: &Address) -> Content {
    content.prepended(format!("Delivered-To: {recipient}\r\n"))
}
