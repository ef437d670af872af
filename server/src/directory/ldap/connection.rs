//! One connection to an LDAP server: a request at a time, and its answers read with a limit.

use std::io;
use std::sync::Arc;

use postern_core::ldap::{Entry, Outcome, Request, Response, Search, message_length};
use postern_core::policy::directory::{Ldap, LdapSecurity};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::dial::dial;
use crate::directory::DirectoryError;
use crate::tls::TlsClient;

/// A connection between two requests. Dropping it closes it.
pub(super) struct Connection {
    stream: Box<dyn Duplex>,
    received: Vec<u8>,
    last_id: u32,
}

/// Whether a name and a password belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Accepted,
    Refused,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("last_id", &self.last_id).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, with TLS where the settings have it; nobody is bound yet.
    pub(super) async fn open(ldap: &Ldap, tls: Option<&TlsClient>) -> Result<Self, DirectoryError> {
        let unreachable = |source| DirectoryError::Connect { to: address_of(ldap), source };
        let tcp = dial(&ldap.host, ldap.port, ldap.timeout).await.map_err(unreachable)?;
        let Some(tls) = tls else { return Ok(Self::on(Box::new(tcp))) };
        let tcp = match ldap.security {
            LdapSecurity::StartTls => start_tls(tcp).await?,
            LdapSecurity::Implicit | LdapSecurity::Clear => tcp,
        };
        let (stream, _) = tls.connect(&ldap.host, tcp).await.map_err(unreachable)?;
        Ok(Self::on(Box::new(stream)))
    }

    fn on(stream: Box<dyn Duplex>) -> Self {
        Self { stream, received: Vec::new(), last_id: 0 }
    }

    /// Says who we are.
    pub(super) async fn bind(&mut self, dn: &str, password: &str) -> Result<Bound, DirectoryError> {
        let id = self.send(&Request::Bind { dn, password }).await?;
        match self.answer(id).await? {
            Response::Bound(Outcome { code: Outcome::SUCCESS, .. }) => Ok(Bound::Accepted),
            Response::Bound(Outcome { code: Outcome::INVALID_CREDENTIALS, .. }) => Ok(Bound::Refused),
            Response::Bound(outcome) => Err(refused("bind", outcome)),
            _ => Err(DirectoryError::Unexpected("a bind is answered with something else")),
        }
    }

    /// The entries that a search finds, at most one more than it asks for. Fewer than that are all there are: a
    /// server whose own limit cuts an answer short has not answered.
    pub(super) async fn search(&mut self, search: Search<'_>) -> Result<Vec<Entry>, DirectoryError> {
        let id = self.send(&Request::Search(search)).await?;
        let mut entries = Vec::new();
        loop {
            match self.answer(id).await? {
                Response::Entry(_) if entries.len() > search.most as usize => {
                    return Err(DirectoryError::Unexpected("a search brings more entries than were wanted"));
                }
                Response::Entry(entry) => entries.push(entry),
                // Elsewhere means another server, which has a directory object of its own if it is meant.
                Response::Reference => {}
                Response::Done(Outcome { code: Outcome::SUCCESS, .. }) => return Ok(entries),
                Response::Done(Outcome { code: Outcome::SIZE_LIMIT, .. })
                    if entries.len() >= search.most as usize =>
                {
                    return Ok(entries);
                }
                Response::Done(outcome) => return Err(refused("search", outcome)),
                _ => return Err(DirectoryError::Unexpected("a search is answered with something else")),
            }
        }
    }

    async fn send(&mut self, request: &Request<'_>) -> Result<u32, DirectoryError> {
        // An id is 31 bits; 0 is the server's own.
        self.last_id = if self.last_id >= LAST_ID { 1 } else { self.last_id + 1 };
        let message = request.encode(self.last_id);
        self.stream.write_all(&message).await.map_err(DirectoryError::Lost)?;
        self.stream.flush().await.map_err(DirectoryError::Lost)?;
        Ok(self.last_id)
    }

    async fn answer(&mut self, id: u32) -> Result<Response, DirectoryError> {
        let message = next_message(&mut self.stream, &mut self.received).await?;
        match Response::decode(&message)? {
            (found, response) if found == id => Ok(response),
            // RFC 4511 section 4.4.1: the server is about to close.
            (0, _) => Err(DirectoryError::Lost(io::ErrorKind::ConnectionAborted.into())),
            _ => Err(DirectoryError::Unexpected("an answer to another request")),
        }
    }
}

/// Asks for TLS, and makes sure that nothing was said behind the answer in clear.
async fn start_tls(mut tcp: TcpStream) -> Result<TcpStream, DirectoryError> {
    tcp.write_all(&Request::StartTls.encode(1)).await.map_err(DirectoryError::Lost)?;
    let mut received = Vec::new();
    let message = next_message(&mut tcp, &mut received).await?;
    match Response::decode(&message)? {
        (1, Response::Extended(Outcome { code: Outcome::SUCCESS, .. })) if received.is_empty() => Ok(tcp),
        (1, Response::Extended(outcome)) if outcome.code != Outcome::SUCCESS => {
            Err(refused("StartTLS", outcome))
        }
        _ => Err(DirectoryError::Unexpected("StartTLS is answered with something else")),
    }
}

/// Reads one message; what came behind it stays in `received`.
async fn next_message(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    received: &mut Vec<u8>,
) -> Result<Vec<u8>, DirectoryError> {
    loop {
        if let Some(length) = message_length(received, LARGEST_MESSAGE)? {
            let rest = received.split_off(length);
            return Ok(std::mem::replace(received, rest));
        }
        if stream.read_buf(received).await.map_err(DirectoryError::Lost)? == 0 {
            return Err(DirectoryError::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

fn address_of(ldap: &Ldap) -> Arc<str> {
    format!("{}:{}", ldap.host, ldap.port).into()
}

fn refused(operation: &'static str, outcome: Outcome) -> DirectoryError {
    DirectoryError::Refused { operation, code: outcome.code, diagnostic: outcome.diagnostic }
}

/// A list of ten thousand members fits.
const LARGEST_MESSAGE: usize = 4 << 20;
const LAST_ID: u32 = i32::MAX.cast_unsigned();
