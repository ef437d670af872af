//! The port for probes and Prometheus.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;
use crate::webhook::Identity;
use crate::world::World;

/// What requests are answered from.
#[derive(Clone)]
pub struct Health {
    /// The cache.
    pub world: Arc<World>,
    /// The certificate of the webhook; none when there is no webhook.
    pub identity: Option<Identity>,
    /// Counts.
    pub metrics: Metrics,
}

impl Health {
    /// Binds the port.
    ///
    /// # Errors
    /// The system refuses the address.
    pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(address).await
    }

    /// Answers requests for as long as it runs.
    pub async fn serve(self, socket: TcpListener) {
        let router = Router::new()
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self);
        if let Err(error) = axum::serve(socket, router).await {
            tracing::error!(%error, "the port for probes broke");
        }
    }

    /// A replica that does not know everything, or has no certificate, would only be in the way of reviews.
    fn is_ready(&self) -> bool {
        self.world.is_complete() && self.identity.as_ref().is_none_or(Identity::is_known)
    }
}

async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    match health.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
