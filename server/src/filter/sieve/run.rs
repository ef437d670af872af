//! One run of a script, on a thread of its own: the interpreter asks, and this answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_core::message::edit::Edit;
use postern_core::message::header::Header;
use postern_core::policy::Policy;
use postern_core::policy::filter::SieveInterpreter;
use postern_core::verdict::Stage;
use postern_crds::sieve::{MAX_HEADER_VALUE, Require, Script, compile, runtime};
use sieve::compiler::grammar::actions::action_redirect::{ByTime, Notify, Ret};
use sieve::runtime::{RuntimeError, Variable};
use sieve::{Context, Envelope, Event, Input, MatchAs, Recipient, Runtime};

use super::edits::edits;
use super::functions::Functions;
use super::nesting;
use crate::gate::Gate;
use crate::message::Reservation;

/// Everything that a run needs. It owns all of it, since nobody may be waiting for it any more when it ends.
pub(super) struct Run {
    pub(super) gate: Arc<Gate>,
    pub(super) policy: Arc<Policy>,
    pub(super) script: Arc<Script>,
    pub(super) stage: Stage,
    /// Where to wait for answers of the network.
    pub(super) handle: tokio::runtime::Handle,
    pub(super) octets: super::super::case::Loan,
    /// Room for what is made of the message.
    pub(super) room: Reservation,
    pub(super) envelope: Vec<(Envelope, Variable)>,
    pub(super) environment: Vec<(String, Variable)>,
    /// Address and name in the From field of notifications.
    pub(super) author: (String, String),
    /// Right side of the message ids that the interpreter makes.
    pub(super) hostname: String,
}

/// What a script wants.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) end: End,
    pub(super) envelope: Vec<(Envelope, String)>,
    /// Of `add_header`, in order.
    pub(super) fields: Vec<(String, String)>,
    pub(super) redirects: Vec<Redirect>,
    pub(super) notices: Vec<Notice>,
    /// What became of the message.
    pub(super) edits: Vec<Edit>,
    /// Why the script stopped before its end, when that is to be taken for a `keep`.
    pub(super) error: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Keep,
    Discard,
    Reject(String),
}

/// `redirect`
#[derive(Debug)]
pub(super) struct Redirect {
    pub(super) recipient: String,
    pub(super) notify: Notify,
    pub(super) ret: Ret,
    pub(super) by: ByTime<i64>,
    pub(super) form: Form,
}

/// In which form a message is redirected.
#[derive(Debug)]
pub(super) enum Form {
    /// As the script was shown it.
    Shown,
    /// With all changes of the script.
    Final,
    /// With some of them.
    Between(Vec<u8>),
}

/// `notify`
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) recipients: Vec<String>,
    pub(super) message: Vec<u8>,
}

/// Why there is no outcome.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RunError {
    /// The script failed.
    Script(String),
    /// What it makes is larger than it may be, octets.
    TooLarge { most: u64 },
    /// There is no room for what it makes, octets.
    NoRoom { octets: u64 },
    /// It runs for too long.
    TimedOut { after: Duration },
}

impl Run {
    /// Runs the script to its end.
    pub(super) fn run(mut self) -> Result<Outcome, RunError> {
        let limits = &Arc::clone(&self.policy).filters.interpreter;
        let deadline = Instant::now() + limits.max_wall_time;
        let interpreter = self.interpreter(limits);
        let octets = self.octets.clone();
        if nesting::is_too_deep(&octets) {
            return Err(failed("messages lie too deep within one another"));
        }
        let mut context = interpreter.filter(&octets).with_envelope_list(std::mem::take(&mut self.envelope));
        for (name, value) in std::mem::take(&mut self.environment) {
            context.set_env_variable(name, value);
        }
        if let Some(author) = author(&context) {
            context.set_env_variable("from", author);
        }
        context.set_user_address(self.author.0.clone());
        context.set_user_full_name(&self.author.1);
        let mut log = Log {
            most_octets: limits.max_output_size,
            most_sent: limits.max_out_messages as usize,
            ..Log::default()
        };
        let main = Input::script("", Arc::clone(&self.script.program));
        match self.follow(&mut context, main, &mut log, deadline) {
            Ok(()) if log.end.is_none() => {
                // A `redirect` has cancelled the implicit keep, which here only `discard` and `reject` do; the
                // changes so far are those of the message that is kept.
                let keep = compile("keep;", Require::Optional).map_err(|_| failed("it cannot be kept"))?;
                self.follow(&mut context, Input::script("keep", keep.program), &mut log, deadline)?;
            }
            Ok(()) => {}
            Err(RunError::Script(error)) if limits.keeps_on_error() => {
                return Ok(Outcome {
                    envelope: log.envelope,
                    fields: log.fields,
                    error: Some(error),
                    ..Outcome::default()
                });
            }
            Err(error) => return Err(error),
        }
        Ok(log.outcome(&octets, self.stage))
    }

