//! Directories outside of the policy, with real clients on the other side of the gate: OpenLDAP's slapd, and a certified provider of
//! OpenID Connect.

#[path = "directories/bench.rs"]
mod bench;
#[path = "directories/example.rs"]
mod example;
#[path = "directories/passwords.rs"]
mod passwords;
#[path = "directories/recipients.rs"]
mod recipients;
#[path = "directories/tokens.rs"]
mod tokens;
#[path = "directories/trouble.rs"]
mod trouble;
