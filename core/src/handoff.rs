//! What next hops say, and what the client is told: grouping by route and the worst-answer rule.
//!
//! 250 after the data means that every recipient is in good hands. So one answer stands for all of
//! them, and it is the worst: told "later" the client keeps the message, told "no" it gives it back to
//! its sender, and neither can lose a recipient. An LMTP client hears the truth about each.

use std::sync::Arc;

use crate::cause::Cause;
use crate::policy::route::Route;
use crate::smtp::address::Address;
use crate::smtp::reply::{EnhancedCode, Reply};

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A next hop has taken responsibility, now or in an earlier try of the client.
    Delivered,
    /// Refused for good; the reply is 5xx.
    Refused(Reply),
    /// Refused for now, or nobody knows; the reply is 451.
    Deferred(Reply),
    /// Nothing was sent, because something else about the transaction went wrong.
    Withheld,
}

impl Outcome {
    /// Nobody answered, or not to the end: no connection, time-out, a broken or closing hop.
    pub const LOST: Self = Self::Deferred(NEXT_HOP_LOST);

    /// What a next hop's reply to a command or to the data means for the recipients concerned.
    ///
    /// 421 announces the end of the connection and says nothing about the message (RFC 5321 section
    /// 3.8), and 3xx where an answer was due is no answer: both count as lost. Whatever a hop's reason
    /// for 4xx, the client gets 451, because codes such as 452 would speak of our own state.
    #[must_use]
    pub fn of_reply(reply: &Reply) -> Self {
        match reply.code() {
            200..=299 => Self::Delivered,
            421 => Self::LOST,
            400..=499 => {
                let enhanced = reply.enhanced().unwrap_or(EnhancedCode(4, 3, 5));
                let deferred = Reply::new(451, enhanced, "Deferred by the next hop");
                Self::Deferred(if has_text(reply) {
                    deferred.with_lines(reply.text().split('\n'))
                } else {
                    deferred
                })
            }
            500..=599 => {
                let reply =
                    if has_text(reply) { reply.clone() } else { reply.with_text("Refused by the next hop") };
                Self::Refused(reply.or_enhanced(EnhancedCode(5, 0, 0)))
            }
            _ => Self::LOST,
        }
    }

    /// What a next hop's reply means where only a go-ahead would do: anything but a refusal is no answer.
    #[must_use]
    pub fn of_refusal(reply: &Reply) -> Self {
        match Self::of_reply(reply) {
            Self::Delivered => Self::LOST,
            refusal => refusal,
        }
    }

    /// What an answer that is no reply means: `554 5.0.0` when it begins like a refusal, else lost.
    #[must_use]
    pub fn of_malformed(answer: &[u8]) -> Self {
        match answer.first() {
            Some(b'5') => Self::Refused(Reply::FAILED),
            _ => Self::LOST,
        }
    }

    /// The same, with the route whose next hop it was.
    #[must_use]
    pub fn by(self, route: &Route) -> Self {
        let named = |reply: Reply| {
            let cause = Cause::object("MtaRoute", Arc::clone(&route.name));
            reply.or_because(Some(&cause))
        };
        match self {
            Self::Refused(reply) => Self::Refused(named(reply)),
            Self::Deferred(reply) => Self::Deferred(named(reply)),
            Self::Delivered | Self::Withheld => self,
        }
    }

    /// The reply for this recipient alone, as an LMTP client gets it (RFC 2033 section 4.2).
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::Delivered => DELIVERED,
            Self::Refused(reply) | Self::Deferred(reply) => reply.clone(),
            Self::Withheld => NEXT_HOP_LOST,
        }
    }
}

fn has_text(reply: &Reply) -> bool {
    !reply.text().trim().is_empty()
}

