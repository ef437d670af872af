//! `MtaRoute` of type `Relay`: our side of SMTP and LMTP.
//!
//! ```text
//! Relays --(settings)--> RelayRoute --(address)--> HopPool --> Permit --> Lease --> Connection
//!                            |  failover, balance      idle, limits                  |
//!                            +--------- transaction: MAIL, RCPT, DATA or BDAT -------+
//! ```

mod connect;
mod connection;
mod conversation;
mod error;
mod pool;
mod registry;
mod reservation;
mod route;
mod stream;
mod transaction;
mod wire;

pub use error::Phase;
pub(crate) use pool::Permit;
pub(crate) use registry::Relays;
pub(crate) use reservation::reserve;
pub(crate) use route::{Claim, Offer, Offered, RelayRoute};
pub(crate) use wire::{Ahead, Letter};
