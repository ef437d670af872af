//! Recorded sessions: JSON lines, one for each transaction.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use serde::Deserialize;

use crate::simulate::message;
use crate::simulate::visit::{STRANGERS_NAME, Visit};

/// One transaction that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    /// Name of the listener; unset: the first one.
    pub(super) listener: Option<String>,
    /// Address of the client.
    pub(super) remote_ip: IpAddr,
    /// Name of EHLO.
    pub(super) helo: String,
    /// Whether TLS was on.
    pub(super) tls: bool,
    /// The account that was logged in.
    pub(super) account: Option<String>,
    /// Sender; empty for the null path.
    pub(super) sender: String,
    /// Recipients.
    pub(super) recipients: Vec<String>,
    /// Octets of the message.
    pub(super) size: u64,
}

/// A line of a file: a session, or any line of the log of `serve --log-format json`. Further fields mean nothing.
#[derive(Debug, Deserialize)]
struct Line {
    /// What a line of a log is about.
    message: Option<String>,
    remote_ip: Option<IpAddr>,
    /// The log has the port, too.
    client: Option<SocketAddr>,
    listener: Option<String>,
    #[serde(alias = "ehlo")]
    helo: Option<String>,
    tls: Option<Tls>,
    account: Option<String>,
    sender: Option<String>,
    recipients: Option<Names>,
    #[serde(alias = "octets")]
    size: Option<u64>,
}

/// Whether TLS was on, or its version.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Tls {
    Is(bool),
    Version(String),
}

/// Recipients: a list, or as the log has them, `ann@example.org; bob@example.org (550)`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Text(String),
}

impl Tls {
    fn is_on(&self) -> bool {
        match self {
            Self::Is(on) => *on,
            Self::Version(version) => !version.is_empty(),
        }
    }
}

impl Names {
    fn list(self) -> Vec<String> {
        let bare = |name: &str| {
            let name = name.split(" (").next().unwrap_or(name).trim();
            name.trim_start_matches('<').trim_end_matches('>').to_owned()
        };
        match self {
            Self::List(names) => names,
            Self::Text(text) => text.split("; ").map(bare).filter(|name| !name.is_empty()).collect(),
        }
    }
}

impl Line {
    /// The session; nothing for a line of a log that is about something else.
    fn session(self) -> Result<Option<Recorded>, serde_json::Error> {
        let is_of_log = match self.message.as_deref() {
            Some("transaction") => true,
            Some(_) => return Ok(None),
            None => false,
        };
        let missing = <serde_json::Error as serde::de::Error>::missing_field;
        let recipients = match self.recipients {
            Some(names) => names.list(),
            // A refused MAIL is a transaction without recipients.
            None if is_of_log => Vec::new(),
            None => return Err(missing("recipients")),
        };
        let remote_ip = self.remote_ip.or(self.client.map(|client| client.ip()));
        Ok(Some(Recorded {
            listener: self.listener,
            remote_ip: remote_ip.ok_or_else(|| missing("remote_ip"))?,
            helo: self.helo.unwrap_or_else(|| STRANGERS_NAME.to_owned()),
            tls: self.tls.is_some_and(|tls| tls.is_on()),
            account: self.account.filter(|account| !account.is_empty()),
            sender: self.sender.ok_or_else(|| missing("sender"))?,
            recipients,
            size: self.size.unwrap_or_default(),
        }))
    }
}

/// Why a file holds no sessions.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// It cannot be read.
    #[error("{file}: {cause}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        cause: io::Error,
    },
    /// A line of it is no session.
    #[error("{file}:{line}:{}: this is no session: {cause}", cause.column())]
    Malformed {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        cause: serde_json::Error,
    },
    /// It is empty.
    #[error("{0} holds no session")]
    Empty(String),
}

/// Reads a file.
///
/// # Errors
/// [`SessionsError`].
pub(super) fn read(path: &Path) -> Result<Vec<Recorded>, SessionsError> {
    let file = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => parse(&file, &text),
        Err(cause) => Err(SessionsError::Unreadable { file, cause }),
    }
}

