//! A hook that traces as well.

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use serde_json::json;

use crate::http::{Answer, HttpServer, Request, post};

/// A hook on this address that accepts everything. It makes a span `audited` of the service `audit`, below the one that it is told
/// of, and sends it to a collector that takes OTLP/HTTP.
///
/// # Errors
/// When there is no port.
pub fn audited(ip: Ipv4Addr, collector: String) -> Result<HttpServer> {
    HttpServer::start_on(ip, move |request: &Request| match tell(&collector, request) {
        Ok(()) => Answer::Json("{\"action\": \"accept\"}".to_owned()),
        Err(error) => Answer::Raw(format!("HTTP/1.1 500 {error}\r\n\r\n").into_bytes()),
    })
}

fn tell(collector: &str, request: &Request) -> Result<()> {
    let parent = request.header("traceparent").unwrap_or_default();
    let [_, trace, span, _] = parent.split('-').collect::<Vec<_>>()[..] else {
        bail!("no traceparent: {parent}");
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos().to_string();
    let name = json!({"key": "service.name", "value": {"stringValue": "audit"}});
    let span = json!({
        "traceId": trace, "spanId": "00000000000000aa", "parentSpanId": span, "name": "audited", "kind": 2,
        "startTimeUnixNano": now, "endTimeUnixNano": now,
    });
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": [name]}, "scopeSpans": [{"spans": [span]}],
    }]});
    post(collector, "/v1/traces", &body)
}
