//! The connection to the collector: one, kept open, one request at a time.

use std::fmt::Display;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, TE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::rejected_spans;
use super::queue::Batch;
use super::request::{GRPC_PREFIX, Preamble};
use super::tls;
use crate::settings::{Endpoint, Protocol, Settings};

/// Somebody who takes spans.
#[derive(Debug)]
pub(super) struct Collector {
    settings: Settings,
    preamble: Preamble,
    authority: String,
    connection: Option<Connection>,
}

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// Whether it may be taken later (OTLP specification, "Failures").
    pub(super) may_pass: bool,
}

#[derive(Debug)]
enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Failure {
    pub(super) fn for_good(reason: impl Display) -> Self {
        Self { reason: reason.to_string(), may_pass: false }
    }

    fn for_now(reason: impl Display) -> Self {
        Self { reason: reason.to_string(), may_pass: true }
    }
}

impl Collector {
    pub(super) fn new(settings: Settings) -> Self {
        let Endpoint { host, port, .. } = &settings.endpoint;
        let authority =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Self { preamble: Preamble::new(&settings), settings, authority, connection: None }
    }

    /// Sends a batch; says how many of its spans the collector did not want.
    pub(super) async fn send(&mut self, batch: &Batch) -> Result<u64, Failure> {
        let limit = self.settings.timeout;
        // Taken out, so that a request that is given up half-way leaves no connection behind.
        let kept = self.connection.take().filter(Connection::is_open);
        let sent = timeout(limit, async {
            let mut connection = match kept {
                Some(kept) => kept,
                None => self.connect().await?,
            };
            let response = connection.send(self.request(batch)?).await.map_err(Failure::for_now)?;
            let taken = read(self.settings.endpoint.protocol, response).await;
            Ok((taken, connection))
        });
        let (taken, connection) =
            sent.await.unwrap_or_else(|_| Err(Failure::for_now("no answer in time")))?;
        self.connection = Some(connection);
        taken
    }

    fn request(&self, batch: &Batch) -> Result<Request<Full<Bytes>>, Failure> {
        let Endpoint { protocol, is_secure, path, .. } = &self.settings.endpoint;
        let request = Request::post(match protocol {
            // HTTP/2 takes scheme and authority from the target.
            Protocol::Grpc => format!("http{}://{}{path}", if *is_secure { "s" } else { "" }, self.authority),
            Protocol::Http => path.clone(),
        });
        let (request, body) = match protocol {
            Protocol::Grpc => (
                request.header(CONTENT_TYPE, "application/grpc").header(TE, "trailers"),
                self.preamble.grpc(batch),
            ),
            Protocol::Http => (
                request.header(CONTENT_TYPE, "application/x-protobuf").header(HOST, &self.authority),
                self.preamble.request(batch, 0).into(),
            ),
        };
        let mut request = request.body(Full::new(body)).map_err(Failure::for_good)?;
        request.headers_mut().extend(self.settings.headers.iter().cloned());
        Ok(request)
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let Endpoint { protocol, is_secure, host, port, .. } = &self.settings.endpoint;
        let unreachable = |error: std::io::Error| Failure::for_now(format!("{}: {error}", self.authority));
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        if !is_secure {
            return shake_hands(stream, *protocol).await;
        }
        let connector = tls::connector(&self.settings.certificates, *protocol).map_err(unreachable)?;
        let name = ServerName::try_from(host.clone()).map_err(Failure::for_good)?;
        shake_hands(connector.connect(name, stream).await.map_err(unreachable)?, *protocol).await
    }
}

async fn shake_hands<S>(stream: S, protocol: Protocol) -> Result<Connection, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // What goes wrong on the connection is told to whoever waits for an answer.
    match protocol {
        Protocol::Http => {
            let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::for_now)?;
            tokio::spawn(async move { drop(driver.await) });
            Ok(Connection::Http1(sender))
        }
        Protocol::Grpc => {
            let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .map_err(Failure::for_now)?;
            tokio::spawn(async move { drop(driver.await) });
            Ok(Connection::Http2(sender))
        }
    }
}

impl Connection {
    fn is_open(&self) -> bool {
        match self {
            Self::Http1(sender) => !sender.is_closed(),
            Self::Http2(sender) => !sender.is_closed(),
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

/// The answer: how many spans were rejected, or why all were.
async fn read(protocol: Protocol, response: Response<Incoming>) -> Result<u64, Failure> {
    let status = response.status();
    let head = response.headers().clone();
    let body =
        Limited::new(response.into_body(), LARGEST_ANSWER).collect().await.map_err(Failure::for_now)?;
    let trailers = body.trailers().cloned();
    let body = body.to_bytes();
    if !status.is_success() {
        let reason = format!("HTTP status {status}");
        return Err(if may_pass(status) { Failure::for_now(reason) } else { Failure::for_good(reason) });
    }
    match protocol {
        Protocol::Http => Ok(rejected_spans(&body)),
        Protocol::Grpc => {
            // An answer of nothing but trailers has them in its head.
            grpc_status(trailers.as_ref().filter(|t| t.contains_key(GRPC_STATUS)).unwrap_or(&head))?;
            Ok(rejected_spans(body.get(GRPC_PREFIX..).unwrap_or_default()))
        }
    }
}

fn grpc_status(trailers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| trailers.get(name).and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
    match text(GRPC_STATUS) {
        Some("0") => Ok(()),
        Some(code) => {
            let reason = format!("gRPC status {code}: {}", text("grpc-message").unwrap_or_default());
            // CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS
            let may_pass = ["1", "4", "8", "10", "11", "14", "15"].contains(&code);
            Err(Failure { reason, may_pass })
        }
        None => Err(Failure::for_good("an answer without a gRPC status")),
    }
}

fn may_pass(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

const GRPC_STATUS: &str = "grpc-status";
/// Largest answer, octets: it says a number and a word.
const LARGEST_ANSWER: usize = 64 * 1024;
