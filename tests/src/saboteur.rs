//! A TCP proxy that spoils what a real service answers, in every way in which a network or a program can.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use crate::port::Port;

/// What becomes of the answers of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoiling {
    /// They arrive.
    Nothing,
    /// Nobody listens.
    Refuses,
    /// The connection stands, and nothing comes.
    Hangs,
    /// A TCP reset instead of an answer.
    Resets,
    /// Octets without any sense instead of an answer.
    Garbage,
    /// One octet of them every 300 ms.
    SlowOctets,
    /// The first half, then the end of the connection.
    ClosesHalfWay,
    /// The first octets, and then more than anybody can want.
    Endless,
}

/// The proxy. Its threads end when it is dropped.
#[derive(Debug)]
pub struct Saboteur {
    port: Port,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    service: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    spoiling: Spoiling,
    /// Both ends of all connections so far.
    sockets: Vec<TcpStream>,
}

impl Saboteur {
    /// A proxy before this service that spoils nothing yet.
    ///
    /// # Errors
    /// When there is no port.
    pub fn before(service: SocketAddr) -> Result<Self> {
        let state = State { spoiling: Spoiling::Nothing, sockets: Vec::new() };
        let shared = Arc::new(Shared { service, state: Mutex::new(state) });
        let mut saboteur = Self { port: Port::reserve()?, shared, acceptor: None };
        saboteur.listen()?;
        Ok(saboteur)
    }

    /// Where the gate is to find the service.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Ends all connections, and treats those that follow in this way.
    ///
    /// # Errors
    /// When it cannot listen again.
    pub fn spoil(&mut self, spoiling: Spoiling) -> Result<()> {
        self.shared.lock().spoiling = spoiling;
        self.cut();
        match spoiling {
            Spoiling::Refuses => self.close(),
            _ if self.acceptor.is_none() => self.listen()?,
            _ => {}
        }
        Ok(())
    }

    fn listen(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.port.address())?;
        let shared = Arc::clone(&self.shared);
        self.acceptor = Some(thread::spawn(move || {
            for gate in listener.incoming().flatten() {
                if shared.lock().spoiling == Spoiling::Refuses {
                    return;
                }
                // A service that is gone is one more thing that the gate has to bear.
                let _ = shared.connect(gate);
            }
        }));
        Ok(())
    }

    /// No connection is taken any more.
    fn close(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        // Whoever waits for a connection gets this one, and sees that it was the last.
        drop(TcpStream::connect(self.port.address()));
        let _ = acceptor.join();
    }

    fn cut(&self) {
        for socket in self.shared.lock().sockets.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Saboteur {
    fn drop(&mut self) {
        self.shared.lock().spoiling = Spoiling::Refuses;
        self.cut();
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, gate: TcpStream) -> io::Result<()> {
        let service = TcpStream::connect(self.service)?;
        let spoiling = {
            let mut state = self.lock();
            state.sockets.extend([gate.try_clone()?, service.try_clone()?]);
            state.spoiling
        };
        let (mut asked, mut asking) = (service.try_clone()?, gate.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut asking, &mut asked);
            let _ = asked.shutdown(Shutdown::Write);
        });
        thread::spawn(move || {
            let _ = answer(service, &gate, spoiling);
            let _ = gate.shutdown(Shutdown::Both);
        });
        Ok(())
    }
}

/// Gives the answers of the service to the gate, spoiled.
fn answer(mut service: TcpStream, mut gate: &TcpStream, spoiling: Spoiling) -> io::Result<()> {
    let mut octets = [0; 16 * 1024];
    loop {
        let got = service.read(&mut octets)?;
        let Some(octets) = octets.get(..got).filter(|octets| !octets.is_empty()) else { return Ok(()) };
        match spoiling {
            Spoiling::Nothing => gate.write_all(octets)?,
            Spoiling::Refuses | Spoiling::Hangs => {}
            Spoiling::Resets => {
                socket2::SockRef::from(gate).set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
            Spoiling::Garbage => {
                gate.write_all(&GARBAGE.repeat(20))?;
                return Ok(());
            }
            Spoiling::SlowOctets => {
                for octet in octets {
                    gate.write_all(&[*octet])?;
                    thread::sleep(Duration::from_millis(300));
                }
            }
            Spoiling::ClosesHalfWay => return gate.write_all(octets.get(..got / 2).unwrap_or_default()),
            Spoiling::Endless => {
                gate.write_all(octets.get(..got.min(5)).unwrap_or_default())?;
                for _ in 0..ENDLESS {
                    gate.write_all(&[b'x'; 64 * 1024])?;
                }
            }
        }
    }
}

/// Neither text nor a frame of any protocol, and no digit that SMTP could take for a code.
const GARBAGE: &[u8] = b"\xff\xfe\x00\x80garbage\r\n\x01\xf0\x9f\x0b\0\0\r\n{]<";

/// Pieces of 64 KiB after which even this ends.
const ENDLESS: usize = 4096;
