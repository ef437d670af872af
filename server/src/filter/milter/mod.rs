//! Milters: one connection for a session and a milter, opened when it is first needed.
//!
//! What is said on it, and what the answers mean, is [`postern_core::milter`]; here are the sockets and the time.

mod connect;
mod conversation;
mod link;
mod shown;

use std::sync::Arc;

use postern_core::milter::facts::InHand;
use postern_core::milter::macros::Addressee;
use postern_core::policy::filter::Milter;
use postern_core::smtp::address::Address;
use postern_core::smtp::reply::Reply;
use postern_core::verdict::{Stage, Verdict};

pub(super) use self::connect::TlsClients;
use self::conversation::Conversation;
use self::link::Room;
use super::{Case, FilterError};

/// The milters of one session.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    seats: Vec<(Arc<Milter>, Seat)>,
}

#[derive(Debug)]
enum Seat {
    Connected(Box<Conversation>),
    /// It has accepted the whole session and is asked no more.
    Released,
}

impl Conversations {
    /// What a milter says. A connection on which anything went wrong is dropped; the next question opens another one,
    /// and everything is told anew.
    pub(super) async fn judge(
        &mut self,
        milter: &Arc<Milter>,
        case: &Case<'_>,
    ) -> Result<Verdict, FilterError> {
        // The protocol has no command for AUTH; the account is told along with MAIL.
        if case.stage == Stage::Auth {
            return Ok(Verdict::Pass(Vec::new()));
        }
        // Taken out, and put back at the end: a question that is given up half-way leaves no connection behind.
        let open = match self.take(milter) {
            Some(Seat::Released) => {
                self.seats.push((Arc::clone(milter), Seat::Released));
                return Ok(Verdict::Pass(Vec::new()));
            }
            Some(Seat::Connected(mut open)) => open.is_usable().then_some(open),
            None => None,
        };
        let mut conversation = match open {
            Some(open) => open,
            // Boxed, as most questions find it open.
            None => Box::new(Box::pin(Conversation::open(milter, case.gate)).await?),
        };
        let verdict = conversation.ask(milter, case).await?;
        let dialogue = conversation.dialogue();
        if dialogue.is_spent() {
            conversation.part();
        } else if dialogue.is_released() {
            conversation.part();
            self.seats.push((Arc::clone(milter), Seat::Released));
        } else {
            self.seats.push((Arc::clone(milter), Seat::Connected(conversation)));
        }
        Ok(verdict)
    }

    /// Whether a milter has asked to hear of refused recipients.
    pub(super) fn wants_refused_recipients(&self) -> bool {
        self.seats.iter().any(|(milter, seat)| seat.wants_refused_recipients(milter))
    }

    /// Tells those milters of a recipient that was refused without them.
    pub(super) async fn tell_refused(
        &mut self,
        case: &Case<'_>,
        address: &Address,
        parameters: &[String],
        reply: &Reply,
    ) {
        let code = reply.enhanced().map_or_else(String::new, |code| code.to_string());
        let text = reply.to_string();
        let mut facts = shown::facts(case);
        if let Some(transaction) = &mut facts.transaction {
            let addressee = Addressee::Refused(address, &code, &text);
            transaction.in_hand = Some(InHand { addressee, parameters, members: &[] });
        }
        for (milter, seat) in std::mem::take(&mut self.seats) {
            if !seat.wants_refused_recipients(&milter) {
                self.seats.push((milter, seat));
                continue;
            }
            let Seat::Connected(mut conversation) = seat else { continue };
            match conversation.tell_refused(&milter, &facts, Room::of(case)).await {
                Ok(()) => self.seats.push((milter, Seat::Connected(conversation))),
                Err(error) => report_loss(&milter, &error),
            }
        }
    }

    /// The transaction is over: milters that know of it forget it.
    pub(super) async fn abort(&mut self) {
        for at in (0..self.seats.len()).rev() {
            let Some((milter, Seat::Connected(conversation))) = self.seats.get_mut(at) else { continue };
            if let Err(error) = conversation.abort().await {
                report_loss(milter, &error);
                self.seats.swap_remove(at);
            }
        }
    }

    /// The session is over.
    pub(super) fn quit(self) {
        for (_, seat) in self.seats {
            if let Seat::Connected(conversation) = seat {
                conversation.part();
            }
        }
    }

    fn take(&mut self, milter: &Arc<Milter>) -> Option<Seat> {
        let at = self.seats.iter().position(|(known, _)| Arc::ptr_eq(known, milter))?;
        Some(self.seats.swap_remove(at).1)
    }
}

impl Seat {
    fn wants_refused_recipients(&self, milter: &Milter) -> bool {
        match self {
            Self::Connected(conversation) => {
                milter.process.stages.contains(&Stage::Rcpt)
                    && conversation.dialogue().wants_refused_recipients()
            }
            Self::Released => false,
        }
    }
}

/// No verdict depends on it: the next question opens another connection.
fn report_loss(milter: &Milter, error: &FilterError) {
    let error = error as &dyn std::error::Error;
    tracing::debug!(filter = %milter.process.name, error, "the connection to a milter was lost");
}
