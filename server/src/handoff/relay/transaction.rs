//! One transaction at a hop: the envelope, then the message.
//!
//! Round trips are what relaying costs, so as much goes out at once as cannot do harm:
//!
//! | hop offers | one recipient | several |
//! |---|---|---|
//! | PIPELINING, CHUNKING | MAIL RCPT BDAT message | MAIL RCPT…, BDAT message |
//! | PIPELINING | MAIL RCPT DATA, message | MAIL RCPT… DATA, message |
//! | neither | one at a time | one at a time |
//!
//! BDAT right behind a single RCPT is safe: if the hop refuses the recipient it has nobody to deliver to
//! and refuses the message too (RFC 3030 section 2). With several recipients it would deliver to those
//! it accepted, so it has to wait. DATA may go out with the envelope in any case, because the hop
//! delivers nothing before the final dot: when it says 354 although a recipient was refused, the
//! connection is closed without one, and the message is gone for good (RFC 5321 section 4.1.1.10).

use std::io::IoSlice;
use std::time::Duration;

use postern_core::handoff::Outcome;
use postern_core::policy::listener::Protocol;
use postern_core::policy::route::RelayTimeouts;
use postern_core::smtp::reply::Reply;
use postern_core::smtp::stuffing::DotStuffer;

use super::connection::Connection;
use super::conversation::Conversation;
use super::error::{Fault, HopError, Phase};
use super::wire::{Ahead, Letter, write_bdat, write_rcpt};
use crate::message::Content;

/// What the hop has been sent, beyond the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Envelope,
    /// RSET; its answer has not been read.
    Reset,
    /// DATA; its answer has not been read.
    DataCommand,
    /// BDAT and the message; the answer has not been read.
    Message,
}

/// The envelope was put, and this is what the hop said to each recipient.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) answers: Vec<Outcome>,
    /// Whether the hop took the sender, so that refusals are about recipients.
    pub(super) sender_accepted: bool,
    pub(super) sent: Sent,
}

/// The envelope could not be put.
#[derive(Debug)]
pub(super) struct OfferError {
    pub(super) error: HopError,
    /// The hop cannot have begun anything: the same may be tried on another connection.
    pub(super) may_retry: bool,
}

/// One transaction on a connection.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) timeouts: &'a RelayTimeouts,
    pub(super) protocol: Protocol,
}

