//! Milters that follow the protocol and milters that break it, played by a script: what they are told, what their answers do, and
//! that nothing they say does harm.

#[path = "milter/bench.rs"]
mod bench;
#[path = "milter/conversation.rs"]
mod conversation;
#[path = "milter/faults.rs"]
mod faults;
#[path = "milter/verdicts.rs"]
mod verdicts;
