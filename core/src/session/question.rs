//! What the session asks of the world, and how its decisions are replayed when answers arrive.
//!
//! A decision is a function of the session, one event, and the answers so far. When it needs an answer
//! that is not there yet it stops with the question; the host fetches the answer, and the decision runs
//! again from its start with one answer more. It always asks in the same order, so the n-th question
//! belongs to the n-th answer, and nothing of the session changes before the decision is complete.

use std::cell::Cell;
use std::sync::Arc;

use super::check::{Check, MessageResults};
use super::consult::Call;
use super::record::{Note, Notes};
use crate::cause::Cause;
use crate::envelope::{Envelope, Recipient};
use crate::expr::{Lookup, LookupFailure, SaslMechanism, Value};
use crate::message::edit::Edit;
use crate::policy::Secret;
use crate::policy::route::Route;
use crate::policy::throttle::Rate;
use crate::smtp::address::{Address, ReversePath};
use crate::smtp::reply::Reply;
use crate::verdict::{Ruling, Stage, Verdict};

/// Something that only the world outside of the session can answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// What an expression looks up.
    Lookup(Lookup),
    /// Whether a throttle admits one event more.
    Throttle {
        /// Position among the policy's throttles.
        index: usize,
        /// Values of its key, joined.
        key: Arc<str>,
    },
    /// What the filters of a stage say.
    Consult(Consultation),
    /// Whether the client's address and its name confirm each other.
    ReverseDns,
    /// SPF of the EHLO name (RFC 7208 section 2.3).
    SpfEhlo {
        /// The name.
        helo: Arc<str>,
    },
    /// SPF of the sender (RFC 7208 section 2.4).
    SpfMail {
        /// The sender; `postmaster@` the EHLO name stands in for the null path.
        sender: ReversePath,
        /// The EHLO name.
        helo: Arc<str>,
    },
    /// DKIM, ARC and DMARC of the message in hand.
    Message(MessageChecks),
    /// Whether these credentials are right.
    Authenticate(Credentials),
    /// Whether the client's network has failed to log in less often than this rate allows.
    MayLogIn(Rate),
    /// Nothing is asked: it has failed once more, which counts towards this rate for all sessions.
    LoginFailed(Rate),
    /// Whether a directory outside of the policy knows this recipient.
    Directory(Address),
    /// Whether a first sight of sender and recipient has to wait.
    Greylist {
        /// Sender in comparison form, `<>` for the null path.
        sender: Arc<str>,
        /// Recipient in comparison form.
        recipient: Arc<str>,
    },
    /// Whether there is room for a message of so many octets.
    Reserve(u64),
    /// Whether the next hops take recipients.
    Verify(Box<Verify>),
}

/// A question to the filters of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Consultation {
    /// The stage.
    pub stage: Stage,
    /// Who is asked, in this order.
    pub calls: Vec<Call>,
    /// What is known beyond the session, which changes only after the answer.
    pub subject: Subject,
}

impl Consultation {
    /// Whether milters are among those who are asked.
    #[must_use]
    pub fn asks_milters(&self) -> bool {
        self.calls.iter().any(|call| matches!(call, Call::Milter(_)))
    }
}

/// What filters are asked about.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// Connect: what the session holds is all there is.
    Nothing,
    /// Ehlo.
    Helo {
        /// The name.
        name: Arc<str>,
        /// SPF of it, if it was checked.
        spf: Option<Check>,
    },
    /// Auth.
    Login {
        /// The account, in comparison form.
        account: Arc<str>,
        /// How it logged in.
        mechanism: SaslMechanism,
    },
    /// Mail.
    Sender {
        /// An envelope without recipients.
        envelope: Box<Envelope>,
        /// Its parameters as they were written.
        parameters: Arc<[String]>,
        /// Reverse DNS of the client, if it was checked.
        reverse_dns: Option<Check>,
    },
    /// Rcpt.
    Recipient {
        /// The recipient.
        recipient: Box<Recipient>,
        /// Its parameters as they were written.
        parameters: Arc<[String]>,
        /// Whom it stands for, in comparison form: itself, or the members of a list. Empty before that is known.
        members: Arc<[Arc<str>]>,
    },
    /// Data: the message in hand.
    Message {
        /// Fields of ours that will stand before it, which hooks are told apart from its own.
        fields: Arc<[u8]>,
        /// Changes that were made before any filter was asked.
        edits: Arc<[Edit]>,
        /// What was found out about its sender.
        results: Arc<MessageResults>,
    },
}

/// Which checks of a message's authentication are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageChecks {
    /// Verify DKIM signatures.
    pub dkim: bool,
    /// Verify the ARC chain.
    pub arc: bool,
    /// Evaluate DMARC.
    pub dmarc: bool,
}

