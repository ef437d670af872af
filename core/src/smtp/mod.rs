//! The wire: lines, commands, parameters, replies, and the readers of message data (RFC 5321).

pub mod address;
pub mod command;
mod domain;
pub mod extensions;
pub mod line;
mod parameter_values;
pub mod parameters;
mod path;
mod replies;
pub mod reply;
mod syntax;
pub mod xtext;
