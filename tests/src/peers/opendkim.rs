//! OpenDKIM as a signer: the daemon as Debian ships it, spoken to as a mail server would, by the milter protocol.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tempfile::TempDir;

use crate::port::Port;
use crate::process::{self, Ending, Program};
use crate::require;
use crate::wait::{self, PATIENCE};

/// A running OpenDKIM that signs for one domain.
#[derive(Debug)]
pub struct OpenDkim {
    _program: Program,
    port: Port,
    home: TempDir,
    selector: String,
}

/// How a message is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `c=simple/simple`
    Simple,
    /// `c=relaxed/relaxed`
    Relaxed,
}

impl OpenDkim {
    /// Makes a key of 2048 bits and starts a signer with it.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(domain: &str, selector: &str, form: Form) -> Result<Self> {
        let home = TempDir::with_prefix("postern-opendkim-")?;
        let mut generate = Command::new(program("opendkim-genkey"));
        generate.args(["-a", "-b", "2048", "-d", domain, "-s", selector, "-D"]).arg(home.path());
        process::run(&mut generate)?;
        let port = Port::reserve()?;
        let form = match form {
            Form::Simple => "simple/simple",
            Form::Relaxed => "relaxed/relaxed",
        };
        let key = home.path().join(format!("{selector}.private"));
        // The key lies in a temporary folder, which others can pass through.
        let settings = format!(
            "Mode s\nCanonicalization {form}\nSignatureAlgorithm rsa-sha256\nDomain {domain}\nSelector {selector}\nKeyFile {}\n\
             RequireSafeKeys no\nSocket inet:{}@127.0.0.1\nSyslog no\n",
            key.display(),
            port.number()
        );
        let file = home.path().join("opendkim.conf");
        fs::write(&file, settings)?;
        let mut command = Command::new(program("opendkim"));
        command.arg("-f").arg("-x").arg(&file);
        let mut program = Program::start("opendkim", command, &home.path().join("log"), Ending::Terminate)?;
        wait::until("OpenDKIM", PATIENCE, || {
            program.must_run()?;
            Ok(TcpStream::connect(port.address()).ok())
        })?;
        Ok(Self { _program: program, port, home, selector: selector.to_owned() })
    }

    /// The record of its key, for a zone file.
    ///
    /// # Errors
    /// When the file that was made is not there.
    pub fn record(&self) -> Result<String> {
        let file: PathBuf = self.home.path().join(format!("{}.txt", self.selector));
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    }

    /// The message with the signature above it.
    ///
    /// # Errors
    /// When it signs nothing, or does not speak as expected.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let text = std::str::from_utf8(message)?;
        let (header, body) = text.split_once("\r\n\r\n").ok_or_else(|| anyhow!("no body"))?;
        let mut milter = Milter::connect(&self.port)?;
        milter.tell(b'C', NO_CONNECT, NO_REPLY_CONNECT, b"client.example.org\x004\x10\x00127.0.0.1\0")?;
        milter.tell(b'H', NO_HELO, NO_REPLY_HELO, b"client.example.org\0")?;
        milter.tell(b'M', NO_MAIL, NO_REPLY_MAIL, b"<s@example.org>\0")?;
        milter.tell(b'R', NO_RCPT, NO_REPLY_RCPT, b"<anna@example.test>\0")?;
        for field in fields(header) {
            let (name, value) = field.split_once(':').ok_or_else(|| anyhow!("no field: {field}"))?;
            let value = match milter.steps & LEADING_SPACE {
                0 => value.strip_prefix(' ').unwrap_or(value),
                _ => value,
            };
            let field = format!("{name}\0{}\0", value.replace("\r\n", "\n"));
            milter.tell(b'L', NO_HEADER, NO_REPLY_HEADER, field.as_bytes())?;
        }
        milter.tell(b'N', NO_END_OF_HEADER, NO_REPLY_END_OF_HEADER, b"")?;
        for chunk in body.as_bytes().chunks(65_535) {
            milter.tell(b'B', NO_BODY, NO_REPLY_BODY, chunk)?;
        }
        let signature = milter.signature()?;
        Ok([format!("DKIM-Signature: {signature}\r\n").as_bytes(), message].concat())
    }
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

    /// The end of the message, and the signature among what is asked for.
    fn signature(&mut self) -> Result<String> {
        self.send(b'E', b"")?;
        let mut signature = None;
        loop {
            let (command, data) = self.receive()?;
            let field = match command {
                b'h' => &*data,
                b'i' => data.get(4..).unwrap_or_default(),
                b'c' | b'a' => return signature.ok_or_else(|| anyhow!("nothing was signed")),
                b'r' | b't' => bail!("the message was refused"),
                _ => continue,
            };
            let text = String::from_utf8_lossy(field).into_owned();
            if let Some(value) = text.strip_prefix("DKIM-Signature\0") {
                signature = Some(value.trim_end_matches('\0').trim_start().replace('\n', "\r\n"));
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

fn program(name: &str) -> PathBuf {
    require::program(name).unwrap_or_else(|| name.into())
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
