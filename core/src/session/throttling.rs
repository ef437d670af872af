//! Which throttles are looked at, and under which key they count.

use std::sync::Arc;

use super::Session;
use super::facts::View;
use super::question::{Halt, Inquiry, Question};
use super::replies;
use crate::cause::Cause;
use crate::expr::{Facts, Variable};
use crate::policy::throttle::{Throttle, ThrottleClass, ThrottleKey};

impl Session {
    /// Whether every throttle of a class admits what is at hand; the first that refuses ends the check, and
    /// is named by the refusal.
    pub(super) fn check_throttles(
        &self,
        class: ThrottleClass,
        view: &View<'_>,
        inquiry: &Inquiry<'_>,
    ) -> Result<(), Halt> {
        for (index, throttle) in self.policy.throttles.iter().enumerate() {
            if throttle.class != class
                || !view.guarded(&throttle.matches)?
                || self.counts_once(throttle, view)
            {
                continue;
            }
            if !inquiry.admitted(|| Question::Throttle { index, key: key_of(throttle, view) })? {
                let by = Cause::object("MtaInboundThrottle", Arc::clone(&throttle.name));
                return Err(replies::THROTTLED.or_because(Some(&by)).into());
            }
        }
        Ok(())
    }

    /// A throttle on the recipient's domain counts once for each domain of a transaction.
    fn counts_once(&self, throttle: &Throttle, view: &View<'_>) -> bool {
        if !throttle.key.contains(&ThrottleKey::RcptDomain) || throttle.key.contains(&ThrottleKey::Rcpt) {
            return false;
        }
        let domain = view.variable(Variable::RcptDomain).into_text();
        self.transaction().is_some_and(|transaction| {
            transaction.envelope.recipients.iter().any(|earlier| earlier.address.key_domain() == domain)
        })
    }
}

/// The values of a throttle's key. The unit separator cannot stand in any of them.
fn key_of(throttle: &Throttle, view: &View<'_>) -> Arc<str> {
    let mut key = String::new();
    for part in &throttle.key {
        let variable = match part {
            ThrottleKey::Listener => Variable::Listener,
            ThrottleKey::RemoteIp => Variable::RemoteIp,
            ThrottleKey::LocalIp => Variable::LocalIp,
            ThrottleKey::AuthenticatedAs => Variable::AuthenticatedAs,
            ThrottleKey::HeloDomain => Variable::HeloDomain,
            ThrottleKey::Sender => Variable::Sender,
            ThrottleKey::SenderDomain => Variable::SenderDomain,
            ThrottleKey::Rcpt => Variable::Rcpt,
            ThrottleKey::RcptDomain => Variable::RcptDomain,
        };
        let value = view.variable(variable).into_text();
        let value = match part {
            ThrottleKey::Sender | ThrottleKey::SenderDomain if value.is_empty() => "<>".into(),
            ThrottleKey::HeloDomain => value.to_lowercase().into(),
            _ => value,
        };
        key.push_str(&value);
        key.push('\u{1f}');
    }
    key.into()
}
