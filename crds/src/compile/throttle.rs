//! `MtaInboundThrottle`.

use std::sync::Arc;
use std::time::Duration;

use postern_core::expr::{Scope, Setting, Variable, VariableSet};
use postern_core::policy::throttle::{Algorithm, Rate, Throttle, ThrottleClass, ThrottleKey};

use super::context::Compiler;
use crate::kinds::inbound_throttle::{Algorithm as AlgorithmSpec, ThrottleKey as KeySpec};
use crate::node::Trail;

const SPEC: &Trail<'static> = &Trail::SPEC;

impl Compiler<'_> {
    pub(super) fn throttles(&mut self) -> Vec<Throttle> {
        let mut throttles = Vec::new();
        for object in &self.set.throttles {
            let (mut context, spec) = (self.at(object), &object.spec);
            let at = SPEC.key("match");
            let matches = context
                .setting(&at, &spec.matches, Scope::Rcpt)
                .unwrap_or_else(|| Setting::constant(true).at(context.cause(&at)));
            let rate = SPEC.key("rate");
            let count = context.number(&rate.key("count"), spec.rate.count, 1, 1_000_000);
            let year = Duration::from_secs(366 * 86_400);
            let period = context.span(&rate.key("period"), spec.rate.period, Duration::from_millis(1), year);
            let key: Vec<ThrottleKey> = spec.key.iter().map(|part| key_part(*part)).collect();
            let throttle = Throttle {
                name: Arc::clone(&object.name),
                class: class(&key, matches.variables()),
                key,
                matches,
                rate: Rate {
                    count,
                    period: Duration::from_secs(period.as_secs().max(1)),
                    algorithm: match spec.algorithm {
                        AlgorithmSpec::FixedWindow => Algorithm::FixedWindow,
                        AlgorithmSpec::SlidingWindow => Algorithm::SlidingWindow,
                    },
                },
            };
            if spec.enable {
                throttles.push((spec.order, throttle));
            }
        }
        throttles.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.name.cmp(&y.name)));
        throttles.into_iter().map(|(_, throttle)| throttle).collect()
    }
}

fn key_part(part: KeySpec) -> ThrottleKey {
    match part {
        KeySpec::Listener => ThrottleKey::Listener,
        KeySpec::RemoteIp => ThrottleKey::RemoteIp,
        KeySpec::LocalIp => ThrottleKey::LocalIp,
        KeySpec::AuthenticatedAs => ThrottleKey::AuthenticatedAs,
        KeySpec::HeloDomain => ThrottleKey::HeloDomain,
        KeySpec::Sender => ThrottleKey::Sender,
        KeySpec::SenderDomain => ThrottleKey::SenderDomain,
        KeySpec::Rcpt => ThrottleKey::Rcpt,
        KeySpec::RcptDomain => ThrottleKey::RcptDomain,
    }
}

/// What only a recipient has.
const OF_RECIPIENT: VariableSet =
    VariableSet::of(&[Variable::Rcpt, Variable::RcptDomain, Variable::Recipients, Variable::Priority]);

/// What is known at MAIL and not at connect.
const OF_SENDER: VariableSet = VariableSet::of(&[
    Variable::Sender,
    Variable::SenderDomain,
    Variable::HeloDomain,
    Variable::AuthenticatedAs,
]);

/// The point of the session at which everything that key and match mention is known.
fn class(key: &[ThrottleKey], mentioned: VariableSet) -> ThrottleClass {
    use ThrottleKey::{AuthenticatedAs, HeloDomain, Rcpt, RcptDomain, Sender, SenderDomain};
    let keyed = |parts: &[ThrottleKey]| key.iter().any(|part| parts.contains(part));
    let mentions = |variables: VariableSet| !mentioned.intersection(variables).is_empty();
    if keyed(&[Rcpt, RcptDomain]) || mentions(OF_RECIPIENT) {
        ThrottleClass::Recipient
    } else if keyed(&[Sender, SenderDomain, HeloDomain, AuthenticatedAs]) || mentions(OF_SENDER) {
        ThrottleClass::Sender
    } else {
        ThrottleClass::Connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_is_the_first_point_at_which_all_is_known() {
        for (key, mentioned, expected) in [
            (&[][..], VariableSet::EMPTY, ThrottleClass::Connection),
            (&[ThrottleKey::RemoteIp], VariableSet::of(&[Variable::IsTls]), ThrottleClass::Connection),
            (&[ThrottleKey::RemoteIp], VariableSet::of(&[Variable::SenderDomain]), ThrottleClass::Sender),
            (&[ThrottleKey::AuthenticatedAs], VariableSet::EMPTY, ThrottleClass::Sender),
            (&[ThrottleKey::Sender, ThrottleKey::Rcpt], VariableSet::EMPTY, ThrottleClass::Recipient),
            (&[ThrottleKey::Sender], VariableSet::of(&[Variable::Recipients]), ThrottleClass::Recipient),
        ] {
            assert_eq!(class(key, mentioned), expected, "{key:?}");
        }
    }
}
