//! Makes every line end CRLF.

use memchr::memchr2;

/// Turns bare CR and bare LF into CRLF, across the pieces in which octets come.
#[derive(Debug, Clone, Default)]
pub(super) struct LineEnds {
    /// The last octet was a CR, and it is not known yet what follows.
    after_cr: bool,
    /// A bare CR or a bare LF was met.
    bare: bool,
}

impl LineEnds {
    /// Appends `input` with line ends made whole.
    pub(super) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = self.end_line(rest, out);
        }
        // Octets of `rest` before `run` need no change and are copied together.
        let mut run = 0;
        while let Some(at) = rest.get(run..).and_then(|fresh| memchr2(b'\r', b'\n', fresh)).map(|at| run + at)
        {
            match (rest.get(at), rest.get(at + 1)) {
                (Some(b'\r'), Some(b'\n')) => run = at + 2,
                (Some(b'\r'), None) => {
                    self.after_cr = true;
                    out.extend_from_slice(rest.get(..at).unwrap_or_default());
                    return;
                }
                _ => {
                    self.bare = true;
                    out.extend_from_slice(rest.get(..at).unwrap_or_default());
                    out.extend_from_slice(b"\r\n");
                    rest = rest.get(at + 1..).unwrap_or_default();
                    run = 0;
                }
            }
        }
        out.extend_from_slice(rest);
    }

    /// Nothing follows: a CR at the very end was a bare one.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.after_cr) {
            self.bare = true;
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Whether anything was changed.
    pub(super) const fn saw_bare(&self) -> bool {
        self.bare
    }

    /// Ends the line of an earlier CR, and takes the LF that belongs to it.
    fn end_line<'a>(&mut self, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        out.extend_from_slice(b"\r\n");
        rest.strip_prefix(b"\n").unwrap_or_else(|| {
            self.bare = true;
            rest
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_line_ends_become_whole_and_are_noted() {
        for (input, wanted, bare) in [
            ("", "", false),
            ("a\r\nb\r\n", "a\r\nb\r\n", false),
            ("a\nb", "a\r\nb", true),
            ("a\rb", "a\r\nb", true),
            ("\r", "\r\n", true),
            ("\r\r\n", "\r\n\r\n", true),
            ("\n\r", "\r\n\r\n", true),
            ("a\0\r\n", "a\0\r\n", false),
        ] {
            for size in 1..=input.len().max(1) {
                let (mut line_ends, mut out) = (LineEnds::default(), Vec::new());
                input.as_bytes().chunks(size).for_each(|piece| line_ends.push(piece, &mut out));
                line_ends.finish(&mut out);
                assert_eq!(
                    (out.as_slice(), line_ends.saw_bare()),
                    (wanted.as_bytes(), bare),
                    "{input:?} by {size}"
                );
            }
        }
    }
}
