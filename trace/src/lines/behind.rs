//! Lines on their way to standard error.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Takes lines at once and has a thread write them, many together when there are many.
///
/// Who writes a line waits for nobody, until [`MOST_OCTETS`] are waiting; then for whoever reads them, for no line is dropped.
#[derive(Clone)]
pub(super) struct Behind(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// The thread has lines in hand.
    is_writing: bool,
    /// The thread waits to be told of a line.
    is_idle: bool,
}

impl Behind {
    pub(super) fn begin(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || of_thread.write_to(out))?;
        Ok(Self(shared))
    }

    /// Waits until all lines are written, and no longer than [`FAREWELL`]: a process ends though nobody reads its log.
    pub(super) fn drain(&self) {
        let state = self.0.state();
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        drop(self.0.changed.wait_timeout_while(state, FAREWELL, is_busy));
    }
}

impl Shared {
    fn write_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let mut state = self.state();
            while state.waiting.is_empty() {
                state.is_idle = true;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.is_idle = false;
            state.is_writing = true;
            std::mem::swap(&mut state.waiting, &mut lines);
            drop(state);
            // There is room again.
            self.changed.notify_all();
            // Where nobody can be told of anything, nobody can be told of this.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            lines.clear();
            self.state().is_writing = false;
            self.changed.notify_all();
            thread::sleep(GATHERING);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &Behind {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let is_full = |state: &mut State| state.waiting.len() >= MOST_OCTETS;
        let state = self.0.changed.wait_while(self.0.state(), is_full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.waiting.extend_from_slice(octets);
        if state.is_idle {
            self.0.changed.notify_all();
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Behind {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// How long the thread lets lines gather after it has written some, so that a busy server writes a few hundred times a second
/// and not once for each message.
const GATHERING: Duration = Duration::from_millis(5);

/// Patience with whoever reads the log when the process ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// Octets that wait for a slow reader.
const MOST_OCTETS: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Says what it writes, each time after it was let to.
    struct Slow {
        leave: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.leave.recv().map_err(io::Error::other)?;
            self.written.send(octets.to_vec()).map_err(io::Error::other)?;
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Slow, Sender<()>, Receiver<Vec<u8>>) {
        let ((allow, leave), (written, seen)) = (channel(), channel());
        (Slow { leave, written }, allow, seen)
    }

    #[test]
    fn lines_wait_for_a_slow_reader_and_come_in_order() {
        let (out, allow, seen) = slow();
        let behind = Behind::begin(out).unwrap();
        (&behind).write_all(b"first\n").unwrap();
        allow.send(()).unwrap();
        let mut text = seen.recv().unwrap();
        // The thread is about to write, and nobody lets it; those who have lines go on.
        for number in 0..1000 {
            (&behind).write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        let wanted: String = (0..1000).map(|number| format!("{number}\n")).collect();
        for _ in 0..1000 {
            allow.send(()).unwrap();
        }
        behind.drain();
        text.extend(seen.try_iter().flatten());
        assert_eq!(String::from_utf8(text).unwrap(), format!("first\n{wanted}"));
    }

    #[test]
    fn no_line_is_dropped_when_too_much_waits() {
        let (out, allow, seen) = slow();
        let behind = Behind::begin(out).unwrap();
        let line = vec![b'x'; MOST_OCTETS / 4];
        let (said, waits) = channel();
        let of_writer = behind.clone();
        let writer = thread::spawn(move || {
            for number in 0..12 {
                (&of_writer).write_all(&line).unwrap();
                said.send(number).unwrap();
            }
        });
        // Some are in the hands of the thread, four more wait; the writer does not come to its end.
        let mut last = 0;
        while let Ok(number) = waits.recv_timeout(Duration::from_millis(300)) {
            last = number;
        }
        assert!((4..11).contains(&last), "{last}");
        (0..12).for_each(|_| allow.send(()).unwrap());
        writer.join().unwrap();
        behind.drain();
        assert_eq!(seen.try_iter().map(|octets| octets.len()).sum::<usize>(), 12 * (MOST_OCTETS / 4));
    }
}
