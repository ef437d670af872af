//! What came of a simulated session, for people and programs.

use postern_core::cause::Cause;
use serde::Serialize;

use super::recording::VerdictRecord;

/// A whole session.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Course {
    /// How the world outside was asked, in words.
    pub outside: &'static str,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// What became of the message.
    pub outcome: Outcome,
    /// What would be handed on, one for each next hop and envelope.
    pub handed_on: Vec<HandedOn>,
}

/// One command or event, and all that followed from it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Name of the stage.
    pub stage: &'static str,
    /// What the client did.
    pub client: String,
    /// What the gate found out.
    pub findings: Vec<Finding>,
    /// Seconds that the gate waited.
    #[serde(skip_serializing_if = "is_zero")]
    pub waited: f64,
    /// What it answered, each with its lines parted by LF.
    pub replies: Vec<String>,
    /// What of the policy has decided that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Decider>,
    /// Whether the connection is closed after it.
    #[serde(skip_serializing_if = "is_false")]
    pub closed: bool,
}

/// One thing that was found out.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "found")]
pub enum Finding {
    /// The value of a field.
    Field {
        /// Where it stands.
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<Decider>,
        /// The part that decided, such as `match[0].then`.
        part: String,
        /// Variables that its source mentions, with their values.
        variables: Vec<(String, String)>,
        /// What it looked up, with the answers.
        lookups: Vec<LookupFinding>,
        /// Its value; none when it could not be evaluated.
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<String>,
        /// Why it has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// The answer to a question.
    Answer {
        /// What was asked.
        asked: String,
        /// What was answered.
        answer: String,
        /// Who says so.
        source: Source,
    },
    /// What filters said.
    Filters {
        /// In the order in which they were asked.
        said: Vec<FilterFinding>,
        /// What that means for the stage.
        ruling: String,
    },
}

/// A lookup of an expression.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LookupFinding {
    /// What was looked up.
    pub asked: String,
    /// What was found.
    pub answer: String,
    /// Who says so; the policy itself where nobody was asked.
    pub source: Source,
}

/// What one filter said.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterFinding {
    /// Kind and name.
    pub filter: String,
    /// What it said.
    pub verdict: VerdictRecord,
    /// Who says so.
    pub source: Source,
    /// Whether it is only observed.
    #[serde(skip_serializing_if = "is_false")]
    pub observed: bool,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The policy.
    Policy,
    /// This program, from what this session has brought: counters, accounts, scripts.
    Here,
    /// The command line or the test.
    Given,
    /// Nobody was asked.
    Stub,
    /// A recording.
    Recorded,
    /// Whoever it is about, just now.
    Live,
}

impl Source {
    /// The word in the text.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Here => "here",
            Self::Given => "given",
            Self::Stub => "stub",
            Self::Recorded => "recorded",
            Self::Live => "live",
        }
    }
}

/// An object of the policy, and its field where one decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decider {
    /// Kind and name.
    pub object: String,
    /// Path below `spec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl From<&Cause> for Decider {
    fn from(cause: &Cause) -> Self {
        Self { object: format!("{}/{}", cause.kind(), cause.name()), field: cause.field().map(str::to_owned) }
    }
}

impl std::fmt::Display for Decider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{} {field}", self.object),
            None => f.write_str(&self.object),
        }
    }
}

/// What became of the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The stage at which that was decided.
    pub stage: &'static str,
    /// The reply that told the client; none where the connection was closed without a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// What of the policy has decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Decider>,
    /// The reply to each recipient that was named.
    pub recipients: Vec<(String, String)>,
}

impl Outcome {
    /// Whether the client was told that the message is taken.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.stage == "data" && self.reply.as_ref().is_some_and(|reply| reply.starts_with('2'))
    }
}

/// A message on its way to one next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HandedOn {
    /// Name of the route.
    pub route: String,
    /// Sender; empty for the null path.
    pub from: String,
    /// Parameters of MAIL.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parameters: String,
    /// Recipients.
    pub to: Vec<String>,
    /// The message; octets that are not UTF-8 are replaced.
    pub message: String,
    /// How it differs from the one that came in: a unified diff, empty when it does not.
    pub diff: String,
    /// The message as it is.
    #[serde(skip)]
    pub octets: Vec<u8>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}
