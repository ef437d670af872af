//! The validating webhook: what is wrong with an object is told to the one who writes it.

mod answer;
mod authority;
mod identity;
mod keeper;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use axum::{Json, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use kube::api::DynamicObject;
use kube::core::admission::AdmissionReview;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::metrics::{Decision, Metrics};
use crate::names::Names;
use crate::plan::{Review, review};
use crate::world::World;

pub use identity::Identity;
pub use keeper::Keeper;

/// What reviews are made from.
#[derive(Clone)]
pub struct Reviewer {
    /// What is there.
    pub world: Arc<World>,
    /// What things are called.
    pub names: Names,
    /// The folder of programs that pipes may run in the pods.
    pub pipe_dir: Option<PathBuf>,
    /// Counts.
    pub metrics: Metrics,
}

/// The webhook's port, bound and not served yet.
#[derive(Debug)]
pub struct Webhook {
    socket: TcpListener,
}

impl Webhook {
    /// Binds the port.
    ///
    /// # Errors
    /// The system refuses the address.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await? })
    }

    /// Answers reviews, with the certificate that `identity` has at the time.
    pub async fn serve(self, reviewer: Reviewer, identity: &Identity) {
        let acceptor = TlsAcceptor::from(identity.server_config());
        let router = Router::new()
            .route("/validate", post(validate))
            .layer(DefaultBodyLimit::max(LARGEST_REVIEW))
            .with_state(reviewer);
        let service = TowerToHyperService::new(router);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(IDLE);
        let builder = Arc::new(builder);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections of the API server");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let (acceptor, builder, service) = (acceptor.clone(), Arc::clone(&builder), service.clone());
            tokio::spawn(async move {
                let _place = place;
                match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        // A client that breaks off is no concern of anybody.
                        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "no handshake"),
                    Err(_) => {}
                }
            });
        }
    }
}

async fn validate(
    State(reviewer): State<Reviewer>,
    Json(body): Json<AdmissionReview<DynamicObject>>,
) -> Json<AdmissionReview<DynamicObject>> {
    Json(answer::to(body, |object| reviewer.judge(object)).await)
}

impl Reviewer {
    async fn judge(&self, object: serde_json::Value) -> Option<Review> {
        let is_complete = self.world.is_complete();
        let inputs = self.world.inputs(&self.names, self.pipe_dir.clone());
        let judged = spawn_blocking(move || review(inputs, &object)).await;
        let mut review = judged.inspect_err(|error| tracing::error!(%error, "the review broke")).ok()?;
        if !is_complete {
            // What is not known yet is not missing.
            review.warnings.clear();
        }
        self.metrics.reviewed(match (review.faults.is_empty(), review.warnings.is_empty()) {
            (true, true) => Decision::Allowed,
            (true, false) => Decision::Warned,
            (false, _) => Decision::Denied,
        });
        Some(review)
    }
}

/// The object in its old and in its new form, of up to 1.5 MiB each, and what JSON makes of that.
const LARGEST_REVIEW: usize = 16 << 20;
/// The API servers of a cluster are a handful.
const CONNECTIONS: usize = 256;
const HANDSHAKE: Duration = Duration::from_secs(5);
/// API servers keep connections open between reviews.
const IDLE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);
