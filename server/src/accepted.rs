//! A connection as the listener hands it over: addresses settled, implicit TLS done, counted.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use postern_core::policy::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::capacity::Permit;
use crate::snapshot::Snapshot;
use crate::tls::TlsFacts;

/// One connection, before its first octet of SMTP.
pub struct Accepted {
    /// The policy that this connection keeps until it ends, whatever is reloaded meanwhile.
    pub snapshot: Arc<Snapshot>,
    /// The listener that took it, of that policy.
    pub listener: Arc<Listener>,
    /// The client, after PROXY; an IPv4-mapped address has become IPv4.
    pub remote: SocketAddr,
    /// Where the client connected to, after PROXY.
    pub local: SocketAddr,
    /// Value of `local_port`: the listener's `publicPort`, else the port of `local`.
    pub local_port: u16,
    /// Handshakes for STARTTLS; present when the listener has TLS.
    pub acceptor: Option<TlsAcceptor>,
    /// Present when TLS was there from the first octet.
    pub tls: Option<TlsFacts>,
    /// The connection itself.
    pub stream: Stream,
    /// Its place among the listener's connections; dropped with the connection.
    pub permit: Permit,
}

/// A connection to a client, in clear text or inside TLS.
#[derive(Debug)]
pub enum Stream {
    /// Clear text.
    Plain(TcpStream),
    /// TLS; boxed, since the state of a TLS connection would make every idle clear one larger.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Shakes hands as the server. Octets read before this call must have been thrown away by the caller.
    ///
    /// # Errors
    /// When the handshake fails, takes longer than `limit` (`TimedOut`), or TLS is already on
    /// (`InvalidInput`).
    pub async fn start_tls(self, acceptor: &TlsAcceptor, limit: Duration) -> io::Result<(Self, TlsFacts)> {
        let Self::Plain(stream) = self else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS is already on"));
        };
        let stream = timeout(limit, acceptor.accept(stream))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "TLS handshake took too long"))??;
        let facts = TlsFacts::of(stream.get_ref().1);
        Ok((Self::Tls(Box::new(stream)), facts))
    }

    /// Whether TLS is on.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("listener", &self.listener.name)
            .field("remote", &self.remote)
            .field("local", &self.local)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