fn parse(file: &str, text: &str) -> Result<Vec<Recorded>, SessionsError> {
    let mut sessions = Vec::new();
    for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let session = serde_json::from_str(line).and_then(Line::session);
        sessions.extend(session.map_err(|cause| SessionsError::Malformed {
            file: file.to_owned(),
            line: place + 1,
            cause,
        })?);
    }
    if sessions.is_empty() { Err(SessionsError::Empty(file.to_owned())) } else { Ok(sessions) }
}

impl Recorded {
    /// The session, with a message of that size.
    pub(super) fn visit(&self) -> Visit {
        let from = self.sender.trim_start_matches('<').trim_end_matches('>').to_owned();
        Visit {
            listener: self.listener.clone(),
            ip: self.remote_ip,
            ptr: None,
            ehlo: self.helo.clone(),
            tls: self.tls,
            auth: self.account.clone(),
            message: padded(message::plain(&from, &self.recipients), self.size),
            from,
            parameters: String::new(),
            to: self.recipients.clone(),
        }
    }
}

/// The message with lines behind it, up to a size. What a policy says of larger ones it says of this one too.
fn padded(message: Arc<[u8]>, size: u64) -> Arc<[u8]> {
    let size = usize::try_from(size.min(LARGEST)).unwrap_or_default();
    if message.len() >= size {
        return message;
    }
    let mut octets = message.to_vec();
    while octets.len() + LINE.len() <= size {
        octets.extend_from_slice(LINE);
    }
    octets.into()
}

const LINE: &[u8] = b"A message of that size was recorded, and nothing of what it said is kept.\r\n";

/// Largest message that is made up, octets; the default of `maxMessageSize` is less.
const LARGEST: u64 = 128 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_session_is_named() {
        let good =
            r#"{"remote_ip": "192.0.2.1", "sender": "", "recipients": ["a@example.org"], "queue_id": "x"}"#;
        assert_eq!(parse("log", &format!("{good}\n\n{good}\n")).unwrap().len(), 2);
        let error = parse("log", &format!("{good}\n{{\"remote_ip\": \"nowhere\"}}")).unwrap_err();
        assert!(error.to_string().starts_with("log:2:23: this is no session: "), "{error}");
        let error = parse("log", "{\"remote_ip\": \"192.0.2.1\", \"sender\": \"\"}").unwrap_err();
        assert!(error.to_string().starts_with("log:1:"), "{error}");
        assert!(error.to_string().contains("missing field `recipients`"), "{error}");
        assert_eq!(parse("log", "\n").unwrap_err().to_string(), "log holds no session");
    }

    #[test]
    fn a_log_is_read_as_it_is() {
        let log = concat!(
            r#"{"level":"INFO","message":"listening","address":"127.0.0.1:25"}"#,
            "\n",
            r#"{"message":"transaction","id":"7f","client":"[2001:db8::1]:40000","listener":"smtp","tls":"TLSv1.3","ehlo":"mx.example.net","sender":"<bob@example.net>","recipients":"ann@example.org; <eve@example.org> (550)","octets":512}"#,
            "\n",
            r#"{"message":"session","client":"192.0.2.1:9"}"#,
        );
        let sessions = parse("log", log).unwrap();
        let [session] = &sessions[..] else { panic!("{sessions:?}") };
        assert_eq!(session.remote_ip.to_string(), "2001:db8::1");
        assert_eq!((session.tls, &*session.helo, session.size), (true, "mx.example.net", 512));
        assert_eq!(session.recipients, ["ann@example.org", "eve@example.org"]);
        assert_eq!(session.visit().from, "bob@example.net");
    }

    #[test]
    fn the_message_has_about_the_recorded_size() {
        let size = padded(b"A: b\r\n\r\n".as_slice().into(), 10_000).len();
        assert!((9_900..=10_000).contains(&size), "{size}");
    }
}
