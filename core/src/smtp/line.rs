//! From octets to lines: the one read buffer of a connection.

use bytes::BufMut;
use memchr::memchr;

/// Longest command line, in octets, line end included.
///
/// RFC 5321 section 4.5.3.1.4 asks for 512 and lets extensions raise it; initial responses of AUTH and the
/// parameters of MAIL need far more.
pub const MAX_COMMAND_OCTETS: usize = 4096;

/// Longest response within an AUTH exchange, in octets, line end included (RFC 4954 section 4): tokens that name many
/// groups are long.
pub const MAX_RESPONSE_OCTETS: usize = 12_288;

/// The read buffer of a connection, and the lines in it.
///
/// Octets are put in through [`space`](Self::space). Commands are taken out
/// by [`next_line`](Self::next_line); the readers of message data take theirs from
/// [`unread`](Self::unread) and say [`consume`](Self::consume), so that commands which were pipelined
/// behind the data stay. An empty reader holds no more memory than is asked for after [`release`](Self::release).
///
/// STARTTLS takes the reader by value ([`discard`](Self::discard)), and the encrypted connection begins with a
/// new one: nothing that was sent in clear can be executed after the handshake (RFC 3207 section 6).
#[derive(Debug, Default)]
pub struct LineReader {
    buffer: Vec<u8>,
    /// Octets before this are used up.
    start: usize,
    /// Octets from `start` in which no LF was found.
    scanned: usize,
    /// Inside a line that is too long, whose beginning is already gone.
    swallowing: bool,
}

/// What the next octets are.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its line end.
    Whole(&'a [u8]),
    /// A line of more octets than were asked for, now swallowed. Reported once.
    TooLong,
    /// No line end has come yet.
    NeedMore,
}

