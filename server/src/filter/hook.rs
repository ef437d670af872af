//! `MtaHook`: the session and the message as JSON, asked over HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};
use postern_core::hook::{
    self, Client, Context, Envelope, Fields, Message, Octets, Protocol, Queue, Request,
};
use postern_core::hook::{Sasl, Server, Tls};
use postern_core::message::header::Header;
use postern_core::policy::filter::{BodyEncoding, Hook, HookAuth};
use postern_core::session::check::CheckResult;
use postern_core::session::id::TraceId;
use postern_core::verdict::{Stage, Verdict};
use postern_trace::traceparent;

use super::{Case, FilterError};
use crate::http::{Exchange, TRACEPARENT, Target};
use crate::message::Reservation;
use crate::snapshot::chain;

pub(super) async fn judge(hook: &Hook, case: &Case<'_>) -> Result<Verdict, FilterError> {
    let (body, room) = write(hook, case).await?;
    let exchange = Exchange {
        method: Method::POST,
        target: Target::parse(&hook.url)?,
        tls: &hook.tls,
        headers: headers(hook, case.session.id())?,
        body,
        limit: hook.timeout,
        max_answer: hook.max_response_size,
        budget: case.gate.messages.budget(),
    };
    let answer = case.gate.filters.http.ask(exchange).await?;
    drop(room);
    hook::read(&answer.octets, case.stage).map_err(|error| FilterError::Protocol(chain(&error)))
}

/// The request's body. At Data it holds the message in full, for which room is set aside first.
async fn write(hook: &Hook, case: &Case<'_>) -> Result<(Bytes, Reservation), FilterError> {
    let budget = case.gate.messages.budget();
    let Some(message) = case.message.as_ref().filter(|_| case.stage == Stage::Data) else {
        let room = budget.memory(0).ok_or(FilterError::NoRoom { octets: 0 })?;
        return Ok((json(&request(case, None))?, room));
    };
    let body = message.load(case.gate, &message.body()).await?;
    let contents = Octets::new(&body, hook.body_encoding);
    let fields = message.draft().fields().map(|field| Octets::text(field.raw).room() + FIELD_SYNTAX);
    let octets = contents.room() + fields.sum::<u64>();
    let room = budget.memory(octets).ok_or(FilterError::NoRoom { octets })?;
    let ours = Header::parse(case.server_fields()).unwrap_or_default();
    let message = Message {
        headers: Fields(message.draft().fields().collect()),
        server_headers: Fields((0..ours.fields().len()).filter_map(|at| ours.field(at)).collect()),
        contents_encoding: (hook.body_encoding == BodyEncoding::Base64).then_some("base64"),
        contents,
        size: message.octets(),
    };
    let mut written = Vec::with_capacity(usize::try_from(octets).unwrap_or_default());
    serde_json::to_writer(&mut written, &request(case, Some(message))).map_err(unwritten)?;
    Ok((written.into(), room))
}

fn json(request: &Request<'_>) -> Result<Bytes, FilterError> {
    serde_json::to_vec(request).map(Bytes::from).map_err(unwritten)
}

fn unwritten(error: serde_json::Error) -> FilterError {
    FilterError::Failed(format!("the request cannot be written: {error}"))
}

fn request<'a>(case: &'a Case<'_>, message: Option<Message<'a>>) -> Request<'a> {
    let (session, client) = (case.session, case.session.client());
    let sasl = case.account().map(|login| Sasl {
        login,
        method: case.mechanism().map(|mechanism| mechanism.name().to_ascii_lowercase()),
    });
    Request {
        context: Context {
            stage: case.stage,
            client: Client {
                ip: session.remote_ip(),
                port: client.remote.port(),
                ptr: confirmed_name(case),
                helo: case.helo(),
                ehlo: case.helo(),
                active_connections: case.gate.capacity.open(),
            },
            sasl,
            tls: session.tls().map(|tls| Tls {
                version: &tls.version,
                cipher: &tls.cipher,
                cipher_bits: tls.cipher_bits,
                cert_issuer: tls.client_issuer.as_deref(),
                cert_subject: tls.client_subject.as_deref(),
            }),
            server: Server { name: "Postern", port: client.local_port, ip: client.local_ip.to_string() },
            queue: (case.stage == Stage::Data).then(|| Queue { id: session.id().to_string() }),
            protocol: Protocol { version: 1 },
        },
        envelope: matches!(case.stage, Stage::Mail | Stage::Rcpt | Stage::Data)
            .then(|| Envelope::of(case.envelope)),
        message,
    }
}

/// The client's name, when its address and the name confirm each other.
fn confirmed_name<'a>(case: &'a Case<'_>) -> Option<&'a str> {
    case.reverse_dns().filter(|check| check.result == CheckResult::Pass)?.detail.as_deref()
}

fn headers(hook: &Hook, id: TraceId) -> Result<HeaderMap, FilterError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &hook.headers {
        headers.append(field_name(name)?, field_value(value)?);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(TRACEPARENT, field_value(&traceparent(id.0).to_string())?);
    let credentials = match &hook.auth {
        HookAuth::Unauthenticated => return Ok(headers),
        HookAuth::Basic { username, secret } => {
            format!("Basic {}", BASE64.encode(format!("{username}:{}", secret.expose())))
        }
        HookAuth::Bearer(token) => format!("Bearer {}", token.expose().trim()),
    };
    let mut credentials = field_value(&credentials)?;
    credentials.set_sensitive(true);
    headers.insert(AUTHORIZATION, credentials);
    Ok(headers)
}

fn field_name(name: &str) -> Result<HeaderName, FilterError> {
    name.parse().map_err(|_| FilterError::Failed(format!("{name:?} is no name of a header field")))
}

/// The value is not named in an error: it may be a secret.
fn field_value(value: &str) -> Result<HeaderValue, FilterError> {
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| FilterError::Failed("the value of a header field holds control characters".into()))
}

/// Quotes, brackets and commas around a field in JSON, octets.
const FIELD_SYNTAX: u64 = 8;