impl Transaction<'_> {
    /// Puts the envelope, and what may go ahead with it.
    pub(super) async fn offer(
        &mut self,
        letter: &Letter<'_>,
        ahead: Ahead<'_>,
        freshly_used: bool,
    ) -> Result<Envelope, OfferError> {
        let sent = self.plan(letter, ahead, freshly_used);
        self.connection.begin();
        let mut commands = std::mem::take(&mut self.connection.commands);
        commands.clear();
        let offered = self.put(letter, ahead, sent, &mut commands).await;
        self.connection.commands = commands;
        offered
    }

    fn plan(&self, letter: &Letter<'_>, ahead: Ahead<'_>, freshly_used: bool) -> Sent {
        if !self.connection.offered.pipelining {
            return Sent::Envelope;
        }
        let content = match ahead {
            Ahead::Nothing => return Sent::Envelope,
            Ahead::Reset => return Sent::Reset,
            Ahead::Message(content) => content,
        };
        if !self.by_bdat(letter, content) {
            return Sent::DataCommand;
        }
        // A hop that has meanwhile closed an idle connection would leave it open what became of the
        // message; so after a pause the envelope asks first.
        let at_once = freshly_used && letter.recipients().len() == 1 && content.in_memory().is_some();
        if at_once { Sent::Message } else { Sent::Envelope }
    }

    /// BDAT hands on octets as they are. Where those are not lines of CRLF, and nobody asked for binary
    /// transport, DATA puts them right: a laxer program behind the hop might read a bare line end as
    /// one, and then a dot as the end of the message.
    fn by_bdat(&self, letter: &Letter<'_>, content: &Content) -> bool {
        self.connection.offered.chunking && (letter.is_binary() || content.survey().is_whole_lines_of_crlf())
    }

    async fn put(
        &mut self,
        letter: &Letter<'_>,
        ahead: Ahead<'_>,
        sent: Sent,
        commands: &mut Vec<u8>,
    ) -> Result<Envelope, OfferError> {
        let pipelined = self.connection.offered.pipelining;
        letter.write_mail(&self.connection.offered, commands);
        let first = if pipelined { letter.recipients().len().min(BATCH) } else { 0 };
        let (batch, mut rest) = letter.recipients().split_at(first);
        for recipient in batch {
            write_rcpt(recipient, &self.connection.offered, commands);
        }
        let tail = |rest: &[_]| if rest.is_empty() { sent } else { Sent::Envelope };
        self.write(commands, ahead, tail(rest)).await.map_err(|error| OfferError {
            error,
            // Not even the write succeeded; but a part of it may have, with a message that is complete.
            may_retry: tail(rest) != Sent::Message,
        })?;
        let sender = self.mail_answer(tail(rest)).await?;
        let fatal = |error| OfferError { error, may_retry: false };
        let mut answers = Vec::with_capacity(letter.recipients().len());
        for _ in batch {
            answers.push(self.rcpt_answer().await.map_err(fatal)?);
        }
        if sender != Outcome::Delivered {
            // What was pipelined is answered with 503, which says nothing about the recipients.
            let sent = tail(rest);
            let answers = vec![sender; letter.recipients().len()];
            return Ok(Envelope { answers, sender_accepted: false, sent });
        }
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(if pipelined { BATCH } else { 1 }));
            rest = after;
            commands.clear();
            for recipient in batch {
                write_rcpt(recipient, &self.connection.offered, commands);
            }
            self.write(commands, ahead, tail(rest)).await.map_err(fatal)?;
            for _ in batch {
                answers.push(self.rcpt_answer().await.map_err(fatal)?);
            }
        }
        Ok(Envelope { answers, sender_accepted: true, sent })
    }

    /// Writes commands, and behind them what `tail` says.
    async fn write(&mut self, commands: &mut Vec<u8>, ahead: Ahead<'_>, tail: Sent) -> Result<(), HopError> {
        let limit = self.timeouts.command;
        match (tail, ahead) {
            (Sent::Message, Ahead::Message(content)) => {
                write_bdat(content.octets(), commands);
                write_message(
                    &mut self.connection.talk,
                    commands,
                    content,
                    Framing::Chunk,
                    self.timeouts.data,
                )
                .await
            }
            (Sent::DataCommand, _) => {
                commands.extend_from_slice(b"DATA\r\n");
                self.connection.talk.send(Phase::Mail, commands, limit).await
            }
            (Sent::Reset, _) => {
                commands.extend_from_slice(RSET);
                self.connection.talk.send(Phase::Mail, commands, limit).await
            }
            _ => self.connection.talk.send(Phase::Mail, commands, limit).await,
        }
    }

    async fn mail_answer(&mut self, sent: Sent) -> Result<Outcome, OfferError> {
        let reply = self.connection.talk.reply(Phase::Mail, self.timeouts.command).await;
        let reply = reply.map_err(|error| OfferError {
            // Without a message the hop has nothing that it could deliver.
            may_retry: sent != Sent::Message,
            error,
        })?;
        if reply.code() == 421 {
            // It refused to begin a transaction, and with it all that follows.
            let error = HopError::new(Phase::Mail, Fault::Reply(reply));
            return Err(OfferError { error, may_retry: true });
        }
        let answer = Outcome::of_reply(&reply);
        if answer != Outcome::Delivered {
            self.connection.refused();
        }
        Ok(answer)
    }

    async fn rcpt_answer(&mut self) -> Result<Outcome, HopError> {
        let reply = self.reply(Phase::Rcpt, self.timeouts.command).await?;
        let answer = Outcome::of_reply(&reply);
        if answer != Outcome::Delivered {
            self.connection.refused();
        }
        Ok(answer)
    }

    /// A reply; 421 ends the conversation.
    async fn reply(&mut self, phase: Phase, limit: Duration) -> Result<Reply, HopError> {
        let reply = self.connection.talk.reply(phase, limit).await?;
        if reply.code() == 421 { Err(HopError::new(phase, Fault::Reply(reply))) } else { Ok(reply) }
    }

    /// Sends the message, or what is missing of it, and reads the last word on each of `accepted`
    /// recipients.
    ///
    /// An error leaves the connection useless. The answers that came before it stand.
    pub(super) async fn send(
        &mut self,
        letter: &Letter<'_>,
        content: &Content,
        sent: Sent,
        accepted: usize,
    ) -> (Vec<Outcome>, Result<(), HopError>) {
        let mut answers = Vec::with_capacity(accepted);
        let ended = self.transfer(letter, content, sent, accepted, &mut answers).await;
        if let Err(error) = &ended {
            answers.resize(accepted, error.outcome());
        }
        (answers, ended)
    }

    async fn transfer(
        &mut self,
        letter: &Letter<'_>,
        content: &Content,
        sent: Sent,
        accepted: usize,
        answers: &mut Vec<Outcome>,
    ) -> Result<(), HopError> {
        let by_bdat = sent == Sent::Envelope && self.by_bdat(letter, content);
        if by_bdat {
            let mut command = Vec::new();
            write_bdat(content.octets(), &mut command);
            self.write_body(&command, content, Framing::Chunk).await?;
        } else if sent != Sent::Message {
            if sent == Sent::Envelope {
                self.connection.talk.send(Phase::Data, b"DATA\r\n", self.timeouts.command).await?;
            }
            let go_ahead = self.reply(Phase::Data, self.timeouts.command).await?;
            if go_ahead.code() != 354 {
                answers.resize(accepted, Outcome::of_refusal(&go_ahead));
                self.connection.last_word = Some(go_ahead);
                return self.reset().await;
            }
            self.write_body(&[], content, Framing::Dots).await?;
        }
        self.last_answers(accepted, answers).await
    }

    async fn write_body(&mut self, head: &[u8], content: &Content, framing: Framing) -> Result<(), HopError> {
        let talk = &mut self.connection.talk;
        let written = write_message(talk, head, content, framing, self.timeouts.data).await;
        let Err(error) = written else { return Ok(()) };
        if matches!(error.fault, Fault::Content(_) | Fault::TimedOut(_)) {
            return Err(error);
        }
        // A hop that hangs up in the middle has mostly said why; 5xx is then better news than "lost",
        // which would have the client try the same for days.
        match self.connection.talk.reply(Phase::LastReply, self.timeouts.command).await {
            Ok(reply) if reply.is_permanent() => Err(HopError::new(Phase::LastReply, Fault::Reply(reply))),
            _ => Err(error),
        }
    }

    /// SMTP: one answer for all. LMTP: one for each accepted recipient, in order (RFC 2033 section 4.2).
    async fn last_answers(&mut self, accepted: usize, answers: &mut Vec<Outcome>) -> Result<(), HopError> {
        let replies = match self.protocol {
            Protocol::Smtp => 1,
            Protocol::Lmtp => accepted,
        };
        for _ in 0..replies {
            let reply = self.reply(Phase::LastReply, self.timeouts.last_reply).await?;
            answers.push(Outcome::of_reply(&reply));
            self.connection.last_word = Some(reply);
        }
        if let (Protocol::Smtp, Some(answer)) = (self.protocol, answers.first().cloned()) {
            answers.resize(accepted, answer);
        }
        self.connection.end();
        Ok(())
    }

    /// Takes back an envelope, with nothing delivered to anybody.
    ///
    /// # Errors
    ///
    /// When the connection has to be closed for that.
    pub(super) async fn abandon(&mut self, sent: Sent) -> Result<(), HopError> {
        match sent {
            Sent::Envelope => {}
            Sent::Reset => return self.reset_answer().await,
            Sent::DataCommand => {
                let reply = self.reply(Phase::Data, self.timeouts.command).await?;
                if reply.is_intermediate() {
                    // The hop now waits for a message. Only closing keeps it from getting one.
                    return Err(HopError::new(Phase::Data, Fault::Unfit("354 for a refused envelope")));
                }
            }
            Sent::Message => {
                self.reply(Phase::LastReply, self.timeouts.last_reply).await?;
            }
        }
        self.reset().await
    }

    /// Ends the transaction at the hop, so that another may follow.
    pub(super) async fn reset(&mut self) -> Result<(), HopError> {
        self.connection.talk.send(Phase::Reset, RSET, self.timeouts.command).await?;
        self.reset_answer().await
    }

    async fn reset_answer(&mut self) -> Result<(), HopError> {
        let reply = self.reply(Phase::Reset, self.timeouts.command).await?;
        if !reply.is_positive() {
            return Err(HopError::new(Phase::Reset, Fault::Reply(reply)));
        }
        self.connection.end();
        Ok(())
    }
}

