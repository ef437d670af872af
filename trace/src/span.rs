//! One span.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::current::Place;
use crate::encoding::{self, field};
use crate::ids;
use crate::tracer::{Began, Shared};

/// A step that may be recorded. It ends when it is dropped.
///
/// Of a trace that is not recorded it is empty, and every method does nothing.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Open>>);

/// What a span is to others (OpenTelemetry specification, `SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A step inside this process.
    Internal,
    /// An answer to somebody who asked from outside.
    Server,
    /// A question to somebody outside.
    Client,
}

#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
    trace: u128,
    id: u64,
    /// Zero: none.
    parent: u64,
    name: &'static str,
    kind: Kind,
    began: Began,
    /// Attributes and links, encoded.
    fields: Vec<u8>,
    /// Whether it ended as it should not.
    failed: bool,
}

impl Span {
    /// A span that is not recorded.
    pub const NONE: Self = Self(None);

    pub(crate) fn open(
        shared: &Arc<Shared>,
        trace: u128,
        parent: u64,
        name: &'static str,
        kind: Kind,
        began: Began,
    ) -> Self {
        let open = Open {
            shared: Arc::clone(shared),
            trace,
            id: ids::next(),
            parent,
            name,
            kind,
            began,
            fields: Vec::with_capacity(USUAL_OCTETS),
            failed: false,
        };
        Self(Some(Box::new(open)))
    }

    /// Whether it is recorded. What is costly to find out is asked for only then.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// A step inside this one.
    #[must_use]
    pub fn child(&self, name: &'static str, kind: Kind) -> Self {
        match &self.0 {
            Some(open) => Self::open(&open.shared, open.trace, open.id, name, kind, Began::now()),
            None => Self::NONE,
        }
    }

    /// Sets an attribute to a text, of which the first 1,024 octets count.
    pub fn text(&mut self, name: &'static str, value: impl fmt::Display) {
        if let Some(open) = &mut self.0 {
            encoding::text_attribute(field::ATTRIBUTES, name, &value, &mut open.fields);
        }
    }

    /// Sets an attribute to a text, if there is one.
    pub fn text_if(&mut self, name: &'static str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Sets an attribute to a number.
    pub fn number(&mut self, name: &'static str, value: u64) {
        if let Some(open) = &mut self.0 {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            encoding::number_attribute(field::ATTRIBUTES, name, value, &mut open.fields);
        }
    }

    /// Sets an attribute to yes or no.
    pub fn truth(&mut self, name: &'static str, value: bool) {
        if let Some(open) = &mut self.0 {
            encoding::truth_attribute(field::ATTRIBUTES, name, value, &mut open.fields);
        }
    }

    /// Names a span of another trace that belongs to this one.
    pub fn link(&mut self, other: &Self) {
        if let (Some(open), Some(other)) = (&mut self.0, &other.0) {
            encoding::nested(field::LINKS, &mut open.fields, |out| {
                encoding::octets(field::LINK_TRACE_ID, &other.trace.to_be_bytes(), out);
                encoding::octets(field::LINK_SPAN_ID, &other.id.to_be_bytes(), out);
                encoding::fixed32(field::LINK_FLAGS, FLAGS, out);
            });
        }
    }

    /// The step has failed, and why. Only the first reason counts.
    pub fn fail(&mut self, reason: impl fmt::Display) {
        if let Some(open) = self.0.as_mut().filter(|open| !open.failed) {
            open.failed = true;
            encoding::nested(field::STATUS, &mut open.fields, |out| {
                encoding::nested(field::STATUS_MESSAGE, out, |out| encoding::text(&reason, out));
                encoding::number(field::STATUS_CODE, STATUS_ERROR, out);
            });
        }
    }

    /// Runs a future in which this is the current span; of a span that is not recorded, the one around it stays.
    pub fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.place().around(future)
    }

    /// Where steps inside this span begin.
    #[must_use]
    pub fn place(&self) -> Place {
        match &self.0 {
            Some(open) => Place { id: open.trace, parent: Some((Arc::clone(&open.shared), open.id)) },
            None => Place::here(),
        }
    }

    pub(crate) fn parent(&self) -> Option<(Arc<Shared>, u64)> {
        self.0.as_ref().map(|open| (Arc::clone(&open.shared), open.id))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut fields = mem::take(&mut self.fields);
        let (start, lasted) = (self.began.wall, self.began.clock.elapsed());
        let start = start.duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let out = &mut fields;
        encoding::octets(field::TRACE_ID, &self.trace.to_be_bytes(), out);
        encoding::octets(field::SPAN_ID, &self.id.to_be_bytes(), out);
        if self.parent != 0 {
            encoding::octets(field::PARENT_SPAN_ID, &self.parent.to_be_bytes(), out);
        }
        encoding::fixed32(field::FLAGS, FLAGS, out);
        encoding::octets(field::NAME, self.name.as_bytes(), out);
        encoding::number(field::KIND, self.kind.number(), out);
        encoding::fixed64(field::START, nanoseconds(start), out);
        encoding::fixed64(field::END, nanoseconds(start + lasted), out);
        self.shared.queue.push(&fields);
    }
}

impl Kind {
    const fn number(self) -> u64 {
        match self {
            Self::Internal => 1,
            Self::Server => 2,
            Self::Client => 3,
        }
    }
}

/// W3C: sampled; OTLP: whether the parent is remote is known, and it is not.
const FLAGS: u32 = 0x101;
const STATUS_ERROR: u64 = 2;
/// What most spans need; beyond it they grow.
const USUAL_OCTETS: usize = 384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_that_is_not_recorded_is_a_null_pointer() {
        assert_eq!(size_of::<Span>(), size_of::<usize>());
        let mut span = Span::NONE.child("child", Kind::Internal);
        span.text("key", "value");
        span.fail("why");
        assert!(!span.is_recorded());
    }
}
