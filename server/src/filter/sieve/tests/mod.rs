//! Scripts, messages, and what comes of both.

mod cases;
mod hostile;

use std::sync::Arc;
use std::time::Duration;

use postern_core::envelope::{Envelope, Recipient};
use postern_core::policy::Policy;
use postern_core::policy::filter::{Program, SieveScript};
use postern_core::session::consult::ScriptCall;
use postern_core::smtp::address::{Address, ReversePath};
use postern_core::smtp::parameters::{MailParameters, RcptParameters};
use postern_core::verdict::{Stage, Verdict};
use postern_crds::sieve::{Require, Script, compile};
use sieve::runtime::Variable;

use super::envelope::parts;
use super::run::{Outcome, Run, RunError};
use super::verdict::verdict;
use crate::filter::case::Loan;
use crate::testing;

/// A script with everything that it is told.
struct Scene {
    policy: Policy,
    stage: Stage,
    envelope: Envelope,
    environment: Vec<(String, Variable)>,
    message: Vec<u8>,
    author: (String, String),
    return_path: Option<Arc<str>>,
}

impl Scene {
    /// A scene of the stage DATA.
    fn new(message: &[u8]) -> Self {
        let mut policy = Policy::default();
        // Only tests that are about time depend on it.
        policy.filters.interpreter.max_wall_time = Duration::from_secs(600);
        Self {
            policy,
            stage: Stage::Data,
            envelope: Envelope {
                sender: ReversePath::Mailbox(address("ann@example.org")),
                parameters: MailParameters::default(),
                recipients: vec![recipient("bob@example.net")],
            },
            environment: Vec::new(),
            message: message.to_vec(),
            author: ("gate@example.net".into(), "The Gate".into()),
            return_path: None,
        }
    }

    fn with_script(mut self, name: &str, source: &str) -> Self {
        let script = compile(source, Require::Optional)
            .unwrap_or_else(|findings| panic!("{name} does not compile: {findings:?}\n{source}"));
        let program = Program::new(Arc::new(script));
        let script = SieveScript { name: name.into(), program };
        self.policy.filters.scripts.insert(name.to_lowercase().into(), Arc::new(script));
        self
    }

    /// Runs the script `main` to its end, on a thread of its own as the pool would.
    async fn run(self) -> Result<(Outcome, Envelope, Stage), RunError> {
        let Self { policy, stage, envelope, environment, message, author, .. } = self;
        let script: Arc<Script> = policy.filters.scripts["main"].program.get().unwrap();
        let gate = testing::gate(Policy::default());
        gate.messages.budget().resize(1 << 30, 0);
        let room = gate.messages.budget().memory(message.len() as u64).unwrap();
        let run = Run {
            gate,
            policy: Arc::new(policy),
            script,
            stage,
            handle: tokio::runtime::Handle::current(),
            octets: Loan::of(message),
            room,
            envelope: parts(&envelope, stage),
            environment,
            author,
            hostname: "gate.example.net".into(),
        };
        let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(move || run.run()).unwrap();
        let outcome = tokio::task::spawn_blocking(move || thread.join()).await.unwrap();
        outcome
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .map(|outcome| (outcome, envelope, stage))
    }

    /// What the gate does, or why the script has failed.
    async fn verdict(self) -> Result<Verdict, RunError> {
        let script = Arc::clone(&self.policy.filters.scripts["main"]);
        let call = ScriptCall {
            script,
            on_error: self.policy.filters.interpreter.on_error,
            from_address: None,
            from_name: None,
            return_path: self.return_path.clone(),
        };
        let (outcome, envelope, stage) = self.run().await?;
        Ok(verdict(outcome, &envelope, stage, &call))
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn recipient(text: &str) -> Recipient {
    Recipient { address: address(text), parameters: RcptParameters::default() }
}