/// The one answer to a client for all recipients of a transaction.
///
/// Any recipient deferred: its 451. Else any refused: the first refusal, naming the recipients
/// concerned when they are not all of the same mind. Else 250.
#[must_use]
pub fn worst<'a>(outcomes: impl IntoIterator<Item = (&'a Address, &'a Outcome)> + Clone) -> Reply {
    let deferred = outcomes.clone().into_iter().find_map(|(_, outcome)| match outcome {
        Outcome::Deferred(reply) => Some(reply.clone()),
        _ => None,
    });
    if let Some(reply) = deferred {
        return reply;
    }
    let mut total = 0;
    let mut withheld = false;
    let mut refused: Vec<(&Address, &Reply)> = Vec::new();
    for (recipient, outcome) in outcomes {
        total += 1;
        match outcome {
            Outcome::Refused(reply) => refused.push((recipient, reply)),
            Outcome::Withheld => withheld = true,
            Outcome::Deferred(_) | Outcome::Delivered => {}
        }
    }
    match refused.as_slice() {
        [] if withheld => NEXT_HOP_LOST,
        [] => DELIVERED,
        [(_, first), others @ ..] => {
            let unanimous = refused.len() == total && others.iter().all(|(_, reply)| reply == first);
            if unanimous { (*first).clone() } else { naming(first, &refused) }
        }
    }
}

/// The first refusal, its text replaced by a line for each recipient that was refused.
fn naming(first: &Reply, refused: &[(&Address, &Reply)]) -> Reply {
    let mut lines: Vec<String> = refused
        .iter()
        .take(NAMED_RECIPIENTS)
        .map(|(recipient, reply)| match reply.code() == first.code() {
            true => format!("<{recipient}>: {}", reply.text().replace('\n', " ")),
            false => format!("<{recipient}>: {} {}", reply.code(), reply.text().replace('\n', " ")),
        })
        .collect();
    if let Some(more @ 1..) = refused.len().checked_sub(NAMED_RECIPIENTS) {
        lines.push(format!("and {more} more"));
    }
    first.with_lines(lines)
}

/// Recipients that go to one route, as places in the list of recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Where they go.
    pub route: Arc<Route>,
    /// Which they are, in order.
    pub recipients: Vec<usize>,
}

/// Groups recipients by route, both in the order in which they first appear.
#[must_use]
pub fn plan<'a>(routes: impl IntoIterator<Item = &'a Arc<Route>>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (place, route) in routes.into_iter().enumerate() {
        match groups.iter_mut().find(|group| Arc::ptr_eq(&group.route, route) || group.route == *route) {
            Some(group) => group.recipients.push(place),
            None => groups.push(Group { route: Arc::clone(route), recipients: vec![place] }),
        }
    }
    groups
}

/// Recipients named in one refusal; each takes a line.
const NAMED_RECIPIENTS: usize = 10;

const DELIVERED: Reply = Reply::new(250, EnhancedCode(2, 0, 0), "Message delivered to the next hop");
const NEXT_HOP_LOST: Reply =
    Reply::new(451, EnhancedCode(4, 3, 5), "The next hop is not available, try again later");
