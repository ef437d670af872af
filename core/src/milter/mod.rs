//! The client side of the milter protocol, versions 2 and 6, as values: octets in, octets out.
//!
//! ```text
//! Offer ──> Options ──> Dialogue: what a milter has been told on its connection
//!                          └──> Exchange: one question to it, from the first command still to be told to its answer
//! ```
//!
//! The host owns the connection. It sends what an [`Exchange`](exchange::Exchange) has written, and hands over the
//! frames that come. The protocol has no standard; it is defined by libmilter, which most milters are built with.

pub mod command;
pub mod dialogue;
pub mod error;
pub mod exchange;
pub mod facts;
pub mod frame;
pub mod macros;
pub mod options;

mod answer;
mod change;
#[cfg(test)]
mod tests;
