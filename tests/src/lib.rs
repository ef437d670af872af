//! The bench that Postern is tested on: the built `postern` binary as a child process, real peers from Debian, and a next hop
//! that misbehaves on command.
//!
//! Nothing here links the server. A test writes a folder of manifests ([`manifests::Folder`]), starts the gate on it
//! ([`gate::Gate`]), talks to it ([`client::Client`], [`peers`]) and looks at what the next hop holds ([`hop::Hop`],
//! [`maildir::Maildir`]). Every child is stopped by its own process id, every address is on loopback, every file lies in a
//! temporary folder.
//!
//! A test that needs a program of the system says so with [`require::peers`] and is skipped, with the reason, where it is missing;
//! `POSTERN_TEST_REQUIRE_PEERS=1`, which `tests/run` sets, turns that into a failure.

pub mod certificate;
pub mod cgroup;
pub mod client;
pub mod cluster;
pub mod exchanger;
pub mod filtered;
pub mod gate;
pub mod hop;
pub mod http;
pub mod jaeger;
pub mod maildir;
pub mod manifests;
pub mod milter;
pub mod peers;
pub mod port;
pub mod process;
pub mod require;
pub mod saboteur;
pub mod site;
pub mod trace;
pub mod wait;
