//! One connection: a request at a time, and the answer read with a limit.

use std::error::Error as _;
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

use crate::filter::FilterError;
use crate::message::{Budget, Reservation};

/// A connection between two requests. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

/// How a request can fail.
pub(super) enum Broken {
    /// The connection broke, and not an octet of an answer had come.
    BeforeAnswer(FilterError),
    /// Another way.
    Otherwise(FilterError),
}

impl Connection {
    pub(super) async fn new<S>(stream: S) -> Result<Self, FilterError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(failure)?;
        let driver = tokio::spawn(async move {
            // What goes wrong is told to whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Self { sender, _driver: AbortOnDropHandle::new(driver) })
    }

    /// Whether another request can be sent on it.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Broken> {
        let outcome = match self.sender.ready().await {
            Ok(()) => self.sender.send_request(request).await,
            Err(error) => Err(error),
        };
        outcome.map_err(|error| match error.is_parse() || error.is_user() {
            true => Broken::Otherwise(failure(error)),
            false => Broken::BeforeAnswer(failure(error)),
        })
    }
}

/// The whole body, with the room that it takes.
pub(super) async fn read(
    mut body: Incoming,
    most: u64,
    budget: &Budget,
) -> Result<(Vec<u8>, Reservation), FilterError> {
    let announced = body.size_hint().lower();
    if announced > most {
        return Err(FilterError::AnswerTooLarge { most });
    }
    let no_room = |octets| FilterError::NoRoom { octets };
    let mut room = budget.memory(0).ok_or_else(|| no_room(0))?;
    let mut octets = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing that is asked for.
        let Ok(part) = frame.map_err(failure)?.into_data() else { continue };
        let size = octets.len() as u64 + part.len() as u64;
        if size > most {
            return Err(FilterError::AnswerTooLarge { most });
        }
        if !room.grow_to(size) {
            return Err(no_room(size));
        }
        octets.extend_from_slice(&part);
    }
    Ok((octets, room))
}

fn failure(error: hyper::Error) -> FilterError {
    if error.is_parse() {
        return FilterError::Protocol(format!("the answer is no HTTP: {error}"));
    }
    let kind = match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(source) => source.kind(),
        None => io::ErrorKind::UnexpectedEof,
    };
    FilterError::Lost { what: "the answer", source: io::Error::new(kind, error) }
}

/// Largest head of an answer, and most that is read ahead of a body, octets.
const LARGEST_HEAD: usize = 64 * 1024;
