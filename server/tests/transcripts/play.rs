//! Plays a transcript against a gate, wherever that gate is.

use std::collections::VecDeque;
use std::time::Duration;

use super::format::{Expected, Happening, Step, Transcript};

/// The gate as a client sees it.
pub(crate) trait Peer {
    fn send(&mut self, octets: &[u8]) -> Result<(), String>;
    /// What comes next from the gate; nothing when it waits for the client.
    fn next(&mut self) -> Option<Seen>;
    /// As `next`, when nothing should come.
    fn unexpected(&mut self) -> Option<Seen>;
    /// Makes sure that the gate pauses before it goes on.
    fn pause(&mut self, span: Duration) -> Result<(), String>;
    fn handshake(&mut self) -> Result<(), String>;
    fn happens(&mut self, happening: Happening) -> Result<(), String>;
    fn later(&mut self, span: Duration) -> Result<(), String>;
    fn connect_again(&mut self) -> Result<(), String>;
    /// What of the policy has decided the last action; nothing where only the session itself would know.
    fn because(&self) -> Option<String> {
        None
    }
    /// What the next hops hold that no step has looked at.
    fn handed(&mut self) -> &mut VecDeque<Handed>;
}

/// Something that the client sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Line(String),
    Pause(Duration),
    End,
}

/// One copy of a message at a next hop.
#[derive(Debug, Clone)]
pub(crate) struct Handed {
    pub(crate) id: String,
    pub(crate) route: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) parameters: Vec<String>,
    pub(crate) message: Vec<u8>,
}

/// Plays all steps; the error says at which line the gate does something else.
pub(crate) fn play(transcript: &Transcript, peer: &mut dyn Peer) -> Result<(), String> {
    let mut player = Player { peer, reply: Vec::new(), handed: None };
    if !transcript.after.is_empty() {
        player.begin(&transcript.after).map_err(|what| format!("{}: after: {what}", transcript.place))?;
    }
    let file = transcript.place.split(':').next().unwrap_or_default();
    for (line, step) in &transcript.steps {
        player.step(step).map_err(|what| format!("{file}:{line}: {what} ({})", transcript.title))?;
    }
    if let Some(seen) = player.peer.unexpected() {
        return Err(format!("{}: nothing more was expected, but {seen:?}", transcript.place));
    }
    match player.peer.handed() {
        handed if handed.is_empty() => Ok(()),
        handed => Err(format!("{}: also handed on are {:?}", transcript.place, brief(handed))),
    }
}

struct Player<'a> {
    peer: &'a mut dyn Peer,
    /// The lines of the last reply.
    reply: Vec<String>,
    handed: Option<Handed>,
}

