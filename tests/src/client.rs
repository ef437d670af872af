//! A scripted SMTP client on a plain socket: it sends exactly what it is told, waits with a limit, and keeps a transcript.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

/// One reply, several lines taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// What follows the code on each line.
    pub lines: Vec<String>,
}

impl Reply {
    /// Whether the reply begins with `wanted`, for instance `250` or `451 4.3.5`, judged on its last line.
    pub fn is(&self, wanted: &str) -> bool {
        let last = self.lines.last().map_or("", String::as_str);
        format!("{} {last}", self.code).starts_with(wanted)
    }

    /// Whether it is 2xx.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// Whether a line of it, such as an EHLO keyword, begins with `text`.
    pub fn has_line(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.starts_with(text))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.code, self.lines.join(" / "))
    }
}

/// A connection to an SMTP or LMTP server.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Received and not yet read as a reply.
    ahead: Vec<u8>,
    transcript: String,
    /// Octets that the last line of the transcript stands for, if they are too many to be shown.
    bulk: usize,
}

impl Client {
    /// Connects and takes the greeting, which must be 220.
    ///
    /// # Errors
    /// When there is no connection or another greeting.
    pub fn connect(server: SocketAddr) -> Result<Self> {
        let mut client = Self::connect_silent(server)?;
        let greeting = client.reply()?;
        ensure!(greeting.is("220"), "greeted with {greeting}");
        Ok(client)
    }

    /// Connects and reads nothing.
    ///
    /// # Errors
    /// When there is no connection.
    pub fn connect_silent(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&server, REPLY_LIMIT)
            .with_context(|| format!("connecting to {server}"))?;
        Self::on(stream)
    }

    /// Takes over a connection that was made in another way, and reads nothing.
    ///
    /// # Errors
    /// When the socket cannot be set up.
    pub fn on(stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.set_write_timeout(Some(REPLY_LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, ahead: Vec::new(), transcript: String::new(), bulk: 0 })
    }

    /// Sends octets as they are.
    ///
    /// # Errors
    /// When the server no longer takes them.
    pub fn send(&mut self, octets: &[u8]) -> Result<()> {
        if octets.len() <= SHOWN {
            self.bulk = 0;
            for line in String::from_utf8_lossy(octets).lines() {
                self.transcript.push_str(&format!("C: {line}\n"));
            }
        } else {
            // A message that is sent in pieces is one line.
            if self.bulk > 0 {
                self.transcript.truncate(self.transcript.rfind("C: (").unwrap_or(0));
            }
            self.bulk += octets.len();
            self.transcript.push_str(&format!("C: ({} octets)\n", self.bulk));
        }
        self.stream.write_all(octets).with_context(|| format!("sending; so far:\n{}", self.transcript))
    }

    /// Reads one reply.
    ///
    /// # Errors
    /// On a closed connection, after 60 s of silence, or when the server does not speak SMTP; the error carries the transcript.
    pub fn reply(&mut self) -> Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            self.bulk = 0;
            self.transcript.push_str(&format!("S: {line}\n"));
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let code = code.ok_or_else(|| anyhow!("not a reply: {line}\n{}", self.transcript))?;
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }

    /// Sends a command line and reads its reply.
    ///
    /// # Errors
    /// As for [`Self::send`] and [`Self::reply`].
    pub fn command(&mut self, line: &str) -> Result<Reply> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Sends a command line whose reply must begin with `wanted`.
    ///
    /// # Errors
    /// When it does not; the error carries the transcript.
    pub fn expect(&mut self, line: &str, wanted: &str) -> Result<Reply> {
        let reply = self.command(line)?;
        ensure!(reply.is(wanted), "{line} was answered {reply}, not {wanted}\n{}", self.transcript);
        Ok(reply)
    }

    /// EHLO, MAIL, RCPT and DATA up to the 354.
    ///
    /// # Errors
    /// When any of them is refused.
    pub fn open(&mut self, from: &str, to: &[&str]) -> Result<()> {
        self.expect("EHLO client.example.org", "250")?;
        self.envelope(from, to)
    }

    /// MAIL, RCPT and DATA up to the 354.
    ///
    /// # Errors
    /// When any of them is refused.
    pub fn envelope(&mut self, from: &str, to: &[&str]) -> Result<()> {
        self.expect(&format!("MAIL FROM:<{from}>"), "250")?;
        for rcpt in to {
            self.expect(&format!("RCPT TO:<{rcpt}>"), "250")?;
        }
        self.expect("DATA", "354")?;
        Ok(())
    }

    /// Sends a message after 354, dots doubled, with the final dot, and reads the reply.
    ///
    /// # Errors
    /// As for [`Self::send`] and [`Self::reply`].
    pub fn message(&mut self, message: &[u8]) -> Result<Reply> {
        self.send(&stuffed(message))?;
        self.reply()
    }

    /// Plays a conversation: `C: ` lines are sent, `S: ` lines must be the beginning of the replies.
    ///
    /// `S: 250-TEXT` asks for a line `TEXT…` anywhere in the next reply, `S: 250 TEXT` for its last line; both may stand for one
    /// reply. Lines that begin with neither are comments.
    ///
    /// # Errors
    /// At the first reply that differs; the error carries the transcript.
    pub fn play(&mut self, script: &str) -> Result<()> {
        let mut wanted: Vec<&str> = Vec::new();
        for line in script.lines().map(str::trim) {
            if let Some(command) = line.strip_prefix("C: ") {
                self.send(format!("{command}\r\n").as_bytes())?;
            } else if let Some(answer) = line.strip_prefix("S: ") {
                wanted.push(answer);
                if answer.as_bytes().get(3) != Some(&b'-') {
                    self.compare(&wanted)?;
                    wanted.clear();
                }
            }
        }
        Ok(())
    }

    /// Whether the server closed the connection, waiting for it up to `within`. What it still sent is thrown away.
    ///
    /// # Errors
    /// When the socket cannot be set up.
    pub fn is_closed(&mut self, within: Duration) -> Result<bool> {
        self.stream.set_read_timeout(Some(within))?;
        let mut rest = [0_u8; 4096];
        let closed = loop {
            match self.stream.read(&mut rest) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        };
        self.stream.set_read_timeout(Some(REPLY_LIMIT))?;
        Ok(closed)
    }

    /// QUIT; whatever the answer, the connection is closed.
    pub fn quit(mut self) {
        let _ = self.command("QUIT");
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// All that was said.
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// The port of our end, by which the server's trace names the connection.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn local_port(&self) -> Result<u16> {
        Ok(self.stream.local_addr()?.port())
    }

    fn compare(&mut self, wanted: &[&str]) -> Result<()> {
        let reply = self.reply()?;
        for line in wanted {
            let (code, text) = (line.get(..3).unwrap_or_default(), line.get(4..).unwrap_or_default());
            let fits =
                if line.as_bytes().get(3) == Some(&b'-') { reply.has_line(text) } else { reply.is(line) };
            let right = fits && code == reply.code.to_string();
            ensure!(right, "wanted {line}, got {reply}\n{}", self.transcript);
        }
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.ahead.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            let mut chunk = [0_u8; 4096];
            let got = self.stream.read(&mut chunk);
            let got = got.with_context(|| format!("waiting for a reply; so far:\n{}", self.transcript))?;
            if got == 0 {
                bail!("the server closed the connection; so far:\n{}", self.transcript);
            }
            self.ahead.extend(chunk.iter().take(got));
        }
    }
}

