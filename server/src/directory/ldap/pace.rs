//! Nobody's name is answered as late as a wrong password, so that the time does not tell which names exist.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long this server takes to refuse a password, as it was lately.
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicU64);

impl Pace {
    /// A wrong password took so long. Slow ones count at once, fast ones bring the mark down by and by.
    pub(super) fn refused_after(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(LONGEST_MICROS);
        let known = self.0.load(Ordering::Relaxed);
        let next = if took > known { took } else { known - (known - took) / 8 };
        self.0.store(next, Ordering::Relaxed);
    }

    /// Waits until a wrong password would have been refused.
    pub(super) async fn keep(&self, began: Instant) {
        sleep_until(began + Duration::from_micros(self.0.load(Ordering::Relaxed))).await;
    }
}

/// A name that nobody has.
pub(super) fn nobody() -> String {
    let mut octets = [0; 16];
    // Without randomness it is still a name that nobody has.
    let _ = getrandom::fill(&mut octets);
    octets.iter().fold(String::from("postern-"), |mut name, octet| {
        let _ = write!(name, "{octet:02x}");
        name
    })
}

/// A server in trouble must not make everybody wait.
const LONGEST_MICROS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_as_long_as_a_wrong_password_took() {
        let pace = Pace::default();
        pace.refused_after(Duration::from_millis(80));
        let began = Instant::now();
        pace.keep(began).await;
        assert_eq!(began.elapsed().as_millis(), 80);
        for _ in 0..100 {
            pace.refused_after(Duration::from_millis(8));
        }
        let began = Instant::now();
        pace.keep(began).await;
        assert!(began.elapsed() < Duration::from_millis(10));
    }

    #[test]
    fn a_server_in_trouble_sets_no_pace() {
        let pace = Pace::default();
        pace.refused_after(Duration::from_secs(60));
        assert_eq!(pace.0.load(Ordering::Relaxed), LONGEST_MICROS);
    }

    #[test]
    fn two_nobodies_have_different_names() {
        assert_ne!(nobody(), nobody());
    }
}