/// Credentials of AUTH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// PLAIN or LOGIN.
    Password {
        /// User name, as sent.
        user: Arc<str>,
        /// Password.
        password: Secret,
    },
    /// OAUTHBEARER or XOAUTH2.
    Token {
        /// User name, when one was sent.
        user: Option<Arc<str>>,
        /// Bearer token.
        token: Secret,
    },
}

/// Recipients that next hops are to confirm; the first refusal is the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Verify {
    /// The envelope so far, without these recipients.
    pub envelope: Envelope,
    /// The recipients, and where each would be handed to.
    pub recipients: Vec<(Recipient, Arc<Route>)>,
    /// Our name towards the next hop.
    pub hostname: Arc<str>,
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To `Lookup`.
    Value(Result<Value<'static>, LookupFailure>),
    /// To `Throttle` and `Reserve`: whether it is admitted; to `Greylist`: whether it may pass; to `MayLogIn` and
    /// `LoginFailed`: whether the next login may be tried.
    Admitted(bool),
    /// To `Consult`.
    Ruling(Ruling),
    /// To `ReverseDns`, `SpfEhlo` and `SpfMail`.
    Check(Check),
    /// To `Message`.
    Message(Box<MessageResults>),
    /// To `Authenticate`.
    Authentication(Authentication),
    /// To `Directory`.
    Directory(DirectoryAnswer),
    /// To `Verify`: nothing when every next hop takes them, else our reply.
    Verified(Option<Reply>),
}

/// The outcome of AUTH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// The credentials are those of this account.
    Account(Arc<crate::policy::directory::Account>),
    /// They are wrong.
    Wrong,
    /// They were right once.
    Expired,
    /// They are right, and the account may not send.
    Forbidden,
    /// Nobody could tell.
    Unavailable,
}

/// What a directory outside of the policy says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryAnswer {
    /// A mailbox, under this address.
    Mailbox(Address),
    /// A list of these members.
    List(Vec<Address>),
    /// Nobody of that name.
    Unknown,
    /// It cannot be asked.
    Unavailable,
}

/// Why a decision did not come to its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// An answer is missing.
    Ask(Box<Question>),
    /// An expression or a script failed, which never opens the gate; where one field did, it is named.
    Unable(Option<Cause>),
    /// The command is refused; nothing changes.
    Refuse(Reply),
}

impl From<Reply> for Halt {
    fn from(reply: Reply) -> Self {
        Self::Refuse(reply)
    }
}

/// The answers so far to one decision, handed out in the order of its questions.
#[derive(Debug)]
pub(super) struct Inquiry<'a> {
    answers: &'a [Answer],
    asked: Cell<usize>,
    notes: Notes,
}

impl Halt {
    /// The host has answered something else than it was asked.
    pub(super) const OUT_OF_PLACE: Self = Self::Unable(None);
}

impl<'a> Inquiry<'a> {
    pub(super) fn new(answers: &'a [Answer], notes: Notes) -> Self {
        Self { answers, asked: Cell::new(0), notes }
    }

    /// What the decision writes down, if anybody wants it.
    pub(super) fn notes(&self) -> &Notes {
        &self.notes
    }

    pub(super) fn into_notes(self) -> Vec<Note> {
        self.notes.into_notes()
    }

    /// The answer to the next question, if it is there already.
    pub(super) fn next(&self) -> Option<&'a Answer> {
        let answer = self.answers.get(self.asked.get());
        self.asked.set(self.asked.get().saturating_add(1));
        answer
    }

    /// The answer to a question, or the question itself as the reason to stop here.
    pub(super) fn ask(&self, question: impl FnOnce() -> Question) -> Result<&'a Answer, Halt> {
        self.notes.asked(self.asked.get());
        self.next().ok_or_else(|| Halt::Ask(Box::new(question())))
    }

    /// As [`Self::ask`], for questions that are answered with yes or no.
    pub(super) fn admitted(&self, question: impl FnOnce() -> Question) -> Result<bool, Halt> {
        match self.ask(question)? {
            Answer::Admitted(yes) => Ok(*yes),
            _ => Err(Halt::OUT_OF_PLACE),
        }
    }

    /// As [`Self::ask`], for filters.
    ///
    /// A reply of theirs names who has decided.
    pub(super) fn ruling(&self, consultation: impl FnOnce() -> Consultation) -> Result<Ruling, Halt> {
        let Answer::Ruling(Ruling { verdict, by }) = self.ask(|| Question::Consult(consultation()))? else {
            return Err(Halt::OUT_OF_PLACE);
        };
        let named = |reply: &Reply| reply.clone().or_because(by.as_ref());
        let verdict = match verdict {
            Verdict::Reject(reply) => Verdict::Reject(named(reply)),
            Verdict::Defer(reply) => Verdict::Defer(named(reply)),
            Verdict::Disconnect(Some(reply)) => Verdict::Disconnect(Some(named(reply))),
            other => other.clone(),
        };
        Ok(Ruling { verdict, by: by.clone() })
    }
}
