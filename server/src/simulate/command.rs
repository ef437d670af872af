//! `postern simulate`: one session with the policy of a folder, told stage by stage.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::{Args, ValueEnum};
use postern_core::session::check::{CheckResult, DmarcPolicy};
use postern_core::smtp::reply::Reply;
use postern_core::verdict::Verdict;
use postern_crds::LoadOptions;

use super::message::{self, MessageError};
use super::paint::Paint;
use super::recording::{Recording, RecordingError};
use super::stubs::{FilterStub, Stubs, dmarc_of, filter_kind_of, result_of, stage_of};
use super::visit::{STRANGER, STRANGERS_NAME, Visit, VisitError};
use super::{Network, Outside, PolicyError, Simulator, text};

/// Options of `simulate`.
#[derive(Debug, Clone, Args)]
pub struct Simulate {
    /// Folder of manifests.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The session, and the world around it.
    #[command(flatten)]
    pub how: How,
}

/// Options of a simulation, wherever its policy comes from.
#[derive(Debug, Clone, Args)]
pub struct How {
    /// The message; without one a short one is made up.
    #[arg(value_name = "MESSAGE")]
    pub message: Option<PathBuf>,
    /// The session.
    #[command(flatten)]
    pub session: SessionOptions,
    /// What stubs say.
    #[command(flatten)]
    pub stubs: StubOptions,
    /// Really ask filters, DNS, and the next hops about recipients.
    #[arg(long, conflicts_with = "recorded")]
    pub live: bool,
    /// Take the answers of filters and DNS from this file.
    #[arg(long, value_name = "FILE")]
    pub recorded: Option<PathBuf>,
    /// Write the answers of filters and DNS to this file.
    #[arg(long, value_name = "FILE", requires = "live")]
    pub record: Option<PathBuf>,
    /// How the course is shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: CourseFormat,
    /// How the folder is read.
    #[command(flatten)]
    pub policy: PolicyOptions,
}

/// How a folder is read.
#[derive(Debug, Clone, Default, Args)]
pub struct PolicyOptions {
    /// Folder with the programs that an MtaPipe may run, as for `serve`.
    #[arg(long, env = "POSTERN_PIPE_DIR", value_name = "DIR")]
    pub pipe_dir: Option<PathBuf>,
}

/// Who comes, and what he wants.
#[derive(Debug, Clone, Args)]
pub struct SessionOptions {
    /// Name of the listener; by default the first one.
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// Address of the client.
    #[arg(long, value_name = "ADDRESS", default_value_t = STRANGER)]
    pub ip: IpAddr,
    /// Name of the client that reverse DNS confirms.
    #[arg(long, value_name = "NAME")]
    pub ptr: Option<String>,
    /// Name of EHLO.
    #[arg(long, value_name = "NAME", default_value = STRANGERS_NAME)]
    pub ehlo: String,
    /// Do STARTTLS.
    #[arg(long)]
    pub tls: bool,
    /// Log in as this account, whose password is taken to be right.
    #[arg(long, value_name = "ACCOUNT")]
    pub auth: Option<String>,
    /// Sender; empty for the null sender.
    #[arg(long, value_name = "ADDRESS")]
    pub from: String,
    /// Parameters of MAIL, such as `REQUIRETLS`.
    #[arg(long, value_name = "PARAMETERS", default_value = "")]
    pub mail_parameters: String,
    /// A recipient; again for each.
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub to: Vec<String>,
}

/// What stubs say instead of the world outside.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Stubs")]
pub struct StubOptions {
    /// Result of SPF of the sender: pass, fail, softfail, neutral, none, temperror, permerror.
    #[arg(long, value_name = "RESULT", value_parser = result, conflicts_with = "live")]
    pub spf: Option<CheckResult>,
    /// Result of SPF of the EHLO name.
    #[arg(long, value_name = "RESULT", value_parser = result, conflicts_with = "live")]
    pub spf_ehlo: Option<CheckResult>,
    /// Result of the one DKIM signature; there is none by default.
    #[arg(long, value_name = "RESULT", value_parser = result, conflicts_with = "live")]
    pub dkim: Option<CheckResult>,
    /// Result of the ARC chain.
    #[arg(long, value_name = "RESULT", value_parser = result, conflicts_with = "live")]
    pub arc: Option<CheckResult>,
    /// Result of DMARC, and what the domain asks for: `fail`, `fail:quarantine`.
    #[arg(long, value_name = "RESULT[:POLICY]", value_parser = dmarc, conflicts_with = "live")]
    pub dmarc: Option<(CheckResult, DmarcPolicy)>,
    /// Result of reverse DNS.
    #[arg(long, value_name = "RESULT", value_parser = result, conflicts_with = "live")]
    pub iprev: Option<CheckResult>,
    /// What a filter says: `MtaHook/judge=reject 550 5.7.1 no`, `MtaMilter/a@data=discard`, `MtaPipe/b=fail`.
    #[arg(long, value_name = "KIND/NAME[@STAGE]=VERDICT", value_parser = filter, conflicts_with = "live")]
    pub filter: Vec<FilterStub>,
    /// A throttle that refuses.
    #[arg(long, value_name = "NAME", conflicts_with = "live")]
    pub throttled: Vec<String>,
    /// The greylist lets everybody wait.
    #[arg(long, conflicts_with = "live")]
    pub greylisted: bool,
}

