//! How a filter can break.

use std::io;
use std::time::Duration;

/// Why there is no verdict. What follows is decided by the filter's failure rule.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    /// It is not there, or the way to it is broken.
    #[error("cannot connect to {to}")]
    Connect {
        /// Where.
        to: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("no answer to {what} within {after:?}")]
    Timeout {
        /// What it was told.
        what: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The connection broke.
    #[error("connection lost at {what}")]
    Lost {
        /// What was going on.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It said something that its protocol does not allow.
    #[error("{0}")]
    Protocol(String),
    /// Its answer is larger than it may be.
    #[error("an answer of more than {most} octets")]
    AnswerTooLarge {
        /// The limit.
        most: u64,
    },
    /// It answered with an HTTP status that is no success.
    #[error("HTTP status {0}")]
    Status(u16),
    /// A program or script failed at run time.
    #[error("{0}")]
    Failed(String),
    /// The message is larger than the filter's `maxMessageSize`.
    #[error("a message of {octets} octets is too large for it")]
    MessageTooLarge {
        /// Size of the message.
        octets: u64,
    },
    /// The memory budget has no room for a working copy.
    #[error("no room for a working copy of {octets} octets")]
    NoRoom {
        /// Wanted.
        octets: u64,
    },
    /// The message could not be read from its temporary file.
    #[error("the message cannot be read")]
    Unreadable(#[source] io::Error),
    /// There is no message where one is needed.
    #[error("there is no message")]
    NoMessage,
    /// The time that all filters have together was over before it had answered.
    #[error("no verdict within the {budget:?} of all filters")]
    OutOfTime {
        /// `filterBudget` of MtaStageData.
        budget: Duration,
        /// Whether it took half of that or more itself.
        to_blame: bool,
    },
    /// Whether it is to be asked could not be evaluated.
    #[error("whether it is to be asked could not be found out")]
    Undecided,
    /// It has failed too often and is left alone for a while.
    #[error("left alone after too many failures")]
    LeftAlone,
}

impl FilterError {
    /// A word for it, of a closed set.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Timeout { .. } => "timeout",
            Self::Lost { .. } => "lost",
            Self::Protocol(_) => "protocol",
            Self::AnswerTooLarge { .. } => "answer_too_large",
            Self::Status(_) => "status",
            Self::Failed(_) => "failed",
            Self::MessageTooLarge { .. } => "message_too_large",
            Self::NoRoom { .. } => "no_room",
            Self::Unreadable(_) => "unreadable",
            Self::NoMessage => "no_message",
            Self::Undecided => "undecided",
            Self::LeftAlone => "left_alone",
            Self::OutOfTime { .. } => "out_of_time",
        }
    }

    /// Whether the filter is to blame, so that its breaker counts it.
    pub(super) fn blames_filter(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Lost { .. }
            | Self::Protocol(_)
            | Self::AnswerTooLarge { .. }
            | Self::Status(_)
            | Self::Failed(_) => true,
            Self::OutOfTime { to_blame, .. } => *to_blame,
            Self::MessageTooLarge { .. }
            | Self::NoRoom { .. }
            | Self::Unreadable(_)
            | Self::NoMessage
            | Self::Undecided
            | Self::LeftAlone => false,
        }
    }
}
