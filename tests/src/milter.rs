//! A milter that answers by a script, rightly or wrongly, and remembers what it was told.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// One frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Which connection brought it, counted from 1.
    pub connection: u64,
    /// What it is.
    pub code: char,
    /// What belongs to it.
    pub payload: Vec<u8>,
}

impl fmt::Display for Told {
    /// Code and payload, NUL as `|`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.code, String::from_utf8_lossy(&self.payload).replace('\0', "|"))
    }
}

/// What the milter does when it is told something.
#[derive(Debug, Clone, Default)]
pub struct Reaction {
    octets: Vec<u8>,
    then: Then,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Then {
    #[default]
    GoOn,
    Close,
    Hang,
}

impl Reaction {
    /// Says nothing, as agreed.
    pub fn silence() -> Self {
        Self::default()
    }

    /// Says these frames: a code and what belongs to it.
    pub fn say(frames: &[&str]) -> Self {
        frames.iter().fold(Self::default(), |reaction, frame| reaction.frame(frame.as_bytes()))
    }

    /// Says one more frame.
    #[must_use]
    pub fn frame(mut self, frame: &[u8]) -> Self {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        self.octets.extend_from_slice(&length.to_be_bytes());
        self.octets.extend_from_slice(frame);
        self
    }

    /// Says octets as they are.
    #[must_use]
    pub fn raw(mut self, octets: &[u8]) -> Self {
        self.octets.extend_from_slice(octets);
        self
    }

    /// Closes the connection after that.
    #[must_use]
    pub fn then_close(self) -> Self {
        Self { then: Then::Close, ..self }
    }

    /// Says nothing more after that, and does not close.
    #[must_use]
    pub fn then_hang(self) -> Self {
        Self { then: Then::Hang, ..self }
    }
}

/// The answer to an offer: version 6, all actions, and these steps.
pub fn agree(steps: u32) -> Reaction {
    agree_on(6, steps, b"")
}

/// As [`agree`], with another version, and with lists of macros.
pub fn agree_on(version: u32, steps: u32, lists: &[u8]) -> Reaction {
    let words = [version, 0x1ff, steps].map(u32::to_be_bytes).concat();
    Reaction::default().frame(&[b"O", &words[..], lists].concat())
}

type Script = dyn Fn(&Told) -> Option<Reaction> + Send + Sync;

/// The running milter. It takes no more connections when it is dropped.
#[derive(Debug)]
pub struct Milter {
    address: Option<SocketAddr>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    wake: Wake,
}

#[derive(Debug)]
enum Wake {
    Tcp(SocketAddr),
    Unix(std::path::PathBuf),
}

struct Shared {
    script: Box<Script>,
    state: Mutex<State>,
    changed: Condvar,
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    told: Vec<Told>,
    connections: u64,
    open: u64,
    stopped: bool,
}

trait Socket: Read + Write + Send {}
impl<T: Read + Write + Send> Socket for T {}

impl Milter {
    /// Starts a milter on TCP. What the script has no answer to is answered `c`, an offer with [`agree`] to everything
    /// but silence; `D`, `A` and `Q` have no answer.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(script: impl Fn(&Told) -> Option<Reaction> + Send + Sync + 'static) -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST, script)
    }

    /// As [`Self::start`], on another address of this machine.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_on(
        ip: Ipv4Addr,
        script: impl Fn(&Told) -> Option<Reaction> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind((ip, 0)).context("the milter cannot listen")?;
        let address = listener.local_addr()?;
        let accept = move || listener.accept().map(|(stream, _)| Box::new(stream) as Box<dyn Socket>);
        Ok(Self::run(script, accept, Some(address), Wake::Tcp(address)))
    }

    /// As [`Self::start`], on a Unix socket.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_at(
        path: &Path,
        script: impl Fn(&Told) -> Option<Reaction> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = UnixListener::bind(path).context("the milter cannot listen")?;
        let accept = move || listener.accept().map(|(stream, _)| Box::new(stream) as Box<dyn Socket>);
        Ok(Self::run(script, accept, None, Wake::Unix(path.to_owned())))
    }

    fn run(
        script: impl Fn(&Told) -> Option<Reaction> + Send + Sync + 'static,
        accept: impl Fn() -> std::io::Result<Box<dyn Socket>> + Send + 'static,
        address: Option<SocketAddr>,
        wake: Wake,
    ) -> Self {
        let shared =
            Arc::new(Shared { script: Box::new(script), state: Mutex::default(), changed: Condvar::new() });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                while let Ok(stream) = accept() {
                    let mut state = shared.lock();
                    if state.stopped {
                        return;
                    }
                    state.connections += 1;
                    state.open += 1;
                    let number = state.connections;
                    drop(state);
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        // An error is the end of this connection; the test looks at what was told.
                        let _ = serve(&shared, stream, number);
                        shared.lock().open -= 1;
                        shared.changed.notify_all();
                    });
                }
            }
        });
        Self { address, shared, acceptor: Some(acceptor), wake }
    }

    /// The fields of MtaMilter that lead here.
    pub fn fields(&self) -> String {
        match (&self.address, &self.wake) {
            (Some(address), _) => format!("hostname: \"{}\", port: {}", address.ip(), address.port()),
            (None, Wake::Unix(path)) => format!("socketPath: \"{}\"", path.display()),
            (None, Wake::Tcp(_)) => String::new(),
        }
    }

    /// Where it listens on TCP.
    ///
    /// # Errors
    /// When it listens on a Unix socket.
    pub fn address(&self) -> Result<SocketAddr> {
        self.address.context("the milter is on a Unix socket")
    }

    /// Everything it was told, macros included, in order.
    pub fn told(&self) -> Vec<Told> {
        self.shared.lock().told.clone()
    }

    /// The commands, without macros, as text.
    pub fn commands(&self) -> Vec<String> {
        let state = self.shared.lock();
        state.told.iter().filter(|told| told.code != 'D').map(ToString::to_string).collect()
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }

    /// Waits until every connection is closed, so that nothing more will be told.
    ///
    /// # Errors
    /// When that does not happen within `within`.
    pub fn wait_idle(&self, within: Duration) -> Result<()> {
        let end = Instant::now() + within;
        let mut state = self.shared.lock();
        while state.open > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("connections to the milter were still open after {within:?}");
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

impl Drop for Milter {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        // The acceptor looks at `stopped` after each connection.
        match &self.wake {
            Wake::Tcp(address) => drop(TcpStream::connect(address)),
            Wake::Unix(path) => drop(UnixStream::connect(path)),
        }
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(shared: &Shared, mut stream: Box<dyn Socket>, connection: u64) -> Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame)?;
        let (code, payload) = frame.split_first().context("an empty frame")?;
        let told = Told { connection, code: char::from(*code), payload: payload.to_vec() };
        shared.lock().told.push(told.clone());
        if told.code == 'Q' {
            return Ok(());
        }
        let reaction = (shared.script)(&told).unwrap_or_else(|| match told.code {
            'O' => agree(0),
            'D' | 'A' => Reaction::silence(),
            _ => Reaction::say(&["c"]),
        });
        stream.write_all(&reaction.octets)?;
        match reaction.then {
            Then::GoOn => {}
            Then::Close => return Ok(()),
            // Until the other side hangs up.
            Then::Hang => std::io::copy(&mut stream, &mut std::io::sink()).map(drop)?,
        }
    }
}
