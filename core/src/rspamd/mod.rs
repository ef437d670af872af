//! What rspamd answers over HTTP, and what follows from it.
//!
//! rspamd names an action and, in its `milter` block, changes to the message. The actions that hold mail back
//! become what the policy says; the changes are applied to whatever is delivered.

mod answer;
mod changes;

pub use answer::{Actions, AnswerError, read};
