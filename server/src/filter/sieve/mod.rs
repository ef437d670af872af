//! Sieve scripts (RFC 5228), run in this process.
//!
//! ```text
//! Case ──> Run ──> a thread of the pool: interpreter, asked and answered ──> Outcome ──> Verdict
//! ```
//!
//! The interpreter is sieve-rs. Whatever a message or a script makes it do stays inside one run: it has an
//! instruction limit, a session waits for it only so long, what it makes is counted and capped, and a panic is
//! an error of that run.

mod edits;
mod envelope;
mod environment;
mod functions;
mod nesting;
mod notice;
mod part;
mod pool;
mod run;
mod text;
mod verdict;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use postern_core::session::consult::ScriptCall;
use postern_core::verdict::{Stage, Verdict};
use postern_crds::sieve::Script;

use self::pool::{Pool, PoolError};
use self::run::{Outcome, Run, RunError};
use super::case::Loan;
use super::{Case, FilterError};

/// What all sessions share to run scripts.
#[derive(Debug, Default)]
pub(super) struct Interpreter {
    pool: Pool,
}

/// What a script says.
pub(super) async fn judge(call: &ScriptCall, case: &Case<'_>) -> Result<Verdict, FilterError> {
    let script: Arc<Script> =
        call.script.program.get().ok_or_else(|| FilterError::Failed("it is no Sieve script".to_owned()))?;
    let limits = &case.session.policy().filters.interpreter;
    let run = prepare(script, call, case).await?;
    let outcome = match case.gate.filters.scripts.pool.run(limits.max_wall_time, move || run.run()).await {
        Ok(outcome) => outcome.map_err(failure),
        Err(PoolError::Busy) => {
            case.gate.metrics.filters().script_starved();
            Err(FilterError::Failed("every thread for scripts is taken".to_owned()))
        }
        Err(PoolError::TimedOut) => Err(failure(RunError::TimedOut { after: limits.max_wall_time })),
        Err(PoolError::Panicked) => Err(FilterError::Failed("the interpreter broke".to_owned())),
    };
    let name = &call.script.name;
    if outcome.as_ref().map_or(true, |outcome| outcome.error.is_some()) {
        case.gate.metrics.filters().script_failed(name);
    }
    let outcome: Outcome = outcome?;
    if let Some(error) = &outcome.error {
        let stage = case.stage.name();
        tracing::warn!(id = %case.session.id(), script = %name, stage, error, "a script failed, which is kept");
    }
    Ok(verdict::verdict(outcome, case.envelope, case.stage, call))
}

async fn prepare(script: Arc<Script>, call: &ScriptCall, case: &Case<'_>) -> Result<Run, FilterError> {
    let octets = match case.stage {
        Stage::Data => {
            let message = case.in_hand()?;
            message.load(case.gate, &message.content()).await?
        }
        _ => Loan::default(),
    };
    // Decoded parts take about as much as the message itself.
    let room = octets.len() as u64;
    let room = case.gate.messages.budget().memory(room).ok_or(FilterError::NoRoom { octets: room })?;
    let policy = Arc::clone(case.session.policy());
    let hostname = policy.filters.interpreter.message_id_hostname.as_ref().unwrap_or(case.session.hostname());
    let text = |value: &Option<Arc<str>>| value.as_deref().unwrap_or_default().to_owned();
    Ok(Run {
        hostname: hostname.as_ref().to_owned(),
        gate: Arc::clone(case.gate),
        policy,
        script,
        stage: case.stage,
        handle: tokio::runtime::Handle::current(),
        octets,
        room,
        envelope: envelope::parts(case.envelope, case.stage),
        environment: environment::environment(case),
        author: (text(&call.from_address), text(&call.from_name)),
    })
}

fn failure(error: RunError) -> FilterError {
    match error {
        RunError::Script(why) => FilterError::Failed(why),
        RunError::TooLarge { most } => FilterError::AnswerTooLarge { most },
        RunError::NoRoom { octets } => FilterError::NoRoom { octets },
        RunError::TimedOut { after } => FilterError::Timeout { what: "the script", after },
    }
}
