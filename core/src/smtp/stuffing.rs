//! Message data on its way to a next hop (RFC 5321 section 4.5.2).

use memchr::memchr2;

use super::plain_run::{BLOCK, PlainRun};

/// Writes one message for DATA: doubles the dots that begin lines, and ends it with CRLF `.` CRLF.
///
/// What comes out holds no CR and no LF outside a CRLF, whatever went in, and CRLF `.` CRLF only at its
/// end: no next hop can see a shorter message, or a second one.
#[derive(Debug, Clone, Default)]
pub struct DotStuffer {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// At the beginning of the message or after a line end of any kind.
    #[default]
    LineStart,
    /// Within a line.
    Text,
    /// After a CR.
    Cr,
}

impl DotStuffer {
    /// A writer for the octets that follow the 354 of the next hop.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes octets of the message and hands on those for the wire.
    ///
    /// They come as slices of the input, as long as can be, with short constants in between; so they can
    /// be copied into one buffer or be put together for a vectored write.
    pub fn push<'a>(&mut self, input: &'a [u8], mut sink: impl FnMut(&'a [u8])) {
        // Octets from `run` to `at` need no change and are handed on together.
        let (mut run, mut at) = (0, 0);
        // Up to here lines are to be looked at one by one.
        let mut troubled = 0;
        let mut flush = |run: usize, at: usize, end: &'static [u8]| {
            for slice in [input.get(run..at).unwrap_or_default(), end] {
                if !slice.is_empty() {
                    sink(slice);
                }
            }
        };
        while let Some(octet) = input.get(at) {
            match self.state {
                State::LineStart => {
                    if *octet == b'.' {
                        flush(run, at, b".");
                        run = at;
                    }
                    self.state = State::Text;
                }
                State::Text if at >= troubled => {
                    let plain = PlainRun::of(input.get(at..).unwrap_or_default());
                    at += plain.octets;
                    troubled = at + BLOCK;
                    if plain.ends_line {
                        self.state = State::LineStart;
                    }
                }
                State::Text => {
                    let fresh = input.get(at..).unwrap_or_default();
                    let Some(end) = memchr2(b'\r', b'\n', fresh).map(|end| at + end) else { break };
                    self.state = State::LineStart;
                    match (input.get(end), input.get(end + 1)) {
                        (Some(b'\r'), Some(b'\n')) => {
                            at = end + 2;
                            continue;
                        }
                        (Some(b'\r'), None) => {
                            flush(run, end, b"");
                            self.state = State::Cr;
                        }
                        _ => flush(run, end, b"\r\n"),
                    }
                    at = end + 1;
                    run = at;
                }
                State::Cr => {
                    flush(0, 0, b"\r\n");
                    if *octet == b'\n' {
                        at += 1;
                        run = at;
                    }
                    self.state = State::LineStart;
                }
            }
        }
        flush(run, input.len(), b"");
    }

    /// Ends the message: closes its last line if need be, and says `.`.
    pub fn finish(self, mut sink: impl FnMut(&'static [u8])) {
        sink(match self.state {
            State::LineStart => b".\r\n",
            State::Text | State::Cr => b"\r\n.\r\n",
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::smtp::data::{DataReader, Progress};

    fn write(input: &[u8], size: usize) -> Vec<u8> {
        let (mut stuffer, mut out) = (DotStuffer::new(), Vec::new());
        for piece in input.chunks(size) {
            stuffer.push(piece, |octets| out.extend_from_slice(octets));
        }
        stuffer.finish(|octets| out.extend_from_slice(octets));
        out
    }

    #[test]
    fn dots_at_line_starts_are_doubled_and_the_end_is_closed() {
        for (input, wanted) in [
            ("", ".\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a\r\n.b\r\n..\r\n", "a\r\n..b\r\n...\r\n.\r\n"),
            ("a.\r\nb.c\r\n", "a.\r\nb.c\r\n.\r\n"),
            ("a\r", "a\r\n.\r\n"),
        ] {
            for size in 1..=input.len().max(1) {
                assert_eq!(write(input.as_bytes(), size), wanted.as_bytes(), "{input:?} by {size}");
            }
        }
    }

    #[test]
    fn no_next_hop_sees_an_early_end() {
        // However lenient the next hop is about line ends, each dot that could end its data is doubled.
        for variant in [
            "\n.\n",
            "\n.\r\n",
            "\r.\r",
            "\r.\r\n",
            "\r\n.\n",
            "\r\n.\r",
            "\r\n.\r\r\n",
            "\r\n.\r\n",
            "\n\r.\r\n",
        ] {
            let input = format!("a{variant}MAIL FROM:<evil@b>\r\n");
            for size in 1..=input.len() {
                let wire = String::from_utf8(write(input.as_bytes(), size)).unwrap();
                let body = wire.strip_suffix("\r\n.\r\n").unwrap();
                assert!(
                    body.split("\r\n").all(|line| line != "." && !line.contains(['\r', '\n'])),
                    "{variant:?} by {size}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn reading_undoes_writing(lines in proptest::collection::vec("[.a\0é]{0,4}", 0..12), size in 1usize..12) {
            let message: String = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
            let wire = write(message.as_bytes(), size);
            let (mut reader, mut out) = (DataReader::new(), Vec::new());
            prop_assert_eq!(reader.push(&wire, &mut out), Progress::Done(wire.len()));
            prop_assert_eq!(out, message.as_bytes());
            prop_assert!(!reader.saw_bare_line_end());
        }

        #[test]
        fn whole_blocks_are_written_as_single_octets_are(
            parts in proptest::collection::vec(prop_oneof![
                2 => (1usize..200, 1usize..20).prop_map(|(length, count)| format!("{}\r\n", "a".repeat(length)).repeat(count)),
                1 => "[\r\n.a]{0,9}",
            ], 1..6),
        ) {
            let input = parts.concat();
            prop_assert_eq!(write(input.as_bytes(), usize::MAX), write(input.as_bytes(), 1));
        }

        #[test]
        fn any_octets_end_once_and_at_the_end(
            input in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), any::<u8>()], 0..60),
            size in 1usize..20,
        ) {
            let wire = write(&input, size);
            prop_assert_eq!(&wire, &write(&input, 1000));
            let (mut reader, mut out) = (DataReader::new(), Vec::new());
            prop_assert_eq!(reader.push(&wire, &mut out), Progress::Done(wire.len()));
            prop_assert!(!reader.saw_bare_line_end());
        }
    }
}
