//! The command: reads two policies and the sessions, and tells what changes.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Change, NowhereError, SessionsError, changes, sessions};
use crate::simulate::command::{CourseFormat, PolicyOptions, print};
use crate::simulate::paint::{Paint, Tone};
use crate::simulate::{Network, PolicyError, Simulator};

/// Options of `diff`.
#[derive(Debug, Clone, Args)]
pub struct Diff {
    /// Folder of the policy as it is.
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// Folder of the policy as it is to be.
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Recorded sessions: JSON lines with remote_ip, helo, tls, account, sender, recipients, size.
    #[arg(long, value_name = "FILE")]
    pub sessions: PathBuf,
    /// How changes are shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: CourseFormat,
    /// How the folders are read.
    #[command(flatten)]
    pub policy: PolicyOptions,
}

/// Why there is nothing to compare. All of it is bad input: the exit status is 2.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The sessions.
    #[error(transparent)]
    Sessions(#[from] SessionsError),
    /// One of them.
    #[error(transparent)]
    Nowhere(#[from] NowhereError),
    /// The output.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// Runs the command: 0 when nothing would change, 1 when something would, as `diff` has it.
///
/// # Errors
/// [`DiffError`].
pub async fn diff(options: &Diff) -> Result<ExitCode, DiffError> {
    let load = |folder| Simulator::load(folder, &options.policy.load_options(), Network::Away);
    let (old, new) = (load(&options.old)?, load(&options.new)?);
    let sessions = sessions::read(&options.sessions)?;
    let changes = changes(&old, &new, &sessions).await?;
    print(&match options.format {
        CourseFormat::Text => told(&changes, sessions.len(), Paint::for_stdout()),
        CourseFormat::Json => serde_json::to_string_pretty(&changes).map_err(io::Error::from)? + "\n",
    })?;
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(changes: &[Change], sessions: usize, paint: Paint) -> String {
    let mut text = String::new();
    // Writing into a text cannot fail.
    for change in changes {
        let title = format!(
            "session {}: {} from <{}> to {}",
            change.session,
            change.remote_ip,
            change.sender,
            change.recipients.join(", ")
        );
        let _ = writeln!(text, "{}", paint.tone(Tone::Title, &title));
        let (old, new) = (change.old.lines(), change.new.lines());
        for line in old.iter().filter(|line| !new.contains(line)) {
            let _ = writeln!(text, "{}", paint.tone(Tone::Bad, &format!("- {line}")));
        }
        for line in new.iter().filter(|line| !old.contains(line)) {
            let _ = writeln!(text, "{}", paint.tone(Tone::Good, &format!("+ {line}")));
        }
    }
    let count = |was: bool, is: bool| {
        changes.iter().filter(|one| one.old.is_accepted() == was && one.new.is_accepted() == is).count()
    };
    let (refused, accepted) = (count(true, false), count(false, true));
    let _ = writeln!(
        text,
        "{sessions} sessions, {} would change: {refused} would be refused, {accepted} would be accepted, {} otherwise",
        changes.len(),
        changes.len() - refused - accepted
    );
    text
}
