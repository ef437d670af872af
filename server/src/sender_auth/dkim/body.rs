//! Hashes of a message's body, made while it streams by (RFC 6376 section 3.4).
//!
//! The body is never held whole: it is read block by block from wherever the message is, once for all
//! signatures, so that a message of any size costs no memory beyond one block.

use std::io;

use mail_auth::dkim::Canonicalization;
use memchr::memchr2;
use sha2::{Digest, Sha256};

use crate::message::{ContentBuilder, Message};

/// Bodies up to this size are hashed where they are; the time is that of a few system calls.
const INLINE_OCTETS: u64 = 64 * 1024;

/// Which hash of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sender_auth) struct BodyHash {
    pub(in crate::sender_auth) canonicalization: Canonicalization,
    /// `l=`: octets of the canonical body that count; unset: all.
    pub(in crate::sender_auth) limit: Option<u64>,
}

/// The hashes that were asked for; none where the body is shorter than the octets that count.
pub(in crate::sender_auth) type BodyHashes = Vec<(BodyHash, Option<[u8; 32]>)>;

/// Hashes the body, which begins at `start`, in every way asked for.
///
/// # Errors
///
/// When the message cannot be read from its file.
pub(in crate::sender_auth) async fn hash(
    message: &Message,
    start: u64,
    wanted: Vec<BodyHash>,
) -> io::Result<BodyHashes> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let body = ContentBuilder::new(message.clone()).original_from(start).build();
    let all = move || {
        let mut hashers = BodyHashers::new(&wanted);
        let mut blocks = body.blocks_now();
        while let Some(block) = blocks.next_block()? {
            hashers.push(block);
        }
        Ok(hashers.finish())
    };
    if message.octets() <= INLINE_OCTETS {
        return all();
    }
    tokio::task::spawn_blocking(all).await.map_err(io::Error::other)?
}

/// One canonicalization for each kind that is wanted, and its hashes.
struct BodyHashers(Vec<(Canonical, Vec<Limited>)>);

impl BodyHashers {
    fn new(wanted: &[BodyHash]) -> Self {
        let mut hashers: Vec<(Canonical, Vec<Limited>)> = Vec::new();
        for wanted in wanted {
            let limited = Limited::new(*wanted);
            match hashers.iter_mut().find(|(canonical, _)| canonical.kind == wanted.canonicalization) {
                Some((_, all)) if all.iter().any(|other| other.wanted == *wanted) => {}
                Some((_, all)) => all.push(limited),
                None => hashers.push((Canonical::new(wanted.canonicalization), vec![limited])),
            }
        }
        Self(hashers)
    }

    fn push(&mut self, block: &[u8]) {
        for (canonical, all) in &mut self.0 {
            canonical.push(block, &mut |octets| all.iter_mut().for_each(|limited| limited.push(octets)));
        }
    }

    fn finish(self) -> BodyHashes {
        let mut hashes = Vec::new();
        for (canonical, mut all) in self.0 {
            canonical.finish(&mut |octets| all.iter_mut().for_each(|limited| limited.push(octets)));
            hashes.extend(all.into_iter().map(Limited::finish));
        }
        hashes
    }
}

/// A hash that takes no more octets than it may.
struct Limited {
    wanted: BodyHash,
    missing: u64,
    hash: Sha256,
}

impl Limited {
    fn new(wanted: BodyHash) -> Self {
        Self { wanted, missing: wanted.limit.unwrap_or(u64::MAX), hash: Sha256::new() }
    }

    fn push(&mut self, octets: &[u8]) {
        let taken = usize::try_from(self.missing).unwrap_or(usize::MAX).min(octets.len());
        self.hash.update(octets.get(..taken).unwrap_or_default());
        self.missing -= taken as u64;
    }

    fn finish(self) -> (BodyHash, Option<[u8; 32]>) {
        let complete = self.wanted.limit.is_none() || self.missing == 0;
        (self.wanted, complete.then(|| self.hash.finalize().into()))
    }
}

/// The canonical form of a body as it comes.
///
/// What may turn out to be at the end of a line or of the body is held back as a count. A lone LF ends a
/// line, as it will when the message is handed on; a lone CR is text.
struct Canonical {
    kind: Canonicalization,
    /// Line ends that are written only if text follows.
    line_ends: u64,
    /// White space that is written, as one space, only if text follows on the line.
    space: bool,
    /// A CR that belongs to a line end if LF follows.
    cr: bool,
    /// There was text.
    any: bool,
}

impl Canonical {
    const fn new(kind: Canonicalization) -> Self {
        Self { kind, line_ends: 0, space: false, cr: false, any: false }
    }

    fn push(&mut self, block: &[u8], out: &mut impl FnMut(&[u8])) {
        let mut rest = block;
        while let Some(first) = rest.first() {
            let run = self.text_run(rest);
            let (text, after) = rest.split_at(run.max(1));
            rest = after;
            match *first {
                _ if run > 0 => self.text(text, out),
                b'\n' => {
                    (self.cr, self.space) = (false, false);
                    self.line_ends += 1;
                }
                b'\r' => {
                    self.lone_cr(out);
                    self.cr = true;
                }
                // White space, which only the relaxed form treats so.
                _ => {
                    self.lone_cr(out);
                    self.space = true;
                }
            }
        }
    }

    /// How many octets at the start have no meaning of their own.
    fn text_run(&self, octets: &[u8]) -> usize {
        let end = match self.kind {
            Canonicalization::Simple => memchr2(b'\r', b'\n', octets),
            Canonicalization::Relaxed => {
                octets.iter().position(|octet| matches!(octet, b'\r' | b'\n' | b' ' | b'\t'))
            }
        };
        end.unwrap_or(octets.len())
    }

