//! `MtaSpamFilter`: rspamd's normal worker, asked by `POST /checkv2`.

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};
use postern_core::message::header::Header;
use postern_core::policy::filter::SpamFilter;
use postern_core::rspamd::{self, Actions};
use postern_core::session::check::CheckResult;
use postern_core::verdict::Verdict;
use postern_trace::traceparent;

use super::{Case, FilterError};
use crate::http::{Exchange, Target};
use crate::snapshot::chain;

pub(super) async fn judge(filter: &SpamFilter, case: &Case<'_>) -> Result<Verdict, FilterError> {
    let message = case.in_hand()?;
    let body = message.load(case.gate, &message.content()).await?;
    let exchange = Exchange {
        method: Method::POST,
        target: Target::parse(&filter.url)?.join("checkv2"),
        tls: &filter.tls,
        headers: headers(filter, case),
        body: body.clone(),
        limit: filter.timeout,
        max_answer: LARGEST_ANSWER,
        budget: case.gate.messages.budget(),
    };
    let answer = case.gate.filters.http.ask(exchange).await?;
    let actions = Actions {
        on_reject: filter.on_reject,
        on_soft_reject: filter.on_soft_reject,
        on_greylist: filter.on_greylist,
    };
    let header = Header::parse(&message.draft().header_section()).unwrap_or_default();
    rspamd::read(&answer.octets, &header, actions).map_err(|error| FilterError::Protocol(chain(&error)))
}

/// What rspamd is told beside the message, in the fields that its protocol has for it.
fn headers(filter: &SpamFilter, case: &Case<'_>) -> HeaderMap {
    let session = case.session;
    let name = case.reverse_dns().filter(|check| check.result == CheckResult::Pass);
    let mut all = vec![
        ("ip", Some(session.remote_ip())),
        ("helo", case.helo()),
        ("hostname", name.and_then(|check| check.detail.as_deref())),
        ("from", Some(case.envelope.sender.as_str())),
        ("user", case.account()),
        ("mta-name", Some(session.hostname())),
        ("password", filter.password.as_ref().map(|password| password.expose())),
    ];
    if let Some(tls) = session.tls() {
        all.extend([("tls-version", Some(&*tls.version)), ("tls-cipher", Some(&*tls.cipher))]);
    }
    all.extend(case.envelope.recipients.iter().map(|recipient| ("rcpt", Some(recipient.address.as_str()))));
    let id = session.id().to_string();
    let parent = traceparent(session.id().0).to_string();
    all.extend([("queue-id", Some(id.as_str())), ("traceparent", Some(parent.as_str()))]);
    let mut headers = HeaderMap::new();
    for (name, value) in all.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        headers.append(HeaderName::from_static(name), field_value(value));
    }
    headers
}

/// A value on one line: an EHLO name or an address may hold what no field of HTTP does.
fn field_value(text: &str) -> HeaderValue {
    let octets: Vec<u8> = text.bytes().filter(|octet| !octet.is_ascii_control()).collect();
    HeaderValue::from_bytes(&octets).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Largest answer, octets: symbols, scores and changes, never a message.
const LARGEST_ANSWER: u64 = 16 * 1024 * 1024;