    fn interpreter(&self, limits: &SieveInterpreter) -> Runtime {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        // The interpreter limits the size of a value, not how many of them a script holds or puts together.
        let growth = self.growth().max(1);
        let value = limits.max_var_size.min(limits.max_output_size.saturating_mul(VALUES) / growth);
        runtime()
            .with_cpu_limit(size(limits.max_cpu_cycles))
            .with_max_nested_includes(limits.max_nested_includes as usize + 1)
            .with_max_redirects(limits.max_redirects as usize)
            .with_max_out_messages(limits.max_out_messages as usize)
            .with_max_received_headers(limits.max_received_headers as usize)
            .with_max_variable_size(size(value))
            .with_max_header_size(MAX_HEADER_VALUE)
            .with_valid_notification_uri("mailto")
            // The interpreter's own list has these names in a form that its parser no longer makes.
            .with_protected_headers(["Original-Subject", "Original-From"])
            .with_valid_ext_lists(self.policy.lookups.iter().map(|(name, _)| name.to_owned()))
            .with_local_hostname(self.hostname.clone())
    }

    /// How far this script can grow, or any that it might include.
    fn growth(&self) -> u64 {
        let others = self.policy.filters.scripts.values().filter_map(|script| script.program.get::<Script>());
        others.map(|script| script.growth).chain([self.script.growth]).max().unwrap_or(1)
    }

    /// Answers the interpreter until the script has ended.
    fn follow(
        &mut self,
        context: &mut Context<'_>,
        mut input: Input,
        log: &mut Log,
        deadline: Instant,
    ) -> Result<(), RunError> {
        while let Some(step) = context.run(input) {
            if Instant::now() >= deadline {
                let after = self.policy.filters.interpreter.max_wall_time;
                return Err(RunError::TimedOut { after });
            }
            input = match step.map_err(|error| failed(text_of(&error)))? {
                Event::Function { id, arguments } => {
                    let functions = Functions { run: self, context, deadline };
                    Input::FncResult(functions.call(id, &arguments, &mut log.fields))
                }
                Event::IncludeScript { name, optional } => match self.included(&name) {
                    Some(script) => Input::script(name, Arc::clone(&script.program)),
                    None if optional => Input::False,
                    None => return Err(failed(format!("there is no script `{name}` to include"))),
                },
                Event::ListContains { lists, values, match_as } => {
                    self.is_listed(&lists, &values, match_as).into()
                }
                Event::CreatedMessage { message_id, message } => {
                    self.make_room(log, message.len())?;
                    log.messages.insert(message_id, message);
                    Input::True
                }
                event => {
                    log.take(event)?;
                    Input::True
                }
            };
        }
        Ok(())
    }

    fn included(&self, name: &str) -> Option<Arc<Script>> {
        self.policy.filters.scripts.get(&*name.to_lowercase())?.program.get()
    }

    /// `:list`: whether a namespace that one of the names means holds one of the values.
    fn is_listed(&self, lists: &[String], values: &[String], match_as: MatchAs) -> bool {
        let namespaces: Vec<_> = lists.iter().filter_map(|name| self.policy.lookups.get(name)).collect();
        values.iter().any(|value| {
            let value = match match_as {
                MatchAs::Lowercase => value.to_lowercase(),
                MatchAs::Octet | MatchAs::Number => value.clone(),
            };
            namespaces.iter().any(|namespace| namespace.get(&value).is_some())
        })
    }

    fn make_room(&mut self, log: &mut Log, octets: usize) -> Result<(), RunError> {
        log.made = log.made.saturating_add(octets as u64);
        if log.made > log.most_octets {
            return Err(RunError::TooLarge { most: log.most_octets });
        }
        let octets = self.octets.len() as u64 + log.made;
        if self.room.grow_to(octets) { Ok(()) } else { Err(RunError::NoRoom { octets }) }
    }
}

/// The values of a script together may take so many times what it may make.
const VALUES: u64 = 4;

