//! What is counted of filters. Labels are the kinds, the stages, the outcomes, and names in the policy.

use std::sync::Arc;
use std::time::Duration;

use postern_core::policy::filter::Mode;
use postern_core::session::consult::Rule;
use postern_core::verdict::{Stage, Verdict};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::FilterError;

/// Latency and outcome of every filter. Cheap to clone; every clone counts into the same.
#[derive(Debug, Clone)]
pub struct FilterMetrics {
    seconds: Family<FilterLabels, Histogram, fn() -> Histogram>,
    verdicts: Family<VerdictLabels, Counter>,
    over_budget: Counter,
    scripts_starved: Counter,
    script_errors: Family<ScriptLabels, Counter>,
}

/// What came of asking a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilterOutcome {
    /// No objection, no change.
    Passed,
    /// No objection, and changes.
    Modified,
    /// Refused for good.
    Rejected,
    /// Refused for now.
    Deferred,
    /// Taken and delivered nowhere.
    Discarded,
    /// The connection ends.
    Disconnected,
    /// It broke.
    Failed,
    /// It was not asked, because it keeps failing.
    LeftAlone,
}

impl FilterOutcome {
    pub(super) fn of(said: &Result<Verdict, FilterError>) -> Self {
        match said {
            Ok(Verdict::Pass(changes)) if changes.is_empty() => Self::Passed,
            Ok(Verdict::Pass(_)) => Self::Modified,
            Ok(Verdict::Reject(_)) => Self::Rejected,
            Ok(Verdict::Defer(_)) => Self::Deferred,
            Ok(Verdict::Discard) => Self::Discarded,
            Ok(Verdict::Disconnect(_)) => Self::Disconnected,
            Err(FilterError::LeftAlone) => Self::LeftAlone,
            Err(_) => Self::Failed,
        }
    }

    /// The name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "pass",
            Self::Modified => "modify",
            Self::Rejected => "reject",
            Self::Deferred => "defer",
            Self::Discarded => "discard",
            Self::Disconnected => "disconnect",
            Self::Failed => "failure",
            Self::LeftAlone => "left_alone",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FilterLabels {
    kind: &'static str,
    filter: Arc<str>,
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ScriptLabels {
    script: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    kind: &'static str,
    filter: Arc<str>,
    stage: &'static str,
    mode: &'static str,
    verdict: &'static str,
}

impl Default for FilterMetrics {
    fn default() -> Self {
        Self {
            seconds: Family::new_with_constructor(histogram),
            verdicts: Family::default(),
            over_budget: Counter::default(),
            scripts_starved: Counter::default(),
            script_errors: Family::default(),
        }
    }
}

impl FilterMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let seconds = self.seconds.clone();
        registry.register_with_unit("filter", "How long a filter took", Unit::Seconds, seconds);
        let verdicts = "What filters said; mode=\"observe\": would have done";
        registry.register("filter_verdicts", verdicts, self.verdicts.clone());
        let over_budget = "Messages deferred because their filters took too long together";
        registry.register("filter_budget_exceeded", over_budget, self.over_budget.clone());
        let starved = "Scripts that did not run because every thread for scripts was taken";
        registry.register("sieve_starved", starved, self.scripts_starved.clone());
        let errors = "Run-time errors of scripts";
        registry.register("sieve_errors", errors, self.script_errors.clone());
    }

    /// Counts each thing once, so that every metric shows.
    #[cfg(test)]
    pub(crate) fn count_everything(&self) {
        let rule = Rule {
            kind: postern_core::verdict::FilterKind::Sieve,
            name: "marker".into(),
            mode: Mode::Enforce,
            temp_fail_on_error: true,
            max_message_size: 0,
            breaker: None,
        };
        self.asked(&rule, Stage::Data, FilterOutcome::Passed, Duration::ZERO);
        self.script_failed(&rule.name);
    }

    pub(super) fn asked(&self, rule: &Rule, stage: Stage, outcome: FilterOutcome, took: Duration) {
        let (kind, stage) = (rule.kind.name(), stage.name());
        let labels = FilterLabels { kind, filter: Arc::clone(&rule.name), stage };
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
        let mode = match rule.mode {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        };
        let verdict = outcome.name();
        let labels = VerdictLabels { kind, filter: Arc::clone(&rule.name), stage, mode, verdict };
        self.verdicts.get_or_create(&labels).inc();
    }

    pub(super) fn script_starved(&self) {
        self.scripts_starved.inc();
    }

    pub(super) fn script_failed(&self, script: &Arc<str>) {
        self.script_errors.get_or_create(&ScriptLabels { script: Arc::clone(script) }).inc();
    }

    pub(super) fn over_budget(&self) {
        self.over_budget.inc();
    }
}

fn histogram() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ])
}
