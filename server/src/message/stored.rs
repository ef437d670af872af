//! A whole message.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::budget::Reservation;
use super::spool::{BLOCK_OCTETS, SpoolFile};
use super::survey::Survey;

/// A message as it was received. Cheap to clone; the last clone gives its memory and file back.
#[derive(Debug, Clone)]
pub struct Message {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The whole message, or its header section when there is a file.
    head: Bytes,
    header_octets: usize,
    body: Option<Body>,
    _held: Vec<Reservation>,
}

/// What follows the header section, in a file.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) file: SpoolFile,
    pub(super) octets: u64,
    pub(super) survey: Survey,
}

impl Message {
    pub(super) fn new(head: Bytes, header_octets: usize, body: Option<Body>, held: Vec<Reservation>) -> Self {
        Self { inner: Arc::new(Inner { head, header_octets, body, _held: held }) }
    }

    /// Size of the message in octets.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.inner.head.len() as u64 + self.inner.body.as_ref().map_or(0, |body| body.octets)
    }

    /// The header section with the empty line behind it; all of the message when it has no empty line.
    #[must_use]
    pub fn header(&self) -> Bytes {
        self.inner.head.slice(..self.inner.header_octets)
    }

    /// Octets of the header section with the empty line; the offset of the body.
    #[must_use]
    pub fn header_octets(&self) -> usize {
        self.inner.header_octets
    }

    /// The whole message, when it is in memory.
    #[must_use]
    pub fn in_memory(&self) -> Option<Bytes> {
        self.inner.body.is_none().then(|| self.inner.head.clone())
    }

    /// A copy of the whole message in memory, for what cannot work on parts. The caller reserves room
    /// for it first.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be read.
    pub async fn to_bytes(&self) -> io::Result<Bytes> {
        if let Some(whole) = self.in_memory() {
            return Ok(whole);
        }
        let mut whole = Vec::with_capacity(usize::try_from(self.octets()).map_err(io::Error::other)?);
        let mut at = 0;
        while let Some(block) = self.block(at..self.octets(), Vec::new()).await? {
            at += block.octets().len() as u64;
            whole.extend_from_slice(block.octets());
        }
        Ok(Bytes::from(whole))
    }

    /// SHA-256 of the message as it was received.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be read.
    pub async fn digest(&self) -> io::Result<[u8; 32]> {
        let mut hash = Sha256::new();
        let mut room = Vec::new();
        let mut at = 0;
        while let Some(block) = self.block(at..self.octets(), room).await? {
            at += block.octets().len() as u64;
            hash.update(block.octets());
            room = block.into_room();
        }
        Ok(hash.finalize().into())
    }

    /// The part of `range` that is in memory, without copying.
    pub(super) fn memory_part(&self, range: &Range<u64>) -> Bytes {
        let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(self.inner.head.len());
        let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
        self.inner.head.slice(start..end)
    }

    /// The file and the place in it of the start of `range`, as far as one block goes.
    fn file_part(&self, range: &Range<u64>) -> Option<(&SpoolFile, Range<u64>)> {
        let body = self.inner.body.as_ref()?;
        let head = self.inner.head.len() as u64;
        let start = range.start.checked_sub(head)?;
        let end = range.end.saturating_sub(head).min(body.octets).min(start + BLOCK_OCTETS as u64);
        (start < end).then_some((&body.file, start..end))
    }

    /// The start of `range`, as much as comes in one piece; nothing when it is empty. `room` is used
    /// when a file has to be read.
    pub(super) async fn block(&self, range: Range<u64>, room: Vec<u8>) -> io::Result<Option<Block>> {
        let memory = self.memory_part(&range);
        if !memory.is_empty() {
            return Ok(Some(Block::Shared(memory)));
        }
        match self.file_part(&range) {
            Some((file, place)) => Ok(Some(Block::Read(file.read(place, room).await?))),
            None => Ok(None),
        }
    }

    /// As [`Message::block`], on a blocking thread.
    pub(super) fn block_now(&self, range: Range<u64>, mut room: Vec<u8>) -> io::Result<Option<Block>> {
        let memory = self.memory_part(&range);
        if !memory.is_empty() {
            return Ok(Some(Block::Shared(memory)));
        }
        match self.file_part(&range) {
            Some((file, place)) => {
                file.read_now(place, &mut room)?;
                Ok(Some(Block::Read(room)))
            }
            None => Ok(None),
        }
    }

    /// What `range` holds. For the part in a file this is what the whole file holds, whose only use as a
    /// part of a message is whole.
    pub(super) fn survey(&self, range: &Range<u64>) -> Survey {
        let memory = Survey::of(&self.memory_part(range));
        match &self.inner.body {
            Some(body) if range.end > self.inner.head.len() as u64 => memory.then(body.survey),
            _ => memory,
        }
    }
}

/// A run of message octets.
#[derive(Debug)]
pub(super) enum Block {
    /// A part of what is in memory anyway.
    Shared(Bytes),
    /// Read from a file.
    Read(Vec<u8>),
}

impl Block {
    pub(super) fn octets(&self) -> &[u8] {
        match self {
            Self::Shared(octets) => octets,
            Self::Read(octets) => octets,
        }
    }

    /// The buffer, to be read into again.
    pub(super) fn into_room(self) -> Vec<u8> {
        match self {
            Self::Shared(_) => Vec::new(),
            Self::Read(room) => room,
        }
    }
}
