//! Reads transcripts; `tests/transcripts/README.md` describes the form.

use std::net::IpAddr;
use std::time::Duration;

/// One conversation and everything that has to be known to have it.
#[derive(Debug, Clone)]
pub(crate) struct Transcript {
    /// File and line, for reports.
    pub(crate) place: String,
    /// The promise.
    pub(crate) title: String,
    /// Rows of `rows.rs` that it shows.
    pub(crate) rows: Vec<String>,
    pub(crate) client: ClientFacts,
    /// Named files with manifests, later ones over earlier ones.
    pub(crate) policies: Vec<String>,
    /// Objects of its own, as `Kind/name: spec`.
    pub(crate) objects: String,
    /// What the world outside answers.
    pub(crate) given: Vec<Given>,
    /// Commands that are sent first and have to succeed.
    pub(crate) after: Vec<String>,
    pub(crate) steps: Vec<(usize, Step)>,
    /// Its dates are those of a clock that stands at the beginning of 2026.
    pub(crate) clock_stands_still: bool,
}

/// The client's side of the connection.
#[derive(Debug, Clone)]
pub(crate) struct ClientFacts {
    pub(crate) remote: IpAddr,
    /// The port of ours that it means to have reached.
    pub(crate) port: u16,
    pub(crate) protocol: String,
    pub(crate) tls: TlsOffer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsOffer {
    None,
    Available,
    Implicit,
}

/// One answer of the world outside.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) line: usize,
    pub(crate) topic: String,
    /// Whom it is about; unset: anybody.
    pub(crate) about: Option<String>,
    pub(crate) answer: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Octets of the client, in one write.
    Send(Vec<u8>),
    Reply(Expected),
    /// EHLO keywords that the last reply has, with their parameters.
    Has(String),
    Lacks(String),
    /// The last reply had no further lines.
    OneLine,
    /// What of the policy has decided the last action.
    Because(String),
    Waits(Duration),
    Closed,
    Handshake,
    Happens(Happening),
    /// Time goes by without anybody noticing.
    Passes(Duration),
    NewConnection,
    HandedTo(Handover),
    NothingHanded,
    /// A field of the message last handed on; its value begins with this.
    Field(String, String),
    NoField(String),
    /// Words among the parameters of the envelope last handed on.
    With(String),
    /// A line of the message last handed on.
    MessageLine(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    Idle,
    Expired,
    Shutdown,
}

/// A reply, or one line of it when `more` lines have to follow.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) code: String,
    pub(crate) more: bool,
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Handover {
    pub(crate) route: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
}

/// Reads all transcripts of a file.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Transcript>, String> {
    let mut transcripts = Vec::new();
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line)).peekable();
    while let Some((at, line)) = lines.next() {
        if is_blank(line) {
            continue;
        }
        let title = line.strip_prefix("== ").ok_or_else(|| format!("{file}:{at}: a title is needed"))?;
        let mut own = Vec::new();
        while let Some((_, line)) = lines.peek() {
            if line.starts_with("== ") {
                break;
            }
            own.extend(lines.next());
        }
        transcripts.push(transcript(file, at, title, &own)?);
    }
    Ok(transcripts)
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

