//! Replies of a next hop, read as they come (RFC 5321 section 4.2).

use memchr::memchr;

use super::reply::{EnhancedCode, Reply, one_line, split_code, split_enhanced};

/// Reads replies from the octets of a next hop, one after the other.
///
/// Nothing that a next hop sends takes more memory than [`MAX_LINE_OCTETS`](Self::MAX_LINE_OCTETS) and
/// [`MAX_TEXT_OCTETS`](Self::MAX_TEXT_OCTETS) allow. Control characters in a text become spaces, octets that are
/// not UTF-8 become U+FFFD; so a text may be given to a client.
#[derive(Debug, Default)]
pub struct NextHopReplies {
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// The lines so far of a reply with several.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    code: u16,
    enhanced: Option<EnhancedCode>,
    text: String,
    lines: usize,
}

/// What a next hop sent is no reply. The connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NextHopReplyError {
    /// A line without three digits of 200 to 599 and a separator.
    #[error("a line that is no reply")]
    Malformed,
    /// The lines of one reply carry different codes.
    #[error("a reply with different codes")]
    Contradictory,
    /// A line, or a reply as a whole, is longer than is accepted.
    #[error("a reply that is too long")]
    TooLong,
}

impl NextHopReplies {
    /// Longest line accepted, in octets. The standard says 512; answers to EHLO are known to be longer.
    pub const MAX_LINE_OCTETS: usize = 4096;
    /// Longest text of a reply accepted, in octets over all lines.
    pub const MAX_TEXT_OCTETS: usize = 64 * 1024;
    /// Most lines of a reply accepted.
    pub const MAX_LINES: usize = 512;

    /// A reader at the beginning of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the octets so far end with a whole reply.
    #[must_use]
    pub const fn is_between_replies(&self) -> bool {
        self.partial.is_empty() && self.open.is_none()
    }

    /// Takes octets up to the end of one reply; gives how many those were, and the reply when it is whole.
    ///
    /// Without a reply all octets were taken. With pipelining, call again with the rest.
    ///
    /// # Errors
    ///
    /// A [`NextHopReplyError`]; what follows cannot be understood any more.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), NextHopReplyError> {
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            let end = memchr(b'\n', rest).map(|at| at + 1);
            let octets = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            if self.partial.len() + octets.len() > Self::MAX_LINE_OCTETS {
                return Err(NextHopReplyError::TooLong);
            }
            taken += octets.len();
            if end.is_none() {
                self.partial.extend_from_slice(octets);
                return Ok((taken, None));
            }
            let reply = if self.partial.is_empty() {
                self.line(octets)?
            } else {
                self.partial.extend_from_slice(octets);
                let line = std::mem::take(&mut self.partial);
                self.line(&line)?
            };
            if reply.is_some() {
                return Ok((taken, reply));
            }
        }
    }

    /// Takes one whole line; gives the reply when the line is its last.
    fn line(&mut self, octets: &[u8]) -> Result<Option<Reply>, NextHopReplyError> {
        let line = String::from_utf8_lossy(octets);
        let line = line.trim_end_matches(['\r', '\n']);
        let (code, rest) = split_code(line).ok_or(NextHopReplyError::Malformed)?;
        let (own, words) = split_enhanced(rest, code);
        let open = match self.open.take() {
            None => Open { code, enhanced: own, text: one_line(words.into()).into_owned(), lines: 1 },
            Some(open) if open.code != code => return Err(NextHopReplyError::Contradictory),
            Some(mut open) => {
                open.text.push('\n');
                // The code is repeated on each line; one that differs is part of the text.
                open.text.push_str(&one_line(if own == open.enhanced { words } else { rest }.into()));
                open.lines += 1;
                open
            }
        };
        if open.text.len() > Self::MAX_TEXT_OCTETS || open.lines > Self::MAX_LINES {
            return Err(NextHopReplyError::TooLong);
        }
        if line.as_bytes().get(3) == Some(&b'-') {
            self.open = Some(open);
            return Ok(None);
        }
        Ok(Some(Reply::from_parts(open.code, open.enhanced, open.text)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(input: &[u8], size: usize) -> Result<Vec<Reply>, NextHopReplyError> {
        let (mut reader, mut replies) = (NextHopReplies::new(), Vec::new());
        for piece in input.chunks(size) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (taken, reply) = reader.push(rest)?;
                rest = &rest[taken..];
                replies.extend(reply);
            }
        }
        Ok(replies)
    }

    #[test]
    fn pipelined_replies_are_read_one_by_one() {
        let input = b"250 2.1.0 ok\r\n550-5.1.1 no\r\n550 5.1.1 such user\r\n354 go\n250\r\n220 x";
        for size in 1..=input.len() {
            let replies = read(input, size).unwrap();
            let shown: Vec<_> = replies.iter().map(ToString::to_string).collect();
            assert_eq!(shown, ["250 2.1.0 ok", "550 5.1.1 no / such user", "354 go", "250 "]);
            assert_eq!(replies[1].enhanced(), Some(EnhancedCode(5, 1, 1)));
            assert_eq!(replies[2].enhanced(), None);
        }
    }

    #[test]
    fn a_reply_is_whole_or_it_is_not() {
        let mut reader = NextHopReplies::new();
        assert!(reader.is_between_replies());
        assert_eq!(reader.push(b"250-a\r\n"), Ok((7, None)));
        assert!(!reader.is_between_replies());
        assert_eq!(reader.push(b"250 b\r\n250").unwrap().0, 7);
        assert!(reader.is_between_replies());
        assert_eq!(reader.push(b"250"), Ok((3, None)));
        assert!(!reader.is_between_replies());
    }

    #[test]
    fn garbage_is_an_error() {
        use NextHopReplyError::{Contradictory, Malformed};
        for (input, why) in [
            (&b"\r\n"[..], Malformed),
            (b"hello\r\n", Malformed),
            (b"25 x\r\n", Malformed),
            (b"2500 x\r\n", Malformed),
            (b"150 x\r\n", Malformed),
            (b"999 x\r\n", Malformed),
            (b"\xff\xff\xff\r\n", Malformed),
            (b"HTTP/1.1 400 Bad Request\r\n", Malformed),
            (b"250-a\r\n550 b\r\n", Contradictory),
            (b"250-a\r\n\r\n", Malformed),
        ] {
            assert_eq!(read(input, 3), Err(why), "{input:?}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        assert_eq!(read(&[b'2'; 5000], 7), Err(NextHopReplyError::TooLong));
        assert_eq!(read(&b"250-a\r\n".repeat(600), 7), Err(NextHopReplyError::TooLong));
        let long = format!("250-{}\r\n", "a".repeat(4000)).repeat(20);
        assert_eq!(read(long.as_bytes(), 4096), Err(NextHopReplyError::TooLong));
    }

    #[test]
    fn texts_are_fit_for_a_client() {
        assert_eq!(read(b"550 a\rb\0c\xff\r\n", 99).unwrap()[0].text(), "a b c\u{fffd}");
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_replies(
            input in "((250|550)[ -](5\\.1\\.1 )?[a-z]{0,5}\r\n|[0-9a-z\r\n -]{0,6}){0,8}",
            size in 1usize..20,
        ) {
            prop_assert_eq!(read(input.as_bytes(), size), read(input.as_bytes(), 10_000));
        }
    }
}
