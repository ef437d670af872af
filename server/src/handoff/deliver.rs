//! Prepare and send over all routes of a message, and one answer in the end.

use std::future::Future;
use std::iter;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::join_all;
use postern_core::handoff::{Group, Outcome, plan, worst};
use postern_core::policy::route::RouteTarget;
use postern_core::smtp::address::Address;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};

use super::handed::{self, Handed};
use super::part::{Company, Part};
use super::relay::{self, Permit};
use super::{Answers, Delivered, Delivery, HandOff, Mailing, Parties, RememberedDelivery, RouteKind};

impl HandOff {
    /// Gives a message to the next hops of all its recipients.
    ///
    /// Recipients that an earlier try of the same client has reached are skipped. With [`Answers::One`]
    /// every next hop first accepts its whole envelope, or nothing is sent to anybody; then the message
    /// goes to all at once. After a mixed answer what was delivered is remembered.
    pub async fn deliver(&self, delivery: Delivery) -> Delivered {
        let mut outcomes = self.delivered_before(&delivery).await;
        let groups = groups(&delivery, &outcomes);
        let alone = groups.len() == 1;
        let started = Instant::now();
        let mut reserved = match alone {
            true => Vec::new(),
            false => within(delivery.deadline, self.reserve(&groups), Vec::new).await,
        }
        .into_iter();
        let mut parts = all(groups.iter().map(|(ordinal, group)| {
            let company = if alone { Company::Alone } else { Company::Others(reserved.next().flatten()) };
            let prepared = self.prepare(&delivery, *ordinal, group, company);
            within(delivery.deadline, prepared, || Part::lost(*ordinal, group))
        }))
        .await;
        let all_willing =
            || parts.iter().flat_map(|part| &part.answers).all(|answer| *answer == Outcome::Delivered);
        let proceed = delivery.answers == Answers::PerRecipient || all_willing();
        all(parts.iter_mut().map(|part| self.finish(part, proceed, delivery.deadline))).await;
        let mut handed = Vec::with_capacity(parts.len());
        for mut part in parts {
            handed.push(self.report(&delivery, &mut part, started));
            let Some(outcomes) = outcomes.get_mut(part.mailing) else { continue };
            for (place, answer) in part.group.recipients.iter().zip(part.answers) {
                if let Some(outcome) = outcomes.get_mut(*place) {
                    *outcome = answer.by(&part.group.route);
                }
            }
        }
        let copies = delivery.mailings.iter().flat_map(|mailing| &mailing.copies);
        let overall = worst(copies.map(|copy| &copy.recipient.address).zip(outcomes.iter().flatten()));
        if delivery.answers == Answers::One && !overall.is_positive() {
            self.remember(&delivery, &outcomes).await;
        }
        Delivered { outcomes: outcomes.into_iter().flatten().collect(), overall, handed }
    }

    /// Connections for all parts of a message that has several.
    async fn reserve(&self, groups: &[(usize, Group)]) -> Vec<Option<Permit>> {
        let relay = |(_, group): &(usize, Group)| match &group.route.target {
            RouteTarget::Relay(relay) => Some(self.shared.relays.get(&group.route, relay)),
            RouteTarget::Maildir(_) | RouteTarget::Discard => None,
        };
        relay::reserve(&groups.iter().map(relay).collect::<Vec<_>>()).await
    }

    /// Sends, when all are willing or it does not matter; else takes back.
    async fn finish(&self, part: &mut Part<'_>, proceed: bool, deadline: Instant) {
        let any_willing = part.answers.contains(&Outcome::Delivered);
        if !(proceed && any_willing) {
            // Withdrawn it is in any case; the time is for telling the hop, whose connection is closed
            // otherwise.
            let withdrawn = part.span.place().around(self.withdraw(part));
            let _: Result<(), _> = timeout_at(deadline, withdrawn).await;
        } else if timeout_at(deadline, part.span.place().around(self.send(part))).await.is_err() {
            // Nobody knows what the hop makes of it, and the client has to be told something.
            part.answers.iter_mut().filter(|answer| **answer == Outcome::Delivered).for_each(|answer| {
                *answer = Outcome::LOST;
            });
        }
        // Here ends what the route has done; others may take longer.
        let mut span = std::mem::take(&mut part.span);
        handed::finish(&mut span, part.hop.as_ref(), worst_of(&part.answers));
    }

    fn report(&self, delivery: &Delivery, part: &mut Part<'_>, started: Instant) -> Handed {
        let kind = RouteKind::of(&part.group.route);
        let took = started.elapsed();
        self.shared.metrics.count_recipients(kind, &part.answers);
        self.shared.metrics.observe(kind, took);
        let worst = worst_of(&part.answers);
        let handed = Handed {
            route: Arc::clone(&part.group.route.name),
            recipients: part.answers.len(),
            hop: part.hop.take(),
            answer: worst.reply(),
            took,
        };
        // The client's transaction is told of with all that belongs to it; here is what none of them is about.
        let octets = delivery.mailings.get(part.mailing).map(|mailing| mailing.content.octets());
        tracing::debug!(id = %delivery.id, octets, %handed, "handed on");
        handed
    }

