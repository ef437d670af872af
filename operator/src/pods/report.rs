//! `/status` on the admin port of a pod.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use postern_crds::Fault;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::plan::PodReport;
use crate::world::Pod;

/// The part of the answer that matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    revision: Option<String>,
    last_reload: Option<Reload>,
}

#[derive(Debug, Deserialize)]
struct Reload {
    applied: bool,
    #[serde(default)]
    faults: Vec<Fault>,
}

/// Asks a pod. One that does not answer runs nothing that anybody knows of.
pub(super) async fn ask(pod: &Pod) -> PodReport {
    let answer = timeout(PATIENCE, fetch(pod)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let body = answer.unwrap_or_else(|error| {
        tracing::debug!(pod = pod.name, %error, "no report");
        Body::default()
    });
    PodReport { name: pod.name.clone(), refusal: refusal(&body), revision: body.revision }
}

/// Why the last attempt failed. That the folder was not complete for a moment is no refusal.
fn refusal(body: &Body) -> Option<String> {
    let last = body.last_reload.as_ref().filter(|last| !last.applied)?;
    let faults: Vec<String> =
        last.faults.iter().map(|fault| Fault { file: None, ..fault.clone() }.to_string()).collect();
    Some(faults.join("; "))
}

async fn fetch(pod: &Pod) -> io::Result<Body> {
    let stream = TcpStream::connect(pod.admin).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get("/status")
        .header(header::HOST, pod.admin.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        if answer.status() != StatusCode::OK {
            return Err(io::Error::other(format!("answered {}", answer.status())));
        }
        let body =
            Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await.map_err(io::Error::other)?;
        serde_json::from_slice(&body.to_bytes()).map_err(io::Error::other)
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        body = &mut exchange => body,
        // The connection may end before its last octets are taken.
        _ = connection => exchange.await,
    }
}

/// A pod in the same cluster answers in a millisecond.
const PATIENCE: Duration = Duration::from_secs(1);
/// A line for each of a few thousand objects.
const LARGEST_ANSWER: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    async fn report(answer: &'static str) -> PodReport {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = listener.local_addr().unwrap();
        let pod = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = client.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /status HTTP/1.1\r\n"));
            client.write_all(answer.as_bytes()).await.unwrap();
        });
        let report = ask(&Pod { name: "a".to_owned(), admin, is_ready: true }).await;
        pod.await.unwrap();
        report
    }

    #[tokio::test]
    async fn a_pod_says_what_it_runs() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 59\r\n\r\n{\"revision\":\"abc\",\"ready\":true,\"lastReload\":{\"applied\":true}}";
        let length = answer.split("\r\n\r\n").nth(1).unwrap().len();
        let answer = answer.replace("59", &length.to_string());
        let report = report(Box::leak(answer.into_boxed_str())).await;
        assert_eq!(
            report,
            PodReport { name: "a".to_owned(), revision: Some("abc".to_owned()), refusal: None }
        );
    }

    #[tokio::test]
    async fn a_pod_that_answers_nonsense_runs_nothing_that_is_known() {
        for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", "HTTP/1.1 503 no\r\n\r\n"] {
            assert_eq!(report(answer).await.revision, None);
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_pod() {
        let body: Body = serde_json::from_value(serde_json::json!({
            "revision": "old",
            "lastReload": {"applied": false, "faults": [{
                "class": "own", "object": {"kind": "MtaListener", "name": "smtp"}, "path": "spec.bind",
                "message": "address in use",
            }]},
        }))
        .unwrap();
        assert_eq!(refusal(&body).as_deref(), Some("MtaListener/smtp spec.bind: address in use"));
    }
}
