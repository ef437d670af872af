//! The wire: lines, commands, parameters, replies, and the readers of message data (RFC 5321).

pub mod address;
pub mod command;
pub mod parameters;
pub mod reply;
