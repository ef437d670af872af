//! The parameters of MAIL against the extensions that are on.

use jiff::Timestamp;

use super::Session;
use super::facts::View;
use super::question::Halt;
use super::replies;
use crate::policy::defaults::DOCUMENTED;
use crate::smtp::parameters::{DeliverByMode, Hold, MailParameters};
use crate::smtp::reply::Reply;

/// Priorities of RFC 6710 section 4.
const PRIORITIES: std::ops::RangeInclusive<i64> = -9..=9;

impl Session {
    pub(super) fn check_mail_parameters(
        &self,
        now: Timestamp,
        parameters: &MailParameters,
        max_message_size: u64,
        view: &View<'_>,
    ) -> Result<(), Halt> {
        let (extensions, documented) = (&self.policy.extensions, &DOCUMENTED.extensions);
        if parameters.require_tls
            && (self.tls.is_none() || !view.tuned(&extensions.require_tls, &documented.require_tls)?)
        {
            return Err(replies::REQUIRETLS_UNAVAILABLE.into());
        }
        if let Some(by) = parameters.by {
            let longest = view.tuned(&extensions.deliver_by, &documented.deliver_by)?;
            let longest = longest.ok_or(replies::BY_UNAVAILABLE)?;
            if by.seconds.unsigned_abs() > longest.as_secs() {
                return Err(replies::BY_TOO_LARGE.into());
            }
            if by.seconds <= 0 && by.mode == DeliverByMode::Return {
                return Err(replies::BY_IN_THE_PAST.into());
            }
        }
        if let Some(priority) = parameters.mt_priority {
            view.tuned(&extensions.mt_priority, &documented.mt_priority)?
                .ok_or(replies::PRIORITY_UNAVAILABLE)?;
            if !PRIORITIES.contains(&priority) {
                return Err(replies::PRIORITY_OUT_OF_RANGE.into());
            }
        }
        if max_message_size > 0 && parameters.size.is_some_and(|size| size > max_message_size) {
            return Err(replies::MESSAGE_TOO_LARGE.into());
        }
        if let Some(hold) = parameters.hold {
            let longest = view.tuned(&extensions.future_release, &documented.future_release)?;
            check_hold(now, hold, longest.map(|longest| longest.as_secs()))?;
        }
        if (parameters.envid.is_some() || parameters.ret.is_some())
            && !view.tuned(&extensions.dsn, &documented.dsn)?
        {
            return Err(replies::DSN_UNAVAILABLE.into());
        }
        Ok(())
    }
}

/// RFC 4865 section 5
fn check_hold(now: Timestamp, hold: Hold, longest_seconds: Option<u64>) -> Result<(), Reply> {
    if matches!(hold, Hold::Contradictory) {
        return Err(replies::HOLD_CONTRADICTORY);
    }
    let longest = longest_seconds.ok_or(replies::HOLD_UNAVAILABLE)?;
    let seconds = match hold {
        Hold::For(seconds) => u64::from(seconds),
        Hold::Until(time) => {
            let seconds = time.as_second().saturating_sub(now.as_second());
            u64::try_from(seconds).map_err(|_| replies::HOLD_IN_THE_PAST)?
        }
        Hold::Contradictory => return Err(replies::HOLD_CONTRADICTORY),
    };
    if seconds > longest { Err(replies::HOLD_TOO_LONG) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_ends_in_the_future_and_within_the_limit() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let until = |seconds: i64| Hold::Until(Timestamp::from_second(1_000_000 + seconds).unwrap());
        for (hold, longest, expected) in [
            (Hold::For(60), Some(60), Ok(())),
            (Hold::For(61), Some(60), Err(replies::HOLD_TOO_LONG)),
            (Hold::For(1), None, Err(replies::HOLD_UNAVAILABLE)),
            (until(60), Some(60), Ok(())),
            (until(61), Some(60), Err(replies::HOLD_TOO_LONG)),
            (until(-1), Some(60), Err(replies::HOLD_IN_THE_PAST)),
            (Hold::Contradictory, Some(60), Err(replies::HOLD_CONTRADICTORY)),
        ] {
            assert_eq!(check_hold(now, hold, longest), expected, "{hold:?} within {longest:?}");
        }
    }
}
