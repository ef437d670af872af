//! Whole sessions: whatever a client says and whatever the world answers, the session keeps its promises.

#[path = "../../core/tests/session/host.rs"]
mod host;
#[path = "../../core/tests/session/policy.rs"]
mod policy;
#[path = "../../core/tests/session/promises.rs"]
mod promises;

use postern_core::policy::listener::Protocol;
use postern_core::policy::route::MixedRoutes;
use postern_core::session::event::Event;

use self::host::Host;
use self::promises::{Known, Next, check, play};

/// Octets of chance below this bring no trouble.
const HARMLESS: u8 = 247;

const MOST_LINES: usize = 64;

/// Runs one input.
///
/// Its first line is one octet for the sort of session and then octets of chance; the others are what the client says.
pub fn run(octets: &[u8]) {
    let Some((sort, octets)) = octets.split_first() else { return };
    let (chance, lines) =
        octets.split_at(octets.iter().position(|octet| *octet == b'\n').unwrap_or(octets.len()));
    let protocol = if sort & 1 == 1 { Protocol::Lmtp } else { Protocol::Smtp };
    let routes = if sort & 2 == 2 { MixedRoutes::Defer } else { MixedRoutes::Fanout };
    let chance = [chance, &[0]].concat();
    let mut host = Host::new(policy::inquisitive(routes), protocol, chance);
    let mut known = Known::default();
    if host.event(Event::Connected).closed {
        return;
    }
    for line in lines.split(|octet| *octet == b'\n').skip(1).take(MOST_LINES) {
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
}