impl LineReader {
    /// An empty reader, without memory of its own.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, swallowing: false }
    }

    /// Room for `octets` more, to be read into. Moves what is unread to the front, if need be.
    ///
    /// The buffer grows to what is unread and `octets`, and does not shrink before
    /// [`release`](Self::release).
    pub fn space(&mut self, octets: usize) -> impl BufMut {
        if self.is_empty() || self.buffer.capacity() - self.buffer.len() < octets {
            self.buffer.drain(..self.start);
            self.start = 0;
            self.buffer.reserve_exact(octets);
        }
        (&mut self.buffer).limit(octets)
    }

    /// Takes back the last `octets` of what is unread, as if they had not come.
    pub fn forget_last(&mut self, octets: usize) {
        self.buffer.truncate(self.buffer.len().saturating_sub(octets).max(self.start));
        self.scanned = self.scanned.min(self.unread().len());
    }

    /// Takes the next line, of `most` octets at most, line end included.
    ///
    /// A line ends at LF; a CR before it is dropped. While a line is too long its octets are thrown away
    /// as they come, so a client cannot fill memory.
    pub fn next_line(&mut self, most: usize) -> Line<'_> {
        let fresh = self.buffer.get(self.start + self.scanned..).unwrap_or_default();
        let Some(at) = memchr(b'\n', fresh) else {
            self.scanned += fresh.len();
            if self.swallowing || self.scanned >= most {
                self.swallowing = true;
                self.consume(self.scanned);
            }
            return Line::NeedMore;
        };
        let octets = self.scanned + at + 1;
        let from = self.start;
        self.consume(octets);
        if std::mem::take(&mut self.swallowing) || octets > most {
            return Line::TooLong;
        }
        let line = self.buffer.get(from..from + octets - 1).unwrap_or_default();
        Line::Whole(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// What was read and not yet taken.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Whether nothing is left to take.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// Takes `octets` of what is unread.
    pub fn consume(&mut self, octets: usize) {
        // They stay in place: a line that was just taken is still borrowed from there.
        self.start = (self.start + octets).min(self.buffer.len());
        self.scanned = 0;
    }

    /// Gives the memory back when nothing is unread and it is more than `keep` octets; 0 as before a wait for a
    /// silent client.
    pub fn release(&mut self, keep: usize) {
        if self.is_empty() && self.buffer.capacity() > keep {
            self.buffer = Vec::new();
            self.start = 0;
        }
    }

    /// Ends the reader and throws away what is unread; gives the number of those octets, for the log.
    #[must_use = "clear text behind STARTTLS is an attack that should be logged"]
    pub fn discard(self) -> usize {
        self.unread().len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Puts `input` in by pieces of the given sizes and gives all lines; `None` is one that was too long.
    fn lines(input: &[u8], sizes: &[usize]) -> (Vec<Option<Vec<u8>>>, LineReader) {
        let mut reader = LineReader::new();
        let mut lines = Vec::new();
        let mut sizes = sizes.iter().cycle();
        let mut rest = input;
        while !rest.is_empty() {
            let (piece, others) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
            rest = others;
            reader.space(piece.len()).put_slice(piece);
            loop {
                match reader.next_line(MAX_COMMAND_OCTETS) {
                    Line::Whole(line) => lines.push(Some(line.to_vec())),
                    Line::TooLong => lines.push(None),
                    Line::NeedMore => break,
                }
            }
            assert!(reader.buffer.capacity() <= 2 * MAX_COMMAND_OCTETS + input.len().min(8192));
        }
        (lines, reader)
    }

    fn whole(lines: &[&str]) -> Vec<Option<Vec<u8>>> {
        lines.iter().map(|line| Some(line.as_bytes().to_vec())).collect()
    }

    #[test]
    fn lines_end_at_lf_with_or_without_cr() {
        let (lines, reader) = lines(b"NOOP\r\nRSET\nQUIT\r\r\n\r\n\nDA", &[100]);
        assert_eq!(lines, whole(&["NOOP", "RSET", "QUIT\r", "", ""]));
        assert_eq!(reader.unread(), b"DA");
    }

    #[test]
    fn a_line_may_have_4096_octets_and_no_more() {
        let just = format!("{}\r\n", "a".repeat(MAX_COMMAND_OCTETS - 2));
        let over = format!("a{just}");
        for sizes in [&[1][..], &[4095, 1], &[4096], &[10_000]] {
            let (found, _) = lines(format!("{just}{over}NOOP\r\n").as_bytes(), sizes);
            assert_eq!(found, [&whole(&[just.trim_end()])[..], &[None], &whole(&["NOOP"])[..]].concat());
        }
    }

    #[test]
    fn each_line_is_measured_by_what_is_asked_for() {
        let long = "a".repeat(MAX_RESPONSE_OCTETS - 2);
        let mut reader = LineReader::new();
        for piece in format!("{long}\r\n{long}a\r\n{long}\r\nNOOP\r\n").as_bytes().chunks(1000) {
            reader.space(piece.len()).put_slice(piece);
        }
        assert_eq!(reader.next_line(MAX_RESPONSE_OCTETS), Line::Whole(long.as_bytes()));
        assert_eq!(reader.next_line(MAX_RESPONSE_OCTETS), Line::TooLong);
        assert_eq!(reader.next_line(MAX_COMMAND_OCTETS), Line::TooLong);
        assert_eq!(reader.next_line(MAX_COMMAND_OCTETS), Line::Whole(b"NOOP"));
    }

    #[test]
    fn an_endless_line_takes_no_memory_and_one_answer() {
        let mut reader = LineReader::new();
        for _ in 0..1000 {
            reader.space(4096).put_bytes(b'a', 4096);
            assert_eq!(reader.next_line(MAX_COMMAND_OCTETS), Line::NeedMore);
            assert!(reader.buffer.capacity() <= 3 * MAX_COMMAND_OCTETS);
        }
        reader.space(6).put_slice(b"a\nQUIT");
        assert_eq!(reader.next_line(MAX_COMMAND_OCTETS), Line::TooLong);
        assert_eq!(reader.next_line(MAX_COMMAND_OCTETS), Line::NeedMore);
        assert_eq!(reader.unread(), b"QUIT");
    }

    #[test]
    fn data_is_taken_and_what_follows_stays() {
        let mut reader = LineReader::new();
        reader.space(64).put_slice(b"BDAT 4\r\nabcdQUIT\r\n");
        assert_eq!(reader.next_line(MAX_COMMAND_OCTETS), Line::Whole(b"BDAT 4"));
        assert!(reader.unread().starts_with(b"abcd"));
        reader.consume(4);
        assert_eq!(reader.next_line(MAX_COMMAND_OCTETS), Line::Whole(b"QUIT"));
        assert!(reader.is_empty());
        reader.release(0);
        assert_eq!(reader.buffer.capacity(), 0);
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let mut reader = LineReader::new();
        reader.space(64).put_slice(b"NOOP\r\nQUIT\r\n");
        assert_eq!(reader.next_line(MAX_COMMAND_OCTETS), Line::Whole(b"NOOP"));
        reader.forget_last(3);
        assert_eq!(reader.next_line(MAX_COMMAND_OCTETS), Line::NeedMore);
        assert_eq!(reader.unread(), b"QUI");
        reader.forget_last(2);
        reader.space(64).put_slice(b"A\r\n");
        assert_eq!(reader.next_line(MAX_COMMAND_OCTETS), Line::Whole(b"QA"));
        reader.forget_last(10);
        assert!(reader.is_empty());
    }

    #[test]
    fn a_buffer_that_is_not_too_large_is_used_again() {
        let mut reader = LineReader::new();
        reader.space(64).put_slice(b"NOOP\r\n");
        let room = reader.buffer.capacity();
        assert_eq!(reader.next_line(MAX_COMMAND_OCTETS), Line::Whole(b"NOOP"));
        reader.release(room);
        assert_eq!(reader.space(room).remaining_mut(), room);
        assert_eq!(reader.buffer.capacity(), room);
        reader.release(room - 1);
        assert_eq!(reader.buffer.capacity(), 0);
    }

    #[test]
    fn clear_text_behind_starttls_is_gone() {
        let (_, reader) = lines(b"STARTTLS\r\nRSET", &[100]);
        assert_eq!(reader.discard(), 4);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            input in proptest::collection::vec(prop_oneof![8 => Just(b'a'), 1 => Just(b'\r'), 1 => Just(b'\n'), 1 => any::<u8>()], 0..400),
            long in 0usize..6000,
            sizes in proptest::collection::vec(1usize..500, 1..8),
        ) {
            let mut input = input;
            input.extend(std::iter::repeat_n(b'x', long));
            input.extend(b"\r\nNOOP\r\nrest");
            let (at_once, _) = lines(&input, &[input.len()]);
            let (in_pieces, reader) = lines(&input, &sizes);
            prop_assert_eq!(at_once, in_pieces);
            prop_assert_eq!(reader.unread(), b"rest");
        }
    }
}
