//! The JSON that hooks are asked with and answer in: what it looks like, and what an answer means.
//!
//! Sending and receiving it is the server's; here are only values.

mod answer;
mod request;

pub use answer::{AnswerError, read};
pub use request::{
    Address, Client, Context, Envelope, Fields, Message, Octets, Protocol, Queue, Request, Sasl, Server, Tls,
};
