//! Filters: milters, Sieve scripts, rspamd, pipes and hooks, asked one after the other.
//!
//! ```text
//! Consultation ──> for each call: breaker, size, time ──> judge ──> Deliberation ──> Verdict
//! ```
//!
//! Each filter gets a [`Case`], which shows the session, the envelope and the message as those before it have
//! left them, and answers with a verdict or an error. What follows from either is decided by
//! [`postern_core::deliberation`]; nothing here changes a message.

mod asked;
mod case;
mod error;
mod health;
mod hook;
mod metrics;
mod milter;
mod pipe;
mod sieve;
mod spam_filter;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use postern_core::deliberation::{Deliberation, FILTER_FAILED, Heard};
use postern_core::message::header::HeaderTooLarge;
use postern_core::policy;
use postern_core::policy::filter::Mode;
use postern_core::session::Session;
use postern_core::session::consult::{Call, Rule};
use postern_core::session::question::{Consultation, Subject};
use postern_core::smtp::address::ForwardPath;
use postern_core::smtp::command::Rcpt;
use postern_core::smtp::reply::Reply;
use postern_core::verdict::{Ruling, Stage, Verdict};
use tokio::time::{Instant, timeout_at};

pub(crate) use self::asked::Asked;
pub(crate) use self::case::{Case, InHand};
pub(crate) use self::error::FilterError;
use self::health::Health;
pub use self::metrics::{FilterMetrics, FilterOutcome};
use crate::gate::Gate;
use crate::http::HttpClient;
use crate::message::Whole;
use crate::snapshot::chain;

/// What all sessions share of the filters.
#[derive(Debug, Default)]
pub struct Filters {
    health: Health,
    http: HttpClient,
    milters: milter::TlsClients,
    scripts: sieve::Interpreter,
}

impl Filters {
    /// Another policy is in force: connections and TLS settings that nobody in it asks for are dropped.
    pub fn in_force(&self, filters: &policy::Filters) {
        let of_hooks = filters.hooks.iter().map(|hook| &hook.tls);
        let in_use: Vec<_> = of_hooks.chain(filters.spam_filter.iter().map(|filter| &filter.tls)).collect();
        self.http.retain(|tls| in_use.contains(&tls));
        self.milters.retain(&filters.milters);
    }
}

/// The filters of one session: what they keep from one question to the next.
#[derive(Debug, Default)]
pub(crate) struct Panel {
    milters: milter::Conversations,
    /// Who was asked since this was last taken.
    asked: Vec<Asked>,
}

impl Panel {
    /// Asks the filters of a stage, in order, and says what the stage does.
    pub(crate) async fn consult(
        &mut self,
        gate: &Arc<Gate>,
        session: &Session,
        whole: Option<&Whole>,
        consultation: &Consultation,
    ) -> Ruling {
        let time = Time::begin(session.policy().data.filter_budget);
        let Ok(mut deliberation) = begin(session, whole, consultation) else {
            tracing::warn!(id = %session.id(), "a message has a header that no filter can be shown");
            return Verdict::Defer(FILTER_FAILED).into();
        };
        for call in &consultation.calls {
            let Some(rule) = call.rule() else {
                if let Call::NoSuchScript(script) = call {
                    tracing::warn!(id = %session.id(), %script, "there is no such script, nothing runs");
                }
                continue;
            };
            let message = match (whole, deliberation.draft()) {
                (Some(whole), Some(draft)) => Some(InHand::new(whole, draft)),
                _ => None,
            };
            let case = Case {
                gate,
                session,
                stage: consultation.stage,
                subject: &consultation.subject,
                envelope: deliberation.envelope(),
                message,
            };
            let said = self.ask(call, &rule, &case, time).await;
            if matches!(said, Err(FilterError::OutOfTime { .. }))
                && let Some(ruling) = out_of_time(&rule)
            {
                gate.metrics.filters().over_budget();
                return ruling;
            }
            match deliberation.hear(&rule, said.ok()) {
                Heard::Taken | Heard::Ignored => {}
                Heard::Decided(ruling) => return ruling,
            }
        }
        deliberation.conclude()
    }

