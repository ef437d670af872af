//! The loop: something changed, so make a plan of the whole set and carry it out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postern_trace::{Kind, Place, span};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::api_error::Said;
use crate::apply::Applier;
use crate::metrics::{Metrics, Outcome};
use crate::names::Names;
use crate::plan::{Hold, Notice, Parts, Plan, StatusWrite, plan};
use crate::pods::Reports;
use crate::world::World;

/// Everything that a reconcile needs.
pub struct Reconciler {
    /// What is there.
    pub world: Arc<World>,
    /// What pods have said.
    pub reports: Arc<Reports>,
    /// What carries plans out.
    pub applier: Applier,
    /// What things are called.
    pub names: Names,
    /// The folder of programs that pipes may run in the pods.
    pub pipe_dir: Option<PathBuf>,
    /// The admin port of the pods.
    pub admin_port: u16,
    /// Whether this replica writes.
    pub leads: watch::Receiver<bool>,
    /// Told which revision the pods are to run.
    pub wanted: watch::Sender<Option<String>>,
    /// Counts.
    pub metrics: Metrics,
}

/// Something is left to do.
#[derive(Debug, thiserror::Error)]
enum Unfinished {
    #[error("the plan could not be made")]
    Plan(#[from] tokio::task::JoinError),
    #[error("{}", Said(.0))]
    Api(#[from] kube::Error),
    #[error("not every status was written")]
    Status,
}

impl Reconciler {
    /// Runs for as long as it is polled. A failure is tried again, whatever it was.
    pub async fn run(mut self) {
        let mut changes = self.world.subscribe();
        let mut failures = 0_u32;
        let mut held = None;
        let mut took = Duration::ZERO;
        loop {
            // Changes come in crowds: one `kubectl apply` of a folder, one list after a watch broke off. A large
            // policy is given as much time to come together as it takes to reconcile.
            sleep(took.clamp(DEBOUNCE, LONGEST_DEBOUNCE)).await;
            let begun = Instant::now();
            changes.mark_unchanged();
            let retry = if *self.leads.borrow_and_update() && self.world.is_complete() {
                self.once(&mut held, &mut failures).await
            } else {
                self.want_what_is_mounted();
                None
            };
            took = begun.elapsed();
            tokio::select! {
                _ = changes.changed() => {}
                _ = self.leads.changed() => {}
                () = sleep(retry.unwrap_or(LOOK_AGAIN)) => {}
            }
        }
    }

    async fn once(&self, held: &mut Option<Hold>, failures: &mut u32) -> Option<Duration> {
        let begun = Instant::now();
        let mut span = self.metrics.tracer().begin_anew("operator.reconcile", Kind::Internal);
        let done = span.around(self.reconcile(held)).await;
        if let Err(error) = &done {
            span.fail(error);
        }
        drop(span);
        let outcome = if done.is_ok() { Outcome::Done } else { Outcome::Failed };
        self.metrics.reconciled(outcome, begun.elapsed());
        match done {
            Ok(()) => {
                *failures = 0;
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the reconcile is tried again");
                *failures = failures.saturating_add(1);
                Some(Duration::from_millis(250 << (*failures).min(6)))
            }
        }
    }

    async fn reconcile(&self, held: &mut Option<Hold>) -> Result<(), Unfinished> {
        let mut inputs = self.world.inputs(&self.names, self.pipe_dir.clone());
        inputs.now = Timestamp::now();
        inputs.pods = self.reports.of_ready(&self.world.pods(self.admin_port));
        let mounted = inputs.mounted.clone();
        // It compiles the whole policy, which is no work for a thread that others wait for.
        let Plan { parts, statuses, notices, held: now_held } = {
            let here = Place::here();
            spawn_blocking(move || here.run(|| plan(&inputs))).await?
        };
        let now_is_held = now_held.is_some();
        if *held != now_held {
            match &now_held {
                Some(hold) => tracing::warn!(reason = hold.reason(), "{hold}; what is mounted stays"),
                None => tracing::info!("what was accepted is mounted again"),
            }
            self.metrics.held(now_held.is_some());
            *held = now_held;
        }
        let mut span = span("operator.apply", Kind::Client);
        span.text_if("postern.policy.revision", parts.revision_id());
        span.truth("postern.operator.mounts", parts != mounted);
        span.truth("postern.operator.held", now_is_held);
        span.number("postern.operator.statuses", statuses.len() as u64);
        let applied = span.around(self.apply(&mounted, &parts, &statuses, &notices)).await;
        if let Err(error) = &applied {
            span.fail(error);
        }
        applied
    }

    async fn apply(
        &self,
        mounted: &Parts,
        parts: &Parts,
        statuses: &[StatusWrite],
        notices: &[Notice],
    ) -> Result<(), Unfinished> {
        if parts != mounted {
            self.applier.mount(mounted, parts).await?;
            tracing::info!(revision = parts.revision_id(), "mounted");
        }
        self.want(parts.revision_id());
        self.applier.warn(notices).await;
        if !self.applier.tell(statuses).await {
            return Err(Unfinished::Status);
        }
        // Last, because it passes the webhook, which may be waiting for this very process.
        Ok(self.applier.ensure_settings().await?)
    }

    /// Replicas that do not write hear the pods too, so that they know them when they have to take over.
    fn want_what_is_mounted(&self) {
        let inputs = self.world.inputs(&self.names, None);
        self.want(inputs.mounted.revision_id());
    }

    fn want(&self, revision: Option<&str>) {
        self.wanted.send_if_modified(|wanted| {
            let is_new = wanted.as_deref() != revision;
            if is_new {
                *wanted = revision.map(str::to_owned);
            }
            is_new
        });
    }
}

/// How long changes are collected.
const DEBOUNCE: Duration = Duration::from_millis(50);
const LONGEST_DEBOUNCE: Duration = Duration::from_secs(2);
/// How often everything is looked at without a change.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
