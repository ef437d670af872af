//! The driver over a real socket: what the transcripts cannot see, since it lies below the session.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postern_core::expr::Setting;
use postern_core::policy::route::{Maildir, MaildirSegment, Route, RouteTarget, Routes};
use postern_core::policy::{InboundSession, Policy, StageRcpt};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::accepted::{Accepted, Stream};
use crate::drain::Times;
use crate::gate::Gate;
use crate::testing;

/// A policy that relays for anyone into Maildir folders.
fn into_maildir(folder: &Path) -> Policy {
    let route = Route {
        name: "mailboxes".into(),
        target: RouteTarget::Maildir(Maildir {
            base: folder.to_str().unwrap().into(),
            pattern: vec![MaildirSegment::Recipient],
        }),
    };
    Policy {
        listeners: vec![Arc::new(testing::listener("smtp", "127.0.0.1:0"))],
        rcpt: StageRcpt { allow_relaying: Setting::constant(true), ..StageRcpt::default() },
        routes: Routes::new([route]),
        ..Policy::default()
    }
}

/// A client of a gate with that policy.
async fn client(policy: Policy) -> TcpStream {
    client_of(testing::gate(policy)).await.0
}

/// A client, and the session that serves it.
async fn client_of(gate: Arc<Gate>) -> (TcpStream, JoinHandle<()>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
    let (stream, remote) = socket.accept().await.unwrap();
    let session = tokio::spawn(super::serve(accepted(&gate, stream, remote), gate));
    (client, session)
}

fn accepted(gate: &Arc<Gate>, stream: TcpStream, remote: std::net::SocketAddr) -> Accepted {
    let snapshot = gate.snapshot();
    let listener = Arc::clone(&snapshot.policy.listeners[0]);
    let permit = gate.capacity.admit(&gate.capacity.of(&listener.name), 10, 10).unwrap();
    Accepted {
        local: stream.local_addr().unwrap(),
        snapshot,
        listener,
        remote,
        local_port: 25,
        acceptor: None,
        tls: None,
        stream: Stream::Plain(stream),
        permit,
    }
}

/// Sends all of it, and reads until the gate closes.
async fn converse(mut client: TcpStream, say: &[u8]) -> String {
    client.write_all(say).await.unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    heard
}

fn codes(heard: &str) -> Vec<&str> {
    heard
        .lines()
        .filter(|line| line.as_bytes().get(3) == Some(&b' '))
        .filter_map(|line| line.get(..3))
        .collect()
}

const MESSAGE: &str = "EHLO client.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n\
    Subject: hello\r\n\r\nText\r\n.\r\n";

#[tokio::test]
async fn a_pipelined_message_is_in_the_maildir_when_250_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let client = client(into_maildir(folder.path())).await;
    let heard = converse(client, format!("{MESSAGE}QUIT\r\n").as_bytes()).await;
    assert_eq!(codes(&heard), ["220", "250", "250", "250", "354", "250", "221"], "{heard}");
    let new = folder.path().join("b@example.org/new");
    let files: Vec<_> = std::fs::read_dir(new).unwrap().collect();
    assert_eq!(files.len(), 1);
    let text = std::fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap();
    // A Maildir holds files of its system, whose lines end with LF.
    assert!(text.starts_with("Delivered-To: b@example.org\nReceived: from client.example "), "{text}");
    assert!(text.ends_with("Subject: hello\n\nText\n"), "{text}");
}

#[tokio::test]
async fn a_recipient_that_makes_no_folder_is_refused_alone() {
    let folder = tempfile::tempdir().unwrap();
    let client = client(into_maildir(folder.path())).await;
    // Each slash takes three octets of a name, which has 255 at most.
    let unusable = format!("{}@{}example.org", "/".repeat(60), format!("{}.", "a".repeat(50)).repeat(2));
    let message = MESSAGE.replace("DATA", &format!("RCPT TO:<{unusable}>\r\nDATA"));
    let heard = converse(client, format!("{message}QUIT\r\n").as_bytes()).await;
    assert_eq!(codes(&heard), ["220", "250", "250", "250", "550", "354", "250", "221"], "{heard}");
}

#[tokio::test]
async fn octets_beyond_the_transfer_limit_are_not_executed() {
    let folder = tempfile::tempdir().unwrap();
    let inbound = InboundSession { transfer_limit: Setting::constant(12), ..InboundSession::default() };
    let client = client(Policy { inbound, ..into_maildir(folder.path()) }).await;
    let heard = converse(client, b"NOOP\r\nNOOP\r\nNOOP\r\n").await;
    assert_eq!(codes(&heard), ["220", "250", "250", "452"], "{heard}");
}

