//! LDAP as values (RFC 4511): requests to octets, octets to answers, and search filters (RFC 4515).
//!
//! A filter is parsed when the policy is loaded. What a client sends is put into its finished form as the value
//! of an assertion, behind its length, so that no character of it can ever be read as part of the filter.

pub mod ber;
pub mod filter;
pub mod message;

pub use ber::{BerError, message_length};
pub use filter::{Filter, FilterFault, Subject};
pub use message::{Attribute, Entry, Outcome, Request, Response, Scope, Search};
