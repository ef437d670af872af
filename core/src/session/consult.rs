//! Who is asked at a stage: the filters that are configured for it and enabled, in their order.

use std::sync::Arc;
use std::time::Duration;

use super::Session;
use super::facts::View;
use super::question::{Consultation, Halt, Inquiry, Subject};
use crate::cause::Cause;
use crate::expr::{Setting, TextList};
use crate::policy::filter::{
    Breaker, Hook, Milter, Mode, Pipe, Process, ScriptError, SieveScript, SpamFilter,
};
use crate::verdict::{FilterKind, Ruling, Stage, Verdict};

/// Which filters of a stage are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FilterGroup {
    /// All, in order.
    Every,
    /// All but milters, which hear of a recipient only after it passed every check.
    ButMilters,
    /// Only milters.
    Milters,
}

/// A filter that is to be asked, with what was evaluated for it.
#[derive(Debug, Clone)]
pub enum Call {
    /// `MtaMilter`
    Milter(Arc<Milter>),
    /// `MtaSieveScript`
    Script(Box<ScriptCall>),
    /// The `script` field of the stage names one that does not exist: nothing runs, which is reported.
    NoSuchScript(Arc<str>),
    /// `MtaSpamFilter`
    SpamFilter(Arc<SpamFilter>),
    /// `MtaPipe`
    Pipe(Box<PipeCall>),
    /// `MtaHook`
    Hook(Arc<Hook>),
    /// Whether this one is to be asked, or how, could not be found out: its failure rule applies.
    Undecided(Rule),
}

/// A script, and the settings of the interpreter that depend on the session.
#[derive(Debug, Clone)]
pub struct ScriptCall {
    /// The script.
    pub script: Arc<SieveScript>,
    /// What a run-time error does.
    pub on_error: ScriptError,
    /// Sender address of notifications.
    pub from_address: Option<Arc<str>>,
    /// Sender name of notifications.
    pub from_name: Option<Arc<str>>,
    /// Envelope sender of generated mail; none: `<>`.
    pub return_path: Option<Arc<str>>,
}

/// A pipe, and how it is run this time.
#[derive(Debug, Clone)]
pub struct PipeCall {
    /// The pipe.
    pub pipe: Arc<Pipe>,
    /// Bare file name of the program.
    pub command: Arc<str>,
    /// Its arguments.
    pub arguments: TextList,
    /// Limit for writing, and again for the answer.
    pub timeout: Option<Duration>,
}

/// Who a filter is, and what its verdicts and failures do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it is.
    pub kind: FilterKind,
    /// `metadata.name`
    pub name: Arc<str>,
    /// Whether its verdict counts.
    pub mode: Mode,
    /// Whether a failure is a 451; otherwise the filter is skipped.
    pub temp_fail_on_error: bool,
    /// Larger messages are a failure, octets.
    pub max_message_size: u64,
    /// When to stop asking; unset: never.
    pub breaker: Option<Breaker>,
}

impl Rule {
    /// The filter as that which has decided something.
    #[must_use]
    pub fn cause(&self) -> Cause {
        Cause::object(self.kind.object_kind(), Arc::clone(&self.name))
    }

    fn of_process(kind: FilterKind, process: &Process) -> Self {
        Self {
            kind,
            name: Arc::clone(&process.name),
            mode: process.mode,
            temp_fail_on_error: process.temp_fail_on_error,
            max_message_size: process.max_message_size,
            breaker: Some(process.breaker),
        }
    }
}

impl Call {
    /// Who is asked; nobody where there is no such script.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        Some(match self {
            Self::Milter(milter) => Rule::of_process(FilterKind::Milter, &milter.process),
            Self::SpamFilter(filter) => Rule::of_process(FilterKind::SpamFilter, &filter.process),
            Self::Pipe(call) => Rule::of_process(FilterKind::Pipe, &call.pipe.process),
            Self::Hook(hook) => Rule::of_process(FilterKind::Hook, &hook.process),
            Self::Undecided(rule) => rule.clone(),
            Self::Script(call) => Rule {
                kind: FilterKind::Sieve,
                name: Arc::clone(&call.script.name),
                mode: Mode::Enforce,
                temp_fail_on_error: call.on_error == ScriptError::TempFail,
                max_message_size: MAX_MESSAGE_FOR_SCRIPT,
                breaker: None,
            },
            Self::NoSuchScript(_) => return None,
        })
    }
}

impl PartialEq for Call {
    /// Whether the same filter is asked: names are unique among those of a kind.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NoSuchScript(name), Self::NoSuchScript(other)) => name == other,
            _ => self.rule() == other.rule(),
        }
    }
}

