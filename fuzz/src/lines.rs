//! Octets of a client: however they are cut, the same lines come out, and every line is a command or a refusal.

use bytes::BufMut;
use postern_core::smtp::command::{Command, Utf8Addresses};
use postern_core::smtp::line::{Line, LineReader, MAX_COMMAND_OCTETS};

use crate::effects;

/// Runs one input.
pub fn run(octets: &[u8]) {
    let Some((cut, octets)) = octets.split_first() else { return };
    let whole = lines(octets, octets.len().max(1));
    assert_eq!(whole, lines(octets, usize::from(*cut).max(1)), "cut into pieces of {cut}");
    for line in whole.into_iter().flatten() {
        assert!(line.len() < MAX_COMMAND_OCTETS && !line.contains(&b'\n'));
        for utf8 in [Utf8Addresses::Allowed, Utf8Addresses::Refused] {
            if let Err(refusal) = Command::parse(&line, utf8) {
                assert!(refusal.reply.is_permanent() || refusal.reply.code() == 421, "{}", refusal.reply);
                effects::check(&refusal.reply);
            }
        }
    }
}

/// The lines; none for one that is too long.
fn lines(octets: &[u8], piece: usize) -> Vec<Option<Vec<u8>>> {
    let mut reader = LineReader::new();
    let mut lines = Vec::new();
    for piece in octets.chunks(piece) {
        reader.space(piece.len()).put_slice(piece);
        loop {
            match reader.next_line(MAX_COMMAND_OCTETS) {
                Line::Whole(line) => lines.push(Some(line.to_vec())),
                Line::TooLong => lines.push(None),
                Line::NeedMore => break,
            }
        }
    }
    lines
}
