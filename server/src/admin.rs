//! The port for probes, Prometheus and the operator; apart from SMTP, and without a secret in it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::drain::Phase;
use crate::gate::Gate;
use crate::status::{Report, Status};

/// The admin port, bound and not served yet.
#[derive(Debug)]
pub struct Admin {
    socket: TcpListener,
}

/// The admin port cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("admin port {address} cannot be bound: {cause}")]
pub struct AdminError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub cause: io::Error,
}

impl Admin {
    /// Binds the port.
    ///
    /// # Errors
    /// When the system refuses the address.
    pub async fn bind(address: SocketAddr) -> Result<Self, AdminError> {
        let socket = TcpListener::bind(address).await.map_err(|cause| AdminError { address, cause })?;
        Ok(Self { socket })
    }

    /// The address that the system gave.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Answers requests until it is dropped; before there is a gate, it says that there is none, and why. Slow clients cannot hold the port: connections are few, and
    /// each has a time for its request and one for everything.
    pub async fn serve(self, gate: Arc<OnceLock<Arc<Gate>>>, status: Arc<Status>) {
        let service = TowerToHyperService::new(router(Sight { gate, status }));
        let mut connection = auto::Builder::new(TokioExecutor::new()).http1_only();
        connection.http1().timer(TokioTimer::new()).header_read_timeout(REQUEST_TIME);
        let connection = Arc::new(connection);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections on the admin port");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let (connection, service) = (Arc::clone(&connection), service.clone());
            tokio::spawn(async move {
                let _place = place;
                let served = connection.serve_connection(TokioIo::new(stream), service);
                // A client that breaks off, or whose time is up, is no concern of anybody.
                let _ = timeout(CONNECTION_TIME, served).await;
            });
        }
    }
}

/// What requests are answered from.
#[derive(Clone)]
struct Sight {
    /// Set when the first policy is in force.
    gate: Arc<OnceLock<Arc<Gate>>>,
    status: Arc<Status>,
}

/// The body of `/status`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusBody {
    revision: Option<Arc<str>>,
    ready: bool,
    drain: &'static str,
    sessions: u32,
    transactions: u32,
    #[serde(flatten)]
    report: Report,
}

fn router(sight: Sight) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/status", get(show_status))
        .route("/metrics", get(metrics))
        .with_state(sight)
}

impl Sight {
    /// Why no connections should come here; none when they should.
    fn obstacle(&self) -> Option<String> {
        match self.gate.get() {
            None => Some(self.status.obstacle().unwrap_or_else(|| "no policy has come yet".to_owned())),
            Some(gate) if gate.drain.phase() != Phase::Serving => Some("about to end".to_owned()),
            Some(_) => (!self.status.is_listening()).then(|| "nobody listens".to_owned()),
        }
    }
}

async fn readyz(State(sight): State<Sight>) -> (StatusCode, String) {
    match sight.obstacle() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(obstacle) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {obstacle}\n")),
    }
}

async fn show_status(State(sight): State<Sight>) -> Json<StatusBody> {
    let gate = sight.gate.get();
    Json(StatusBody {
        revision: gate.map(|gate| Arc::clone(&gate.snapshot().policy.revision)),
        ready: sight.obstacle().is_none(),
        drain: gate.map_or(Phase::Serving, |gate| gate.drain.phase()).name(),
        sessions: gate.map_or(0, |gate| gate.capacity.open()),
        transactions: gate.map_or(0, |gate| gate.drain.transactions()),
        report: sight.status.report(),
    })
}

async fn metrics(State(sight): State<Sight>) -> Response {
    let Some(gate) = sight.gate.get() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    match gate.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Probes, Prometheus and the operator are a handful.
const CONNECTIONS: usize = 64;
/// For the head of a request, and so for the silence between two.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// For all requests of a connection.
const CONNECTION_TIME: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::Times;
    use crate::listener::Bound;
    use crate::testing;
    use jiff::Timestamp;
    use postern_core::policy::Policy;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    struct Stand {
        gate: Arc<Gate>,
        status: Arc<Status>,
        address: SocketAddr,
    }

    async fn stand() -> Stand {
        let policy = Policy { revision: "abc".into(), ..Policy::default() };
        let (gate, status) = (testing::gate(policy), Arc::new(Status::default()));
        let admin = Admin::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = admin.address().unwrap();
        tokio::spawn(admin.serve(Arc::new(OnceLock::from(Arc::clone(&gate))), Arc::clone(&status)));
        Stand { gate, status, address }
    }

    #[tokio::test]
    async fn before_the_first_policy_it_says_what_is_wrong_with_it() {
        let (gate, status) = (Arc::new(OnceLock::new()), Arc::new(Status::default()));
        let admin = Admin::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = admin.address().unwrap();
        tokio::spawn(admin.serve(Arc::clone(&gate), Arc::clone(&status)));
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200 "));
        assert!(get(address, "/readyz").await.ends_with("not ready: no policy has come yet\n"));
        let fault: postern_crds::Fault = serde_json::from_value(
            serde_json::json!({"class": "own", "path": "spec.bind", "message": "in use"}),
        )
        .unwrap();
        status.refused(Timestamp::UNIX_EPOCH, vec![fault], Vec::new());
        let answer = get(address, "/readyz").await;
        assert!(
            answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("not ready: spec.bind: in use\n"),
            "{answer}"
        );
        let answer = get(address, "/status").await;
        assert!(answer.contains("\"revision\":null") && answer.contains("\"applied\":false"), "{answer}");
    }

    impl Stand {
        fn listening(&self) {
            let bound = vec![Bound { listener: "smtp".into(), address: "127.0.0.1:25".parse().unwrap() }];
            self.status.applied(Timestamp::UNIX_EPOCH, Vec::new(), bound, Vec::new());
        }

        async fn get(&self, path: &str) -> String {
            get(self.address, path).await
        }
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_lives_before_it_is_ready() {
        let stand = stand().await;
        assert!(stand.get("/livez").await.starts_with("HTTP/1.1 200 "));
        assert!(stand.get("/readyz").await.starts_with("HTTP/1.1 503 "));
        stand.listening();
        assert!(stand.get("/readyz").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn who_is_about_to_end_is_not_ready_and_lives() {
        let stand = stand().await;
        stand.listening();
        let times = Times { delay: Duration::ZERO, timeout: Duration::ZERO };
        stand.gate.drain.run(times, std::future::ready(()), std::future::pending()).await;
        assert!(stand.get("/readyz").await.starts_with("HTTP/1.1 503 "));
        assert!(stand.get("/livez").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn status_tells_revision_listeners_and_the_last_reload() {
        let stand = stand().await;
        stand.listening();
        let answer = stand.get("/status").await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["revision"], "abc");
        assert_eq!(body["drain"], "serving");
        assert_eq!(body["listeners"][0]["address"], "127.0.0.1:25");
        assert_eq!(body["lastReload"]["applied"], true);
    }

    #[tokio::test]
    async fn metrics_are_openmetrics() {
        let answer = stand().await.get("/metrics").await;
        assert!(answer.contains("content-type: application/openmetrics-text"));
        assert!(answer.contains("postern_policy{revision=\"abc\"} 1\n"));
        assert!(answer.ends_with("# EOF\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_finishes_its_request_is_closed() {
        let stand = stand().await;
        let mut client = TcpStream::connect(stand.address).await.unwrap();
        client.write_all(b"GET /livez HTTP/1.1\r\nHost:").await.unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn an_admin_port_in_use_is_an_error_with_its_address() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = Admin::bind(address).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("admin port {address} cannot be bound: ")));
    }
}
