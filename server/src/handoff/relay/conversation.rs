//! Commands out, replies in, each within its time.

use std::io::{self, IoSlice};
use std::time::Duration;

use futures::FutureExt as _;
use postern_core::smtp::next_hop_reply::NextHopReplies;
use postern_core::smtp::reply::Reply;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::error::{Fault, HopError, Phase};
use super::stream::HopStream;

/// The two directions of one connection.
#[derive(Debug)]
pub(super) struct Conversation {
    stream: HopStream,
    replies: NextHopReplies,
    /// Octets received; those before `taken` are used up.
    input: Vec<u8>,
    taken: usize,
}

impl Conversation {
    pub(super) fn new(stream: HopStream) -> Self {
        Self { stream, replies: NextHopReplies::new(), input: Vec::new(), taken: 0 }
    }

    /// Gives the socket back for a TLS handshake.
    ///
    /// Nothing that came in clear text may count as an answer within TLS, so whatever the hop sent
    /// beyond its reply to STARTTLS ends the conversation (RFC 3207 section 4.2 for the other side;
    /// "NO STARTTLS", 2021, for this one).
    pub(super) fn into_stream(self) -> Result<HopStream, HopError> {
        let leftover = self.taken < self.input.len() || !self.replies.is_between_replies();
        if leftover {
            return Err(HopError::new(Phase::Tls, Fault::Unfit("clear text behind the reply to STARTTLS")));
        }
        Ok(self.stream)
    }

    /// The next reply, whole within `limit`.
    pub(super) async fn reply(&mut self, phase: Phase, limit: Duration) -> Result<Reply, HopError> {
        // What has arrived already needs no timer; with pipelining that is most replies.
        if let Some(reply) = self.buffered_reply(phase)? {
            return Ok(reply);
        }
        let reply = async {
            loop {
                self.fill(phase).await?;
                if let Some(reply) = self.buffered_reply(phase)? {
                    return Ok(reply);
                }
            }
        };
        match timeout(limit, reply).await {
            Ok(reply) => reply,
            Err(_) => Err(HopError::new(phase, Fault::TimedOut(limit))),
        }
    }

    fn buffered_reply(&mut self, phase: Phase) -> Result<Option<Reply>, HopError> {
        let fresh = self.input.get(self.taken..).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(None);
        }
        let first = fresh.first().copied().filter(|_| self.replies.is_between_replies());
        let (taken, reply) = self.replies.push(fresh).map_err(|source| {
            HopError::new(phase, Fault::Malformed { source, refusal: first == Some(b'5') })
        })?;
        self.taken += taken;
        Ok(reply)
    }

    async fn fill(&mut self, phase: Phase) -> Result<(), HopError> {
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        }
        self.input.reserve(READ_OCTETS);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(HopError::new(phase, Fault::Closed)),
            Ok(_) => Ok(()),
            Err(error) => Err(HopError::io(phase, error)),
        }
    }

    /// Writes one run of octets; `limit` is for each step forward, not for the whole.
    pub(super) async fn send(
        &mut self,
        phase: Phase,
        octets: &[u8],
        limit: Duration,
    ) -> Result<(), HopError> {
        self.send_all(phase, &mut [IoSlice::new(octets)], limit).await
    }

    /// Writes runs of octets in order, in as few system calls as the socket allows.
    ///
    /// The octets stay where they are: a message of a thousand runs is not copied into a buffer.
    pub(super) async fn send_all(
        &mut self,
        phase: Phase,
        mut runs: &mut [IoSlice<'_>],
        limit: Duration,
    ) -> Result<(), HopError> {
        // Empty runs would look like a socket that takes nothing.
        IoSlice::advance_slices(&mut runs, 0);
        while !runs.is_empty() {
            let window = runs.get(..runs.len().min(MAX_RUNS)).unwrap_or_default();
            let written = match timeout(limit, self.stream.write_vectored(window)).await {
                Err(_) => return Err(HopError::new(phase, Fault::TimedOut(limit))),
                Ok(Err(error)) => return Err(HopError::io(phase, error)),
                Ok(Ok(0)) => return Err(HopError::io(phase, io::ErrorKind::UnexpectedEof.into())),
                Ok(Ok(written)) => written,
            };
            IoSlice::advance_slices(&mut runs, written);
        }
        match timeout(limit, self.stream.flush()).await {
            Err(_) => Err(HopError::new(phase, Fault::TimedOut(limit))),
            Ok(flushed) => flushed.map_err(|error| HopError::io(phase, error)),
        }
    }

    /// Whether an idle connection can be used: open, and nothing was said that nobody asked for, such as
    /// a 421 before a close.
    pub(super) fn is_quiet(&mut self) -> bool {
        if self.taken < self.input.len() || !self.replies.is_between_replies() {
            return false;
        }
        let mut octet = [0];
        // Polled once: an answer now means end, error or unasked octets; none means that all is well.
        self.stream.read(&mut octet).now_or_never().is_none()
    }

    /// Says QUIT and closes, without waiting for anything.
    pub(super) fn part(mut self) {
        // As much as the socket takes at once: politeness is not worth a task or a time-out.
        let farewell = async {
            self.stream.write_all(b"QUIT\r\n").await?;
            self.stream.shutdown().await
        };
        let _: Option<io::Result<()>> = farewell.now_or_never();
    }
}

/// Octets asked for in one read; answers are short.
const READ_OCTETS: usize = 2048;

/// Runs in one system call. Linux takes 1024 (`IOV_MAX`); beyond 64 the gain is nil.
const MAX_RUNS: usize = 64;