    fn text(&mut self, text: &[u8], out: &mut impl FnMut(&[u8])) {
        self.lone_cr(out);
        self.begin_text(out);
        out(text);
    }

    /// A CR was not followed by LF, and so is text.
    fn lone_cr(&mut self, out: &mut impl FnMut(&[u8])) {
        if std::mem::take(&mut self.cr) {
            self.begin_text(out);
            out(b"\r");
        }
    }

    /// Text follows: what was held back counts.
    fn begin_text(&mut self, out: &mut impl FnMut(&[u8])) {
        self.any = true;
        write_line_ends(std::mem::take(&mut self.line_ends), out);
        if std::mem::take(&mut self.space) {
            out(b" ");
        }
    }

    fn finish(mut self, out: &mut impl FnMut(&[u8])) {
        self.lone_cr(out);
        // Lines without text at the end are gone. An empty body is one line end in the simple form, and
        // nothing at all in the relaxed one.
        if self.any || self.kind == Canonicalization::Simple {
            out(b"\r\n");
        }
    }
}

fn write_line_ends(count: u64, out: &mut impl FnMut(&[u8])) {
    const EIGHT: &[u8] = b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";
    for _ in 0..count / 8 {
        out(EIGHT);
    }
    for _ in 0..count % 8 {
        out(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(kind: Canonicalization, blocks: &[&[u8]]) -> Vec<u8> {
        let mut canonical = Canonical::new(kind);
        let mut all = Vec::new();
        for block in blocks {
            canonical.push(block, &mut |octets| all.extend_from_slice(octets));
        }
        canonical.finish(&mut |octets| all.extend_from_slice(octets));
        all
    }

    fn simple(body: &str) -> String {
        String::from_utf8(canonical(Canonicalization::Simple, &[body.as_bytes()])).unwrap()
    }

    fn relaxed(body: &str) -> String {
        String::from_utf8(canonical(Canonicalization::Relaxed, &[body.as_bytes()])).unwrap()
    }

    /// RFC 6376 sections 3.4.3 to 3.4.5.
    #[test]
    fn bodies_have_the_forms_of_the_examples() {
        assert_eq!(relaxed(" C \r\nD \t E\r\n\r\n\r\n"), " C\r\nD E\r\n");
        assert_eq!(simple(" C \r\nD \t E\r\n\r\n\r\n"), " C \r\nD \t E\r\n");
        assert_eq!((simple(""), relaxed("")), ("\r\n".into(), String::new()));
        assert_eq!((simple("\r\n\r\n"), relaxed("\r\n\r\n")), ("\r\n".into(), String::new()));
        assert_eq!((simple("a"), relaxed("a")), ("a\r\n".into(), "a\r\n".into()));
    }

    #[test]
    fn white_space_alone_is_an_empty_line_in_the_relaxed_form() {
        for body in ["hi\r\n", "hi\r\n \r\n", "hi\r\n\t \r\n\r\n", "hi \r\n ", "hi\n"] {
            assert_eq!(relaxed(body), "hi\r\n", "{body:?}");
        }
        assert_eq!(relaxed("hi\r\n \t\r\nho\r\n"), "hi\r\n\r\nho\r\n");
        assert_eq!(relaxed(" \r\n"), "");
        assert_eq!(simple("hi\r\n \r\n"), "hi\r\n \r\n");
    }

    #[test]
    fn only_as_many_octets_count_as_the_signature_says() {
        let hash_of = |limit| {
            let wanted = BodyHash { canonicalization: Canonicalization::Relaxed, limit };
            let mut hashers = BodyHashers::new(&[wanted]);
            hashers.push(b"abc  d\r\n\r\n");
            hashers.finish().remove(0).1
        };
        let sha256 = |text: &str| -> Option<[u8; 32]> { Some(Sha256::digest(text).into()) };
        assert_eq!(hash_of(None), sha256("abc d\r\n"));
        assert_eq!(hash_of(Some(7)), sha256("abc d\r\n"));
        assert_eq!(hash_of(Some(4)), sha256("abc "));
        assert_eq!(hash_of(Some(0)), sha256(""));
        assert_eq!(hash_of(Some(8)), None);
    }

    /// The forms by their definition, over the whole body.
    fn by_definition(kind: Canonicalization, body: &[u8]) -> Vec<u8> {
        let text: String = body.iter().map(|octet| char::from(*octet)).collect();
        let text = text.replace("\r\n", "\n");
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        if kind == Canonicalization::Relaxed {
            for line in &mut lines {
                let squeezed = line.split([' ', '\t']).fold(String::new(), |mut all, word| {
                    if !all.ends_with(' ') || !word.is_empty() {
                        all.push_str(word);
                    }
                    if !all.ends_with(' ') {
                        all.push(' ');
                    }
                    all
                });
                *line = squeezed.trim_end_matches(' ').to_owned();
            }
        }
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        let mut all: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        if all.is_empty() && kind == Canonicalization::Simple {
            all = "\r\n".into();
        }
        all.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn blocks_give_what_the_whole_gives(
            body in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b'\t'), Just(b'a'), Just(0xe9)], 0..60),
            cut in 0usize..60,
        ) {
            let (one, two) = body.split_at(cut.min(body.len()));
            for kind in [Canonicalization::Simple, Canonicalization::Relaxed] {
                prop_assert_eq!(canonical(kind, &[one, two]), by_definition(kind, &body));
            }
        }
    }
}
