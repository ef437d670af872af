//! A next hop that does as its script says.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A point at which the hop answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    Greeting,
    Ehlo,
    StartTls,
    Auth(String),
    Mail,
    Rcpt(String),
    Data,
    /// The message has come; LMTP asks once for each accepted recipient.
    Message(String),
    Rset,
}

/// What it does then.
#[derive(Debug, Clone)]
pub(super) enum Do {
    Say(&'static str),
    SayAndClose(&'static str),
    Close,
    Hang,
    /// Says the reply when it is told to.
    Await(Arc<Notify>, &'static str),
    /// Says the reply an octet at a time, with a pause behind each.
    Drip(&'static str, Duration),
}

/// What it saw.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    pub(super) connections: usize,
    /// Verbs, those that came in one read joined by blanks.
    pub(super) reads: Vec<String>,
    /// Command lines.
    pub(super) commands: Vec<String>,
    /// Messages that were ended, as they stood on the wire, without the framing of DATA.
    pub(super) messages: Vec<Vec<u8>>,
    /// Octets of DATA that no final dot followed.
    pub(super) unfinished: Vec<Vec<u8>>,
}

pub(super) struct Hop {
    pub(super) port: u16,
    seen: Arc<watch::Sender<Seen>>,
    task: JoinHandle<()>,
}

type Script = Arc<dyn Fn(&At) -> Option<Do> + Send + Sync>;

/// The keywords after EHLO of a modern hop.
pub(super) const MODERN: &[&str] =
    &["PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "SIZE", "DSN", "ENHANCEDSTATUSCODES"];
pub(super) const PIPELINING: &[&str] = &["PIPELINING", "8BITMIME"];

impl Hop {
    /// A hop that accepts everything but where the script says otherwise.
    pub(super) async fn start(
        keywords: &'static [&'static str],
        script: impl Fn(&At) -> Option<Do> + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(keywords, None, script).await
    }

    pub(super) async fn friendly(keywords: &'static [&'static str]) -> Self {
        Self::start(keywords, |_| None).await
    }

    pub(super) async fn start_with(
        keywords: &'static [&'static str],
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(&At) -> Option<Do> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<watch::Sender<Seen>> = Arc::default();
        let script: Script = Arc::new(script);
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                shared.send_modify(|seen| seen.connections += 1);
                let talk = Talk {
                    keywords,
                    tls: tls.clone(),
                    script: Arc::clone(&script),
                    seen: Arc::clone(&shared),
                };
                tokio::spawn(talk.run(socket));
            }
        });
        Self { port, seen, task }
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until the hop has seen something.
    pub(super) async fn until(&self, wanted: impl FnMut(&Seen) -> bool) {
        self.seen.subscribe().wait_for(wanted).await.unwrap();
    }

    pub(super) fn commands(&self) -> Vec<String> {
        self.seen().commands
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Talk {
    keywords: &'static [&'static str],
    tls: Option<Arc<ServerConfig>>,
    script: Script,
    seen: Arc<watch::Sender<Seen>>,
}

/// How a conversation ends.
struct Over;

impl Talk {
    async fn run(self, socket: TcpStream) {
        let mut clear = Wire::new(socket);
        if self.say(&mut clear, &At::Greeting, "220 hop.example ESMTP").await.is_err() {
            return;
        }
        let Ok(true) = self.converse(&mut clear, self.tls.is_some()).await else { return };
        let acceptor = TlsAcceptor::from(Arc::clone(self.tls.as_ref().unwrap()));
        if let Ok(stream) = acceptor.accept(clear.stream).await {
            let _: Result<bool, Over> = self.converse(&mut Wire::new(stream), false).await;
        }
    }

