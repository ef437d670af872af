//! Message data as DATA brings it (RFC 5321 section 4.5.2).
//!
//! The end is CR LF `.` CR LF and nothing else. Servers that took other line ends for it let a sender
//! put a second message, with an envelope of its own, into the data of the first (SMTP smuggling).

use memchr::memchr2;

use super::plain_run::{BLOCK, PlainRun};

/// Reads one message after DATA: finds its end, takes the dots out and makes every line end CRLF.
///
/// What comes out holds no CR and no LF outside a CRLF, so that no later reader can see other lines in
/// it than this one did.
#[derive(Debug, Clone, Default)]
pub struct DataReader {
    state: State,
    bare: bool,
}

/// How far a reader of message data came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All octets were taken, and the end is still to come.
    More,
    /// So many octets were taken, the end among them; those behind belong to the next command.
    Done(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// After CRLF. The CRLF of the DATA command is the first one, so that is where a message begins.
    #[default]
    LineStart,
    /// Within a line, which includes what follows a bare CR or a bare LF.
    Text,
    /// After a CR within a line.
    Cr,
    /// After CRLF and a dot, which is not part of the message.
    Dot,
    /// After CRLF, dot and CR.
    DotCr,
}

impl DataReader {
    /// A reader for the octets that follow the 354.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes octets as they came and appends those of the message to `out`.
    ///
    /// A client's CRLF before the final dot belongs to the message. After [`Progress::Done`] the reader is
    /// ready for another message.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress {
        // Octets from `run` to `at` need no change and are copied together.
        let (mut run, mut at) = (0, 0);
        // Up to here lines are to be looked at one by one.
        let mut troubled = 0;
        let copy = |run: usize, at: usize, out: &mut Vec<u8>| {
            out.extend_from_slice(input.get(run..at).unwrap_or_default());
        };
        while let Some(octet) = input.get(at) {
            match (self.state, octet) {
                (State::LineStart, b'.') => {
                    copy(run, at, out);
                    at += 1;
                    run = at;
                    self.state = State::Dot;
                }
                (State::LineStart, _) => self.state = State::Text,
                (State::Text, _) if at >= troubled => {
                    let plain = PlainRun::of(input.get(at..).unwrap_or_default());
                    at += plain.octets;
                    troubled = at + BLOCK;
                    if plain.ends_line {
                        self.state = State::LineStart;
                    }
                }
                (State::Text, _) => {
                    let fresh = input.get(at..).unwrap_or_default();
                    let Some(end) = memchr2(b'\r', b'\n', fresh).map(|end| at + end) else { break };
                    if let (Some(b'\r'), Some(b'\n')) = (input.get(end), input.get(end + 1)) {
                        at = end + 2;
                        self.state = State::LineStart;
                        continue;
                    }
                    copy(run, end, out);
                    at = end + 1;
                    run = at;
                    if input.get(end) == Some(&b'\r') {
                        self.state = State::Cr;
                    } else {
                        self.bare_end(out);
                    }
                }
                (State::Cr, b'\n') => {
                    out.extend_from_slice(b"\r\n");
                    at += 1;
                    run = at;
                    self.state = State::LineStart;
                }
                (State::Dot, b'\r') => {
                    at += 1;
                    run = at;
                    self.state = State::DotCr;
                }
                // Not the end: the dot was there for transparency, and what follows is text.
                (State::Dot, _) => self.state = State::Text,
                (State::DotCr, b'\n') => {
                    self.state = State::LineStart;
                    return Progress::Done(at + 1);
                }
                (State::Cr | State::DotCr, _) => self.bare_end(out),
            }
        }
        copy(run, input.len(), out);
        Progress::More
    }

    /// Whether a bare CR or a bare LF was met, for those who refuse such messages.
    #[must_use]
    pub const fn saw_bare_line_end(&self) -> bool {
        self.bare
    }

    /// A line end that is none to the standard. The octets after it are text, whatever they are.
    fn bare_end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.bare = true;
        self.state = State::Text;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Message, octets taken (nothing when the end was not found), and whether a bare line end was seen.
    fn read(input: &[u8], sizes: &[usize]) -> (Vec<u8>, Option<usize>, bool) {
        let (mut reader, mut out, mut taken) = (DataReader::new(), Vec::new(), 0);
        let mut sizes = sizes.iter().cycle();
        while taken < input.len() {
            let end = input.len().min(taken + (*sizes.next().unwrap()).max(1));
            match reader.push(&input[taken..end], &mut out) {
                Progress::More => taken = end,
                Progress::Done(octets) => return (out, Some(taken + octets), reader.saw_bare_line_end()),
            }
        }
        (out, None, reader.saw_bare_line_end())
    }

    /// Reads `data` and then a proper end, in pieces of every size; the end must be the proper one.
    fn goes_on_past(data: &str, wanted: &str) {
        let input = format!("{data}smuggled\r\n.\r\nQUIT\r\n");
        let end = input.len() - "QUIT\r\n".len();
        for size in 1..=input.len() {
            let (message, taken, bare) = read(input.as_bytes(), &[size]);
            assert_eq!(taken, Some(end), "{data:?} by {size}");
            assert_eq!(
                String::from_utf8(message).unwrap(),
                format!("{wanted}smuggled\r\n"),
                "{data:?} by {size}"
            );
            assert!(bare, "{data:?}");
        }
    }

    #[test]
    fn a_message_ends_at_crlf_dot_crlf() {
        for (input, message, taken) in [
            ("a\r\n.\r\n", "a\r\n", 6),
            ("a\r\n.\r\nQUIT\r\n", "a\r\n", 6),
            ("\r\n.\r\n", "\r\n", 5),
            ("a\r\n\r\n.\r\n.\r\n", "a\r\n\r\n", 8),
        ] {
            for size in 1..=input.len() {
                assert_eq!(
                    read(input.as_bytes(), &[size]),
                    (message.into(), Some(taken), false),
                    "{input:?} by {size}"
                );
            }
        }
    }

    #[test]
    fn the_crlf_of_the_command_counts_for_an_empty_message() {
        assert_eq!(read(b".\r\nQUIT\r\n", &[99]), (Vec::new(), Some(3), false));
    }

    #[test]
    fn one_dot_is_taken_from_each_line_that_begins_with_one() {
        for (input, message) in [
            ("..\r\n.\r\n", ".\r\n"),
            (".a\r\n.\r\n", "a\r\n"),
            ("a\r\n..b\r\n...\r\n.\r\n", "a\r\n.b\r\n..\r\n"),
            ("a.\r\n.b.\r\n.\r\n", "a.\r\nb.\r\n"),
        ] {
            for size in 1..=input.len() {
                assert_eq!(read(input.as_bytes(), &[size]).0, message.as_bytes(), "{input:?} by {size}");
            }
        }
    }

    #[test]
    fn lf_dot_lf_is_no_end() {
        goes_on_past("a\n.\n", "a\r\n.\r\n");
    }

    #[test]
    fn lf_dot_crlf_is_no_end() {
        goes_on_past("a\n.\r\n", "a\r\n.\r\n");
    }

    #[test]
    fn cr_dot_cr_is_no_end() {
        goes_on_past("a\r.\r", "a\r\n.\r\n");
    }

    #[test]
    fn cr_dot_crlf_is_no_end() {
        goes_on_past("a\r.\r\n", "a\r\n.\r\n");
    }

    #[test]
    fn crlf_dot_lf_is_no_end() {
        goes_on_past("a\r\n.\n", "a\r\n\r\n");
    }

    #[test]
    fn crlf_dot_cr_is_no_end() {
        goes_on_past("a\r\n.\r", "a\r\n\r\n");
    }

    #[test]
    fn crlf_dot_cr_cr_lf_is_no_end() {
        goes_on_past("a\r\n.\r\r\n", "a\r\n\r\n\r\n");
    }

    #[test]
    fn lf_cr_dot_and_its_kin_are_no_end() {
        goes_on_past("a\n\r.\r\n", "a\r\n\r\n.\r\n");
        goes_on_past("a\r\r.\r\n", "a\r\n\r\n.\r\n");
        goes_on_past("a\n\n.\r\n", "a\r\n\r\n.\r\n");
        goes_on_past(".\n", "\r\n");
        goes_on_past("\n.\r\n", "\r\n.\r\n");
    }

    #[test]
    fn nul_beside_the_dot_is_no_end() {
        for variant in ["\r\n\0.\r\n", "\r\n.\0\r\n", "\r\n.\r\0\n", "\r\0\n.\r\n", "\r\n.\r\n\0"] {
            let input = format!("a{variant}b\r\n.\r\n");
            let ends_early = variant.starts_with("\r\n.\r\n");
            let (_, taken, _) = read(input.as_bytes(), &[1]);
            assert_eq!(taken, Some(if ends_early { 6 } else { input.len() }), "{variant:?}");
        }
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![3 => Just(b'\r'), 3 => Just(b'\n'), 3 => Just(b'.'), 2 => Just(b'a'), 1 => any::<u8>()];
        proptest::collection::vec(octet, 0..60)
    }

    /// Whole blocks of text with line ends of all sorts in between.
    fn long() -> impl Strategy<Value = Vec<u8>> {
        let lines = (1usize..200, 1usize..20)
            .prop_map(|(length, count)| [&vec![b'a'; length], &b"\r\n"[..]].concat().repeat(count));
        proptest::collection::vec(prop_oneof![2 => lines, 1 => octets()], 1..6)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn whole_blocks_are_read_as_single_octets_are(input in long()) {
            prop_assert_eq!(read(&input, &[usize::MAX / 2]), read(&input, &[1]));
        }

        #[test]
        fn any_chunking_gives_the_same_message(input in octets(), sizes in proptest::collection::vec(1usize..20, 1..6)) {
            prop_assert_eq!(read(&input, &[usize::MAX / 2]), read(&input, &sizes));
        }

        #[test]
        fn only_crlf_dot_crlf_ends(input in octets()) {
            let mut seen = b"\r\n".to_vec();
            seen.extend(&input);
            let end = memchr::memmem::find(&seen, b"\r\n.\r\n").map(|at| at + 3);
            prop_assert_eq!(read(&input, &[7]).1, end);
        }

        #[test]
        fn no_message_holds_a_bare_line_end(input in octets()) {
            let (message, ..) = read(&input, &[5]);
            let text = String::from_utf8_lossy(&message).replace("\r\n", "");
            prop_assert!(!text.contains(['\r', '\n']));
        }
    }
}