    /// The verdict of one filter, reported and counted.
    pub(crate) async fn ask(
        &mut self,
        call: &Call,
        rule: &Rule,
        case: &Case<'_>,
        time: Time,
    ) -> Result<Verdict, FilterError> {
        let began = Instant::now();
        let span = asked::span(call, rule, case.stage);
        let health = &case.gate.filters.health;
        let said = match health.admits(rule, began) {
            false => Err(FilterError::LeftAlone),
            true => {
                let said = match too_large(rule, case) {
                    Some(error) => Err(error),
                    None => span.around(time.limit(self.judge(call, case))).await,
                };
                health.learn(rule, said.as_ref().err(), Instant::now());
                said
            }
        };
        let took = began.elapsed();
        let outcome = FilterOutcome::of(&said);
        case.gate.metrics.filters().asked(rule, case.stage, outcome, took);
        report(rule, case, &said, took);
        asked::finish(span, outcome, &said);
        self.asked.push(Asked::new(rule, case.stage, outcome, took));
        said
    }

    async fn judge(&mut self, call: &Call, case: &Case<'_>) -> Result<Verdict, FilterError> {
        match call {
            Call::Milter(milter) => self.milters.judge(milter, case).await,
            Call::Script(call) => sieve::judge(call, case).await,
            Call::SpamFilter(filter) => spam_filter::judge(filter, case).await,
            Call::Pipe(call) => pipe::judge(call, case).await,
            Call::Hook(hook) => hook::judge(hook, case).await,
            Call::NoSuchScript(_) => Ok(Verdict::Pass(Vec::new())),
            Call::Undecided(_) => Err(FilterError::Undecided),
        }
    }

    /// Who was asked since the last time, in order.
    pub(crate) fn take_asked(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.asked)
    }

    /// Whether a filter has asked to hear of recipients that were refused before filters are asked.
    pub(crate) fn wants_refused_recipients(&self) -> bool {
        self.milters.wants_refused_recipients()
    }

    /// Tells those filters of such a recipient. What they say to it changes nothing.
    pub(crate) async fn recipient_refused(
        &mut self,
        gate: &Arc<Gate>,
        session: &Session,
        rcpt: &Rcpt,
        reply: &Reply,
    ) {
        let (Some(envelope), ForwardPath::Mailbox(address)) = (session.envelope(), &rcpt.to) else { return };
        let (stage, subject) = (Stage::Rcpt, &Subject::Nothing);
        let case = Case { gate, session, stage, subject, envelope, message: None };
        self.milters.tell_refused(&case, address, &rcpt.raw_parameters, reply).await;
    }

    /// No transaction is open any more: filters that keep one forget it.
    pub(crate) async fn transaction_over(&mut self) {
        self.milters.abort().await;
    }

    /// The session is over.
    pub(crate) fn leave(self) {
        self.milters.quit();
    }
}

/// The time that all filters of one question have together. Those that are only observed spend it too, since
/// the client waits for them as well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    budget: Duration,
    deadline: Instant,
}

impl Time {
    pub(crate) fn begin(budget: Duration) -> Self {
        Self { budget, deadline: Instant::now() + budget }
    }

    /// The verdict, unless the time ends before it. Blamed is a filter that alone took half of it; another
    /// came only too late.
    fn limit(
        self,
        judge: impl Future<Output = Result<Verdict, FilterError>>,
    ) -> impl Future<Output = Result<Verdict, FilterError>> {
        let began = Instant::now();
        // An `async fn` would have room for `judge` twice.
        timeout_at(self.deadline, judge).map(move |in_time| {
            in_time.unwrap_or_else(|_| {
                let to_blame = began.elapsed() >= self.budget / 2;
                Err(FilterError::OutOfTime { budget: self.budget, to_blame })
            })
        })
    }
}

