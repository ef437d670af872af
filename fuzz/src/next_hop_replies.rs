//! Replies of next hops: however they are cut, the same replies come out, within their bounds, and whatever a hop says
//! is one reply to our client.

use postern_core::handoff::Outcome;
use postern_core::smtp::extensions::Extensions;
use postern_core::smtp::next_hop_reply::{NextHopReplies, NextHopReplyError};
use postern_core::smtp::reply::Reply;

use crate::effects;

/// Runs one input.
pub fn run(octets: &[u8]) {
    let Some((cut, octets)) = octets.split_first() else { return };
    let whole = replies(octets, octets.len().max(1));
    assert_eq!(whole, replies(octets, usize::from(*cut).max(1)), "cut into pieces of {cut}");
    for reply in &whole.0 {
        assert!(reply.text().len() <= NextHopReplies::MAX_TEXT_OCTETS + NextHopReplies::MAX_LINES);
        let _ = Extensions::from_reply(reply);
        match Outcome::of_reply(reply) {
            Outcome::Delivered => assert!(reply.is_positive()),
            outcome => {
                let told = outcome.reply();
                assert!(told.code() == 451 || told.is_permanent(), "{told}");
                effects::check(&told);
            }
        }
        assert_ne!(Outcome::of_refusal(reply), Outcome::Delivered);
    }
}

fn replies(octets: &[u8], piece: usize) -> (Vec<Reply>, Option<NextHopReplyError>) {
    let mut reader = NextHopReplies::new();
    let mut all = Vec::new();
    for mut piece in octets.chunks(piece) {
        while !piece.is_empty() {
            match reader.push(piece) {
                Ok((taken, reply)) => {
                    all.extend(reply);
                    piece = &piece[taken..];
                }
                Err(error) => return (all, Some(error)),
            }
        }
    }
    (all, None)
}
