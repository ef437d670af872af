//! One conversation of the next hop: a small, correct SMTP and LMTP server with a place for a fault before each of its answers.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use super::{Fault, Phase, Protocol, Shared, Stored};

/// Speaks with one client until it quits, breaks off, or a fault ends the conversation.
pub(super) fn serve(shared: &Shared, stream: TcpStream, number: u64) -> io::Result<()> {
    let input = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
    let mut session = Session { shared, number, input, output: stream, envelope: Envelope::default() };
    session.at(Phase::Greeting, "220 hop.example.test ESMTP")?;
    while session.command()? {}
    Ok(())
}

struct Session<'a> {
    shared: &'a Shared,
    number: u64,
    input: BufReader<TcpStream>,
    output: TcpStream,
    envelope: Envelope,
}

#[derive(Default)]
struct Envelope {
    sender: Option<String>,
    recipients: Vec<String>,
    /// Chunks of a message that comes by BDAT.
    chunks: Option<Message>,
}

#[derive(Default)]
struct Message {
    octets: u64,
    kept: Vec<u8>,
}

impl Message {
    fn push(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        if self.kept.len() + octets.len() <= KEPT {
            self.kept.extend_from_slice(octets);
        }
    }
}

impl Session<'_> {
    /// Reads and answers one command; false after QUIT and at the end of the connection.
    fn command(&mut self) -> io::Result<bool> {
        let mut line = Vec::new();
        if self.input.read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "LHLO" => self.hello()?,
            "HELO" => self.at(Phase::Hello, "250 hop.example.test").map(drop)?,
            "MAIL" => self.mail(rest)?,
            "RCPT" => self.rcpt(rest)?,
            "DATA" => self.data()?,
            "BDAT" => self.bdat(rest)?,
            "RSET" => {
                self.envelope = Envelope::default();
                self.write("250 2.0.0 reset")?;
            }
            "NOOP" => self.write("250 2.0.0 ok")?,
            "QUIT" => {
                self.write("221 2.0.0 bye")?;
                return Ok(false);
            }
            _ => self.write("500 5.5.1 unknown command")?,
        }
        Ok(true)
    }

    fn hello(&mut self) -> io::Result<()> {
        self.envelope = Envelope::default();
        let mut lines = vec!["hop.example.test".to_owned()];
        lines.extend(self.shared.extensions.iter().cloned());
        let last = lines.len() - 1;
        let reply: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(at, line)| if at == last { format!("250 {line}") } else { format!("250-{line}") })
            .collect();
        self.at(Phase::Hello, &reply.join("\r\n")).map(drop)
    }

    fn mail(&mut self, rest: &str) -> io::Result<()> {
        if self.envelope.sender.is_some() {
            return self.write("503 5.5.1 nested MAIL");
        }
        let sender = after_colon(rest).to_owned();
        if self.at(Phase::Mail, "250 2.1.0 sender ok")? {
            self.envelope.sender = Some(sender);
        }
        Ok(())
    }

    fn rcpt(&mut self, rest: &str) -> io::Result<()> {
        if self.envelope.sender.is_none() {
            return self.write("503 5.5.1 MAIL first");
        }
        let address = address(after_colon(rest)).to_owned();
        let reply = self.shared.lock().at_rcpt.get(&address).cloned();
        let reply = reply.unwrap_or_else(|| "250 2.1.5 recipient ok".to_owned());
        if self.at(Phase::Rcpt, &reply)? {
            self.envelope.recipients.push(address);
        }
        Ok(())
    }

    fn data(&mut self) -> io::Result<()> {
        if self.envelope.recipients.is_empty() {
            return self.write("503 5.5.1 no recipients");
        }
        if !self.at(Phase::Data, "354 go on")? {
            return Ok(());
        }
        let mut message = Message::default();
        let mut pause = None;
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.input.read_until(b'\n', &mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if message.octets == 0 {
                pause = self.at_body()?;
            }
            if line == b".\r\n" {
                break;
            }
            message.push(line.strip_prefix(b".").unwrap_or(&line));
            if let Some(pause) = pause {
                thread::sleep(pause);
            }
        }
        self.finish(message)
    }

    fn bdat(&mut self, rest: &str) -> io::Result<()> {
        let mut words = rest.split_whitespace();
        let Some(size) = words.next().and_then(|size| size.parse::<u64>().ok()) else {
            return self.write("501 5.5.2 BDAT needs a size");
        };
        let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        let mut message = match self.envelope.chunks.take() {
            Some(message) => message,
            None => {
                self.silent(Phase::Data)?;
                self.at_body()?;
                Message::default()
            }
        };
        let mut left = size;
        while left > 0 {
            let ready = self.input.fill_buf()?;
            if ready.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let part = ready.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(ready);
            message.push(part);
            let taken = part.len();
            self.input.consume(taken);
            left -= taken as u64;
        }
        if last {
            return self.finish(message);
        }
        self.envelope.chunks = Some(message);
        self.write("250 2.0.0 chunk ok")
    }

    /// The message is complete: stores it for those recipients whose answer will be positive, then answers.
    fn finish(&mut self, message: Message) -> io::Result<()> {
        let envelope = std::mem::take(&mut self.envelope);
        let fault = self.shared.reach(Phase::Dot);
        if let Some((Fault::Answer(reply), _)) = &fault {
            let answers = if self.shared.protocol == Protocol::Lmtp { envelope.recipients.len() } else { 1 };
            for _ in 0..answers {
                self.say(reply)?;
            }
            return Ok(());
        }
        let pause = self.endure(fault)?;
        let (taken, replies) = self.verdicts(&envelope.recipients);
        if !taken.is_empty() {
            self.shared.lock().stored.push(Stored {
                connection: self.number,
                sender: envelope.sender.unwrap_or_default(),
                recipients: taken,
                octets: message.octets,
                message: message.kept,
            });
        }
        self.silent(Phase::Stored)?;
        for reply in replies {
            self.write_slowly(&reply, pause)?;
        }
        self.silent(Phase::Answered)
    }

    /// For whom the message is taken, and what is answered.
    fn verdicts(&self, recipients: &[String]) -> (Vec<String>, Vec<String>) {
        let accepted = || "250 2.0.0 stored".to_owned();
        if self.shared.protocol == Protocol::Smtp {
            return (recipients.to_vec(), vec![accepted()]);
        }
        let state = self.shared.lock();
        let replies: Vec<String> =
            recipients.iter().map(|rcpt| state.at_dot.get(rcpt).cloned().unwrap_or_else(accepted)).collect();
        let taken = recipients.iter().zip(&replies).filter(|(_, reply)| reply.starts_with('2'));
        (taken.map(|(rcpt, _)| rcpt.clone()).collect(), replies)
    }

    /// Answers `usual`, or does what is armed; true if the answer was positive (2xx or 354).
    fn at(&mut self, phase: Phase, usual: &str) -> io::Result<bool> {
        let reply = match self.shared.reach(phase) {
            Some((Fault::Answer(reply), _)) => {
                self.say(&reply)?;
                reply
            }
            fault => {
                let pause = self.endure(fault)?;
                self.write_slowly(usual, pause)?;
                usual.to_owned()
            }
        };
        // A lie (such as 250 to DATA) is not what the next step needs: the hop goes on as if it had refused.
        Ok(reply.get(..3) == usual.get(..3) && reply.starts_with(['2', '3']))
    }

    /// The beginning of the message: gives the pause between lines when it is to be read slowly.
    fn at_body(&mut self) -> io::Result<Option<Duration>> {
        match self.shared.reach(Phase::Body) {
            Some((Fault::Answer(reply), _)) => self.say(&reply).map(|()| None),
            fault => self.endure(fault),
        }
    }

    /// A phase in which nothing is due to be said.
    fn silent(&mut self, phase: Phase) -> io::Result<()> {
        match self.shared.reach(phase) {
            Some((Fault::Answer(reply), _)) => self.say(&reply),
            fault => self.endure(fault).map(drop),
        }
    }

    /// Does what is armed. `Ok` means: go on, with this pause; an error ends the conversation.
    fn endure(&mut self, due: Option<(Fault, u64)>) -> io::Result<Option<Duration>> {
        let Some((fault, releases)) = due else { return Ok(None) };
        match fault {
            Fault::Answer(_) => Ok(None),
            Fault::Slow(pause) => Ok(Some(pause)),
            Fault::Hold => {
                self.shared.hold(releases);
                Ok(None)
            }
            Fault::Close => {
                // A FIN before the socket goes away: unread input would turn the close into a reset.
                self.output.shutdown(Shutdown::Write)?;
                Err(ErrorKind::ConnectionAborted.into())
            }
            Fault::Reset => {
                socket2::SockRef::from(&self.output).set_linger(Some(Duration::ZERO))?;
                // The registered copy would keep the socket open.
                self.shared.lock().open.remove(&self.number);
                Err(ErrorKind::ConnectionReset.into())
            }
            Fault::Hang => self.listen_only(),
            Fault::Garbage => {
                self.output
                    .write_all(b"\x00\xff\xfe\x80not a reply at all\r\n\r\n250\r\n99999 \xc3\x28\r\n")?;
                self.listen_only()
            }
            Fault::Flood => {
                for _ in 0..FLOOD_BLOCKS {
                    self.output.write_all(&[b'2'; 4096])?;
                }
                self.listen_only()
            }
        }
    }

    /// Takes everything and says nothing until the other side gives up.
    fn listen_only(&mut self) -> io::Result<Option<Duration>> {
        let mut nothing = [0_u8; 4096];
        while self.input.read(&mut nothing)? > 0 {}
        Err(ErrorKind::ConnectionAborted.into())
    }

    /// Says this instead of what was due. After 421 the connection is closed (RFC 5321 section 3.8).
    fn say(&mut self, reply: &str) -> io::Result<()> {
        self.write(reply)?;
        if !reply.starts_with("421") {
            return Ok(());
        }
        self.output.shutdown(Shutdown::Write)?;
        Err(ErrorKind::ConnectionAborted.into())
    }

    fn write(&mut self, reply: &str) -> io::Result<()> {
        self.output.write_all(format!("{reply}\r\n").as_bytes())
    }

    fn write_slowly(&mut self, reply: &str, pause: Option<Duration>) -> io::Result<()> {
        let Some(pause) = pause else { return self.write(reply) };
        for octet in format!("{reply}\r\n").into_bytes() {
            self.output.write_all(&[octet])?;
            thread::sleep(pause);
        }
        Ok(())
    }
}

/// `FROM:<a@b> SIZE=1` -> `<a@b> SIZE=1`
fn after_colon(rest: &str) -> &str {
    rest.split_once(':').map_or("", |(_, path)| path.trim())
}

/// `<a@b> SIZE=1` -> `a@b`
fn address(path: &str) -> &str {
    path.strip_prefix('<').and_then(|path| path.split_once('>')).map_or(path, |(address, _)| address)
}

/// Messages are kept up to this length.
const KEPT: usize = 4 << 20;
/// A flood is 64 MiB.
const FLOOD_BLOCKS: usize = 16 * 1024;
