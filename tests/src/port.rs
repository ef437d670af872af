//! Ports on loopback that nobody else takes, for programs that must be told a number.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result, bail};

/// A port of 127.0.0.1 that is ours until this value is dropped.
///
/// It is below the range from which the kernel picks the ports of outgoing connections, so no client can take it in the moment
/// between the reservation and the start of the server; a locked file keeps other test processes away.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Holds the lock; closing the file releases it.
    _lock: File,
}

impl Port {
    /// Reserves a free port.
    ///
    /// # Errors
    /// When the folder of lock files cannot be used, or after a thousand ports that were all taken.
    pub fn reserve() -> Result<Self> {
        let locks = std::env::temp_dir().join("postern-test-ports");
        fs::create_dir_all(&locks).with_context(|| format!("creating {}", locks.display()))?;
        for attempt in 0..1000_u64 {
            let number = FIRST + (RandomState::new().hash_one(attempt) % COUNT) as u16;
            let lock = File::create(locks.join(number.to_string()))?;
            if lock.try_lock().is_err() {
                continue;
            }
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("no free port between {FIRST} and {}", u64::from(FIRST) + COUNT)
    }

    /// The number alone.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// 127.0.0.1 with this port.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

const FIRST: u16 = 20_000;
const COUNT: u64 = 12_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_not_given_twice() {
        let ports: Vec<Port> = (0..50).map(|_| Port::reserve().unwrap()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ports.len());
    }
}