/// Largest message that a script is shown, octets; the default of every other filter.
const MAX_MESSAGE_FOR_SCRIPT: u64 = 25 * 1024 * 1024;

impl Session {
    /// What a stage's filters say. Where none is to be asked there is no question.
    pub(super) fn consult(
        &self,
        view: &View<'_>,
        inquiry: &Inquiry<'_>,
        stage: Stage,
        group: FilterGroup,
        script: Option<Arc<str>>,
        subject: impl FnOnce() -> Subject,
    ) -> Result<Ruling, Halt> {
        let calls = self.calls(view, stage, group, script)?;
        if calls.is_empty() {
            return Ok(Verdict::Pass(Vec::new()).into());
        }
        inquiry.ruling(|| Consultation { stage, calls, subject: subject() })
    }

    fn calls(
        &self,
        view: &View<'_>,
        stage: Stage,
        group: FilterGroup,
        script: Option<Arc<str>>,
    ) -> Result<Vec<Call>, Halt> {
        let filters = &self.policy.filters;
        let mut calls = Vec::new();
        if group != FilterGroup::ButMilters {
            for milter in filters.milters.iter().filter(|milter| milter.process.stages.contains(&stage)) {
                let call = || Call::Milter(Arc::clone(milter));
                calls.extend(enabled(view, FilterKind::Milter, &milter.process, call)?);
            }
        }
        if group == FilterGroup::Milters {
            return Ok(calls);
        }
        if let Some(name) = script {
            calls.push(self.call_of_script(view, name)?);
        }
        if let Some(filter) = filters.spam_filter.as_ref().filter(|_| stage == Stage::Data) {
            let call = || Call::SpamFilter(Arc::clone(filter));
            let rule = || Rule::of_process(FilterKind::SpamFilter, &filter.process);
            calls
                .extend(decided(view, &self.policy.data.enable_spam_filter, rule, |asked| asked.then(call))?);
        }
        for pipe in filters.pipes.iter().filter(|pipe| pipe.process.stages.contains(&stage)) {
            calls.extend(call_of_pipe(view, pipe)?);
        }
        for hook in filters.hooks.iter().filter(|hook| hook.process.stages.contains(&stage)) {
            let call = || Call::Hook(Arc::clone(hook));
            calls.extend(enabled(view, FilterKind::Hook, &hook.process, call)?);
        }
        Ok(calls)
    }

    fn call_of_script(&self, view: &View<'_>, name: Arc<str>) -> Result<Call, Halt> {
        let filters = &self.policy.filters;
        let Some(script) = filters.scripts.get(&*name.to_lowercase()) else {
            return Ok(Call::NoSuchScript(name));
        };
        let interpreter = &filters.interpreter;
        Ok(Call::Script(Box::new(ScriptCall {
            script: Arc::clone(script),
            on_error: interpreter.on_error,
            from_address: view.guarded(&interpreter.default_from_address)?,
            from_name: view.guarded(&interpreter.default_from_name)?,
            return_path: view.guarded(&interpreter.default_return_path)?,
        })))
    }
}

fn enabled(
    view: &View<'_>,
    kind: FilterKind,
    process: &Process,
    call: impl FnOnce() -> Call,
) -> Result<Option<Call>, Halt> {
    decided(view, &process.enable, || Rule::of_process(kind, process), |asked| asked.then(call))
}

/// What follows from the value of a setting; when that has none, the failure rule of the filter.
fn decided<T: crate::expr::Target>(
    view: &View<'_>,
    setting: &Setting<T>,
    rule: impl FnOnce() -> Rule,
    call: impl FnOnce(T) -> Option<Call>,
) -> Result<Option<Call>, Halt> {
    match view.guarded(setting) {
        Ok(value) => Ok(call(value)),
        Err(Halt::Unable(_)) => Ok(Some(Call::Undecided(rule()))),
        Err(halt) => Err(halt),
    }
}

fn call_of_pipe(view: &View<'_>, pipe: &Arc<Pipe>) -> Result<Option<Call>, Halt> {
    let evaluated = || {
        let Some(command) = view.guarded(&pipe.command)? else { return Ok(None) };
        let arguments = view.guarded(&pipe.arguments)?;
        let timeout = view.guarded(&pipe.timeout)?;
        Ok(Some(Call::Pipe(Box::new(PipeCall { pipe: Arc::clone(pipe), command, arguments, timeout }))))
    };
    match evaluated() {
        Err(Halt::Unable(_)) => Ok(Some(Call::Undecided(Rule::of_process(FilterKind::Pipe, &pipe.process)))),
        outcome => outcome,
    }
}
