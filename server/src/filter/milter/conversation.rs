//! One connection to a milter, and the questions put on it.

use postern_core::milter::command::write_quit;
use postern_core::milter::dialogue::Dialogue;
use postern_core::milter::error::MilterError;
use postern_core::milter::exchange::{Exchange, Heard, Next};
use postern_core::milter::facts::Facts;
use postern_core::milter::frame::FrameError;
use postern_core::milter::options::Offer;
use postern_core::policy::filter::Milter;
use postern_core::verdict::{Stage, Verdict};

use super::connect::connect;
use super::link::{Link, Room};
use super::shown;
use crate::filter::{Case, FilterError};
use crate::gate::Gate;

/// A connection, and what was said on it.
#[derive(Debug)]
pub(super) struct Conversation {
    link: Link,
    dialogue: Dialogue,
}

/// Where an exchange cannot go on by itself.
enum Pause {
    /// It wants a part of the body of at most so many octets.
    Body(usize),
    Over(Verdict),
}

impl Conversation {
    /// Connects, and agrees on options.
    pub(super) async fn open(milter: &Milter, gate: &Gate) -> Result<Self, FilterError> {
        let mut link = Link::new(connect(milter, &gate.filters.milters).await?, milter);
        let offer = Offer::of(milter);
        offer.write_to(link.outgoing());
        link.flush("the offer").await?;
        let mut room = Room::new(gate.messages.budget());
        let options = loop {
            let frame = link.frame("the offer", &mut room).await?;
            match frame.code {
                b'O' => break offer.agreed(frame.payload),
                // Some milters send their lists of macros ahead; those that count come with the answer.
                b'l' => {}
                code => break Err(MilterError::NoNegotiation(code.into())),
            }
        };
        let options = options.map_err(|error| broken(error, milter))?;
        tracing::debug!(filter = %milter.process.name, ?options, "connected to a milter");
        Ok(Self { link, dialogue: Dialogue::new(options) })
    }

    pub(super) fn dialogue(&self) -> &Dialogue {
        &self.dialogue
    }

    /// Whether another question may be put: the milter has not hung up, and has said nothing unasked.
    pub(super) fn is_usable(&mut self) -> bool {
        self.link.is_quiet()
    }

    /// Puts the question of a stage.
    pub(super) async fn ask(&mut self, milter: &Milter, case: &Case<'_>) -> Result<Verdict, FilterError> {
        let facts = shown::facts(case);
        let most = u64::from(milter.max_response_size);
        let Self { link, dialogue } = self;
        let mut exchange = Exchange::begin(dialogue, case.stage, &facts, most, link.outgoing());
        let mut question = Question { milter, link, exchange: &mut exchange, room: Room::of(case) };
        match question.go_on().await? {
            Pause::Over(verdict) => Ok(verdict),
            Pause::Body(most) => question.tell_body(case, most).await,
        }
    }

    /// Tells of a recipient that was refused, for a milter that has asked for those. What it says to that changes
    /// nothing.
    pub(super) async fn tell_refused(
        &mut self,
        milter: &Milter,
        facts: &Facts<'_>,
        room: Room<'_>,
    ) -> Result<(), FilterError> {
        let Self { link, dialogue } = self;
        let mut exchange = Exchange::begin(dialogue, Stage::Rcpt, facts, 0, link.outgoing());
        Question { milter, link, exchange: &mut exchange, room }.go_on().await.map(|_| ())
    }

    /// Ends the transaction that the milter knows of, if any.
    pub(super) async fn abort(&mut self) -> Result<(), FilterError> {
        if self.dialogue.abort(self.link.outgoing()) {
            self.link.flush("the end of a transaction").await?;
        }
        Ok(())
    }

    /// Says good-bye and closes, without waiting for anything.
    pub(super) fn part(mut self) {
        write_quit(self.link.outgoing());
        self.link.part();
    }
}

/// A question under way.
struct Question<'a, 'b> {
    milter: &'a Milter,
    link: &'a mut Link,
    exchange: &'a mut Exchange<'b>,
    room: Room<'a>,
}

impl Question<'_, '_> {
    /// Tells and hears until the body is wanted or all is said.
    async fn go_on(&mut self) -> Result<Pause, FilterError> {
        loop {
            match self.exchange.next(self.link.outgoing()) {
                Next::Answer(command) => {
                    self.link.flush(command.name()).await?;
                    self.hear(command.name()).await?;
                }
                Next::Body(most) => return Ok(Pause::Body(most)),
                Next::Over(verdict) => {
                    self.link.flush("the last command").await?;
                    return Ok(Pause::Over(verdict));
                }
            }
        }
    }

    async fn tell_body(&mut self, case: &Case<'_>, most: usize) -> Result<Verdict, FilterError> {
        let mut blocks = case.in_hand()?.body().blocks();
        while let Some(block) = blocks.next().await.map_err(FilterError::Unreadable)? {
            // In equal parts: a block just above the limit would else leave a part of a few octets each time.
            let parts = block.len().div_ceil(most.max(1)).max(1);
            for part in block.chunks(block.len().div_ceil(parts).max(1)) {
                self.link.send_body(part).await?;
                self.exchange.body_sent();
                if let Pause::Over(verdict) = self.go_on().await? {
                    return Ok(verdict);
                }
            }
        }
        self.exchange.body_ends();
        match self.go_on().await? {
            Pause::Over(verdict) => Ok(verdict),
            Pause::Body(_) => Err(FilterError::Protocol("the body has ended twice".into())),
        }
    }

    async fn hear(&mut self, what: &'static str) -> Result<(), FilterError> {
        loop {
            self.room.hold(self.exchange.octets_held())?;
            let frame = self.link.frame(what, &mut self.room).await?;
            match self.exchange.hear(&frame).map_err(|error| broken(error, self.milter))? {
                Heard::Part => {}
                Heard::Whole => return Ok(()),
            }
        }
    }
}

fn broken(error: MilterError, milter: &Milter) -> FilterError {
    match error {
        MilterError::Frame(error) => broken_frame(error, milter.max_response_size),
        MilterError::TooLarge { .. } => FilterError::AnswerTooLarge { most: milter.max_response_size.into() },
        error => FilterError::Protocol(error.to_string()),
    }
}

pub(super) fn broken_frame(error: FrameError, most: u32) -> FilterError {
    match error {
        FrameError::TooLarge { .. } => FilterError::AnswerTooLarge { most: most.into() },
        FrameError::Empty => FilterError::Protocol(error.to_string()),
    }
}
