//! A message as it comes in: counted, indexed, and kept where there is room.

use std::io;
use std::sync::Arc;

use postern_core::message::header::HeaderScanner;
use postern_core::session::event::{Event, Received, Reception};
use postern_core::smtp::bdat::ChunkReader;
use postern_core::smtp::data::{DataReader, Progress};
use postern_core::smtp::parameters::BodyType;

use super::wire::{FAST_OCTETS, SLOW_OCTETS, Wire};
use crate::message::{MessageWriter, Refusal, Whole};

/// A message that is being read.
pub(super) struct Incoming {
    limits: Reception,
    scanner: HeaderScanner,
    /// Absent when the message became too large to be kept.
    writer: Option<MessageWriter>,
    chunks: ChunkReader,
    size: u64,
    bare_line_ends: bool,
    /// Octets of the message out of one read, before they are kept.
    block: Vec<u8>,
}

/// What is there of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Whole,
    TooLarge,
    OutOfSpace,
}

impl Incoming {
    pub(super) fn new(writer: MessageWriter, limits: Reception) -> Self {
        let body = limits.binary.then_some(BodyType::BinaryMime);
        Self {
            limits,
            scanner: HeaderScanner::new(),
            writer: Some(writer),
            chunks: ChunkReader::new(body),
            size: 0,
            bare_line_ends: false,
            block: Vec::new(),
        }
    }

    /// Reads up to the final dot; an event says why that was not possible.
    pub(super) async fn read_data(&mut self, wire: &mut Wire) -> io::Result<Option<Event>> {
        let mut reader = DataReader::new();
        loop {
            self.block.clear();
            let unread = wire.reader().unread();
            let available = unread.len();
            self.block.reserve(available);
            match reader.push(unread, &mut self.block) {
                Progress::Done(taken) => {
                    wire.reader().consume(taken);
                    self.keep().await;
                    self.bare_line_ends = reader.saw_bare_line_end();
                    return Ok(None);
                }
                Progress::More => {
                    wire.reader().consume(available);
                    self.keep().await;
                }
            }
            if let Some(event) = wire.more(self.room(available)).await? {
                return Ok(Some(event));
            }
        }
    }

    /// Reads a chunk; an event says why that was not possible.
    pub(super) async fn read_chunk(
        &mut self,
        wire: &mut Wire,
        size: u64,
        last: bool,
    ) -> io::Result<Option<Event>> {
        self.chunks.begin(size, last);
        loop {
            self.block.clear();
            let unread = wire.reader().unread();
            let available = unread.len();
            match self.chunks.push(unread, &mut self.block) {
                Progress::Done(taken) => {
                    wire.reader().consume(taken);
                    self.keep().await;
                    self.bare_line_ends = self.chunks.saw_bare_line_end();
                    return Ok(None);
                }
                Progress::More => {
                    wire.reader().consume(available);
                    self.keep().await;
                }
            }
            if let Some(event) = wire.more(self.room(available)).await? {
                return Ok(Some(event));
            }
        }
    }

    /// How much to read next, when so much came last. Only a client that has a lot to say at once gets the large buffers: thousands of
    /// slow ones in the middle of their messages would hold as much memory as all messages together may.
    fn room(&mut self, last: usize) -> usize {
        if last >= SLOW_OCTETS {
            return FAST_OCTETS;
        }
        if self.block.capacity() > SLOW_OCTETS {
            self.block = Vec::new();
        }
        SLOW_OCTETS
    }

    async fn keep(&mut self) {
        self.size = self.size.saturating_add(self.block.len() as u64);
        self.scanner.push(&self.block);
        if self.is_too_large() {
            // What was kept so far makes room for others while the rest is read.
            self.writer = None;
        }
        if let Some(writer) = &mut self.writer {
            writer.write(&self.block).await;
        }
    }

    fn is_too_large(&self) -> bool {
        self.limits.max_size > 0 && self.size > self.limits.max_size
    }

    pub(super) fn kept(&self) -> Kept {
        match &self.writer {
            None => Kept::TooLarge,
            Some(writer) if writer.is_swallowing() => Kept::OutOfSpace,
            Some(_) => Kept::Whole,
        }
    }

    /// The end: what the session is told, and the message, if it was kept.
    pub(super) async fn finish(self) -> (Received, Option<Whole>) {
        let too_large = self.writer.is_none();
        let (message, out_of_space) = match self.writer {
            None => (None, false),
            Some(writer) => match writer.finish().await {
                Ok(message) => (Some(message), false),
                // The session finds the same in the header section, and has its own reply to it.
                Err(Refusal::HeaderTooLong) => (None, false),
                Err(error) => {
                    tracing::warn!(%error, "a message could not be kept");
                    (None, true)
                }
            },
        };
        let header = self.scanner.finish().map(Arc::new);
        let whole = match (message, &header) {
            (Some(message), Ok(header)) => Some(Whole { message, header: Arc::clone(header) }),
            _ => None,
        };
        let received = Received {
            size: self.size,
            too_large,
            out_of_space,
            bare_line_ends: self.bare_line_ends,
            header,
        };
        (received, whole)
    }
}
