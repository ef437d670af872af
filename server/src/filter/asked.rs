//! What is told of a filter that was asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use postern_core::policy::filter::{MilterAddress, Mode};
use postern_core::session::consult::{Call, Rule};
use postern_core::verdict::{FilterKind, Stage, Verdict};
use postern_trace::{Kind, Span};

use super::{FilterError, FilterOutcome};
use crate::http::Target;

/// A filter that was asked, and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    kind: FilterKind,
    name: Arc<str>,
    stage: Stage,
    mode: Mode,
    outcome: FilterOutcome,
    took: Duration,
}

impl Asked {
    pub(super) fn new(rule: &Rule, stage: Stage, outcome: FilterOutcome, took: Duration) -> Self {
        Self { kind: rule.kind, name: Arc::clone(&rule.name), stage, mode: rule.mode, outcome, took }
    }
}

impl fmt::Display for Asked {
    /// `Milter scanner at data: pass in 1.2ms`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observed = match self.mode {
            Mode::Observe => " (observed)",
            Mode::Enforce => "",
        };
        let Self { kind, name, stage, outcome, took, .. } = self;
        write!(f, "{} {name} at {}: {}{observed} in {took:.1?}", kind.name(), stage.name(), outcome.name())
    }
}

/// The span of a question to a filter.
pub(super) fn span(call: &Call, rule: &Rule, stage: Stage) -> Span {
    let (name, kind) = match rule.kind {
        FilterKind::Milter => ("filter.milter", Kind::Client),
        FilterKind::Sieve => ("filter.sieve", Kind::Internal),
        FilterKind::SpamFilter => ("filter.rspamd", Kind::Client),
        FilterKind::Pipe => ("filter.pipe", Kind::Internal),
        FilterKind::Hook => ("filter.hook", Kind::Client),
    };
    let mut span = postern_trace::span(name, kind);
    span.text("postern.filter.name", &rule.name);
    span.text("postern.filter.kind", rule.kind.name());
    span.text("postern.stage", stage.name());
    if rule.mode == Mode::Observe {
        span.truth("postern.filter.observed", true);
    }
    if span.is_recorded() {
        name_server(&mut span, call);
    }
    span
}

/// Who answers, with the attributes that OpenTelemetry has for it. A path may hold a secret and is not told.
fn name_server(span: &mut Span, call: &Call) {
    let url = match call {
        Call::Milter(milter) => match &milter.address {
            MilterAddress::Tcp { host, port } => {
                span.text("server.address", host);
                return span.number("server.port", (*port).into());
            }
            MilterAddress::Unix(path) => return span.text("server.address", path.display()),
        },
        Call::Hook(hook) => &hook.url,
        Call::SpamFilter(filter) => &filter.url,
        Call::Pipe(call) => return span.text("process.executable.name", &call.command),
        Call::Script(_) | Call::NoSuchScript(_) | Call::Undecided(_) => return,
    };
    let Ok(target) = Target::parse(url) else { return };
    span.text("http.request.method", "POST");
    span.text("server.address", &target.host);
    span.number("server.port", target.port.into());
}

/// What came of it.
pub(super) fn finish(mut span: Span, outcome: FilterOutcome, said: &Result<Verdict, FilterError>) {
    span.text("postern.verdict", outcome.name());
    match said {
        Ok(Verdict::Pass(changes)) => span.number("postern.filter.changes", changes.len() as u64),
        Ok(Verdict::Reject(reply) | Verdict::Defer(reply) | Verdict::Disconnect(Some(reply))) => {
            span.number("postern.reply.code", reply.code().into());
            span.text("postern.reply.text", reply);
        }
        Ok(Verdict::Discard | Verdict::Disconnect(None)) => {}
        Err(error) => {
            span.text("error.type", error.kind());
            if let FilterError::Status(status) = error {
                span.number("http.response.status_code", (*status).into());
            }
            if span.is_recorded() {
                span.fail(super::reason(error));
            }
        }
    }
}
