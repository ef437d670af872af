//! Conversations of the hand-off with next hops that follow a script.

mod fanout;
mod files;
mod hop;
mod lmtp;
mod pools;
mod relaying;
mod saturation;
mod secrecy;
mod smuggling;
mod trouble;
mod verifying;

use std::sync::Arc;
use std::time::Duration;

use postern_core::envelope::Recipient;
use postern_core::handoff::Outcome;
use postern_core::policy::listener::Protocol;
use postern_core::policy::route::{
    ClientTls, HopAddress, PoolLimits, Relay, RelayTimeouts, Route, RouteTarget, TlsMode,
};
use postern_core::smtp::address::{Address, ReversePath};
use postern_core::smtp::parameters::{MailParameters, RcptParameters};
use tokio::time::Instant;

use super::{Answers, Copy, Delivered, Delivery, HandOff, InMemory, Inquiry, Mailing, Metrics, Verification};
use crate::message::{Allotment, Budget, Content, MessageStore};

pub(super) const TEXT: &[u8] = b"Subject: hello\r\n\r\nHello.\r\n";

pub(super) fn hand_off() -> HandOff {
    HandOff::new(Metrics::default(), Arc::new(InMemory::default()))
}

/// A relay over SMTP to these ports of the loopback address.
pub(super) fn relay(ports: &[u16]) -> Relay {
    Relay {
        addresses: ports.iter().map(|port| HopAddress { host: "127.0.0.1".into(), port: *port }).collect(),
        balance: false,
        protocol: Protocol::Smtp,
        tls_mode: TlsMode::Disable,
        tls: ClientTls::default(),
        credentials: None,
        verify_recipients: true,
        add_delivered_to: false,
        pool: PoolLimits::default(),
        timeouts: RelayTimeouts::default(),
    }
}

pub(super) fn lmtp(ports: &[u16]) -> Relay {
    Relay { protocol: Protocol::Lmtp, ..relay(ports) }
}

pub(super) fn route(name: &str, relay: Relay) -> Arc<Route> {
    Arc::new(Route { name: name.into(), target: RouteTarget::Relay(Box::new(relay)) })
}

pub(super) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub(super) fn recipient(text: &str) -> Recipient {
    Recipient { address: address(text), parameters: RcptParameters::default() }
}

/// A message in memory, or in a file when it is large.
pub(super) async fn content(octets: &[u8]) -> Content {
    let store = MessageStore::new(std::env::temp_dir(), Budget::new(1 << 30, 1 << 30));
    let mut writer = store.writer(Allotment::default());
    writer.write(octets).await;
    Content::unchanged(writer.finish().await.unwrap())
}

/// A message of several blocks, with dots at line starts.
pub(super) fn large_message() -> Vec<u8> {
    let mut octets = b"Subject: large\r\n\r\n".to_vec();
    octets.extend((0..50_000u32).flat_map(|line| format!(".line {line}\r\n").into_bytes()));
    octets
}

/// A delivery of [`TEXT`] from `sender@example.org`.
pub(super) async fn delivery(copies: &[(&str, &Arc<Route>)]) -> Delivery {
    delivery_of(TEXT, copies).await
}

pub(super) async fn delivery_of(octets: &[u8], copies: &[(&str, &Arc<Route>)]) -> Delivery {
    Delivery {
        id: "0123456789abcdef0123456789abcdef".into(),
        hostname: "gate.example".into(),
        mailings: vec![Mailing {
            sender: ReversePath::from(address("sender@example.org")),
            parameters: MailParameters::default(),
            copies: copies
                .iter()
                .map(|(to, route)| Copy { recipient: recipient(to), route: Arc::clone(route) })
                .collect(),
            content: content(octets).await,
        }],
        delivered_to: false,
        answers: Answers::One,
        deadline: Instant::now() + Duration::from_secs(570),
    }
}

pub(super) async fn verify(hand_off: &HandOff, route: &Arc<Route>, to: &str) -> Verification {
    let inquiry = Inquiry {
        hostname: &"gate.example".into(),
        route,
        sender: &ReversePath::from(address("sender@example.org")),
        parameters: &MailParameters::default(),
        recipient: &recipient(to),
    };
    hand_off.verify(inquiry).await
}

/// The reply for all, in short.
pub(super) fn overall(delivered: &Delivered) -> String {
    delivered.overall.to_string()
}

/// The code for each recipient.
pub(super) fn codes(delivered: &Delivered) -> Vec<u16> {
    delivered.outcomes.iter().map(|outcome: &Outcome| outcome.reply().code()).collect()
}

pub(super) const OK: &str = "250 2.0.0 Message delivered to the next hop";
pub(super) const LOST: &str = "451 4.3.5 The next hop is not available, try again later";

/// Lets time pass while nothing else happens.
pub(super) async fn skip(duration: Duration) {
    tokio::time::pause();
    tokio::time::advance(duration).await;
    tokio::time::resume();
}
