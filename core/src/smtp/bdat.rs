//! Message data as BDAT brings it, in chunks of known size (RFC 3030 section 2).

use super::data::Progress;
use super::line_ends::LineEnds;
use super::parameters::BodyType;

/// Reads the chunks of one message.
///
/// A chunk is exactly as long as its command said, whatever it holds. Line ends are made CRLF, also where
/// a CR and its LF lie in two chunks; only BINARYMIME keeps every octet, because there are no lines in it
/// (RFC 3030 section 3).
#[derive(Debug, Clone)]
pub struct ChunkReader {
    /// Nothing for BINARYMIME.
    line_ends: Option<LineEnds>,
    /// Octets of the current chunk that are still to come.
    left: u64,
    last: bool,
}

impl ChunkReader {
    /// A reader for a message of which MAIL said `BODY=body`.
    #[must_use]
    pub fn new(body: Option<BodyType>) -> Self {
        let line_ends = (body != Some(BodyType::BinaryMime)).then(LineEnds::default);
        Self { line_ends, left: 0, last: false }
    }

    /// Begins a chunk of `size` octets.
    pub const fn begin(&mut self, size: u64, last: bool) {
        self.left = size;
        self.last = last;
    }

    /// Takes octets as they came and appends those of the message to `out`.
    ///
    /// [`Progress::Done`] is the end of the chunk, not of the message. An empty chunk is done at once, even
    /// with no input.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        let octets = input.get(..most).unwrap_or_default();
        self.left -= most as u64;
        match &mut self.line_ends {
            None => out.extend_from_slice(octets),
            Some(line_ends) => {
                line_ends.push(octets, out);
                if self.left == 0 && self.last {
                    line_ends.finish(out);
                }
            }
        }
        if self.left == 0 { Progress::Done(most) } else { Progress::More }
    }

    /// Octets of the current chunk that are still to come.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Whether a bare CR or a bare LF was met, for those who refuse such messages.
    #[must_use]
    pub fn saw_bare_line_end(&self) -> bool {
        self.line_ends.as_ref().is_some_and(LineEnds::saw_bare)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]], piece: usize, body: Option<BodyType>) -> (Vec<u8>, bool) {
        let (mut reader, mut out) = (ChunkReader::new(body), Vec::new());
        for (at, chunk) in chunks.iter().enumerate() {
            reader.begin(chunk.len() as u64, at + 1 == chunks.len());
            let input = [chunk, &b"RSET\r\n"[..]].concat();
            let mut taken = 0;
            loop {
                let end = input.len().min(taken + piece);
                match reader.push(&input[taken..end], &mut out) {
                    Progress::More => taken = end,
                    Progress::Done(octets) => {
                        assert_eq!(taken + octets, chunk.len());
                        break;
                    }
                }
            }
        }
        (out, reader.saw_bare_line_end())
    }

    #[test]
    fn a_chunk_is_as_long_as_it_was_said_to_be() {
        let chunks: [&[u8]; 3] = [b"a\r\n.\r\n", b"", b".b\r\n"];
        for piece in 1..9 {
            assert_eq!(read(&chunks, piece, None), (b"a\r\n.\r\n.b\r\n".to_vec(), false));
        }
    }

    #[test]
    fn line_ends_are_made_whole_across_chunks() {
        for piece in 1..9 {
            assert_eq!(read(&[b"a\r", b"\nb\n", b"c\r"], piece, None), (b"a\r\nb\r\nc\r\n".to_vec(), true));
            assert_eq!(read(&[b"a\r", b"\nb"], piece, None), (b"a\r\nb".to_vec(), false));
            assert_eq!(read(&[b"a\r", b""], piece, None), (b"a\r\n".to_vec(), true));
        }
    }

    #[test]
    fn binary_messages_keep_every_octet() {
        let chunks: [&[u8]; 2] = [b"a\r\0\n", b"\n\r"];
        assert_eq!(read(&chunks, 3, Some(BodyType::BinaryMime)), (b"a\r\0\n\n\r".to_vec(), false));
        assert_ne!(read(&chunks, 3, Some(BodyType::EightBitMime)).0, chunks.concat());
    }

    #[test]
    fn an_empty_chunk_is_done_at_once() {
        let mut reader = ChunkReader::new(None);
        reader.begin(0, true);
        assert_eq!(reader.push(b"", &mut Vec::new()), Progress::Done(0));
    }

    proptest! {
        #[test]
        fn any_chunks_give_the_same_message(
            message in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a'), Just(b'.')], 0..60),
            at in 0usize..60, piece in 1usize..20,
        ) {
            let (one, two) = message.split_at(at.min(message.len()));
            prop_assert_eq!(read(&[one, two], piece, None), read(&[&message], 1000, None));
        }
    }
}
