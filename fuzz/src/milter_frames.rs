//! What milters send: whatever it is, an exchange ends or fails, and what it takes over does no more than one may ask for.

use std::net::SocketAddr;

use postern_core::envelope::{Envelope, Recipient};
use postern_core::message::header::Header;
use postern_core::milter::dialogue::Dialogue;
use postern_core::milter::exchange::{Exchange, Next};
use postern_core::milter::facts::{Facts, InHand, Transaction};
use postern_core::milter::frame::FrameReader;
use postern_core::milter::macros::Addressee;
use postern_core::milter::options::{Offer, action, step};
use postern_core::session::id::TraceId;
use postern_core::smtp::address::{Address, ReversePath};
use postern_core::smtp::parameters::RcptParameters;
use postern_core::verdict::{Stage, Verdict};

use crate::effects::{REFUSALS, header, judge};

const STAGES: [Stage; 5] = [Stage::Connect, Stage::Ehlo, Stage::Mail, Stage::Rcpt, Stage::Data];

/// Frames and changes larger than that are refused.
const MOST: u32 = 4096;

/// Runs one input.
pub fn run(octets: &[u8]) {
    // How the octets fall into reads, then the octets themselves.
    let Some((step, stream)) = octets.split_first() else { return };
    let mut reader = Stream { reader: FrameReader::new(MOST), rest: stream, step: usize::from(*step) + 1 };
    let offer = Offer { version: 6, actions: action::ALL_V6, steps: step::ALL_V6 };
    let Some((b'O', payload)) = reader.next() else { return };
    let Ok(options) = offer.agreed(&payload) else { return };
    let mut dialogue = Dialogue::new(options);
    let envelope = envelope();
    let header = header();
    for stage in STAGES {
        let facts = facts(stage, &envelope, &header);
        match ask(&mut dialogue, stage, &facts, &mut reader) {
            Some(verdict) => judge(verdict, stage, REFUSALS),
            None => return,
        }
        if dialogue.is_spent() {
            return;
        }
    }
}

/// The octets, as a socket would bring them.
struct Stream<'a> {
    reader: FrameReader,
    rest: &'a [u8],
    step: usize,
}

impl Stream<'_> {
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.reader.next_frame().ok()? {
                return Some((frame.code, frame.payload.to_vec()));
            }
            if self.rest.is_empty() {
                return None;
            }
            let (now, later) = self.rest.split_at(self.step.min(self.rest.len()));
            self.reader.room().extend_from_slice(now);
            self.rest = later;
        }
    }
}

/// One question; nothing when the milter broke the protocol or has no more to say.
fn ask(dialogue: &mut Dialogue, stage: Stage, facts: &Facts<'_>, stream: &mut Stream<'_>) -> Option<Verdict> {
    let mut out = Vec::new();
    let mut parts = 2;
    let mut exchange = Exchange::begin(dialogue, stage, facts, MOST.into(), &mut out);
    let verdict = loop {
        match exchange.next(&mut out) {
            Next::Over(verdict) => break verdict,
            Next::Body(most) => {
                assert!(most >= 65_535);
                match parts {
                    0 => exchange.body_ends(),
                    _ => {
                        parts -= 1;
                        exchange.body_sent();
                    }
                }
            }
            Next::Answer(_) => {
                let (code, payload) = stream.next()?;
                let frame = postern_core::milter::frame::Frame { code, payload: &payload };
                exchange.hear(&frame).ok()?;
                assert!(exchange.octets_held() <= MOST.into(), "more is held than is accepted");
            }
        }
    };
    are_frames(&out);
    Some(verdict)
}

/// What is sent is whole frames, whatever was answered before.
fn are_frames(out: &[u8]) {
    let mut reader = FrameReader::new(u32::MAX);
    reader.room().extend_from_slice(out);
    while let Some(frame) = reader.next_frame().expect("our own frames are good") {
        assert!(b"OCDHMRTLNEAQ".contains(&frame.code));
    }
    assert!(reader.is_empty());
}

fn envelope() -> Envelope {
    let recipient = |text| Recipient { address: address(text), parameters: RcptParameters::default() };
    Envelope {
        sender: ReversePath::Mailbox(address("s@example.org")),
        recipients: vec![recipient("a@example.test"), recipient("b@example.test")],
        ..Envelope::default()
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("it is one")
}

fn facts<'a>(stage: Stage, envelope: &'a Envelope, header: &'a Header) -> Facts<'a> {
    let (last, others) = envelope.recipients.split_last().expect("there are two");
    let in_hand = InHand { addressee: Addressee::Accepted(&last.address), parameters: &[], members: &[] };
    let transaction = Transaction {
        id: TraceId(1),
        sender: &envelope.sender,
        parameters: &envelope.parameters,
        raw_parameters: None,
        recipients: match stage {
            Stage::Mail => &[],
            Stage::Rcpt => others,
            _ => &envelope.recipients,
        },
        in_hand: (stage == Stage::Rcpt).then_some(in_hand),
        fields: if stage == Stage::Data { header.fields().collect() } else { Vec::new() },
    };
    Facts {
        hostname: "gate.example.test",
        daemon_name: "mx",
        daemon: SocketAddr::from(([192, 0, 2, 25], 25)),
        client: SocketAddr::from(([192, 0, 2, 1], 4096)),
        ptr: None,
        helo: (stage != Stage::Connect).then_some("client.example.org"),
        tls: None,
        login: None,
        traceparent: None,
        transaction: (stage >= Stage::Mail).then_some(transaction),
    }
}
