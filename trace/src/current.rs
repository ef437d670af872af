//! The trace and the span that whatever runs in a task belongs to.

use std::fmt;
use std::sync::Arc;

use crate::ids;
use crate::span::{Kind, Span};
use crate::tracer::{Began, Shared};

tokio::task_local! {
    static CURRENT: Place;
}

/// A place in a trace, where steps may begin. Copying it allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The id of the trace, which log lines carry whether it is recorded or not.
    pub(crate) id: u128,
    /// The span, where the trace is recorded.
    pub(crate) parent: Option<(Arc<Shared>, u64)>,
}

impl Place {
    /// Below a span of a trace. Log lines know the id of the trace even when nothing is recorded.
    #[must_use]
    pub fn below(span: &Span, trace: u128) -> Self {
        Self { id: trace, parent: span.parent() }
    }

    /// Where whoever calls this is, for a task that is spawned to go on there.
    #[must_use]
    pub fn here() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs a function at this place, for a thread that belongs to no task.
    pub fn run<T>(self, function: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, function)
    }

    /// Runs a future at this place.
    pub fn around<F: Future>(self, future: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self, future)
    }
}

/// A step inside the current span; empty where there is none.
#[must_use]
pub fn span(name: &'static str, kind: Kind) -> Span {
    open(name, kind, Began::now)
}

/// The same, for a step that has begun already.
#[must_use]
pub fn span_since(name: &'static str, kind: Kind, began: Began) -> Span {
    open(name, kind, || began)
}

fn open(name: &'static str, kind: Kind, began: impl FnOnce() -> Began) -> Span {
    let open = |current: &Place| {
        let (shared, parent) = current.parent.as_ref()?;
        Some(Span::open(shared, current.id, *parent, name, kind, began()))
    };
    CURRENT.try_with(open).ok().flatten().unwrap_or_default()
}

/// The id of the trace that runs.
#[must_use]
pub fn current_id() -> Option<u128> {
    CURRENT.try_with(|current| current.id).ok().filter(|id| *id != 0)
}

/// What another program is told so that its spans join the trace (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    trace: u128,
    span: u64,
    is_recorded: bool,
}

/// The current span. Where nothing is recorded it says so, with the id of the trace, or else `id`, and a span that
/// nobody else has.
#[must_use]
pub fn traceparent(id: u128) -> Traceparent {
    let Place { id: known, parent } = Place::here();
    let trace = if known == 0 { id } else { known };
    match parent {
        Some((_, span)) => Traceparent { trace, span, is_recorded: true },
        None => Traceparent { trace, span: ids::next(), is_recorded: false },
    }
}

impl Traceparent {
    /// Whether spans of others would be seen together with ours.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.is_recorded
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.is_recorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_trace_that_is_not_recorded_goes_on_under_its_id() {
        let told = Place::below(&Span::NONE, 0xabc)
            .around(async { (current_id(), traceparent(0xabc).to_string()) })
            .await;
        assert_eq!(told.0, Some(0xabc));
        let parts: Vec<&str> = told.1.split('-').collect();
        let [version, trace, span, flags] = parts[..] else { panic!("{told:?}") };
        assert_eq!((version, trace, flags), ("00", "00000000000000000000000000000abc", "00"));
        assert!(span.len() == 16 && span.bytes().all(|b| b.is_ascii_hexdigit()), "{told:?}");
        assert_ne!(span, "0000000000000000");
        assert_eq!(current_id(), None);
        assert!(!super::span("x", Kind::Internal).is_recorded());
    }
}
