//! Against a server that plays a script.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A server; each string is the answer to one request, `None` closes the connection instead of one.
struct Script {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn start(answers: &[Option<&'static str>]) -> Self {
        let answers = answers.to_vec();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (Arc::clone(&script.connections), Arc::clone(&script.requests));
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                while let Some(request) = next_request(&mut stream).await {
                    requests.lock().unwrap().push(request);
                    match answers.next() {
                        Some(Some(answer)) => {
                            stream.write_all(answer.as_bytes()).await.unwrap();
                            if answer.contains("Connection: close") {
                                break;
                            }
                        }
                        Some(None) => break,
                        // Says nothing, and keeps what it has.
                        None => std::future::pending().await,
                    }
                }
            }
        });
        script
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn ask(&self, client: &HttpClient) -> Result<String, FilterError> {
        self.ask_with(client, &ClientTls::default()).await
    }

    async fn ask_with(&self, client: &HttpClient, tls: &ClientTls) -> Result<String, FilterError> {
        let budget = Budget::new(1 << 20, 0);
        let exchange = Exchange {
            method: Method::POST,
            target: Target::parse(&format!("http://127.0.0.1:{}/ask", self.port)).unwrap(),
            tls,
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"question"),
            limit: Duration::from_secs(5),
            max_answer: 100,
            budget: &budget,
        };
        let answer = client.ask(exchange).await?;
        Ok(String::from_utf8(answer.octets).unwrap())
    }
}

/// A request with the body `question`; none at the end of the connection.
async fn next_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\nquestion") {
        text.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(text).ok()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_serves_one_exchange_after_the_other() {
    let server = Script::start(&[Some(OK), Some(OK), Some(OK)]).await;
    let client = HttpClient::default();
    for _ in 0..3 {
        assert_eq!(server.ask(&client).await.unwrap(), "ok");
    }
    assert_eq!(server.connections(), 1);
    let requests = server.requests.lock().unwrap();
    assert!(requests[0].starts_with("POST /ask HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].contains(&format!("host: 127.0.0.1:{}\r\n", server.port)), "{requests:?}");
    assert!(requests[0].contains("content-length: 8\r\n"), "{requests:?}");
}

#[tokio::test]
async fn a_kept_connection_that_has_ended_is_replaced() {
    let server = Script::start(&[Some(OK), None, Some(OK)]).await;
    let client = HttpClient::default();
    assert_eq!(server.ask(&client).await.unwrap(), "ok");
    assert_eq!(server.ask(&client).await.unwrap(), "ok");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_fresh_connection_that_ends_is_a_failure() {
    let server = Script::start(&[None, Some(OK)]).await;
    let client = HttpClient::default();
    assert!(matches!(server.ask(&client).await, Err(FilterError::Lost { .. })));
    assert_eq!(server.ask(&client).await.unwrap(), "ok");
}

#[tokio::test]
async fn other_tls_settings_have_connections_of_their_own_and_go_with_them() {
    let server = Script::start(&[Some(OK), Some(OK), Some(OK)]).await;
    let client = HttpClient::default();
    let other = ClientTls { server_name: Some("other.example".into()), ..ClientTls::default() };
    assert_eq!(server.ask(&client).await.unwrap(), "ok");
    client.retain(|tls| *tls == other);
    assert_eq!(server.ask_with(&client, &other).await.unwrap(), "ok");
    assert_eq!(server.ask_with(&client, &other).await.unwrap(), "ok");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn statuses_other_than_2xx_are_failures_and_redirects_are_not_followed() {
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n";
    let server = Script::start(&[Some(redirect), Some(OK)]).await;
    let client = HttpClient::default();
    assert!(matches!(server.ask(&client).await, Err(FilterError::Status(302))));
    assert_eq!(server.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_is_read_no_further_than_its_limit() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789X\r\n",
    ] {
        let server = Script::start(&[Some(answer)]).await;
        let outcome = server.ask(&HttpClient::default()).await;
        assert!(matches!(outcome, Err(FilterError::AnswerTooLarge { most: 100 })), "{outcome:?}");
    }
}

#[tokio::test]
async fn half_an_answer_is_a_failure() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{\"action\":";
    let server = Script::start(&[Some(half)]).await;
    let outcome = server.ask(&HttpClient::default()).await;
    assert!(matches!(outcome, Err(FilterError::Lost { .. })), "{outcome:?}");
}

#[tokio::test]
async fn what_is_no_http_is_a_failure() {
    let server = Script::start(&[Some("220 mail.example ESMTP\r\n")]).await;
    let outcome = server.ask(&HttpClient::default()).await;
    assert!(matches!(outcome, Err(FilterError::Protocol(_))), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn the_limit_covers_the_whole_exchange() {
    let server = Script::start(&[]).await;
    let outcome = server.ask(&HttpClient::default()).await;
    assert!(matches!(outcome, Err(FilterError::Timeout { .. })), "{outcome:?}");
}

#[tokio::test]
async fn an_answer_takes_its_room_from_the_budget() {
    let server = Script::start(&[Some(OK)]).await;
    let budget = Budget::new(1, 0);
    let exchange = Exchange {
        method: Method::POST,
        target: Target::parse(&format!("http://127.0.0.1:{}/ask", server.port)).unwrap(),
        tls: &ClientTls::default(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"question"),
        limit: Duration::from_secs(5),
        max_answer: 100,
        budget: &budget,
    };
    let outcome = HttpClient::default().ask(exchange).await;
    assert!(matches!(outcome, Err(FilterError::NoRoom { octets: 2 })), "{outcome:?}");
}
