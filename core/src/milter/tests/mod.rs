//! Conversations with a milter that answers by a script.

mod changes;
mod conversation;
mod macros;

use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::command::Command;
use super::dialogue::Dialogue;
use super::error::MilterError;
use super::exchange::{Exchange, Next};
use super::facts::{Facts, InHand, Login, Ptr, Transaction};
use super::frame::{Frame, FrameReader, split_text};
use super::macros::Addressee;
use super::options::{Offer, action, step};
use crate::envelope::{Envelope, Recipient};
use crate::message::edit::Edit;
use crate::message::header::Header;
use crate::session::event::Tls;
use crate::session::id::TraceId;
use crate::smtp::address::{Address, ReversePath};
use crate::smtp::parameters::{MailParameters, RcptParameters};
use crate::verdict::{Modification, Stage, Verdict};

/// A session, from which the facts of a stage are taken.
struct Scene {
    helo: Option<&'static str>,
    ptr: Option<Ptr<'static>>,
    tls: Option<Tls>,
    login: Option<Login<'static>>,
    envelope: Envelope,
    in_hand: Option<Address>,
    members: Vec<Arc<str>>,
    parameters: Vec<String>,
    header: Header,
}

impl Scene {
    fn new() -> Self {
        Self {
            helo: Some("client.example.org"),
            ptr: None,
            tls: None,
            login: None,
            envelope: Envelope {
                sender: ReversePath::Mailbox(address("s@example.org")),
                ..Envelope::default()
            },
            in_hand: None,
            members: Vec::new(),
            parameters: Vec::new(),
            header: Header::parse(b"Subject:  a\r\n b\r\nX: c\r\n\r\n").unwrap(),
        }
    }

    fn to(mut self, recipients: &[&str]) -> Self {
        let recipient =
            |text: &&str| Recipient { address: address(text), parameters: RcptParameters::default() };
        self.envelope.recipients = recipients.iter().map(recipient).collect();
        self
    }

    fn naming(mut self, recipient: &str) -> Self {
        self.in_hand = Some(address(recipient));
        self
    }

    fn at(&self, stage: Stage) -> Facts<'_> {
        let transaction = Transaction {
            id: TraceId(0xabc),
            sender: &self.envelope.sender,
            parameters: &self.envelope.parameters,
            raw_parameters: (stage == Stage::Mail).then_some(&*self.parameters),
            recipients: &self.envelope.recipients,
            in_hand: self.in_hand.as_ref().filter(|_| stage == Stage::Rcpt).map(|address| InHand {
                addressee: Addressee::Accepted(address),
                parameters: &self.parameters,
                members: &self.members,
            }),
            fields: if stage == Stage::Data { self.header.fields().collect() } else { Vec::new() },
        };
        Facts {
            hostname: "gate.example.test",
            daemon_name: "mx",
            daemon: SocketAddr::from(([192, 0, 2, 25], 25)),
            client: SocketAddr::from(([192, 0, 2, 1], 4096)),
            ptr: self.ptr,
            helo: self.helo.filter(|_| stage != Stage::Connect),
            tls: self.tls.as_ref(),
            login: self.login,
            traceparent: None,
            transaction: (stage >= Stage::Mail).then_some(transaction),
        }
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn dialogue(version: u32, steps: u32) -> Dialogue {
    let words =
        [version, action::ALL_V6, steps].iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    let offer = Offer { version: 6, actions: action::ALL_V6, steps: step::ALL_V6 };
    Dialogue::new(offer.agreed(&words).unwrap())
}

/// Plays one question. Every command gets the next answer; those after the last are `c`. Gives what was told, macros
/// left out, and what came of it.
fn ask(
    dialogue: &mut Dialogue,
    stage: Stage,
    scene: &Scene,
    answers: &[&[&str]],
) -> (Vec<String>, Result<Verdict, MilterError>) {
    let (told, outcome) = converse(dialogue, stage, scene, answers);
    let commands = told.iter().filter(|(code, _)| *code != b'D');
    (commands.map(|(code, payload)| shown(*code, payload)).collect(), outcome)
}

type Told = Vec<(u8, Vec<u8>)>;

fn converse(
    dialogue: &mut Dialogue,
    stage: Stage,
    scene: &Scene,
    answers: &[&[&str]],
) -> (Told, Result<Verdict, MilterError>) {
    let facts = scene.at(stage);
    let (mut out, mut answers, mut parts) = (Vec::new(), answers.iter(), [&b"one"[..], b"two"].into_iter());
    let mut exchange = Exchange::begin(dialogue, stage, &facts, 1000, &mut out);
    let outcome = loop {
        match exchange.next(&mut out) {
            Next::Over(verdict) => break Ok(verdict),
            Next::Body(_) => match parts.next() {
                Some(part) => {
                    super::frame::write_frame(b'B', &mut out, |out| out.extend_from_slice(part));
                    exchange.body_sent();
                }
                None => exchange.body_ends(),
            },
            Next::Answer(_) => {
                let frames = answers.next().copied().unwrap_or(&["c"]);
                let heard = frames.iter().try_for_each(|frame| {
                    let (code, payload) = frame.as_bytes().split_first().unwrap();
                    exchange.hear(&Frame { code: *code, payload }).map(drop)
                });
                if let Err(error) = heard {
                    break Err(error);
                }
            }
        }
    };
    let mut reader = FrameReader::new(100_000);
    reader.room().extend_from_slice(&out);
    let mut told = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        told.push((frame.code, frame.payload.to_vec()));
    }
    assert!(reader.is_empty());
    (told, outcome)
}

fn shown(code: u8, payload: &[u8]) -> String {
    format!("{}{}", char::from(code), String::from_utf8_lossy(payload).replace('\0', "|"))
}

fn pass() -> Result<Verdict, MilterError> {
    Ok(Verdict::Pass(Vec::new()))
}

fn tls() -> Tls {
    Tls {
        version: "TLSv1.3".into(),
        cipher: "TLS13_AES_256_GCM_SHA384".into(),
        cipher_bits: 256,
        client_subject: Some("CN=client".into()),
        client_issuer: None,
    }
}