    /// `Delivered` for each recipient that has its message already, `Withheld` for the others.
    async fn delivered_before(&self, delivery: &Delivery) -> Vec<Vec<Outcome>> {
        let withheld = |mailing: &Mailing| vec![Outcome::Withheld; mailing.copies.len()];
        let mut outcomes: Vec<Vec<Outcome>> = delivery.mailings.iter().map(withheld).collect();
        // An LMTP client hears of each recipient and does not repeat those that went well.
        if delivery.answers == Answers::PerRecipient || !self.shared.remembered.holds_anything().await {
            return outcomes;
        }
        let parties: Vec<Parties> = delivery.all_parties().collect();
        let known = self.shared.remembered.knows(&parties).await;
        if known.is_empty() {
            return outcomes;
        }
        let Some(message) = digest(delivery).await else { return outcomes };
        for (place, (parties, outcome)) in parties.into_iter().zip(outcomes.iter_mut().flatten()).enumerate()
        {
            let known_as = RememberedDelivery { parties, message };
            if known.contains(&place) && self.shared.remembered.was_delivered(&known_as).await {
                self.shared.metrics.count_skipped();
                *outcome = Outcome::Delivered;
            }
        }
        outcomes
    }

    async fn remember(&self, delivery: &Delivery, outcomes: &[Vec<Outcome>]) {
        let all = delivery.all_parties().zip(outcomes.iter().flatten());
        let reached = all.filter(|(_, outcome)| **outcome == Outcome::Delivered).map(|(parties, _)| parties);
        let reached: Vec<Parties> = reached.collect();
        if reached.is_empty() {
            return;
        }
        let Some(message) = digest(delivery).await else { return };
        let delivered = reached.into_iter().map(|parties| RememberedDelivery { parties, message });
        self.shared.remembered.remember(&delivered.collect::<Vec<_>>()).await;
    }
}

/// The hash of the message as it was received. Filters make the same messages in the same order for the same
/// message, so the first one stands for all.
async fn digest(delivery: &Delivery) -> Option<[u8; 32]> {
    match delivery.mailings.first()?.content.original().digest().await {
        Ok(digest) => Some(digest),
        Err(error) => {
            tracing::warn!(id = %delivery.id, %error, "the message could not be read again");
            None
        }
    }
}

impl Delivery {
    /// Of each recipient of each mailing, in order.
    fn all_parties(&self) -> impl Iterator<Item = Parties> {
        self.mailings.iter().enumerate().flat_map(|(ordinal, mailing)| {
            mailing.copies.iter().map(move |copy| parties(ordinal, mailing, &copy.recipient.address))
        })
    }
}

/// The recipients of each mailing that still need it, by route.
fn groups(delivery: &Delivery, outcomes: &[Vec<Outcome>]) -> Vec<(usize, Group)> {
    let mut all = Vec::new();
    for (ordinal, (mailing, outcomes)) in delivery.mailings.iter().zip(outcomes).enumerate() {
        let open = places(outcomes, |outcome| *outcome != Outcome::Delivered);
        let routes = open.iter().filter_map(|place| mailing.copies.get(*place)).map(|copy| &copy.route);
        for mut group in plan(routes) {
            // The plan counts the open recipients; from here on places are those of the mailing.
            group.recipients = group.recipients.iter().filter_map(|at| open.get(*at).copied()).collect();
            all.push((ordinal, group));
        }
    }
    all
}

/// What comes of all, at the same time. Mostly there is one, and nothing is needed to keep several.
async fn all<F: Future>(futures: impl ExactSizeIterator<Item = F>) -> Vec<F::Output> {
    // They are large, and would be moved again and again.
    let mut futures = futures.map(Box::pin);
    match futures.next() {
        None => Vec::new(),
        Some(only) if futures.len() == 0 => vec![only.await],
        Some(first) => join_all(iter::once(first).chain(futures)).await,
    }
}

/// The result, or `otherwise` when time is up.
fn within<T>(
    deadline: Instant,
    work: impl Future<Output = T>,
    otherwise: impl FnOnce() -> T,
) -> impl Future<Output = T> {
    // An `async fn` would have room for `work` twice.
    timeout_at(deadline, work).map(|in_time| in_time.unwrap_or_else(|_| otherwise()))
}

fn places(outcomes: &[Outcome], wanted: impl Fn(&Outcome) -> bool) -> Vec<usize> {
    outcomes.iter().enumerate().filter(|(_, outcome)| wanted(outcome)).map(|(place, _)| place).collect()
}

/// Who gets which of a delivery's messages: filters make the same ones in the same order for the same message.
fn parties(ordinal: usize, mailing: &Mailing, recipient: &Address) -> Parties {
    let mut hash = Sha256::new();
    hash.update(mailing.sender.key());
    // No address holds a NUL, so these cannot run into each other.
    hash.update([0]);
    hash.update(recipient.key());
    hash.update([0]);
    hash.update(ordinal.to_be_bytes());
    hash.finalize().into()
}

fn worst_of(answers: &[Outcome]) -> &Outcome {
    answers.iter().find(|answer| **answer != Outcome::Delivered).unwrap_or(&Outcome::Delivered)
}