/// How the hop finds the end of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// A final dot (DATA).
    Dots,
    /// A number of octets, said before (BDAT).
    Chunk,
}

/// Writes `head` and then the message. What is in memory goes out as it lies there, in one go.
async fn write_message(
    talk: &mut Conversation,
    head: &[u8],
    content: &Content,
    framing: Framing,
    limit: Duration,
) -> Result<(), HopError> {
    if let Some(runs) = content.in_memory() {
        let mut slices = vec![IoSlice::new(head)];
        let mut stuffer = DotStuffer::new();
        for run in &runs {
            match framing {
                Framing::Chunk => slices.push(IoSlice::new(run)),
                Framing::Dots => stuffer.push(run, |slice| slices.push(IoSlice::new(slice))),
            }
        }
        if framing == Framing::Dots {
            stuffer.finish(|slice| slices.push(IoSlice::new(slice)));
        }
        return talk.send_all(Phase::Body, &mut slices, limit).await;
    }
    let mut blocks = content.blocks();
    let mut stuffer = DotStuffer::new();
    let mut head = Some(head);
    while let Some(block) =
        blocks.next().await.map_err(|error| HopError::new(Phase::Body, Fault::Content(error)))?
    {
        let mut slices: Vec<IoSlice<'_>> = head.take().map(IoSlice::new).into_iter().collect();
        match framing {
            Framing::Chunk => slices.push(IoSlice::new(block)),
            Framing::Dots => stuffer.push(block, |slice| slices.push(IoSlice::new(slice))),
        }
        talk.send_all(Phase::Body, &mut slices, limit).await?;
    }
    let mut end = Vec::new();
    if framing == Framing::Dots {
        stuffer.finish(|slice| end.extend_from_slice(slice));
    }
    talk.send(Phase::Body, &end, limit).await
}

const RSET: &[u8] = b"RSET\r\n";

/// RCPT commands written before their answers are read. The answers to so many fit any socket's buffer,
/// so neither side waits for the other to read (RFC 2920 section 3.1).
const BATCH: usize = 100;