fn text_of(error: &RuntimeError) -> String {
    match error {
        RuntimeError::TooManyIncludes => "too many scripts include one another".to_owned(),
        RuntimeError::CPULimitReached => "it takes more instructions than it may".to_owned(),
        RuntimeError::ScriptErrorMessage(message) => format!("it says: {message}"),
        RuntimeError::CapabilityNotAllowed(capability) => format!("there is no extension `{capability}`"),
        RuntimeError::CapabilityNotSupported(capability) => format!("there is no extension `{capability}`"),
        RuntimeError::InvalidInstruction(instruction) => {
            format!("there is no command `{}`", instruction.name())
        }
    }
}

fn failed(why: impl Into<String>) -> RunError {
    RunError::Script(why.into())
}

/// The address of the From field, in lower case.
fn author(context: &Context<'_>) -> Option<String> {
    Some(context.message().from()?.first()?.address()?.to_lowercase())
}

/// Whether a message was sent by a program, and so is not to be answered by one (RFC 3834 section 5).
fn answers_by_itself(message: &[u8]) -> bool {
    let Ok(header) = Header::parse(message) else { return true };
    header
        .fields()
        .any(|field| field.is(b"Auto-Submitted") && !field.value.trim_ascii().eq_ignore_ascii_case(b"no"))
}

/// What a script has said so far.
#[derive(Default)]
struct Log {
    end: Option<End>,
    envelope: Vec<(Envelope, String)>,
    fields: Vec<(String, String)>,
    redirects: Vec<(usize, Redirect)>,
    notices: Vec<Notice>,
    /// The message after changes, by the numbers of the interpreter, which grow.
    messages: BTreeMap<usize, Vec<u8>>,
    /// Octets of all messages that were made, and how many there may be.
    made: u64,
    most_octets: u64,
    /// How many redirects and notifications there may be.
    most_sent: usize,
}

impl Log {
    fn take(&mut self, event: Event) -> Result<(), RunError> {
        match event {
            // The number of the message that comes with it is 0 when a redirect was the last to need it.
            Event::Keep { .. } => self.end = Some(End::Keep),
            // Only a later `keep` takes a refusal back.
            Event::Discard if matches!(self.end, Some(End::Reject(_))) => {}
            Event::Discard => self.end = Some(End::Discard),
            Event::Reject { reason, .. } => self.end = Some(End::Reject(reason)),
            Event::SetEnvelope { envelope, value } => self.envelope.push((envelope, value)),
            Event::SendMessage { recipient: Recipient::Group(recipients), message_id, .. } => {
                let message = self.messages.remove(&message_id).unwrap_or_default();
                // The interpreter does not count these itself.
                if self.redirects.len() + self.notices.len() < self.most_sent {
                    self.notices.push(Notice { recipients, message });
                }
            }
            Event::SendMessage {
                recipient: Recipient::Address(recipient),
                notify,
                return_of_content: ret,
                by_time: by,
                message_id,
            } => {
                let redirect = Redirect { recipient, notify, ret, by, form: Form::Shown };
                self.redirects.push((message_id, redirect));
            }
            Event::SendMessage { recipient: Recipient::List(_), .. } => {
                return Err(failed("`redirect :list` is not available"));
            }
            // Another way than mail, which nobody here goes; notifications are best effort.
            Event::Notify { .. } => {}
            Event::FileInto { .. } | Event::MailboxExists { .. } | Event::DuplicateId { .. } => {
                return Err(failed("it asks for something that a gate does not have"));
            }
            // Answered by the run.
            Event::CreatedMessage { .. }
            | Event::Function { .. }
            | Event::IncludeScript { .. }
            | Event::ListContains { .. } => {}
        }
        Ok(())
    }

    fn outcome(mut self, shown: &[u8], stage: Stage) -> Outcome {
        let (last, kept) = self.messages.pop_last().unzip();
        if answers_by_itself(shown) {
            self.notices.clear();
        }
        let redirects = self.redirects.into_iter().map(|(message, mut redirect)| {
            redirect.form = match message {
                0 => Form::Shown,
                id if last == Some(id) => Form::Final,
                id => self.messages.get(&id).map_or(Form::Shown, |octets| Form::Between(octets.clone())),
            };
            redirect
        });
        Outcome {
            end: self.end.unwrap_or_default(),
            redirects: redirects.collect(),
            edits: kept.filter(|_| stage == Stage::Data).map_or_else(Vec::new, |kept| edits(shown, kept)),
            envelope: self.envelope,
            fields: self.fields,
            notices: self.notices,
            error: None,
        }
    }
}
