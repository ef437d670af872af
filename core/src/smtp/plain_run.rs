//! Runs of message octets that need no second look.

/// A run in which every line ends in CRLF and no line begins with a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PlainRun {
    /// Its length; zero says nothing, and lines are to be looked at one by one.
    pub(super) octets: usize,
    /// It ends with the end of a line, and the next one may begin with a dot; else within a line.
    pub(super) ends_line: bool,
}

impl PlainRun {
    /// The run at the start of `octets`, for a reader who is in the middle of a line.
    ///
    /// It holds as many whole blocks as it can, and never parts CR and LF.
    pub(super) fn of(octets: &[u8]) -> Self {
        if octets.first() == Some(&b'\n') {
            return Self::default();
        }
        // Each octet is judged with the one behind it.
        let (blocks, _) = octets.as_chunks::<BLOCK>();
        let (successors, _) = octets.get(1..).unwrap_or_default().as_chunks::<BLOCK>();
        let pairs = blocks.iter().zip(successors);
        let run = pairs.take_while(|(block, successors)| is_plain(block, successors)).count() * BLOCK;
        match octets.get(..run).and_then(<[u8]>::last) {
            Some(b'\r') => Self { octets: run + 1, ends_line: true },
            last => Self { octets: run, ends_line: last == Some(&b'\n') },
        }
    }
}

/// Octets that are judged at once: enough for vector instructions, few enough that a line to be looked at does not
/// spoil many others.
pub(super) const BLOCK: usize = 256;

/// Pair by pair and without a branch, so that the compiler makes vector instructions of it: a message has a line end
/// every few dozen octets, and to search for each of them costs more.
fn is_plain(block: &[u8; BLOCK], successors: &[u8; BLOCK]) -> bool {
    let pairs = block.iter().zip(successors);
    !pairs.fold(false, |troubled, (one, next)| {
        troubled | ((*one == b'\r') != (*next == b'\n')) | ((*one == b'\n') & (*next == b'.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_run(octets: &[u8]) -> usize {
        PlainRun::of(octets).octets
    }

    /// Blocks of plain text with this at the given place.
    fn with(what: &[u8], at: usize) -> Vec<u8> {
        let mut octets = vec![b'a'; 4 * BLOCK];
        octets[at..at + what.len()].copy_from_slice(what);
        octets
    }

    #[test]
    fn a_run_holds_whole_lines_of_crlf() {
        assert_eq!(plain_run(&with(b"\r\n", 77)), 3 * BLOCK);
        assert_eq!(plain_run(&with(b"\r\n", 0)), 3 * BLOCK);
        assert_eq!(plain_run(&with(b"", 0)[..BLOCK]), 0, "nobody knows what follows");
        assert_eq!(plain_run(b""), 0);
    }

    #[test]
    fn a_run_ends_before_what_must_be_looked_at() {
        for what in [&b"\r"[..], b"\n", b"\r\r\n", b"\n\n", b"\r\n.", b"\r\n\r"] {
            for at in BLOCK + 1..2 * BLOCK - 3 {
                assert_eq!(plain_run(&with(what, at)), BLOCK, "{what:?} at {at}");
            }
        }
        assert_eq!(plain_run(&with(b"\n", 0)), 0);
    }

    #[test]
    fn a_run_says_where_it_ends() {
        for (what, at, ends_line) in
            [("\r\n", 3 * BLOCK - 2, true), ("\r\n", 3 * BLOCK - 1, true), ("\r\n", 9, false)]
        {
            assert_eq!(PlainRun::of(&with(what.as_bytes(), at)).ends_line, ends_line, "{at}");
        }
        assert!(!PlainRun::of(b"\r\n").ends_line);
    }

    #[test]
    fn a_run_never_parts_cr_and_lf() {
        assert_eq!(plain_run(&with(b"\r\n", 3 * BLOCK - 1)), 3 * BLOCK + 1);
        // Whoever reads on is at the start of a line then, and sees the dot.
        assert_eq!(plain_run(&with(b"\r\n.", 3 * BLOCK - 1)), 3 * BLOCK + 1);
        assert_eq!(plain_run(&with(b"\r\n.", 3 * BLOCK - 2)), 2 * BLOCK);
    }
}
