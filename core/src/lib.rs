//! The decisions of Postern, as pure functions over values.
//!
//! Nothing here opens a socket, reads a clock or knows of Kubernetes: bytes, times and answers come in
//! as arguments, replies and questions go out as values. So the same code runs under unit tests, in
//! fuzzers, behind TCP and inside `postern simulate`.

pub mod cause;
pub mod deliberation;
pub mod envelope;
pub mod expr;
pub mod handoff;
pub mod hook;
pub mod ldap;
pub mod message;
pub mod milter;
pub mod policy;
pub mod rspamd;
pub mod session;
pub mod smtp;
pub mod verdict;
