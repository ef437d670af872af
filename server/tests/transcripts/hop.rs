//! A next hop that says what the transcript says, over LMTP, and keeps what it gets.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::outside::Outside;
use super::play::Handed;

/// A listener on a port of its own; its thread ends with the process.
pub(crate) struct Hop {
    port: u16,
    held: Arc<Mutex<Vec<Handed>>>,
}

/// What the hop says of each recipient: at RCPT, and to the message.
struct Script {
    route: String,
    at_rcpt: HashMap<String, String>,
    at_end: HashMap<String, String>,
}

impl Hop {
    pub(crate) fn start(route: &str, outside: &Rc<Outside>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let held = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Script {
            route: route.to_owned(),
            at_rcpt: outside.all("next hop"),
            at_end: outside.all("last answer"),
        });
        let kept = Arc::clone(&held);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, kept) = (Arc::clone(&script), Arc::clone(&kept));
                std::thread::spawn(move || serve(&script, &kept, stream));
            }
        });
        Ok(Self { port, held })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What came since the last look.
    pub(crate) fn take(&self) -> Vec<Handed> {
        std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One transaction as the hop sees it.
#[derive(Default)]
struct Transaction {
    from: String,
    /// Recipients, each with its parameters.
    to: Vec<(String, Vec<String>)>,
    parameters: Vec<String>,
    message: Vec<u8>,
}

fn serve(script: &Script, held: &Mutex<Vec<Handed>>, stream: TcpStream) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    let mut transaction = Transaction::default();
    out.write_all(b"220 hop.example.org LMTP\r\n")?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let reply = match &*verb {
            "LHLO" | "EHLO" => EXTENSIONS.to_owned(),
            "MAIL" => {
                let (path, parameters) = path(line);
                transaction = Transaction { from: path, parameters, ..Transaction::default() };
                "250 2.1.0 OK\r\n".to_owned()
            }
            "RCPT" => {
                let (path, parameters) = path(line);
                match script.at_rcpt.get(&key(&path)) {
                    Some(refusal) => format!("{refusal}\r\n"),
                    None => {
                        transaction.to.push((path, parameters));
                        "250 2.1.5 OK\r\n".to_owned()
                    }
                }
            }
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                transaction.message = data(&mut lines)?;
                script.end(std::mem::take(&mut transaction), held)
            }
            "BDAT" => {
                let mut words = line.split(' ').skip(1);
                let octets = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
                lines.by_ref().take(octets).read_to_end(&mut transaction.message)?;
                match words.next() {
                    Some(_) => script.end(std::mem::take(&mut transaction), held),
                    None => "250 2.6.0 OK\r\n".to_owned(),
                }
            }
            "RSET" => {
                transaction = Transaction::default();
                "250 2.0.0 OK\r\n".to_owned()
            }
            "NOOP" => "250 2.0.0 OK\r\n".to_owned(),
            "QUIT" => return out.write_all(b"221 2.0.0 bye\r\n"),
            _ => "500 5.5.1 what?\r\n".to_owned(),
        };
        out.write_all(reply.as_bytes())?;
    }
}

impl Script {
    /// One reply for each recipient; who gets a good one has the message.
    fn end(&self, transaction: Transaction, held: &Mutex<Vec<Handed>>) -> String {
        let mut replies = String::new();
        let mut handed = Handed {
            id: String::new(),
            route: self.route.clone(),
            from: transaction.from,
            to: Vec::new(),
            parameters: transaction.parameters,
            message: transaction.message,
        };
        for (recipient, parameters) in transaction.to {
            let reply = self.at_end.get(&key(&recipient)).map_or("250 2.0.0 OK", |reply| &**reply);
            if reply.starts_with('2') {
                handed.to.push(recipient);
                handed.parameters.extend(parameters);
            }
            replies.push_str(reply);
            replies.push_str("\r\n");
        }
        if !handed.to.is_empty() {
            held.lock().unwrap_or_else(PoisonError::into_inner).push(handed);
        }
        replies
    }
}

/// `<path>` and the parameters behind it.
fn path(line: &str) -> (String, Vec<String>) {
    let at = line.find('<').unwrap_or_default();
    let end = line.rfind('>').map_or(line.len(), |end| end + 1);
    let words = line.get(end..).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    (line.get(at..end).unwrap_or_default().to_owned(), words)
}

fn key(path: &str) -> String {
    path.trim_matches(['<', '>']).to_lowercase()
}

/// The lines up to the dot, without the dots that were added.
fn data(lines: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 || line == b".\r\n" {
            return Ok(message);
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

const EXTENSIONS: &str = "250-hop.example.org\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n\
    250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-DSN\r\n250-DELIVERBY\r\n250-MT-PRIORITY\r\n\
    250-FUTURERELEASE 604800 2030-01-01T00:00:00Z\r\n250 SIZE\r\n";