#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::route::RouteTarget;

    fn address(local: &str) -> Address {
        Address::parse(format!("{local}@example.com")).unwrap()
    }

    fn route(name: &str) -> Arc<Route> {
        Arc::new(Route { name: name.into(), target: RouteTarget::Discard })
    }

    /// What a hop said about one recipient, in short: a reply, `ok`, `lost`, `held`.
    fn outcome(said: &str) -> Outcome {
        match said {
            "ok" => Outcome::Delivered,
            "lost" => Outcome::LOST,
            "held" => Outcome::Withheld,
            reply => Outcome::of_reply(&Reply::from_text(reply).unwrap()),
        }
    }

    fn shown(reply: &Reply) -> String {
        reply.to_string()
    }

    const LOST: &str = "451 4.3.5 The next hop is not available, try again later";
    const OK: &str = "250 2.0.0 Message delivered to the next hop";

    #[test]
    fn the_worst_answer_wins() {
        for (said, told) in [
            // All of one mind.
            (&["ok"][..], OK),
            (&["ok", "ok", "ok"], OK),
            (&["550 5.1.1 unknown"], "550 5.1.1 unknown"),
            (&["550 5.1.1 unknown", "550 5.1.1 unknown"], "550 5.1.1 unknown"),
            (&["452 4.2.2 full"], "451 4.2.2 full"),
            (&["450 busy"], "451 4.3.5 busy"),
            (&["421 4.3.2 closing"], LOST),
            (&["lost"], LOST),
            (&["354 go on"], LOST),
            // One answer among others.
            (&["ok", "452 4.2.2 full", "ok"], "451 4.2.2 full"),
            (&["ok", "lost"], LOST),
            (&["ok", "552 5.2.2 full"], "552 5.2.2 <b@example.com>: full"),
            (&["550 5.1.1 unknown", "ok", "ok"], "550 5.1.1 <a@example.com>: unknown"),
            // Later beats never, whatever the order: the client must keep the message.
            (&["550 5.1.1 unknown", "452 4.2.2 full"], "451 4.2.2 full"),
            (&["452 4.2.2 full", "550 5.1.1 unknown", "ok"], "451 4.2.2 full"),
            (&["550 5.1.1 unknown", "lost", "ok"], LOST),
            // Several refusals: the first gives the code, each is named.
            (
                &["550 5.1.1 unknown", "ok", "552 5.2.2 full"],
                "550 5.1.1 <a@example.com>: unknown / <c@example.com>: 552 full",
            ),
            (&["550 5.1.1 x", "550 5.1.1 y"], "550 5.1.1 <a@example.com>: x / <b@example.com>: y"),
            // What was held back does not soften the answer, nor make one.
            (&["held", "550 5.1.1 unknown"], "550 5.1.1 <b@example.com>: unknown"),
            (&["held", "451 4.7.1 later"], "451 4.7.1 later"),
            (&["held", "ok"], LOST),
        ] {
            let recipients: Vec<_> = ["a", "b", "c"].into_iter().map(address).collect();
            let outcomes: Vec<_> = said.iter().map(|said| outcome(said)).collect();
            let reply = worst(recipients.iter().zip(&outcomes));
            assert_eq!(shown(&reply), told, "{said:?}");
        }
    }

    #[test]
    fn a_hop_s_reply_is_passed_on_or_replaced() {
        for (said, told) in [
            ("550 5.7.1 spam", "550 5.7.1 spam"),
            ("550 spam", "550 5.0.0 spam"),
            ("550", "550 5.0.0 Refused by the next hop"),
            ("450", "451 4.3.5 Deferred by the next hop"),
            ("451 4.7.1 later", "451 4.7.1 later"),
            ("455 5.1.1 odd class", "451 4.3.5 5.1.1 odd class"),
            ("550-5.7.1 one\r\n550 5.7.1 two", "550 5.7.1 one / two"),
        ] {
            assert_eq!(shown(&outcome(said).reply()), told, "{said}");
        }
        assert_eq!(Outcome::of_refusal(&Reply::OK), Outcome::LOST);
        assert_eq!(shown(&Outcome::of_malformed(b"5xx no").reply()), "554 5.0.0 Transaction failed");
        for answer in [&b"4xx no"[..], b"", b"HTTP/1.1 400", b"2yes"] {
            assert_eq!(Outcome::of_malformed(answer), Outcome::LOST);
        }
    }

    #[test]
    fn many_refusals_do_not_make_an_endless_reply() {
        let recipients: Vec<_> = (0..50).map(|n| address(&format!("r{n}"))).collect();
        let outcomes: Vec<_> = (0..50).map(|n| outcome(&format!("550 5.1.1 reason {n}"))).collect();
        let reply = worst(recipients.iter().zip(&outcomes));
        assert_eq!(reply.text().lines().count(), 11);
        assert!(reply.text().ends_with("and 40 more"));
    }

    #[test]
    fn recipients_of_one_route_share_a_transaction() {
        let (a, b) = (route("a"), route("b"));
        let groups = plan([&a, &b, &a, &a]);
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[0].route.name.as_ref(), &groups[0].recipients), ("a", &vec![0, 2, 3]));
        assert_eq!((groups[1].route.name.as_ref(), &groups[1].recipients), ("b", &vec![1]));
        assert!(plan([]).is_empty());
    }
}
