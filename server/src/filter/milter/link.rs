//! Frames over a socket, each within its time.

use std::io::{self, IoSlice};
use std::time::Duration;

use futures::FutureExt as _;
use postern_core::milter::frame::{Frame, FrameReader, head_of};
use postern_core::policy::filter::Milter;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::conversation::broken_frame;
use crate::filter::{Case, FilterError};
use crate::message::{Budget, Reservation};

/// TCP, a Unix socket, or TLS.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> Socket for T {}

/// The two directions of one connection.
#[derive(Debug)]
pub(super) struct Link {
    socket: Box<dyn Socket>,
    reader: FrameReader,
    /// Frames that are to be sent.
    outgoing: Vec<u8>,
    to_write: Duration,
    to_answer: Duration,
    max_octets: u32,
}

impl Link {
    pub(super) fn new(socket: Box<dyn Socket>, milter: &Milter) -> Self {
        Self {
            socket,
            reader: FrameReader::new(milter.max_response_size),
            outgoing: Vec::new(),
            to_write: milter.timeout_command,
            to_answer: milter.timeout_data,
            max_octets: milter.max_response_size,
        }
    }

    /// Where frames are appended that are to be sent.
    pub(super) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// Sends what is to be sent.
    pub(super) async fn flush(&mut self, what: &'static str) -> Result<(), FilterError> {
        self.send(what, [&[], &[]]).await
    }

    /// Sends a part of the body, behind what else is to be sent. A small one waits for what comes after it; a large one
    /// goes out from where it lies.
    pub(super) async fn send_body(&mut self, part: &[u8]) -> Result<(), FilterError> {
        let head = head_of(b'B', part.len());
        if self.outgoing.len() + part.len() <= GATHERED_OCTETS {
            self.outgoing.extend_from_slice(&head);
            self.outgoing.extend_from_slice(part);
            return Ok(());
        }
        self.send("the body", [&head, part]).await
    }

    async fn send(&mut self, what: &'static str, [head, body]: [&[u8]; 2]) -> Result<(), FilterError> {
        let Self { socket, outgoing, to_write, .. } = self;
        let mut runs = [IoSlice::new(outgoing), IoSlice::new(head), IoSlice::new(body)];
        let mut runs = &mut runs[..];
        // Empty runs would look like a socket that takes nothing.
        IoSlice::advance_slices(&mut runs, 0);
        if runs.is_empty() {
            return Ok(());
        }
        let lost = |source| FilterError::Lost { what, source };
        let late = |_| FilterError::Timeout { what, after: *to_write };
        while !runs.is_empty() {
            // The limit is for each step forward: a slow milter that takes a large message is not dead.
            let written =
                timeout(*to_write, socket.write_vectored(runs)).await.map_err(late)?.map_err(lost)?;
            if written == 0 {
                return Err(lost(io::ErrorKind::WriteZero.into()));
            }
            IoSlice::advance_slices(&mut runs, written);
        }
        timeout(*to_write, socket.flush()).await.map_err(late)?.map_err(lost)?;
        outgoing.clear();
        outgoing.shrink_to(GATHERED_OCTETS);
        Ok(())
    }

    /// The next frame, whole within the time for an answer.
    pub(super) async fn frame(
        &mut self,
        what: &'static str,
        room: &mut Room<'_>,
    ) -> Result<Frame<'_>, FilterError> {
        // What has arrived already needs no timer.
        if !self.has_frame()? {
            let after = self.to_answer;
            let arrival = async {
                while !self.has_frame()? {
                    self.fill(what, room).await?;
                }
                Ok(())
            };
            timeout(after, arrival).await.map_err(|_| FilterError::Timeout { what, after })??;
        }
        let missing = || FilterError::Lost { what, source: io::ErrorKind::UnexpectedEof.into() };
        self.reader.next_frame().map_err(|error| broken_frame(error, self.max_octets))?.ok_or_else(missing)
    }

    fn has_frame(&self) -> Result<bool, FilterError> {
        self.reader.has_frame().map_err(|error| broken_frame(error, self.max_octets))
    }

    async fn fill(&mut self, what: &'static str, room: &mut Room<'_>) -> Result<(), FilterError> {
        room.add(self.reader.pending_octets())?;
        let input = self.reader.room();
        // As much again as there is: a large answer comes in large steps.
        input.reserve(input.len().clamp(READ_OCTETS, MAX_READ_OCTETS));
        let lost = |source| FilterError::Lost { what, source };
        match self.socket.read_buf(input).await.map_err(lost)? {
            0 => Err(lost(io::ErrorKind::UnexpectedEof.into())),
            _ => Ok(()),
        }
    }

    /// Whether an idle connection can be used: open, and nothing was said that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut octet = [0];
        // Polled once: an answer now means end, error or unasked octets; none means that all is well.
        self.reader.is_empty() && self.socket.read(&mut octet).now_or_never().is_none()
    }

    /// Sends what is to be sent and closes, without waiting for anything.
    pub(super) fn part(mut self) {
        // As much as the socket takes at once: politeness is not worth a task or a time-out.
        let farewell = async {
            self.socket.write_all(&self.outgoing).await?;
            self.socket.shutdown().await
        };
        let _: Option<io::Result<()>> = farewell.now_or_never();
    }
}

/// The memory that an answer takes, from the budget of all messages.
#[derive(Debug)]
pub(super) struct Room<'a> {
    budget: &'a Budget,
    reservation: Option<Reservation>,
    /// What was taken over of the answer so far.
    held: u64,
}

impl<'a> Room<'a> {
    pub(super) fn new(budget: &'a Budget) -> Self {
        Self { budget, reservation: None, held: 0 }
    }

    pub(super) fn of(case: &Case<'a>) -> Self {
        Self::new(case.gate.messages.budget())
    }

    /// So much is held of an answer.
    pub(super) fn hold(&mut self, octets: u64) -> Result<(), FilterError> {
        self.held = octets;
        self.add(0)
    }

    /// So much has come beside it.
    fn add(&mut self, octets: usize) -> Result<(), FilterError> {
        let octets = self.held.saturating_add(octets as u64);
        if octets <= FREE_OCTETS {
            return Ok(());
        }
        let granted = match &mut self.reservation {
            Some(reservation) => reservation.grow_to(octets),
            None => {
                self.reservation = self.budget.memory(octets);
                self.reservation.is_some()
            }
        };
        if granted { Ok(()) } else { Err(FilterError::NoRoom { octets }) }
    }
}

/// Octets of commands and body that go out together.
const GATHERED_OCTETS: usize = 64 * 1024;

/// Octets asked for in one read; most answers have five.
const READ_OCTETS: usize = 256;

/// Most octets asked for in one read.
const MAX_READ_OCTETS: usize = 256 * 1024;

/// What answers may take without asking: nearly all do with less.
const FREE_OCTETS: u64 = 16 * 1024;
