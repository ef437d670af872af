//! What is handed on: parts of the message as received, and new octets between them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use postern_core::message::draft::{self, Draft};

use super::stored::{Block, Message};
use super::survey::Survey;

/// The final form of a message, as a list of pieces. Cheap to clone.
///
/// Untouched parts stay where they are, in memory or in a file; only what edits added is new.
#[derive(Debug, Clone)]
pub struct Content {
    original: Message,
    pieces: Arc<[Piece]>,
    octets: u64,
    survey: Survey,
}

#[derive(Debug, Clone)]
enum Piece {
    Original(Range<u64>),
    New(Bytes),
}

/// Puts a [`Content`] together, from its first octet to its last.
#[derive(Debug)]
pub struct ContentBuilder {
    original: Message,
    pieces: Vec<Piece>,
}

impl ContentBuilder {
    /// Nothing yet.
    #[must_use]
    pub fn new(original: Message) -> Self {
        Self { original, pieces: Vec::new() }
    }

    /// New octets come next.
    #[must_use]
    pub fn new_octets(mut self, octets: impl Into<Bytes>) -> Self {
        let octets = octets.into();
        if !octets.is_empty() {
            self.pieces.push(Piece::New(octets));
        }
        self
    }

    /// A part of the original comes next. What lies beyond its end does not count.
    #[must_use]
    pub fn original(mut self, range: Range<u64>) -> Self {
        let end = range.end.min(self.original.octets());
        if range.start < end {
            self.pieces.push(Piece::Original(range.start..end));
        }
        self
    }

    /// The rest of the original from `start` comes next.
    #[must_use]
    pub fn original_from(self, start: u64) -> Self {
        let end = self.original.octets();
        self.original(start..end)
    }

    /// Ends the content.
    #[must_use]
    pub fn build(self) -> Content {
        let Self { original, pieces } = self;
        let (octets, survey) =
            pieces.iter().fold((0, Survey::default()), |(octets, survey), piece| match piece {
                Piece::Original(range) => {
                    (octets + (range.end - range.start), survey.then(original.survey(range)))
                }
                Piece::New(new) => (octets + new.len() as u64, survey.then(Survey::of(new))),
            });
        Content { original, pieces: pieces.into(), octets, survey }
    }
}

impl Content {
    /// The message with the changes of a draft of it.
    #[must_use]
    pub fn edited(original: Message, draft: &Draft) -> Self {
        if !draft.is_changed() {
            return Self::unchanged(original);
        }
        let push = |content: ContentBuilder, piece| match piece {
            draft::Piece::Original(range) => content.original(range),
            draft::Piece::New(octets) => content.new_octets(octets),
        };
        draft.pieces().into_iter().fold(ContentBuilder::new(original), push).build()
    }

    /// The message as it was received, without any change.
    #[must_use]
    pub fn unchanged(original: Message) -> Self {
        ContentBuilder::new(original).original_from(0).build()
    }

    /// The same content behind `octets`, which are whole header fields.
    #[must_use]
    pub fn prepended(&self, octets: impl Into<Bytes>) -> Self {
        let octets = octets.into();
        let survey = Survey::of(&octets).then(self.survey);
        let size = self.octets + octets.len() as u64;
        let pieces = std::iter::once(Piece::New(octets)).chain(self.pieces.iter().cloned()).collect();
        Self { original: self.original.clone(), pieces, octets: size, survey }
    }

    /// The message that this came from.
    #[must_use]
    pub fn original(&self) -> &Message {
        &self.original
    }

    /// Size in octets.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// What the content holds.
    #[must_use]
    pub fn survey(&self) -> Survey {
        self.survey
    }

