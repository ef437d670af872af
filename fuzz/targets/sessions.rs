//! Whole sessions: whatever a client says and whatever the world answers, the session keeps its promises.

#![no_main]

#[path = "../../core/tests/session/host.rs"]
mod host;
#[path = "../../core/tests/session/policy.rs"]
mod policy;
#[path = "../../core/tests/session/promises.rs"]
mod promises;

use libfuzzer_sys::fuzz_target;
use postern_core::policy::listener::Protocol;
use postern_core::policy::route::MixedRoutes;
use postern_core::session::event::Event;

use self::host::Host;
use self::promises::{Known, Next, check, play};

/// Octets of chance below this bring no trouble.
const HARMLESS: u8 = 247;

fuzz_target!(|given: (bool, bool, Vec<u8>, &[u8])| {
    let (lmtp, defer, mut chance, lines) = given;
    chance.push(0);
    let protocol = if lmtp { Protocol::Lmtp } else { Protocol::Smtp };
    let routes = if defer { MixedRoutes::Defer } else { MixedRoutes::Fanout };
    let mut host = Host::new(policy::inquisitive(routes), protocol, chance);
    let mut known = Known::default();
    if host.event(Event::Connected).closed {
        return;
    }
    for line in lines.split(|octet| *octet == b'\n').take(64) {
        let next = match line {
            b"\x01" => Next::LineTooLong,
            b"\x02" => Next::Idle,
            b"\x03" => Next::Shutdown,
            line => Next::Line(String::from_utf8_lossy(line).into_owned().into()),
        };
        let course = play(&mut host, &next);
        check(&next, &course, &known, &host, protocol);
        known.learn(&next, &course);
        if course.closed {
            return;
        }
        assert_eq!(known.open, host.session.in_transaction(), "after {next:?}: {:?}", course.log);
    }
});
