//! An edited message as a list of pieces, so that what is untouched is never copied.

use std::ops::Range;

use bytes::Bytes;

/// A part of an edited message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These octets of the message as it was received.
    Original(Range<u64>),
    /// Octets that were not in it.
    New(Bytes),
}

impl Piece {
    /// Length in octets.
    #[must_use]
    pub fn octets(&self) -> u64 {
        match self {
            Self::Original(range) => range.end.saturating_sub(range.start),
            Self::New(octets) => octets.len() as u64,
        }
    }
}

/// Pieces in the making.
#[derive(Default)]
pub(super) struct Rope {
    pub(super) pieces: Vec<Piece>,
    /// The last piece is a field without a line end, which it needs when something follows.
    open: bool,
}

impl Rope {
    pub(super) fn push(&mut self, piece: Option<Piece>, open: bool) {
        let Some(piece) = piece.filter(|piece| piece.octets() > 0) else { return };
        if std::mem::replace(&mut self.open, open) {
            self.pieces.push(Piece::New(Bytes::from_static(b"\r\n")));
        }
        match (self.pieces.last_mut(), piece) {
            (Some(Piece::Original(last)), Piece::Original(next)) if last.end == next.start => {
                last.end = next.end
            }
            (_, piece) => self.pieces.push(piece),
        }
    }
}
