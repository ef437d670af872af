//! A small HTTP server for hooks: it answers by the path, says exactly what it is told, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

/// A running server. Its threads end with the connections of the gate.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    /// Dropped with the server: whoever keeps silent then ends.
    _life: mpsc::Sender<()>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Request {
    /// The path, with its query.
    pub path: String,
    /// The header section, request line included.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// 200 with this JSON, and the connection stays open.
    Json(String),
    /// These octets, and the end of the connection.
    Raw(Vec<u8>),
    /// 200, and a body that never ends.
    Endless,
    /// Nothing, for as long as the server lives.
    Silence,
}

impl HttpServer {
    /// Serves on a port of its own.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST, answer)
    }

    /// The same on another address of this machine.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start_on(
        ip: Ipv4Addr,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind((ip, 0))?;
        let (life, ended) = mpsc::channel();
        let server = Self {
            address: listener.local_addr()?,
            seen: Arc::default(),
            connections: Arc::default(),
            _life: life,
        };
        let (seen, connections) = (Arc::clone(&server.seen), Arc::clone(&server.connections));
        let (answer, ended) = (Arc::new(answer), Arc::new(Mutex::new(ended)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (seen, answer, ended) = (Arc::clone(&seen), Arc::clone(&answer), Arc::clone(&ended));
                thread::spawn(move || {
                    let note = |request: &Request| {
                        seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
                        answer(request)
                    };
                    let silence = || {
                        let _ = ended.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    };
                    // A gate that goes away in the middle is part of the tests.
                    let _ = serve(&stream, note, silence);
                });
            }
        });
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was asked so far at one path.
    pub fn requests_at(&self, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.path.trim_start_matches('/') == path).collect()
    }
}

impl Request {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| String::from_utf8_lossy(&self.body).into_owned())
    }

    /// The value of a field of the header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The values of all fields of that name.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }
}

fn serve(stream: &TcpStream, answer: impl Fn(&Request) -> Answer, silence: impl Fn()) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut stream = stream;
    loop {
        let request = read(&mut reader)?;
        match answer(&request) {
            Answer::Json(json) => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    json.len()
                );
                stream.write_all(&[head.as_bytes(), json.as_bytes()].concat())?;
            }
            Answer::Raw(octets) => return Ok(stream.write_all(&octets)?),
            Answer::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                loop {
                    stream.write_all(b"10\r\n0123456789abcdef\r\n")?;
                }
            }
            Answer::Silence => {
                silence();
                return Ok(());
            }
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Result<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(reader.read_line(&mut head)? > 0, "the end");
    }
    let path = head.split(' ').nth(1).ok_or_else(|| anyhow!("no request line: {head}"))?.to_owned();
    let mut request = Request { path, head, body: Vec::new() };
    let length: usize = request.header("content-length").unwrap_or("0").parse()?;
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body)?;
    Ok(request)
}

/// One POST of JSON to a server at a base URL; its answer must be a success.
///
/// # Errors
/// When it is not, or there is none.
pub fn post(base: &str, path: &str, body: &Value) -> Result<()> {
    let host = base.strip_prefix("http://").ok_or_else(|| anyhow!("no URL: {base}"))?;
    let (mut stream, body) = (TcpStream::connect(host)?, body.to_string());
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    Ok(())
}
