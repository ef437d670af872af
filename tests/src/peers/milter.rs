//! A milter seen from the mail server: one message is put to it, and what it adds is given back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};

use crate::port::Port;

/// Where a message comes from.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The client's address.
    pub client: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What it said in EHLO.
    pub helo: &'a str,
    /// The sender, without brackets.
    pub sender: &'a str,
}

/// Puts a message to a milter; the fields that it adds.
///
/// # Errors
/// When it refuses the message, or does not speak as expected.
pub fn consult(port: &Port, envelope: &Envelope<'_>, message: &[u8]) -> Result<Vec<(String, String)>> {
    let end = message.windows(4).position(|octets| octets == b"\r\n\r\n");
    let (header, body) = message.split_at(end.ok_or_else(|| anyhow!("no body"))?);
    let mut milter = Milter::connect(port)?;
    let family = if envelope.client.contains(':') { '6' } else { '4' };
    let connect = format!("{}\0{family}\x10\0{}\0", envelope.name, envelope.client);
    milter.tell(b'C', NO_CONNECT, NO_REPLY_CONNECT, connect.as_bytes())?;
    milter.tell(b'H', NO_HELO, NO_REPLY_HELO, format!("{}\0", envelope.helo).as_bytes())?;
    milter.tell(b'M', NO_MAIL, NO_REPLY_MAIL, format!("<{}>\0", envelope.sender).as_bytes())?;
    milter.tell(b'R', NO_RCPT, NO_REPLY_RCPT, b"<anna@example.test>\0")?;
    for field in fields(&String::from_utf8_lossy(header)) {
        let (name, value) = field.split_once(':').ok_or_else(|| anyhow!("no field: {field}"))?;
        let value = match milter.steps & LEADING_SPACE {
            0 => value.strip_prefix(' ').unwrap_or(value),
            _ => value,
        };
        let field = format!("{name}\0{}\0", value.replace("\r\n", "\n"));
        milter.tell(b'L', NO_HEADER, NO_REPLY_HEADER, field.as_bytes())?;
    }
    milter.tell(b'N', NO_END_OF_HEADER, NO_REPLY_END_OF_HEADER, b"")?;
    for chunk in body.get(4..).unwrap_or_default().chunks(65_535) {
        milter.tell(b'B', NO_BODY, NO_REPLY_BODY, chunk)?;
    }
    milter.added()
}

/// The fields of a header, folds included, without the last line end of each.
fn fields(header: &str) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for line in header.split("\r\n") {
        match fields.last_mut() {
            Some(field) if line.starts_with([' ', '\t']) => *field = format!("{field}\r\n{line}"),
            _ => fields.push(line.to_owned()),
        }
    }
    fields
}

/// A connection to a milter, as far as a signer needs it.
struct Milter {
    stream: TcpStream,
    /// What the two agreed to leave out.
    steps: u32,
}

impl Milter {
    fn connect(port: &Port) -> Result<Self> {
        let stream = TcpStream::connect(port.address())?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut milter = Self { stream, steps: 0 };
        let offer = [6_u32, ALL_ACTIONS, ALL_STEPS].map(u32::to_be_bytes).concat();
        milter.send(b'O', &offer)?;
        let (command, answer) = milter.receive()?;
        let steps = answer.get(8..12).and_then(|octets| octets.try_into().ok()).map(u32::from_be_bytes);
        ensure!(command == b'O', "negotiation was answered {}", char::from(command));
        milter.steps = steps.ok_or_else(|| anyhow!("a short answer to negotiation"))?;
        Ok(milter)
    }

    /// Tells of a step, unless it was left out, and takes the answer, unless there is none.
    fn tell(&mut self, command: u8, left_out: u32, unanswered: u32, data: &[u8]) -> Result<()> {
        if self.steps & left_out != 0 {
            return Ok(());
        }
        self.send(command, data)?;
        if self.steps & unanswered != 0 {
            return Ok(());
        }
        match self.receive()? {
            (b'c' | b's', _) => Ok(()),
            (answer, _) => bail!("{} was answered {}", char::from(command), char::from(answer)),
        }
    }

    /// The end of the message, and the fields among what is asked for.
    fn added(&mut self) -> Result<Vec<(String, String)>> {
        self.send(b'E', b"")?;
        let mut added = Vec::new();
        loop {
            let (command, data) = self.receive()?;
            let field = match command {
                b'h' => &*data,
                b'i' => data.get(4..).unwrap_or_default(),
                b'c' | b'a' => return Ok(added),
                b'r' | b't' | b'y' => bail!("the message was refused"),
                _ => continue,
            };
            let text = String::from_utf8_lossy(field).into_owned();
            if let Some((name, value)) = text.split_once('\0') {
                let value = value.trim_end_matches('\0').trim_start().replace('\n', "\r\n");
                added.push((name.to_owned(), value));
            }
        }
    }

    fn send(&mut self, command: u8, data: &[u8]) -> Result<()> {
        let length = u32::try_from(data.len() + 1)?.to_be_bytes();
        self.stream.write_all(&[&length[..], &[command], data].concat())?;
        Ok(())
    }

    fn receive(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut packet = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut packet)?;
        let (command, data) = packet.split_first().ok_or_else(|| anyhow!("an empty packet"))?;
        Ok((*command, data.to_vec()))
    }
}

const ALL_ACTIONS: u32 = 0x1ff;
const ALL_STEPS: u32 = 0x1f_ffff;
const NO_CONNECT: u32 = 0x1;
const NO_HELO: u32 = 0x2;
const NO_MAIL: u32 = 0x4;
const NO_RCPT: u32 = 0x8;
const NO_BODY: u32 = 0x10;
const NO_HEADER: u32 = 0x20;
const NO_END_OF_HEADER: u32 = 0x40;
const NO_REPLY_HEADER: u32 = 0x80;
const NO_REPLY_CONNECT: u32 = 0x1000;
const NO_REPLY_HELO: u32 = 0x2000;
const NO_REPLY_MAIL: u32 = 0x4000;
const NO_REPLY_RCPT: u32 = 0x8000;
const NO_REPLY_END_OF_HEADER: u32 = 0x4_0000;
const NO_REPLY_BODY: u32 = 0x8_0000;
const LEADING_SPACE: u32 = 0x10_0000;
