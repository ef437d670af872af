//! Spans: what happened to a message, step by step, for a collector that speaks OTLP.
//!
//! ```text
//! Tracer ──root──> Span ──around(future)──> span() in whatever runs inside ──drop──> queue ──> collector
//! ```
//!
//! Whether a trace is recorded is decided once, from its id. A span that is not recorded is an empty handle: it
//! allocates nothing, and neither do its children. One that is recorded encodes its attributes as they are set, in
//! the form in which they are sent, so that its end is one copy into a bounded queue. Nobody ever waits for the
//! collector: what does not fit into the queue is dropped and counted.
//!
//! Which span is the parent is a task-local, set by [`Span::around`] and [`Place::around`], and read by [`span`]. A task that is spawned has
//! none, and begins its own.

mod current;
mod encoding;
mod export;
mod ids;
pub mod lines;
mod metrics;
mod sampler;
mod settings;
mod span;
mod tracer;

pub use self::current::{Place, Traceparent, current_id, span, span_since, traceparent};
pub use self::export::Tracing;
pub use self::sampler::Sampler;
pub use self::settings::{Complaint, Settings};
pub use self::span::{Kind, Span};
pub use self::tracer::{Began, Root, Tracer};
