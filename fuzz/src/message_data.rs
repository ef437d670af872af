//! Message data by DATA and by BDAT: however it is cut, the same message comes out, and only CRLF.CRLF ends one.

use postern_core::smtp::bdat::ChunkReader;
use postern_core::smtp::data::{DataReader, Progress};
use postern_core::smtp::parameters::BodyType;
use postern_core::smtp::stuffing::DotStuffer;

/// Runs one input.
pub fn run(octets: &[u8]) {
    let Some((cut, octets)) = octets.split_first() else { return };
    let cut = usize::from(*cut).max(1);
    let (message, end) = data(octets, octets.len().max(1));
    assert_eq!((&message, end), (&data(octets, cut).0, data(octets, cut).1), "cut into pieces of {cut}");
    only_whole_line_ends(&message);
    if let Some(end) = end {
        let ends_data = octets[..end].ends_with(b"\r\n.\r\n") || &octets[..end] == b".\r\n";
        assert!(ends_data, "{:?}", String::from_utf8_lossy(&octets[..end]));
        // What a next hop is sent is read back by the same rule, as one message.
        let stuffed = stuffed(&message);
        assert_eq!(data(&stuffed, stuffed.len()), (message, Some(stuffed.len())));
    }
    let chunks = chunked(octets, cut, Some(BodyType::EightBitMime));
    assert_eq!(chunks, chunked(octets, octets.len().max(1), Some(BodyType::EightBitMime)));
    only_whole_line_ends(&chunks);
    assert_eq!(chunked(octets, cut, Some(BodyType::BinaryMime)), octets);
}

/// The message, and where it ends.
fn data(octets: &[u8], piece: usize) -> (Vec<u8>, Option<usize>) {
    let (mut reader, mut message) = (DataReader::new(), Vec::new());
    for (at, piece) in octets.chunks(piece).enumerate().map(|(at, chunk)| (at * piece, chunk)) {
        if let Progress::Done(taken) = reader.push(piece, &mut message) {
            return (message, Some(at + taken));
        }
    }
    (message, None)
}

fn chunked(octets: &[u8], piece: usize, body: Option<BodyType>) -> Vec<u8> {
    let (mut reader, mut message) = (ChunkReader::new(body), Vec::new());
    let pieces = octets.chunks(piece).collect::<Vec<_>>();
    for (at, piece) in pieces.iter().enumerate() {
        reader.begin(piece.len() as u64, at + 1 == pieces.len());
        assert_eq!(reader.push(piece, &mut message), Progress::Done(piece.len()));
    }
    message
}

fn stuffed(message: &[u8]) -> Vec<u8> {
    let (mut stuffer, mut sent) = (DotStuffer::new(), Vec::new());
    stuffer.push(message, |octets| sent.extend_from_slice(octets));
    stuffer.finish(|octets| sent.extend_from_slice(octets));
    sent
}

fn only_whole_line_ends(message: &[u8]) {
    for (at, octet) in message.iter().enumerate() {
        match octet {
            b'\r' => assert!(message.get(at + 1).is_none_or(|next| *next == b'\n'), "a bare CR"),
            b'\n' => assert_eq!(at.checked_sub(1).map(|before| message[before]), Some(b'\r'), "a bare LF"),
            _ => {}
        }
    }
}
