//! From a name and a port to a connection that takes mail: TCP, TLS, EHLO, AUTH.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use postern_core::policy::listener::Protocol;
use postern_core::policy::route::{Credentials, HopAddress, Relay, TlsMode};
use postern_core::smtp::extensions::Extensions;
use postern_core::smtp::reply::Reply;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::connection::Connection;
use super::conversation::Conversation;
use super::error::{Fault, HopError, Phase};
use super::stream::HopStream;
use crate::tls::{Security, TlsClient, Trust};

/// What is needed to open connections of one route.
#[derive(Debug)]
pub(super) struct Opener {
    relay: Relay,
    /// Built at the first handshake: it may have to read files.
    tls: OnceCell<TlsClient>,
}

impl Opener {
    pub(super) fn new(relay: Relay) -> Self {
        Self { relay, tls: OnceCell::new() }
    }

    /// Opens a connection to the first of the host's addresses that lets us.
    pub(super) async fn open(&self, hop: &HopAddress, hostname: &Arc<str>) -> Result<Connection, HopError> {
        let mut failure = HopError::new(Phase::Resolve, Fault::Unfit("the name has no address"));
        for peer in self.resolve(hop).await? {
            let attempt = Attempt { opener: self, hop, hostname, peer };
            failure = match attempt.open(self.relay.tls_mode).await {
                Ok(connection) => return Ok(connection),
                Err(error) if error.phase == Phase::Tls && self.may_do_without_tls() => {
                    tracing::warn!(%peer, %error, "STARTTLS failed, going on in clear text");
                    match attempt.open(TlsMode::Disable).await {
                        Ok(connection) => return Ok(connection),
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            tracing::debug!(%peer, error = %failure, "next hop not usable");
        }
        Err(failure)
    }

    /// TLS that is not verified protects from nobody who could break the handshake, so insisting on it
    /// would only lose mail (RFC 7435 section 3). Credentials never travel that way.
    fn may_do_without_tls(&self) -> bool {
        self.relay.tls_mode == TlsMode::Opportunistic && self.relay.credentials.is_none()
    }

    async fn resolve(&self, hop: &HopAddress) -> Result<Vec<SocketAddr>, HopError> {
        let literal = hop.host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = literal.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, hop.port)]);
        }
        let limit = self.relay.timeouts.connect;
        match timeout(limit, lookup_host((&*hop.host, hop.port))).await {
            Err(_) => Err(HopError::new(Phase::Resolve, Fault::TimedOut(limit))),
            Ok(Err(error)) => Err(HopError::new(Phase::Resolve, Fault::Io(error))),
            Ok(Ok(peers)) => Ok(peers.collect()),
        }
    }

    async fn tls(&self) -> Result<&TlsClient, HopError> {
        let built = self.tls.get_or_try_init(|| async {
            let relay = self.relay.clone();
            let built =
                tokio::task::spawn_blocking(move || TlsClient::new(&relay.tls, trust(relay.tls_mode))).await;
            built.map_err(std::io::Error::other)?.map_err(std::io::Error::other)
        });
        built.await.map_err(|error| HopError::new(Phase::Tls, Fault::Io(error)))
    }
}

/// One try with one address.
struct Attempt<'a> {
    opener: &'a Opener,
    hop: &'a HopAddress,
    hostname: &'a Arc<str>,
    peer: SocketAddr,
}