/// Form of a course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CourseFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Why there is no simulation. All of it is bad input: the exit status is 2.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The session.
    #[error(transparent)]
    Visit(#[from] VisitError),
    /// The message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The recording.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// A stub for something that the policy does not have.
    #[error("the policy has no {0}")]
    NothingToStub(String),
    /// The output.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// The exit status of bad input.
pub const BAD_INPUT: u8 = 2;

/// Runs the command with the policy of a folder.
///
/// # Errors
/// [`SimulateError`].
pub async fn simulate(folder: &Path, options: &How) -> Result<ExitCode, SimulateError> {
    let network = if options.live { Network::Reached } else { Network::Away };
    let simulator = Simulator::load(folder, &options.policy.load_options(), network)?;
    let visit = options.session.visit(options.message.as_deref())?;
    let stubs = options.stubs.stubs();
    stubs.check(simulator.policy()).map_err(SimulateError::NothingToStub)?;
    let outside = match &options.recorded {
        _ if options.live => Outside::Live(options.record.is_some().then(Mutex::default)),
        Some(file) => Outside::Recorded(Recording::read(file)?, stubs),
        None => Outside::Stubbed(stubs),
    };
    let course = simulator.run(&visit, &outside).await?;
    if let (Some(file), Outside::Live(Some(recording))) = (&options.record, outside) {
        recording.into_inner().unwrap_or_default().write(file)?;
    }
    let shown = match options.format {
        CourseFormat::Text => text::of(&course, Paint::for_stdout()),
        CourseFormat::Json => serde_json::to_string_pretty(&course).map_err(io::Error::from)? + "\n",
    };
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output, whose reader may stop early.
///
/// # Errors
/// Any other failure of it.
pub fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

impl PolicyOptions {
    /// How the loader is to read the folder.
    #[must_use]
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions { pipe_dir: self.pipe_dir.clone(), ..LoadOptions::default() }
    }
}

impl SessionOptions {
    /// The session, with a message from a file or a made-up one.
    ///
    /// # Errors
    /// When the file holds none.
    pub fn visit(&self, message: Option<&Path>) -> Result<Visit, MessageError> {
        let from = self.from.trim_start_matches('<').trim_end_matches('>');
        Ok(Visit {
            listener: self.listener.clone(),
            ip: self.ip,
            ptr: self.ptr.clone(),
            ehlo: self.ehlo.clone(),
            tls: self.tls,
            auth: self.auth.clone(),
            from: from.to_owned(),
            parameters: self.mail_parameters.clone(),
            to: self.to.clone(),
            message: match message {
                Some(file) => message::read(file)?,
                None => message::plain(from, &self.to),
            },
        })
    }
}

impl StubOptions {
    fn stubs(&self) -> Stubs {
        Stubs {
            reverse_dns: self.iprev,
            spf_ehlo: self.spf_ehlo,
            spf: self.spf,
            dkim: self.dkim,
            arc: self.arc,
            dmarc: self.dmarc,
            filters: self.filter.clone(),
            lookups: Vec::new(),
            throttled: self.throttled.clone(),
            greylisted: self.greylisted,
        }
    }
}

fn result(word: &str) -> Result<CheckResult, String> {
    result_of(word)
        .ok_or_else(|| "expected pass, fail, softfail, neutral, none, temperror or permerror".to_owned())
}

fn dmarc(text: &str) -> Result<(CheckResult, DmarcPolicy), String> {
    dmarc_of(text).ok_or_else(|| "expected a result such as fail, or fail:quarantine".to_owned())
}

/// `KIND/NAME[@STAGE]=VERDICT`
fn filter(text: &str) -> Result<FilterStub, String> {
    let (who, says) = text.split_once('=').ok_or("expected KIND/NAME=VERDICT")?;
    let (kind, rest) = who.split_once('/').ok_or("expected KIND/NAME before `=`")?;
    let (name, stage) = match rest.split_once('@') {
        Some((name, stage)) => (name, Some(stage_of(stage).ok_or(format!("no stage `{stage}`"))?)),
        None => (rest, None),
    };
    let kind = filter_kind_of(kind).ok_or(format!("`{kind}` is no kind of filter"))?;
    let (word, rest) = says.split_once(' ').unwrap_or((says, ""));
    let reply = || Reply::from_text(rest).ok_or(format!("`{rest}` is no reply"));
    let says = match word {
        "continue" => Some(Verdict::Pass(Vec::new())),
        "reject" => Some(Verdict::Reject(reply()?)),
        "defer" => Some(Verdict::Defer(reply()?)),
        "discard" => Some(Verdict::Discard),
        "disconnect" if rest.is_empty() => Some(Verdict::Disconnect(None)),
        "disconnect" => Some(Verdict::Disconnect(Some(reply()?))),
        "fail" => None,
        _ => return Err("expected continue, reject, defer, discard, disconnect or fail after `=`".into()),
    };
    Ok(FilterStub { kind, name: name.to_owned(), stage, says })
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_core::verdict::{FilterKind, Stage};

    #[test]
    fn a_filter_is_told_what_to_say_in_one_word_and_a_reply() {
        let stub = filter("MtaHook/judge@rcpt=reject 550 5.7.1 not you").unwrap();
        assert_eq!((stub.kind, &*stub.name, stub.stage), (FilterKind::Hook, "judge", Some(Stage::Rcpt)));
        assert!(matches!(stub.says, Some(Verdict::Reject(reply)) if reply.code() == 550));
        assert!(filter("MtaPipe/a=fail").unwrap().says.is_none());
        for wrong in
            ["judge=reject 550 no", "MtaHook/a", "MtaRoute/a=discard", "MtaHook/a=reject", "MtaHook/a@x=fail"]
        {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
