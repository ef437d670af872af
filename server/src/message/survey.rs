//! What a run of message octets holds, as far as a next hop has to know.

/// Facts about a run of octets. Surveys of neighbouring runs add up to the survey of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Survey {
    /// Octets above 127 occur.
    pub eight_bit: bool,
    /// A CR without LF, or an LF without CR, occurs within.
    pub bare_line_ends: bool,
    /// NUL occurs, or other things that only BINARYMIME carries.
    pub nul: bool,
    /// The edges, which decide when runs are joined; none for an empty run.
    edges: Option<Edges>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edges {
    starts_with_lf: bool,
    ends_with_cr: bool,
}

impl Survey {
    /// Looks at every octet.
    #[must_use]
    pub fn of(octets: &[u8]) -> Self {
        let (Some(first), Some(last)) = (octets.first(), octets.last()) else { return Self::default() };
        Self {
            eight_bit: !octets.is_ascii(),
            bare_line_ends: has_bare_line_end(octets),
            nul: memchr::memchr(0, octets).is_some(),
            edges: Some(Edges { starts_with_lf: *first == b'\n', ends_with_cr: *last == b'\r' }),
        }
    }

    /// The survey of this run followed by `next`.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        let (bare_at_seam, edges) = match (self.edges, next.edges) {
            (Some(left), Some(right)) => (
                left.ends_with_cr != right.starts_with_lf,
                Some(Edges { starts_with_lf: left.starts_with_lf, ends_with_cr: right.ends_with_cr }),
            ),
            (edges, None) | (None, edges) => (false, edges),
        };
        Self {
            eight_bit: self.eight_bit || next.eight_bit,
            bare_line_ends: self.bare_line_ends || next.bare_line_ends || bare_at_seam,
            nul: self.nul || next.nul,
            edges,
        }
    }

    /// Every line of the run ends in CRLF; neither an LF at its start nor a CR at its end is left alone.
    #[must_use]
    pub fn is_whole_lines_of_crlf(&self) -> bool {
        !self.bare_line_ends && self.edges.is_none_or(|edges| !edges.starts_with_lf && !edges.ends_with_cr)
    }
}

/// Whether a CR or LF inside the run lacks its partner. The edges are not judged.
fn has_bare_line_end(octets: &[u8]) -> bool {
    // Looks at every pair without a branch, so that the compiler makes vector instructions of it: a message has a line
    // end every few dozen octets, and to search for each of them costs more.
    let pairs = octets.iter().zip(octets.get(1..).unwrap_or_default());
    pairs.fold(false, |bare, (one, next)| bare | ((*one == b'\r') != (*next == b'\n')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bare(octets: &[u8]) -> bool {
        !Survey::of(octets).is_whole_lines_of_crlf()
    }

    #[test]
    fn only_crlf_is_a_line_end() {
        for good in [&b""[..], b"a", b"a\r\nb\r\n", b"\r\n\r\n", b"a\r\n.\r\nb"] {
            assert!(!bare(good), "{good:?}");
        }
        for bad in [
            &b"\n"[..],
            b"\r",
            b"a\nb",
            b"a\rb",
            b"a\r\r\n",
            b"a\r\n\n",
            b"a\r",
            b"\na",
            b"\r\n\r",
            b"\n\r\n",
        ] {
            assert!(bare(bad), "{bad:?}");
        }
    }

    #[test]
    fn eight_bit_and_nul_are_seen() {
        assert!(Survey::of("é".as_bytes()).eight_bit);
        assert!(!Survey::of(b"e").eight_bit);
        assert!(Survey::of(b"a\0").nul);
    }

    /// The plain definition that the fast one must agree with.
    fn bare_by_definition(octets: &[u8]) -> bool {
        (0..octets.len()).any(|at| match octets[at] {
            b'\r' => octets.get(at + 1) != Some(&b'\n'),
            b'\n' => at == 0 || octets[at - 1] != b'\r',
            _ => false,
        })
    }

    proptest! {
        #[test]
        fn a_survey_of_parts_equals_that_of_the_whole(
            octets in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a'), Just(0xe9u8)], 0..40),
            cut in 0usize..40,
        ) {
            let (left, right) = octets.split_at(cut.min(octets.len()));
            let whole = Survey::of(&octets);
            prop_assert_eq!(Survey::of(left).then(Survey::of(right)), whole);
            prop_assert_eq!(!whole.is_whole_lines_of_crlf(), bare_by_definition(&octets));
        }
    }
}