/// The deliberation about a question, before the first filter is asked.
pub(crate) fn begin(
    session: &Session,
    whole: Option<&Whole>,
    consultation: &Consultation,
) -> Result<Deliberation, HeaderTooLarge> {
    let mut envelope = session.envelope().cloned().unwrap_or_default();
    match &consultation.subject {
        Subject::Nothing | Subject::Helo { .. } | Subject::Login { .. } => {}
        Subject::Sender { envelope: sender, .. } => envelope = (**sender).clone(),
        Subject::Recipient { recipient, .. } => envelope.recipients.push((**recipient).clone()),
        Subject::Message { edits, .. } => {
            // Without a message in hand the header is missing as it is when it cannot be handled.
            let whole = whole.ok_or(HeaderTooLarge)?;
            return Deliberation::of_message(envelope, whole.header.clone(), whole.message.octets(), edits);
        }
    }
    Ok(Deliberation::new(consultation.stage, envelope))
}

/// What a stage does when the time for all filters ends with this one. Its failure rule does not matter, since those after
/// it have no time either; one that is only observed decides nothing.
pub(crate) fn out_of_time(rule: &Rule) -> Option<Ruling> {
    (rule.mode == Mode::Enforce)
        .then(|| Ruling { verdict: Verdict::Defer(FILTER_FAILED), by: Some(rule.cause()) })
}

/// Why a filter is not shown the message, if it is too large for it.
pub(crate) fn too_large(rule: &Rule, case: &Case<'_>) -> Option<FilterError> {
    let octets = case.message.as_ref().filter(|_| case.stage == Stage::Data)?.octets();
    (octets > rule.max_message_size).then_some(FilterError::MessageTooLarge { octets })
}

/// An error with its causes, for a log: one line, whatever the filter has put into it, and no endless one.
fn reason(error: &FilterError) -> String {
    chain(error).chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REASON).collect()
}

/// Most characters of a reason in the log.
const LONGEST_REASON: usize = 500;

/// One line for each time that a filter was asked; what it does is the business of its rule.
fn report(rule: &Rule, case: &Case<'_>, said: &Result<Verdict, FilterError>, took: Duration) {
    let (id, kind, filter, stage) = (case.session.id(), rule.kind.name(), &rule.name, case.stage.name());
    let outcome = FilterOutcome::of(said).name();
    match (said, rule.mode) {
        (Err(FilterError::OutOfTime { .. }), _) => {
            tracing::warn!(%id, kind, %filter, stage, ?took, "the time for all filters is over");
        }
        (Err(error), _) => {
            let rule = match (rule.mode, rule.temp_fail_on_error) {
                (Mode::Observe, _) => "the filter is only observed",
                (Mode::Enforce, true) => "the message waits",
                (Mode::Enforce, false) => "the filter is skipped",
            };
            tracing::warn!(%id, kind, %filter, stage, error = reason(error), ?took, rule, "a filter failed");
        }
        (Ok(verdict), Mode::Observe) if *verdict != Verdict::Pass(Vec::new()) => {
            tracing::info!(%id, kind, %filter, stage, outcome, ?took, "an observed filter would have acted");
        }
        (Ok(Verdict::Pass(_)), _) => {
            tracing::debug!(%id, kind, %filter, stage, outcome, ?took, "a filter was asked");
        }
        (Ok(_), _) => {
            tracing::info!(%id, kind, %filter, stage, outcome, ?took, "a filter has decided");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn out_of_time(spent: Duration) -> Option<bool> {
        let time = Time::begin(Duration::from_secs(10));
        tokio::time::sleep(spent).await;
        match time.limit(std::future::pending()).await {
            Err(FilterError::OutOfTime { budget, to_blame }) if budget == time.budget => Some(to_blame),
            _ => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_took_half_of_the_time_is_to_blame_when_it_is_over() {
        assert_eq!(out_of_time(Duration::from_secs(5)).await, Some(true));
        assert_eq!(out_of_time(Duration::from_millis(5001)).await, Some(false));
        assert_eq!(out_of_time(Duration::from_secs(11)).await, Some(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_within_the_time_stands() {
        let time = Time::begin(Duration::from_secs(10));
        let said = time.limit(async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            Ok(Verdict::Discard)
        });
        assert!(matches!(said.await, Ok(Verdict::Discard)));
    }
}
