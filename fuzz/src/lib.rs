//! What is fuzzed: for each parser of a stranger's octets a function that takes any octets, and panics when a promise is broken.
//!
//! Two callers run them: libFuzzer (`engine`, by `fuzz/run`) with inputs of its own, and the tests with what is kept in `seeds`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is what is looked for"
)]

pub mod edits;
mod effects;
pub mod expressions;
pub mod hook_answers;
pub mod lines;
pub mod manifests;
pub mod message_data;
pub mod milter_frames;
pub mod next_hop_replies;
pub mod proxy_headers;
pub mod rspamd_answers;
pub mod sessions;

/// Takes one input, and panics on a finding.
pub type Run = fn(&[u8]);

/// Every target by the name of its folder in `seeds` and of its program in `engine`.
pub const TARGETS: [(&str, Run); 11] = [
    ("edits", edits::run),
    ("expressions", expressions::run),
    ("hook_answers", hook_answers::run),
    ("lines", lines::run),
    ("manifests", manifests::run),
    ("message_data", message_data::run),
    ("milter_frames", milter_frames::run),
    ("next_hop_replies", next_hop_replies::run),
    ("proxy_headers", proxy_headers::run),
    ("rspamd_answers", rspamd_answers::run),
    ("sessions", sessions::run),
];
