//! Frames: four octets of length, one that says what it is, and what belongs to it.

/// Appends a frame. `payload` appends what belongs to it.
pub fn write_frame(code: u8, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, code]);
    payload(out);
    let length = u32::try_from(out.len() - start - LENGTH_OCTETS).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start..start + LENGTH_OCTETS) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// What stands before a payload of so many octets that is sent from where it lies.
#[must_use]
pub fn head_of(code: u8, payload_octets: usize) -> [u8; LENGTH_OCTETS + 1] {
    let [a, b, c, d] = u32::try_from(payload_octets + 1).unwrap_or(u32::MAX).to_be_bytes();
    [a, b, c, d, code]
}

/// Appends a text and the NUL that ends it. A NUL within would be taken for that end, so it is left out.
pub fn write_text(text: impl AsRef<[u8]>, out: &mut Vec<u8>) {
    out.extend(text.as_ref().iter().filter(|octet| **octet != 0));
    out.push(0);
}

/// The text before the next NUL, and what follows it; nothing when there is no NUL.
#[must_use]
pub fn split_text(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, octets)?;
    Some((octets.get(..end)?, octets.get(end + 1..)?))
}

/// One frame as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub code: u8,
    /// What belongs to it.
    pub payload: &'a [u8],
}

/// What came is no frame. The connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame has at least the octet that says what it is.
    #[error("a frame of no octets")]
    Empty,
    /// More octets are announced than are accepted.
    #[error("a frame of {octets} octets")]
    TooLarge {
        /// What was announced.
        octets: u32,
    },
}

/// Reads frames from octets as they come.
///
/// Holds what has come and no more: a frame that only announces its size takes no memory.
#[derive(Debug)]
pub struct FrameReader {
    input: Vec<u8>,
    /// Octets that belong to frames already given out.
    taken: usize,
    max_octets: u32,
}

impl FrameReader {
    /// A reader that accepts frames of so many octets.
    #[must_use]
    pub fn new(max_octets: u32) -> Self {
        Self { input: Vec::new(), taken: 0, max_octets }
    }

    /// Where octets that have come are to be appended.
    pub fn room(&mut self) -> &mut Vec<u8> {
        if self.taken == self.input.len() {
            self.input.clear();
        } else {
            self.input.drain(..self.taken);
        }
        self.taken = 0;
        // One large answer must not cost its memory for the rest of the session.
        if self.input.is_empty() && self.input.capacity() > KEPT_OCTETS {
            self.input.shrink_to(KEPT_OCTETS);
        }
        &mut self.input
    }

    /// Whether nothing has come beyond the frames that were given out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken == self.input.len()
    }

    /// Octets that have come of a frame that is not whole, or beyond the last one that was given out.
    #[must_use]
    pub fn pending_octets(&self) -> usize {
        self.input.len() - self.taken
    }

    /// Whether a whole frame has come.
    ///
    /// # Errors
    ///
    /// A [`FrameError`]; what follows cannot be understood any more.
    pub fn has_frame(&self) -> Result<bool, FrameError> {
        self.whole().map(|frame| frame.is_some())
    }

    /// The next frame, when it is whole.
    ///
    /// # Errors
    ///
    /// A [`FrameError`]; what follows cannot be understood any more.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let Some(octets) = self.whole()? else { return Ok(None) };
        let start = self.taken + LENGTH_OCTETS;
        self.taken = start + octets;
        let frame = self.input.get(start..self.taken).unwrap_or_default();
        let (code, payload) = frame.split_first().ok_or(FrameError::Empty)?;
        Ok(Some(Frame { code: *code, payload }))
    }

    /// Octets of the next frame behind its length, when it is whole.
    fn whole(&self) -> Result<Option<usize>, FrameError> {
        let fresh = self.input.get(self.taken..).unwrap_or_default();
        let Some((length, rest)) = fresh.split_first_chunk::<LENGTH_OCTETS>() else { return Ok(None) };
        let octets = u32::from_be_bytes(*length);
        if octets == 0 {
            return Err(FrameError::Empty);
        }
        if octets > self.max_octets {
            return Err(FrameError::TooLarge { octets });
        }
        Ok(usize::try_from(octets).ok().filter(|octets| *octets <= rest.len()))
    }
}

const LENGTH_OCTETS: usize = 4;

/// Room that a reader keeps between answers; all but bodies and long header fields fit.
const KEPT_OCTETS: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(reader: &mut FrameReader, octets: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, FrameError> {
        reader.room().extend_from_slice(octets);
        let mut frames = Vec::new();
        while let Some(frame) = reader.next_frame()? {
            frames.push((frame.code, frame.payload.to_vec()));
        }
        Ok(frames)
    }

    #[test]
    fn a_frame_is_given_out_when_it_is_whole() {
        let mut reader = FrameReader::new(100);
        assert_eq!(read(&mut reader, b"\0\0\0\x03yab\0\0\0\x01"), Ok(vec![(b'y', b"ab".to_vec())]));
        assert!(!reader.is_empty());
        assert_eq!(read(&mut reader, b"c"), Ok(vec![(b'c', Vec::new())]));
        assert!(reader.is_empty());
    }

    #[test]
    fn a_length_is_judged_before_its_octets_come() {
        let too_large = Err(FrameError::TooLarge { octets: u32::MAX });
        assert_eq!(read(&mut FrameReader::new(100), b"\xff\xff\xff\xff"), too_large);
        assert_eq!(
            read(&mut FrameReader::new(100), b"\0\0\0\x65"),
            Err(FrameError::TooLarge { octets: 101 })
        );
        assert_eq!(read(&mut FrameReader::new(100), b"\0\0\0\0"), Err(FrameError::Empty));
        let mut patient = FrameReader::new(u32::MAX);
        assert_eq!(read(&mut patient, b"\xff\xff\xff\xffb"), Ok(Vec::new()));
        assert!(patient.input.capacity() < 100);
    }

    #[test]
    fn a_text_ends_at_its_nul_and_has_none_within() {
        let mut out = Vec::new();
        write_text("a\0b", &mut out);
        assert_eq!(out, b"ab\0");
        assert_eq!(split_text(b"ab\0c"), Some((&b"ab"[..], &b"c"[..])));
        assert_eq!(split_text(b"ab"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_any_chunks(
            frames in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..20)), 0..6),
            size in 1_usize..9,
        ) {
            let mut wire = Vec::new();
            for (at, (code, payload)) in frames.iter().enumerate() {
                if at % 2 == 0 {
                    write_frame(*code, &mut wire, |out| out.extend_from_slice(payload));
                } else {
                    wire.extend_from_slice(&head_of(*code, payload.len()));
                    wire.extend_from_slice(payload);
                }
            }
            let mut reader = FrameReader::new(21);
            let mut seen = Vec::new();
            for piece in wire.chunks(size) {
                seen.extend(read(&mut reader, piece).unwrap());
            }
            prop_assert_eq!(seen, frames);
        }
    }
}
