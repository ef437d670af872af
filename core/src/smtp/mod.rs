//! The wire: lines, commands, parameters, replies, and the readers of message data (RFC 5321).

pub mod address;
pub mod bdat;
pub mod command;
pub mod data;
mod domain;
pub mod extensions;
pub mod line;
mod line_ends;
pub mod next_hop_reply;
pub mod parameter_text;
mod parameter_values;
pub mod parameters;
mod path;
mod plain_run;
mod replies;
pub mod reply;
pub mod stuffing;
mod syntax;
pub mod xtext;