impl Player<'_> {
    fn begin(&mut self, commands: &[String]) -> Result<(), String> {
        self.success("the greeting")?;
        for command in commands {
            self.peer.send(format!("{command}\r\n").as_bytes())?;
            self.success(command)?;
            if command.eq_ignore_ascii_case("STARTTLS") {
                self.peer.handshake()?;
            }
        }
        Ok(())
    }

    fn success(&mut self, what: &str) -> Result<(), String> {
        self.whole_reply()?;
        match self.reply.first() {
            Some(line) if line.starts_with('2') => Ok(()),
            other => Err(format!("{what} got {other:?}")),
        }
    }

    fn line(&mut self) -> Result<String, String> {
        match self.peer.next() {
            Some(Seen::Line(line)) => Ok(line),
            Some(seen) => Err(format!("a reply was expected, but {seen:?}")),
            None => Err("a reply was expected, but nothing came".to_owned()),
        }
    }

    fn whole_reply(&mut self) -> Result<(), String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line);
            if !more {
                break;
            }
        }
        self.reply = lines;
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(octets) => match self.peer.unexpected() {
                None => self.peer.send(octets),
                Some(seen) => Err(format!("the client's turn was expected, but {seen:?}")),
            },
            Step::Reply(expected) => self.expect(expected),
            Step::Has(keyword) => match self.keyword(keyword) {
                Some(_) => Ok(()),
                None => Err(format!("no {keyword} in {:?}", self.reply)),
            },
            Step::Lacks(keyword) => match self.keyword(keyword) {
                Some(line) => Err(format!("there is {line}")),
                None => Ok(()),
            },
            Step::OneLine => match self.reply.len() {
                1 => Ok(()),
                _ => Err(format!("several lines: {:?}", self.reply)),
            },
            Step::Because(expected) => match self.peer.because() {
                Some(cause) if cause != *expected => {
                    Err(format!("{expected:?} was to decide, but {cause:?}"))
                }
                _ => Ok(()),
            },
            Step::Waits(span) => self.peer.pause(*span),
            Step::Closed => match self.peer.next() {
                Some(Seen::End) => Ok(()),
                seen => Err(format!("the end was expected, but {seen:?}")),
            },
            Step::Handshake => self.peer.handshake(),
            Step::Happens(happening) => self.peer.happens(*happening),
            Step::Passes(span) => self.peer.later(*span),
            Step::NewConnection => self.peer.connect_again(),
            other => self.handed_step(other),
        }
    }

    fn expect(&mut self, expected: &Expected) -> Result<(), String> {
        let line = if expected.more {
            let line = self.line()?;
            self.reply = vec![line.clone()];
            line
        } else {
            self.whole_reply()?;
            self.reply.first().cloned().unwrap_or_default()
        };
        let (code, rest) = line.split_at_checked(3).ok_or_else(|| format!("no reply: {line}"))?;
        let mut words = rest.get(1..).unwrap_or_default().split_whitespace();
        let fits = code == expected.code
            && (!expected.more || rest.starts_with('-'))
            && expected.words.iter().all(|word| words.next() == Some(word));
        if !fits {
            return Err(format!("{} {:?} was expected, but {line}", expected.code, expected.words));
        }
        match self.reply.last() {
            Some(last) if !expected.more && !has_id_if_it_refuses(last) => {
                Err(format!("a refusal has to end with an id, but {last}"))
            }
            _ => Ok(()),
        }
    }

    /// The line of the last reply that begins with these words.
    fn keyword(&self, keyword: &str) -> Option<&String> {
        self.reply.iter().find(|line| {
            let mut words = line.get(4..).unwrap_or_default().split_whitespace();
            keyword.split_whitespace().all(|word| words.next() == Some(word))
        })
    }

    fn handed_step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::NothingHanded => match self.peer.handed().front() {
                None => Ok(()),
                Some(handed) => {
                    Err(format!("handed to {}: from {} to {:?}", handed.route, handed.from, handed.to))
                }
            },
            Step::HandedTo(wanted) => {
                let handed = self.peer.handed();
                let at = handed
                    .iter()
                    .position(|one| {
                        one.route == wanted.route && one.from == wanted.from && one.to == wanted.to
                    })
                    .ok_or_else(|| format!("handed on are only {:?}", brief(handed)))?;
                self.handed = handed.remove(at);
                Ok(())
            }
            Step::Field(name, value) => match self.fields(name)?.iter().any(|found| found.starts_with(value))
            {
                true => Ok(()),
                false => Err(format!("fields {name} are {:?}", self.fields(name)?)),
            },
            Step::NoField(name) => match self.fields(name)?.first() {
                None => Ok(()),
                Some(value) => Err(format!("there is {name}: {value}")),
            },
            Step::With(words) => {
                let parameters = &self.last()?.parameters;
                match words.split_whitespace().all(|word| parameters.iter().any(|one| one == word)) {
                    true => Ok(()),
                    false => Err(format!("the parameters are {parameters:?}")),
                }
            }
            Step::MessageLine(line) => {
                let message = String::from_utf8_lossy(&self.last()?.message).into_owned();
                match message.split("\r\n").any(|one| one == line) {
                    true => Ok(()),
                    false => Err(format!("the message is {message:?}")),
                }
            }
            _ => Err("not a step of this kind".to_owned()),
        }
    }

    fn last(&self) -> Result<&Handed, String> {
        self.handed.as_ref().ok_or_else(|| "no `handed to` before".to_owned())
    }

    /// Values of the fields of that name, unfolded.
    fn fields(&self, name: &str) -> Result<Vec<String>, String> {
        let message = String::from_utf8_lossy(&self.last()?.message).into_owned();
        let header = message.split("\r\n\r\n").next().unwrap_or_default();
        let header = header.replace("\r\n\t", " ").replace("\r\n ", " ");
        Ok(header
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .collect())
    }
}

fn brief(handed: &VecDeque<Handed>) -> Vec<(&str, &str, &[String])> {
    handed.iter().map(|one| (&*one.route, &*one.from, &*one.to)).collect()
}

/// Whether the last line of a reply ends with ` [id …]` if it is a refusal.
fn has_id_if_it_refuses(line: &str) -> bool {
    let id = line.strip_suffix(']').and_then(|line| line.rsplit_once("[id ")).map(|(_, id)| id);
    let is_id = |id: &str| id.len() == 32 && id.bytes().all(|octet| octet.is_ascii_hexdigit());
    !line.starts_with(['4', '5']) || id.is_some_and(is_id)
}