/// One whole session with one message. The reply is the one that decided: the refusal, or the answer to the final dot.
///
/// # Errors
/// When the connection breaks before there is such a reply.
pub fn deliver(server: SocketAddr, from: &str, to: &[&str], message: &[u8]) -> Result<Reply> {
    let mut client = Client::connect(server)?;
    let mut commands = vec!["EHLO client.example.org".to_owned(), format!("MAIL FROM:<{from}>")];
    commands.extend(to.iter().map(|rcpt| format!("RCPT TO:<{rcpt}>")));
    for command in &commands {
        let reply = client.command(command)?;
        if !reply.is_positive() {
            client.quit();
            return Ok(reply);
        }
    }
    let mut reply = client.command("DATA")?;
    if reply.code == 354 {
        reply = client.message(message)?;
    }
    client.quit();
    Ok(reply)
}

/// A message as it goes over the wire: dots at the beginning of lines doubled, final dot added.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + 8);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    if !wire.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

/// A plain message of about `octets` octets whose `Subject` is `mark`, by which it is found again.
pub fn letter(mark: &str, octets: usize) -> Vec<u8> {
    let mut text = format!(
        "From: <sender@example.org>\r\nTo: <user@example.test>\r\nSubject: {mark}\r\n\
         Message-ID: <{mark}@example.org>\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n\r\n"
    )
    .into_bytes();
    let line = b"The quick brown fox jumps over the lazy dog, and the gate lets it pass.\r\n";
    while text.len() < octets {
        text.extend_from_slice(line);
    }
    text
}

const REPLY_LIMIT: Duration = Duration::from_secs(60);
/// Longer pieces are named by their length in the transcript.
const SHOWN: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_at_the_beginning_of_a_line_is_doubled() {
        assert_eq!(stuffed(b".a\r\nb.\r\n..\r\n"), b"..a\r\nb.\r\n...\r\n.\r\n");
    }

    #[test]
    fn a_reply_is_judged_on_its_last_line() {
        let reply = Reply { code: 250, lines: vec!["gate".into(), "SIZE 10".into(), "HELP".into()] };
        assert!(reply.is("250") && reply.is("250 HELP") && !reply.is("250 SIZE") && reply.has_line("SIZE"));
    }
}