fn transcript(file: &str, at: usize, title: &str, lines: &[(usize, &str)]) -> Result<Transcript, String> {
    let mut transcript = Transcript {
        place: format!("{file}:{at}"),
        title: title.to_owned(),
        rows: Vec::new(),
        client: ClientFacts {
            remote: IpAddr::from([198, 51, 100, 7]),
            port: 25,
            protocol: "smtp".to_owned(),
            tls: TlsOffer::Available,
        },
        policies: vec!["base".to_owned()],
        objects: String::new(),
        given: Vec::new(),
        after: Vec::new(),
        steps: Vec::new(),
        clock_stands_still: false,
    };
    let mut block = "";
    for (at, line) in lines.iter().copied() {
        let fault = |what: &str| format!("{file}:{at}: {what}: {line}");
        if is_blank(line) {
            continue;
        }
        if let Some(line) = line.strip_prefix("  ") {
            match block {
                "policy" => transcript.objects.push_str(&format!("{line}\n")),
                "given" => transcript.given.push(given(at, line.trim()).ok_or_else(|| fault("no answer"))?),
                _ => return Err(fault("belongs to nothing")),
            }
            continue;
        }
        block = "";
        if let Some(step) = step(line).map_err(|what| fault(&what))? {
            push_step(&mut transcript.steps, at, step);
            continue;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| fault("not understood"))?;
        let value = value.trim();
        if !transcript.steps.is_empty() {
            return Err(fault("comes after the first step"));
        }
        match (name, value) {
            ("policy", "") => block = "policy",
            ("given", "") => block = "given",
            ("policy", _) => transcript.policies.extend(list(value)),
            ("clock", "stands still") => transcript.clock_stands_still = true,
            ("rows", _) => transcript.rows = list(value),
            ("after", _) => transcript.after = value.split(';').map(|one| one.trim().to_owned()).collect(),
            ("remote", _) => transcript.client.remote = value.parse().map_err(|_| fault("no address"))?,
            ("port", _) => transcript.client.port = value.parse().map_err(|_| fault("no port"))?,
            ("protocol", _) => transcript.client.protocol = value.to_owned(),
            ("tls", "none") => transcript.client.tls = TlsOffer::None,
            ("tls", "available") => transcript.client.tls = TlsOffer::Available,
            ("tls", "implicit") => transcript.client.tls = TlsOffer::Implicit,
            _ => return Err(fault("not understood")),
        }
    }
    Ok(transcript)
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

fn given(line: usize, text: &str) -> Option<Given> {
    let (topic, answer) = text.split_once(": ")?;
    let (topic, about) = match topic.split_once(" for ") {
        Some((topic, about)) => (topic, Some(about.to_owned())),
        None => (topic, None),
    };
    Some(Given { line, topic: topic.to_owned(), about, answer: answer.to_owned() })
}

/// What the client says without waiting for a reply goes out in one write.
fn push_step(steps: &mut Vec<(usize, Step)>, at: usize, step: Step) {
    match (steps.last_mut(), step) {
        (Some((_, Step::Send(before))), Step::Send(octets)) => before.extend(octets),
        (_, step) => steps.push((at, step)),
    }
}

fn step(line: &str) -> Result<Option<Step>, String> {
    if let Some(text) = line.strip_prefix("C:") {
        let text = text.strip_prefix(' ').unwrap_or(text);
        return Ok(Some(Step::Send([text.as_bytes(), b"\r\n"].concat())));
    }
    if let Some(text) = line.strip_prefix("C> ") {
        return Ok(Some(Step::Send(octets(text)?)));
    }
    if let Some(text) = line.strip_prefix("S:") {
        return expectation(text.trim()).map(Some);
    }
    if let Some(rest) = line.strip_prefix("handed to ") {
        return handover(rest).map(|handover| Some(Step::HandedTo(handover)));
    }
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    Ok(Some(match (first, rest) {
        ("closed", "") => Step::Closed,
        ("because", cause) => Step::Because(cause.to_owned()),
        ("handshake", "") => Step::Handshake,
        ("idle", "") => Step::Happens(Happening::Idle),
        ("expired", "") => Step::Happens(Happening::Expired),
        ("shutdown", "") => Step::Happens(Happening::Shutdown),
        ("new", "connection") => Step::NewConnection,
        ("nothing", "handed on") => Step::NothingHanded,
        ("waits", span) => Step::Waits(duration(span)?),
        ("later", span) => Step::Passes(duration(span)?),
        ("with", words) => Step::With(words.to_owned()),
        ("line", text) => Step::MessageLine(text.to_owned()),
        ("no", rest) => Step::NoField(rest.strip_prefix("field ").ok_or("no what?")?.to_owned()),
        ("field", rest) => {
            let (name, value) = rest.split_once(':').ok_or("a field has a name and a value")?;
            Step::Field(name.to_owned(), value.trim().to_owned())
        }
        _ => return Ok(None),
    }))
}

fn expectation(text: &str) -> Result<Step, String> {
    if text == "one line" {
        return Ok(Step::OneLine);
    }
    if let Some(keyword) = text.strip_prefix("has ") {
        return Ok(Step::Has(keyword.to_owned()));
    }
    if let Some(keyword) = text.strip_prefix("lacks ") {
        return Ok(Step::Lacks(keyword.to_owned()));
    }
    let code = text.get(..3).filter(|code| code.bytes().all(|octet| octet.is_ascii_digit()));
    let code = code.ok_or("a reply begins with three digits")?;
    let rest = text.get(3..).unwrap_or_default();
    let words = rest.get(1..).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    Ok(Step::Reply(Expected { code: code.to_owned(), more: rest.starts_with('-'), words }))
}

/// `ROUTE: from <sender> to <recipient> <recipient>`
fn handover(text: &str) -> Result<Handover, String> {
    let (route, envelope) = text.split_once(": from ").ok_or("no route or no sender")?;
    let (from, to) = envelope.split_once(" to ").ok_or("no recipients")?;
    let to = to.split_whitespace().map(str::to_owned).collect();
    Ok(Handover { route: route.to_owned(), from: from.to_owned(), to })
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| "no span of time")?;
    match text.get(digits.len()..) {
        Some("ms") => Ok(Duration::from_millis(number)),
        Some("s") => Ok(Duration::from_secs(number)),
        Some("m") => Ok(Duration::from_secs(60 * number)),
        _ => Err("no unit of time".to_owned()),
    }
}

/// Octets with `\r`, `\n`, `\0`, `\\`, `\xHH`, `\{text*count}` and `\base64{text}`; the inner text has
/// escapes too.
fn octets(text: &str) -> Result<Vec<u8>, String> {
    let mut octets_so_far = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        octets_so_far.extend_from_slice(plain.as_bytes());
        rest = if let Some(inner) = escape.strip_prefix("base64{") {
            let (inner, after) = inner.split_once('}').ok_or("no closing brace")?;
            octets_so_far.extend(base64(&octets(inner)?).into_bytes());
            after
        } else if let Some(inner) = escape.strip_prefix('{') {
            let (inner, after) = inner.split_once('}').ok_or("no closing brace")?;
            let (inner, count) = inner.rsplit_once('*').ok_or("how often?")?;
            let count = count.parse().map_err(|_| "how often?")?;
            octets_so_far.extend(octets(inner)?.repeat(count));
            after
        } else if let Some(after) = escape.strip_prefix('x') {
            let digits = after.get(..2).ok_or("two digits are needed")?;
            octets_so_far.push(u8::from_str_radix(digits, 16).map_err(|_| "two digits are needed")?);
            &after[2..]
        } else {
            octets_so_far.push(match escape.chars().next() {
                Some('r') => b'\r',
                Some('n') => b'\n',
                Some('0') => 0,
                Some('\\') => b'\\',
                _ => return Err("no such escape".to_owned()),
            });
            &escape[1..]
        };
    }
    octets_so_far.extend_from_slice(rest.as_bytes());
    Ok(octets_so_far)
}

fn base64(octets: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(octets)
}