    /// Until the end, or until STARTTLS.
    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        wire: &mut Wire<S>,
        tls_offered: bool,
    ) -> Result<bool, Over> {
        let mut accepted: Vec<String> = Vec::new();
        let mut is_lmtp = false;
        loop {
            let line = wire.line(&self.seen).await?;
            self.seen.send_modify(|seen| seen.commands.push(line.clone()));
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "LHLO" => {
                    is_lmtp = verb == "LHLO";
                    let mut keywords = self.keywords.to_vec();
                    if tls_offered {
                        keywords.push("STARTTLS");
                    }
                    let mut lines = vec!["hop.example"];
                    lines.extend(&keywords);
                    let answer = format!("250-{}", lines.join("\r\n250-"));
                    let at = answer.rfind("250-").unwrap() + 3;
                    let answer = format!("{} {}", &answer[..at], &answer[at + 1..]);
                    self.say(wire, &At::Ehlo, &answer).await?;
                }
                "HELO" => wire.put("250 hop.example").await?,
                "STARTTLS" => {
                    self.say(wire, &At::StartTls, "220 go ahead").await?;
                    return Ok(true);
                }
                "AUTH" => drop(self.say(wire, &At::Auth(line), "235 2.7.0 welcome").await?),
                "MAIL" => {
                    accepted.clear();
                    self.say(wire, &At::Mail, "250 2.1.0 sender ok").await?;
                }
                "RCPT" => {
                    let to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                    if self.say(wire, &At::Rcpt(to.clone()), "250 2.1.5 recipient ok").await? {
                        accepted.push(to);
                    }
                }
                "DATA" if accepted.is_empty() => wire.put("554 5.5.1 no valid recipients").await?,
                "DATA" => {
                    if self.say(wire, &At::Data, "354 go on").await? {
                        let message = wire.data(&self.seen).await?;
                        self.take(wire, message, &accepted, is_lmtp).await?;
                        accepted.clear();
                    }
                }
                "BDAT" => {
                    let octets = line.split(' ').nth(1).unwrap().parse().unwrap();
                    let message = wire.octets(octets).await?;
                    if accepted.is_empty() {
                        wire.put("503 5.5.1 no valid recipients").await?;
                    } else {
                        self.take(wire, message, &accepted, is_lmtp).await?;
                        accepted.clear();
                    }
                }
                "RSET" => {
                    accepted.clear();
                    self.say(wire, &At::Rset, "250 2.0.0 reset").await?;
                }
                "QUIT" => {
                    wire.put("221 bye").await?;
                    return Err(Over);
                }
                _ => wire.put("500 5.5.1 what").await?,
            }
        }
    }

    async fn take<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        wire: &mut Wire<S>,
        message: Vec<u8>,
        accepted: &[String],
        is_lmtp: bool,
    ) -> Result<(), Over> {
        self.seen.send_modify(|seen| seen.messages.push(message));
        let answers = if is_lmtp { accepted.len() } else { 1 };
        for to in accepted.iter().take(answers) {
            self.say(wire, &At::Message(to.clone()), "250 2.0.0 taken").await?;
        }
        Ok(())
    }

    /// Says what the script wants, else `usual`; tells whether that was positive or a go-ahead.
    async fn say<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        wire: &mut Wire<S>,
        at: &At,
        usual: &str,
    ) -> Result<bool, Over> {
        match (self.script)(at) {
            None => wire.put(usual).await.map(|()| true),
            Some(Do::Say(reply)) => wire.put(reply).await.map(|()| reply.starts_with(['2', '3'])),
            Some(Do::SayAndClose(reply)) => {
                wire.put(reply).await?;
                Err(Over)
            }
            Some(Do::Close) => Err(Over),
            Some(Do::Await(told, reply)) => {
                told.notified().await;
                wire.put(reply).await.map(|()| reply.starts_with(['2', '3']))
            }
            Some(Do::Drip(reply, pause)) => {
                // As with `Hang`; the clock jumps from pause to pause, so that the time-out of the other
                // side comes in its turn.
                tokio::time::pause();
                for octet in reply.bytes().chain(*b"\r\n") {
                    wire.stream.write_all(&[octet]).await.map_err(|_| Over)?;
                    tokio::time::sleep(pause).await;
                }
                tokio::time::resume();
                Ok(reply.starts_with(['2', '3']))
            }
            Some(Do::Hang) => {
                // From here on nothing moves but the clock, which then may jump to the next time-out.
                // Paused any earlier it would jump while octets are still on their way.
                tokio::time::pause();
                let () = std::future::pending().await;
                Err(Over)
            }
        }
    }
}

struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    async fn put(&mut self, reply: &str) -> Result<(), Over> {
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await.map_err(|_| Over)?;
        self.stream.flush().await.map_err(|_| Over)
    }

    async fn fill(&mut self) -> Result<usize, Over> {
        let mut room = vec![0; 65536];
        match self.stream.read(&mut room).await {
            Ok(0) | Err(_) => Err(Over),
            Ok(read) => {
                self.buffer.extend_from_slice(&room[..read]);
                Ok(read)
            }
        }
    }

    async fn line(&mut self, seen: &watch::Sender<Seen>) -> Result<String, Over> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            let before = self.buffer.len();
            let read = self.fill().await?;
            let verbs: Vec<&str> = std::str::from_utf8(&self.buffer[before..before + read])
                .unwrap_or_default()
                .split("\r\n")
                .filter_map(|line| line.split([' ', ':']).next().filter(|verb| !verb.is_empty()))
                .collect();
            let read = verbs.join(" ");
            seen.send_modify(|seen| seen.reads.push(read));
        }
    }

    /// Up to CRLF . CRLF, dots undone, as RFC 5321 section 4.5.2 has it.
    async fn data(&mut self, seen: &watch::Sender<Seen>) -> Result<Vec<u8>, Over> {
        loop {
            let end = if self.buffer.starts_with(b".\r\n") {
                Some(0)
            } else {
                self.buffer.windows(5).position(|five| five == b"\r\n.\r\n").map(|at| at + 2)
            };
            if let Some(end) = end {
                let message: Vec<u8> = self.buffer.drain(..end + 3).take(end).collect();
                return Ok(message);
            }
            if self.fill().await.is_err() {
                let unfinished = std::mem::take(&mut self.buffer);
                seen.send_modify(|seen| seen.unfinished.push(unfinished));
                return Err(Over);
            }
        }
    }

    async fn octets(&mut self, count: usize) -> Result<Vec<u8>, Over> {
        while self.buffer.len() < count {
            self.fill().await?;
        }
        Ok(self.buffer.drain(..count).collect())
    }
}
