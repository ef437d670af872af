//! One question to a milter: what is told, in order, and what its answers come to.

use std::collections::VecDeque;

use super::answer::Answer;
use super::change::Changes;
use super::command::Command;
use super::dialogue::Dialogue;
use super::error::MilterError;
use super::facts::Facts;
use super::frame::Frame;
use crate::verdict::{Stage, Verdict};

/// A question under way.
///
/// The host calls [`next`](Self::next) until there is a verdict, and does what it says. One that is given up half-way
/// leaves the connection in a state that nobody knows; it must not be used again.
#[derive(Debug)]
pub struct Exchange<'a> {
    dialogue: &'a mut Dialogue,
    facts: &'a Facts<'a>,
    due: VecDeque<Command>,
    /// The command whose answer has not come.
    awaited: Option<Command>,
    /// Whether parts of the body are to be sent.
    in_body: bool,
    changes: Changes,
    verdict: Option<Verdict>,
}

/// What the host is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Send what was written, and hear the answer to this command.
    Answer(Command),
    /// Send what was written, and then a part of the body of at most so many octets, or say that there is none.
    Body(usize),
    /// Send what was written. That is all.
    Over(Verdict),
}

impl<'a> Exchange<'a> {
    /// Begins a question; octets to be sent are appended to `out`. The changes of one milter may be as large as
    /// `max_octets` together.
    pub fn begin(
        dialogue: &'a mut Dialogue,
        stage: Stage,
        facts: &'a Facts<'a>,
        max_octets: u64,
        out: &mut Vec<u8>,
    ) -> Self {
        let due = dialogue.due(stage, facts, out).into();
        let changes = Changes::new(max_octets);
        Self { dialogue, facts, due, awaited: None, in_body: false, changes, verdict: None }
    }

    /// What comes next; octets to be sent are appended to `out`. Commands that the milter does not answer are
    /// gathered, so that they go out together.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Next {
        loop {
            if let Some(verdict) = self.verdict.take() {
                self.due.clear();
                self.in_body = false;
                return Next::Over(verdict);
            }
            if let Some(command) = self.awaited {
                return Next::Answer(command);
            }
            if self.in_body {
                return Next::Body(self.dialogue.options().chunk_octets());
            }
            let Some(command) = self.due.pop_front() else {
                self.verdict = Some(Verdict::Pass(Vec::new()));
                continue;
            };
            // Even what the milter does not want to hear counts as told.
            self.dialogue.told(command, self.facts);
            let options = self.dialogue.options();
            if !command.is_wanted(options) {
                continue;
            }
            if command == Command::Body {
                self.in_body = true;
                continue;
            }
            command.write_to(self.facts, options, out);
            if command.is_answered(options) {
                self.awaited = Some(command);
            }
        }
    }

    /// A part of the body was sent.
    pub fn body_sent(&mut self) {
        if Command::Body.is_answered(self.dialogue.options()) {
            self.awaited = Some(Command::Body);
        }
    }

    /// There is no more of the body.
    pub fn body_ends(&mut self) {
        self.in_body = false;
    }

    /// Octets of changes that are held.
    #[must_use]
    pub fn octets_held(&self) -> u64 {
        self.changes.octets()
    }

    /// Takes a frame that came while an answer was awaited. Says whether the answer is complete.
    ///
    /// # Errors
    ///
    /// When the milter breaks the protocol; the exchange is over then, and so is the connection.
    pub fn hear(&mut self, frame: &Frame<'_>) -> Result<Heard, MilterError> {
        let Some(command) = self.awaited else {
            return Err(MilterError::WrongPlace { answer: frame.code.into(), to: "nothing" });
        };
        let Some(answer) = Answer::read(frame, command)? else {
            self.changes.take(frame, self.dialogue.options())?;
            return Ok(Heard::Part);
        };
        if answer == Answer::Progress {
            return Ok(Heard::Part);
        }
        self.awaited = None;
        match answer {
            Answer::Continue | Answer::Accept if command == Command::EndOfMessage => {
                let changes = std::mem::replace(&mut self.changes, Changes::new(0));
                self.verdict = Some(Verdict::Pass(changes.into_modifications()));
            }
            Answer::Continue | Answer::Progress => {}
            Answer::Skip => self.in_body = false,
            Answer::Accept => {
                self.dialogue.release();
                self.verdict = Some(Verdict::Pass(Vec::new()));
            }
            Answer::Discard => {
                self.dialogue.release();
                self.verdict = Some(Verdict::Discard);
            }
            Answer::Stop(verdict) => {
                match command {
                    // Who refuses a session or breaks it off is not asked again on this connection.
                    Command::Connect | Command::Helo => self.dialogue.spend(),
                    _ if matches!(verdict, Verdict::Disconnect(_)) => self.dialogue.spend(),
                    // A refused recipient leaves the transaction open; anything else ends it for the milter.
                    Command::Rcpt(_) => {}
                    _ => self.dialogue.release(),
                }
                self.verdict = Some(verdict);
            }
        }
        if command == Command::EndOfMessage {
            self.dialogue.message_over();
        }
        Ok(Heard::Whole)
    }
}

/// What came of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// More of the answer follows, for which the time starts anew.
    Part,
    /// The answer is complete.
    Whole,
}