#[tokio::test]
async fn a_silent_client_is_told_goodbye() {
    let folder = tempfile::tempdir().unwrap();
    let inbound = InboundSession {
        timeout: Setting::constant(Some(Duration::from_millis(50))),
        ..InboundSession::default()
    };
    let client = client(Policy { inbound, ..into_maildir(folder.path()) }).await;
    let heard = converse(client, b"").await;
    assert_eq!(codes(&heard), ["220", "221"], "{heard}");
}

#[tokio::test]
async fn chunks_make_one_message_and_pipelined_commands_follow_it() {
    let folder = tempfile::tempdir().unwrap();
    let client = client(into_maildir(folder.path())).await;
    let heard = converse(
        client,
        b"EHLO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nBDAT 9\r\nSubject: BDAT 9 LAST\r\n a\r\n\r\nb\r\nNOOP\r\nQUIT\r\n",
    )
    .await;
    assert_eq!(codes(&heard), ["220", "250", "250", "250", "250", "250", "250", "221"], "{heard}");
}

#[tokio::test]
async fn the_last_reply_reaches_a_client_that_has_sent_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let inbound = InboundSession { transfer_limit: Setting::constant(6), ..InboundSession::default() };
    let mut client = client(Policy { inbound, ..into_maildir(folder.path()) }).await;
    client.write_all(&b"NOOP\r\n".repeat(10_000)).await.unwrap();
    let heard = converse(client, b"").await;
    assert_eq!(codes(&heard), ["220", "250", "452"], "{heard}");
}

/// Sends this, waits for so many replies, and lets the time for transactions run out.
async fn cut_off(say: &str, replies: usize) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let gate = testing::gate(into_maildir(folder.path()));
    let (mut client, session) = client_of(Arc::clone(&gate)).await;
    client.write_all(say.as_bytes()).await.unwrap();
    let mut heard = String::new();
    while codes(&heard).len() < replies {
        let mut more = vec![0; 4096];
        let octets = client.read(&mut more).await.unwrap();
        heard.push_str(std::str::from_utf8(&more[..octets]).unwrap());
    }
    let at_once = Times { delay: Duration::ZERO, timeout: Duration::ZERO };
    let gone = async {
        heard.push_str(&converse(client, b"").await);
        session.await.unwrap();
    };
    assert_eq!(gate.drain.run(at_once, gone, std::future::pending()).await, 1);
    (heard, gate.metrics.encode().unwrap())
}

#[tokio::test]
async fn a_transaction_whose_time_is_up_is_told_421_and_counted() {
    let envelope = "EHLO client.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n";
    let (heard, metrics) = cut_off(envelope, 4).await;
    assert_eq!(codes(&heard), ["220", "250", "250", "250", "421"], "{heard}");
    assert!(metrics.contains("transactions_total{verdict=\"abandoned\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_message_whose_time_is_up_is_told_421() {
    let half = "EHLO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: half\r\n";
    let (heard, _) = cut_off(half, 5).await;
    assert_eq!(codes(&heard), ["220", "250", "250", "250", "354", "421"], "{heard}");
}

#[tokio::test]
async fn what_comes_in_the_place_of_a_command_is_of_no_stage() {
    let folder = tempfile::tempdir().unwrap();
    let inbound = InboundSession {
        timeout: Setting::constant(Some(Duration::from_millis(50))),
        ..InboundSession::default()
    };
    let gate = testing::gate(Policy { inbound, ..into_maildir(folder.path()) });
    let (client, session) = client_of(Arc::clone(&gate)).await;
    let heard = converse(client, MESSAGE.as_bytes()).await;
    session.await.unwrap();
    assert_eq!(codes(&heard), ["220", "250", "250", "250", "354", "250", "221"], "{heard}");
    let metrics = gate.metrics.encode().unwrap();
    for (stage, count) in [("data", 1), ("other", 1)] {
        let line = format!("replies_total{{stage=\"{stage}\",class=\"2xx\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_not_answered_for_ever() {
    const COMMANDS: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    let inbound = InboundSession {
        timeout: Setting::constant(Some(Duration::from_millis(50))),
        ..InboundSession::default()
    };
    let gate = testing::gate(Policy { inbound, ..into_maildir(folder.path()) });
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
    // The least that the kernel keeps for either side.
    SockRef::from(&client).set_recv_buffer_size(1).unwrap();
    let (stream, remote) = socket.accept().await.unwrap();
    SockRef::from(&stream).set_send_buffer_size(1).unwrap();
    // One read of the gate takes them all.
    client.write_all(&b"EHLO a.b\r\n".repeat(COMMANDS)).await.unwrap();
    super::serve(accepted(&gate, stream, remote), Arc::clone(&gate)).await;
    let metrics = gate.metrics.encode().unwrap();
    let replies: usize = metrics
        .lines()
        .filter(|line| line.starts_with("postern_replies_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
        .sum();
    assert!((2..COMMANDS / 2).contains(&replies), "{replies} replies were made for nobody");
}
