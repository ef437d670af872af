//! A client of HTTP/1.1: one request, one answer of bounded size, within one span of time.
//!
//! Connections are kept between exchanges and shared by all sessions, by host and TLS settings. Redirects are not
//! followed, proxies of the environment not used: a message goes where the policy says and nowhere else.

mod connection;
mod pool;
mod target;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName};
use hyper::{HeaderMap, Method, Request, Version};
use postern_core::policy::route::ClientTls;
use tokio::time::timeout;

use self::connection::Broken;
use self::pool::Pool;
pub(crate) use self::target::Target;
use crate::filter::FilterError;
use crate::message::{Budget, Reservation};

/// Where W3C Trace Context has its place in a request.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Everybody's connections.
#[derive(Debug, Default)]
pub(crate) struct HttpClient {
    pools: Mutex<Vec<Arc<Pool>>>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    /// GET, without a body, or POST.
    pub(crate) method: Method,
    /// Where to.
    pub(crate) target: Target,
    /// TLS towards `https`.
    pub(crate) tls: &'a ClientTls,
    /// Header fields beside those of the protocol itself.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
    /// From the look-up of the name to the last octet of the answer.
    pub(crate) limit: Duration,
    /// Largest answer, octets.
    pub(crate) max_answer: u64,
    /// Where the room for the answer comes from.
    pub(crate) budget: &'a Budget,
}

/// The body of an answer with a status of 2xx.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) octets: Vec<u8>,
    _room: Reservation,
}

impl HttpClient {
    /// Asks and waits for the whole answer.
    ///
    /// # Errors
    /// No connection, no answer in time, an answer that is no HTTP, too large, or of another status than 2xx.
    pub(crate) async fn ask(&self, exchange: Exchange<'_>) -> Result<Answer, FilterError> {
        let limit = exchange.limit;
        match timeout(limit, Box::pin(self.perform(exchange))).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FilterError::Timeout { what: "the request", after: limit }),
        }
    }

    /// Closes the connections that wait with settings of which `is_in_use` knows nothing.
    pub(crate) fn retain(&self, is_in_use: impl Fn(&ClientTls) -> bool) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| is_in_use(pool.tls()));
    }

    async fn perform(&self, exchange: Exchange<'_>) -> Result<Answer, FilterError> {
        let pool = self.pool(&exchange.target, exchange.tls);
        if let Some(mut kept) = pool.take() {
            match kept.send(request(&exchange)?).await {
                Ok(response) => return finish(&pool, kept, response, &exchange).await,
                // Mostly the server has closed it just now, as it may (RFC 9112 section 9.5).
                Err(Broken::BeforeAnswer(_)) => {}
                Err(Broken::Otherwise(error)) => return Err(error),
            }
        }
        let mut fresh = pool.open(exchange.limit).await?;
        match fresh.send(request(&exchange)?).await {
            Ok(response) => finish(&pool, fresh, response, &exchange).await,
            Err(Broken::BeforeAnswer(error) | Broken::Otherwise(error)) => Err(error),
        }
    }

    fn pool(&self, target: &Target, tls: &ClientTls) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.iter().find(|pool| pool.serves(target, tls)) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool::new(target, tls));
        pools.push(Arc::clone(&pool));
        pool
    }
}

async fn finish(
    pool: &Pool,
    connection: connection::Connection,
    response: hyper::Response<hyper::body::Incoming>,
    exchange: &Exchange<'_>,
) -> Result<Answer, FilterError> {
    let status = response.status();
    if !status.is_success() {
        return Err(FilterError::Status(status.as_u16()));
    }
    let (octets, room) = connection::read(response.into_body(), exchange.max_answer, exchange.budget).await?;
    pool.put_back(connection);
    Ok(Answer { octets, _room: room })
}

fn request(exchange: &Exchange<'_>) -> Result<Request<Full<Bytes>>, FilterError> {
    let mut request = Request::builder()
        .method(exchange.method.clone())
        .version(Version::HTTP_11)
        .uri(exchange.target.path())
        .header(HOST, exchange.target.authority())
        .body(Full::new(exchange.body.clone()))
        .map_err(|error| FilterError::Failed(format!("the request cannot be made: {error}")))?;
    if exchange.method != Method::GET {
        request.headers_mut().insert(CONTENT_LENGTH, exchange.body.len().into());
    }
    request.headers_mut().extend(exchange.headers.clone());
    Ok(request)
}

#[cfg(test)]
mod tests;
