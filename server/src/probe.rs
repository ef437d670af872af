//! `postern probe`: one small message to a server, by the way that every message of the gate goes.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use postern_core::envelope::Recipient;
use postern_core::message::fields::DateTime;
use postern_core::policy::listener::Protocol;
use postern_core::policy::route::{ClientTls, PoolLimits, Relay, RelayTimeouts, Route, RouteTarget, TlsMode};
use postern_core::smtp::parameters::{MailParameters, RcptParameters};
use postern_core::smtp::reply::Reply;
use tokio::time::Instant;

use crate::cli::Probe;
use crate::gate::own_hostname;
use crate::handoff::{Answers, Copy, Delivery, HandOff, InMemory, Mailing, Metrics};
use crate::message::{Allotment, Budget, Content, MessageStore};

/// The message cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the message cannot be kept: {0}")]
pub struct ProbeError(io::Error);

/// Sends the message; the reply is the server's refusal, or that the server has taken it.
///
/// # Errors
/// There is no message to send.
pub async fn send(options: &Probe) -> Result<Reply, ProbeError> {
    let hostname = greeting_name();
    let id = mark();
    let route =
        Arc::new(Route { name: "probe".into(), target: RouteTarget::Relay(Box::new(relay(options))) });
    let recipient = Recipient { address: options.to.clone(), parameters: RcptParameters::default() };
    let mailing = Mailing {
        sender: options.from.clone(),
        parameters: MailParameters::default(),
        copies: vec![Copy { recipient, route }],
        content: message(options, &id).await.map_err(ProbeError)?,
    };
    let delivery = Delivery {
        id,
        hostname,
        mailings: vec![mailing],
        delivered_to: false,
        answers: Answers::One,
        deadline: Instant::now() + options.timeout,
    };
    let handoff = HandOff::new(Metrics::default(), Arc::new(InMemory::default()));
    Ok(handoff.deliver(delivery).await.overall)
}

/// The host's name if it is one that servers take; pods have names without a dot.
fn greeting_name() -> Arc<str> {
    let name = own_hostname();
    if name.contains('.') { name } else { "[127.0.0.1]".into() }
}

/// TLS where it is offered; whom a test talks to is not worth a certificate authority.
fn relay(options: &Probe) -> Relay {
    Relay {
        addresses: vec![options.server.clone()],
        balance: false,
        protocol: Protocol::Smtp,
        tls_mode: TlsMode::Opportunistic,
        tls: ClientTls::default(),
        credentials: None,
        verify_recipients: false,
        add_delivered_to: false,
        pool: PoolLimits::default(),
        timeouts: RelayTimeouts::default(),
    }
}

async fn message(options: &Probe, id: &str) -> io::Result<Content> {
    let store = MessageStore::new(std::env::temp_dir(), Budget::new(LARGEST, 0));
    let date = DateTime(Timestamp::now());
    let text = format!(
        "From: postern probe <{to}>\r\nTo: <{to}>\r\nSubject: postern probe {id}\r\n\
         Date: {date}\r\nMessage-ID: <{id}@probe.invalid>\r\nAuto-Submitted: auto-generated\r\n\r\n\
         Sent by `postern probe` to see whether mail passes.\r\n",
        to = options.to.as_str(),
    );
    let mut writer = store.writer(Allotment::default());
    writer.write(text.as_bytes()).await;
    writer.finish().await.map(Content::unchanged).map_err(io::Error::other)
}

/// Tells one probe from another in logs and mailboxes.
fn mark() -> Arc<str> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{}", since.as_micros(), std::process::id()).into()
}

/// Octets of memory that the message may take.
const LARGEST: u64 = 1 << 20;