    /// Whether the header section is free of octets above 127, and so needs no SMTPUTF8 (RFC 6532).
    #[must_use]
    pub fn has_ascii_header(&self) -> bool {
        // Of what comes from the original, only its header section can be part of the new one; it is in
        // memory. New octets may go on into the body: those behind an empty line do not count.
        let header_end = self.original.header_octets() as u64;
        for piece in self.pieces.iter() {
            let part = match piece {
                Piece::New(octets) => octets.clone(),
                Piece::Original(range) if range.start >= header_end => return true,
                Piece::Original(range) => {
                    self.original.memory_part(&(range.start..range.end.min(header_end)))
                }
            };
            let end = memchr::memmem::find(&part, b"\r\n\r\n");
            if !part.get(..end.unwrap_or(part.len())).unwrap_or_default().is_ascii() {
                return false;
            }
            if end.is_some() {
                return true;
            }
        }
        true
    }

    /// All octets, when none of them is in a file: runs in order, shared and not copied.
    #[must_use]
    pub fn in_memory(&self) -> Option<Vec<Bytes>> {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::New(octets) => Some(octets.clone()),
                Piece::Original(range) => {
                    let part = self.original.memory_part(range);
                    (part.len() as u64 == range.end - range.start).then_some(part)
                }
            })
            .collect()
    }

    /// The octets from the first to the last, a block at a time.
    #[must_use]
    pub fn blocks(&self) -> Blocks {
        Blocks { place: Place::start(self), block: None }
    }

    /// As [`Content::blocks`], for a blocking thread.
    #[must_use]
    pub fn blocks_now(&self) -> SyncBlocks {
        SyncBlocks { place: Place::start(self), block: None }
    }
}

/// How far a reader has come.
#[derive(Debug)]
struct Place {
    content: Content,
    piece: usize,
    /// Offset within the piece.
    done: u64,
}

enum Next {
    New(Bytes),
    Original(Range<u64>),
    End,
}

impl Place {
    fn start(content: &Content) -> Self {
        Self { content: content.clone(), piece: 0, done: 0 }
    }

    /// What comes next. A new piece is passed by this, an original one by [`Place::pass`].
    fn next(&mut self) -> Next {
        loop {
            match self.content.pieces.get(self.piece) {
                None => return Next::End,
                Some(Piece::New(octets)) => {
                    self.piece += 1;
                    return Next::New(octets.clone());
                }
                Some(Piece::Original(range)) => {
                    let rest = range.start + self.done..range.end;
                    if !rest.is_empty() {
                        return Next::Original(rest);
                    }
                    self.piece += 1;
                    self.done = 0;
                }
            }
        }
    }

    fn pass(&mut self, block: Option<Block>) -> io::Result<Block> {
        let block = block.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.done += block.octets().len() as u64;
        Ok(block)
    }
}

/// Reads a [`Content`] without blocking the thread.
#[derive(Debug)]
pub struct Blocks {
    place: Place,
    block: Option<Block>,
}

impl Blocks {
    /// The next run of octets; nothing at the end.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let room = self.block.take().map(Block::into_room).unwrap_or_default();
        let block = match self.place.next() {
            Next::End => return Ok(None),
            Next::New(octets) => Block::Shared(octets),
            Next::Original(range) => {
                let block = self.place.content.original.block(range, room).await?;
                self.place.pass(block)?
            }
        };
        Ok(Some(self.block.insert(block).octets()))
    }
}

/// Reads a [`Content`] on a blocking thread.
#[derive(Debug)]
pub struct SyncBlocks {
    place: Place,
    block: Option<Block>,
}

impl SyncBlocks {
    /// The next run of octets; nothing at the end.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be read.
    pub fn next_block(&mut self) -> io::Result<Option<&[u8]>> {
        let room = self.block.take().map(Block::into_room).unwrap_or_default();
        let block = match self.place.next() {
            Next::End => return Ok(None),
            Next::New(octets) => Block::Shared(octets),
            Next::Original(range) => {
                let block = self.place.content.original.block_now(range, room)?;
                self.place.pass(block)?
            }
        };
        Ok(Some(self.block.insert(block).octets()))
    }
}
