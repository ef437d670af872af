//! Which filters are left alone for a while, because they keep failing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use postern_core::session::consult::Rule;
use postern_core::verdict::FilterKind;
use tokio::time::Instant;

use super::FilterError;

/// The breakers of all filters, shared by all sessions. They outlive reloads, since the filters do.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Only filters whose last answer was a failure are here.
    failing: Mutex<HashMap<(FilterKind, Arc<str>), Failing>>,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    /// In a row.
    failures: u32,
    /// The moment from which one session may try again.
    until: Option<Instant>,
}

impl Health {
    /// Whether a filter may be asked now. After its rest one session tries; the others wait for what it finds.
    pub(super) fn admits(&self, rule: &Rule, now: Instant) -> bool {
        let Some(breaker) = rule.breaker else { return true };
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = failing.get_mut(&key(rule)) else { return true };
        match state.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                state.until = Some(now + breaker.cooldown);
                true
            }
        }
    }

    /// Takes note of how it went.
    pub(super) fn learn(&self, rule: &Rule, error: Option<&FilterError>, now: Instant) {
        let Some(breaker) = rule.breaker else { return };
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => {
                failing.remove(&key(rule));
            }
            Some(error) if error.blames_filter() => {
                let state = failing.entry(key(rule)).or_insert(Failing { failures: 0, until: None });
                state.failures = state.failures.saturating_add(1);
                if breaker.failures > 0 && state.failures >= breaker.failures {
                    state.until = Some(now + breaker.cooldown);
                }
            }
            Some(_) => {}
        }
    }
}

fn key(rule: &Rule) -> (FilterKind, Arc<str>) {
    (rule.kind, Arc::clone(&rule.name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postern_core::policy::filter::{Breaker, Mode};

    use super::*;

    fn rule() -> Rule {
        Rule {
            kind: FilterKind::Milter,
            name: "scanner".into(),
            mode: Mode::Enforce,
            temp_fail_on_error: true,
            max_message_size: 1,
            breaker: Some(Breaker { failures: 2, cooldown: Duration::from_secs(10) }),
        }
    }

    const BROKEN: FilterError = FilterError::Status(500);

    #[tokio::test]
    async fn a_filter_rests_after_failures_in_a_row_and_is_tried_by_one_session_then() {
        let (health, rule, now) = (Health::default(), rule(), Instant::now());
        health.learn(&rule, Some(&BROKEN), now);
        assert!(health.admits(&rule, now));
        health.learn(&rule, Some(&BROKEN), now);
        assert!(!health.admits(&rule, now));
        let later = now + Duration::from_secs(10);
        assert!(health.admits(&rule, later));
        assert!(!health.admits(&rule, later));
        health.learn(&rule, None, later);
        assert!(health.admits(&rule, later));
    }

    #[tokio::test]
    async fn what_is_not_the_filters_fault_does_not_count() {
        let (health, rule, now) = (Health::default(), rule(), Instant::now());
        for _ in 0..3 {
            health.learn(&rule, Some(&FilterError::NoRoom { octets: 1 }), now);
        }
        assert!(health.admits(&rule, now));
    }

    #[tokio::test]
    async fn a_filter_that_came_too_late_for_its_turn_is_not_blamed_for_the_time_of_others() {
        let (health, rule, now) = (Health::default(), rule(), Instant::now());
        let over = |to_blame| FilterError::OutOfTime { budget: Duration::from_secs(4), to_blame };
        for _ in 0..3 {
            health.learn(&rule, Some(&over(false)), now);
        }
        assert!(health.admits(&rule, now));
        for _ in 0..2 {
            health.learn(&rule, Some(&over(true)), now);
        }
        assert!(!health.admits(&rule, now));
    }

    #[tokio::test]
    async fn a_success_between_failures_starts_the_count_anew() {
        let (health, rule, now) = (Health::default(), rule(), Instant::now());
        health.learn(&rule, Some(&BROKEN), now);
        health.learn(&rule, None, now);
        health.learn(&rule, Some(&BROKEN), now);
        assert!(health.admits(&rule, now));
    }
}
