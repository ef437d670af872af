//! `postern diff`: recorded sessions under two policies, and what would be different (`docs/testing-policies.md`).

pub mod command;
mod sessions;

use jiff::Timestamp;
use serde::Serialize;

use self::sessions::Recorded;
pub use self::sessions::SessionsError;
use crate::simulate::report::{Course, Decider};
use crate::simulate::stubs::Stubs;
use crate::simulate::visit::VisitError;
use crate::simulate::{Outside, Simulator};

/// What a policy makes of a session, as far as two policies are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fate {
    /// The stage at which it was decided.
    stage: String,
    /// The reply.
    reply: String,
    /// What of the policy has decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<Decider>,
    /// The reply to each recipient.
    recipients: Vec<(String, String)>,
    /// What is handed on.
    handed_on: Vec<Parcel>,
}

/// One message to one next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Parcel {
    route: String,
    from: String,
    to: Vec<String>,
    /// What the policy has made of the message.
    changes: String,
}

/// A session that two policies treat differently.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    /// Which session, from 1.
    session: usize,
    remote_ip: String,
    sender: String,
    recipients: Vec<String>,
    old: Fate,
    new: Fate,
}

/// A session is about what neither policy has.
#[derive(Debug, thiserror::Error)]
#[error("session {session}: {cause}")]
pub struct NowhereError {
    /// Which session, from 1.
    session: usize,
    /// What they lack.
    cause: VisitError,
}

/// Runs every session with both policies. Both see the same clock, so that equal messages are equal.
async fn changes(
    old: &Simulator,
    new: &Simulator,
    sessions: &[Recorded],
) -> Result<Vec<Change>, NowhereError> {
    let outside = Outside::Stubbed(Stubs::default());
    let mut changes = Vec::new();
    for (place, session) in sessions.iter().enumerate() {
        let (visit, now, session_number) = (session.visit(), Timestamp::now(), place + 1);
        let before = old.run_at(&visit, &outside, now).await;
        let after = new.run_at(&visit, &outside, now).await;
        if let (Err(_), Err(cause)) = (&before, &after) {
            return Err(NowhereError { session: session_number, cause: cause.clone() });
        }
        let (before, after) = (Fate::of(&before), Fate::of(&after));
        if before != after {
            changes.push(Change {
                session: session_number,
                remote_ip: session.remote_ip.to_string(),
                sender: session.sender.clone(),
                recipients: session.recipients.clone(),
                old: before,
                new: after,
            });
        }
    }
    Ok(changes)
}

impl Fate {
    fn of(run: &Result<Course, VisitError>) -> Self {
        let course = match run {
            Ok(course) => course,
            Err(error) => return Self::none(error),
        };
        let outcome = &course.outcome;
        Self {
            stage: outcome.stage.to_owned(),
            reply: outcome.reply.clone().unwrap_or_else(|| "closed without a reply".to_owned()),
            because: outcome.because.clone(),
            recipients: outcome.recipients.clone(),
            handed_on: course
                .handed_on
                .iter()
                .map(|one| Parcel {
                    route: one.route.clone(),
                    from: one.from.clone(),
                    to: one.to.clone(),
                    changes: one.diff.clone(),
                })
                .collect(),
        }
    }

    /// The policy lacks what the session was about.
    fn none(why: &VisitError) -> Self {
        Self {
            stage: "connect".to_owned(),
            reply: format!("cannot be simulated: {why}"),
            because: None,
            recipients: Vec::new(),
            handed_on: Vec::new(),
        }
    }

    fn is_accepted(&self) -> bool {
        self.stage == "data" && self.reply.starts_with('2')
    }

    /// The lines that tell of it.
    fn lines(&self) -> Vec<String> {
        let because = self.because.as_ref().map(|cause| format!(", because {cause}")).unwrap_or_default();
        let reply = self.reply.lines().next().unwrap_or(&self.reply);
        let mut lines = vec![format!("at {}: {reply}{because}", self.stage)];
        if self.recipients.len() > 1 {
            let each = self.recipients.iter();
            lines.extend(each.map(|(to, reply)| format!("{to}: {}", reply.lines().next().unwrap_or(reply))));
        }
        for parcel in &self.handed_on {
            lines.push(format!(
                "handed to {} from <{}> to {}",
                parcel.route,
                parcel.from,
                parcel.to.join(", ")
            ));
            lines.extend(
                parcel.changes.lines().filter(|line| !line.starts_with('@')).map(|line| format!("  {line}")),
            );
        }
        lines
    }
}
