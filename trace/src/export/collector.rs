//! The connection to the collector: one, kept open, one request at a time.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, TE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::{rejected_spans, retry_delay};
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
    pub(super) again: Again,
}

/// Whether a batch that was not taken may be taken later (OTLP specification, "Failures").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    Soon,
    /// Not before the collector has had this time, as it said.
    After(Duration),
}

#[derive(Debug)]
enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Failure {
    pub(super) fn for_good(reason: impl Display) -> Self {
        Self { reason: reason.to_string(), again: Again::Never }
    }

    fn for_now(reason: impl Display) -> Self {
        Self { reason: reason.to_string(), again: Again::Soon }
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
        return Err(Failure { reason, again: after_status(status, &head) });
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
            let wanted = text(DETAILS).and_then(retry_delay);
            let again = match (code, wanted) {
                // CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS
                ("1" | "4" | "8" | "10" | "11" | "14" | "15", Some(wanted)) => Again::After(wanted),
                // What is used up comes back only where the collector says so.
                ("1" | "4" | "10" | "11" | "14" | "15", None) => Again::Soon,
                _ => Again::Never,
            };
            Err(Failure { reason, again })
        }
        None => Err(Failure::for_good("an answer without a gRPC status")),
    }
}

fn after_status(status: StatusCode, head: &HeaderMap) -> Again {
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            // Seconds. The other form, a date, no collector sends; without a clock in common it says little.
            let seconds = head.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            seconds.map_or(Again::Soon, |seconds| Again::After(Duration::from_secs(seconds)))
        }
        _ => Again::Never,
    }
}

const GRPC_STATUS: &str = "grpc-status";
const DETAILS: &str = "grpc-status-details-bin";
/// Largest answer, octets: it says a number and a word.
const LARGEST_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field =
            |(name, value): &(&'static str, &'static str)| (name.parse().unwrap(), value.parse().unwrap());
        fields.iter().map(field).collect()
    }

    #[test]
    fn a_collector_says_when_it_wants_to_be_asked_again() {
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(after_status(busy, &head(&[("retry-after", "7")])), Again::After(Duration::from_secs(7)));
        assert_eq!(after_status(busy, &head(&[("retry-after", "tomorrow")])), Again::Soon);
        assert_eq!(after_status(StatusCode::BAD_REQUEST, &head(&[("retry-after", "7")])), Again::Never);
    }

    #[test]
    fn what_is_used_up_is_asked_for_again_only_where_the_collector_says_so() {
        // A `RetryInfo` of 2 s.
        let delay = "CA4aMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIAg";
        let again = |fields: &[_]| grpc_status(&head(fields)).map_err(|failure| failure.again);
        assert_eq!(again(&[("grpc-status", "8")]), Err(Again::Never));
        assert_eq!(again(&[("grpc-status", "14")]), Err(Again::Soon));
        assert_eq!(again(&[("grpc-status", "3"), (DETAILS, delay)]), Err(Again::Never));
        let wanted = Err(Again::After(Duration::from_secs(2)));
        assert_eq!(again(&[("grpc-status", "8"), (DETAILS, delay)]), wanted);
        assert_eq!(again(&[("grpc-status", "0")]), Ok(()));
    }
}