impl Attempt<'_> {
    async fn open(&self, mode: TlsMode) -> Result<Connection, HopError> {
        let tcp = self.connect().await?;
        let (mut talk, mut security) = if mode == TlsMode::Implicit {
            let (stream, security) = self.handshake(tcp).await?;
            (Conversation::new(stream), security)
        } else {
            (Conversation::new(HopStream::Clear(tcp)), Security::Clear)
        };
        let greeting = talk.reply(Phase::Greeting, self.command_limit()).await?;
        expect(Phase::Greeting, greeting, 220)?;
        let mut offered = self.greet(&mut talk).await?;
        if security == Security::Clear && mode != TlsMode::Disable {
            if offered.start_tls {
                (talk, security) = self.start_tls(talk).await?;
                // What was offered in clear text may have come from anybody (RFC 3207 section 4.2).
                offered = self.greet(&mut talk).await?;
            } else if mode == TlsMode::Require {
                return Err(HopError::new(Phase::Tls, Fault::Unfit("STARTTLS is not offered")));
            }
        }
        if let Some(credentials) = &self.opener.relay.credentials {
            self.authenticate(&mut talk, credentials, &offered, security).await?;
        }
        tracing::debug!(peer = %self.peer, ?security, "connected to next hop");
        Ok(Connection::new(talk, offered, security, self.peer, Arc::clone(self.hostname)))
    }

    async fn connect(&self) -> Result<TcpStream, HopError> {
        let limit = self.opener.relay.timeouts.connect;
        let tcp = match timeout(limit, TcpStream::connect(self.peer)).await {
            Err(_) => return Err(HopError::new(Phase::Connect, Fault::TimedOut(limit))),
            Ok(connected) => connected.map_err(|error| HopError::new(Phase::Connect, Fault::Io(error)))?,
        };
        // Commands are written whole; waiting for more (Nagle) would only add the hop's delayed ACK.
        tcp.set_nodelay(true).map_err(|error| HopError::new(Phase::Connect, Fault::Io(error)))?;
        Ok(tcp)
    }

    async fn handshake(&self, tcp: TcpStream) -> Result<(HopStream, Security), HopError> {
        let tls = self.opener.tls().await?;
        let limit = self.opener.relay.timeouts.connect;
        match timeout(limit, Box::pin(tls.connect(&self.hop.host, tcp))).await {
            Err(_) => Err(HopError::new(Phase::Tls, Fault::TimedOut(limit))),
            Ok(Err(error)) => Err(HopError::new(Phase::Tls, Fault::Io(error))),
            Ok(Ok((stream, security))) => Ok((HopStream::Tls(Box::new(stream)), security)),
        }
    }

    async fn start_tls(&self, mut talk: Conversation) -> Result<(Conversation, Security), HopError> {
        let ready = self.ask(&mut talk, Phase::Tls, "STARTTLS\r\n").await?;
        expect(Phase::Tls, ready, 220)?;
        let HopStream::Clear(tcp) = talk.into_stream()? else {
            return Err(HopError::new(Phase::Tls, Fault::Unfit("STARTTLS within TLS")));
        };
        let (stream, security) = self.handshake(tcp).await?;
        Ok((Conversation::new(stream), security))
    }

    /// EHLO or LHLO; HELO for a hop that knows nothing newer (RFC 5321 section 3.2).
    async fn greet(&self, talk: &mut Conversation) -> Result<Extensions, HopError> {
        let protocol = self.opener.relay.protocol;
        let verb = match protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        // An expression makes the name, perhaps from what a client said: it must stay one word.
        let name: String = self.hostname.chars().filter(char::is_ascii_graphic).collect();
        let answer = self.ask(talk, Phase::Ehlo, &format!("{verb} {name}\r\n")).await?;
        if answer.is_positive() {
            return Ok(Extensions::from_reply(&answer));
        }
        if answer.is_permanent() && protocol == Protocol::Smtp {
            let answer = self.ask(talk, Phase::Ehlo, &format!("HELO {name}\r\n")).await?;
            expect(Phase::Ehlo, answer, 250)?;
            return Ok(Extensions::default());
        }
        Err(HopError::new(Phase::Ehlo, Fault::Reply(answer)))
    }

    async fn authenticate(
        &self,
        talk: &mut Conversation,
        credentials: &Credentials,
        offered: &Extensions,
        security: Security,
    ) -> Result<(), HopError> {
        let trusted = match security {
            Security::Verified => true,
            // Whoever allows invalid certificates by name has decided whom to trust.
            Security::Unverified => self.opener.relay.tls.allow_invalid_certs,
            Security::Clear => false,
        };
        if !trusted {
            return Err(HopError::new(Phase::Auth, Fault::Unfit("credentials need verified TLS")));
        }
        let (user, secret) = (&*credentials.username, credentials.secret.expose());
        let answer = if offered.offers_auth("PLAIN") {
            let response = BASE64.encode(format!("\0{user}\0{secret}"));
            self.ask(talk, Phase::Auth, &format!("AUTH PLAIN {response}\r\n")).await?
        } else if offered.offers_auth("LOGIN") {
            expect(Phase::Auth, self.ask(talk, Phase::Auth, "AUTH LOGIN\r\n").await?, 334)?;
            let user = format!("{}\r\n", BASE64.encode(user));
            expect(Phase::Auth, self.ask(talk, Phase::Auth, &user).await?, 334)?;
            self.ask(talk, Phase::Auth, &format!("{}\r\n", BASE64.encode(secret))).await?
        } else {
            return Err(HopError::new(Phase::Auth, Fault::Unfit("neither PLAIN nor LOGIN is offered")));
        };
        expect(Phase::Auth, answer, 235)
    }

    async fn ask(&self, talk: &mut Conversation, phase: Phase, command: &str) -> Result<Reply, HopError> {
        talk.send(phase, command.as_bytes(), self.command_limit()).await?;
        talk.reply(phase, self.command_limit()).await
    }

    fn command_limit(&self) -> Duration {
        self.opener.relay.timeouts.command
    }
}

/// Opportunistic TLS takes whom it finds.
fn trust(mode: TlsMode) -> Trust {
    match mode {
        TlsMode::Require | TlsMode::Implicit => Trust::Demanded,
        TlsMode::Opportunistic | TlsMode::Disable => Trust::Recorded,
    }
}

/// Any other code ends the conversation.
fn expect(phase: Phase, reply: Reply, code: u16) -> Result<(), HopError> {
    if reply.code() == code { Ok(()) } else { Err(HopError::new(phase, Fault::Reply(reply))) }
}
