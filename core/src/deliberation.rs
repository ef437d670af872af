//! From what each filter of a stage says to what the stage does.
//!
//! Filters are asked one after the other. Each sees what those before it have changed; the first that stops the
//! stage decides it. What a filter asks for is applied whole or not at all, and a filter that breaks changes
//! nothing.

use std::sync::Arc;

use crate::envelope::Envelope;
use crate::message::draft::Draft;
use crate::message::edit::Edit;
use crate::message::header::{Header, HeaderTooLarge};
use crate::policy::filter::Mode;
use crate::session::consult::Rule;
use crate::smtp::reply::{EnhancedCode, Reply};
use crate::verdict::{Modification, Ruling, Stage, Verdict};

/// The filters of one stage at work: what they have changed so far.
#[derive(Debug, Clone)]
pub struct Deliberation {
    stage: Stage,
    envelope: Envelope,
    draft: Option<Draft>,
    taken: Vec<Modification>,
}

/// What the word of one filter has done.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Its changes are taken over; the next one is asked.
    Taken,
    /// It is only observed, or it broke and is skipped: the next one is asked as if it were not there.
    Ignored,
    /// The stage is decided.
    Decided(Ruling),
}

impl Deliberation {
    /// Before the first filter. At Rcpt the recipient in hand is the last one of the envelope.
    #[must_use]
    pub fn new(stage: Stage, envelope: Envelope) -> Self {
        Self { stage, envelope, draft: None, taken: Vec::new() }
    }

    /// Before the first filter of Data: the message is there too, with changes made before filters.
    ///
    /// # Errors
    ///
    /// [`HeaderTooLarge`] when those changes make a header that cannot be handled.
    pub fn of_message(
        envelope: Envelope,
        header: Arc<Header>,
        octets: u64,
        edits: &[Edit],
    ) -> Result<Self, HeaderTooLarge> {
        let mut draft = Draft::new(header, octets);
        draft.apply(edits.iter().cloned())?;
        Ok(Self { stage: Stage::Data, envelope, draft: Some(draft), taken: Vec::new() })
    }

    /// The envelope as the next filter is to see it.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The message as the next filter is to see it; only at Data.
    #[must_use]
    pub const fn draft(&self) -> Option<&Draft> {
        self.draft.as_ref()
    }

    /// Takes the word of the next filter; none: it broke.
    pub fn hear(&mut self, rule: &Rule, said: Option<Verdict>) -> Heard {
        if rule.mode == Mode::Observe {
            return Heard::Ignored;
        }
        let taken = match said {
            Some(Verdict::Pass(modifications)) => self.take(modifications).ok(),
            Some(stop) => return decided(rule, stop),
            None => None,
        };
        match taken {
            Some(Take::GoOn) => Heard::Taken,
            Some(Take::Drop) => decided(rule, Verdict::Pass(std::mem::take(&mut self.taken))),
            None if rule.temp_fail_on_error => decided(rule, Verdict::Defer(FILTER_FAILED)),
            None => Heard::Ignored,
        }
    }

    /// After the last filter: everything that was asked for, in order.
    #[must_use]
    pub fn conclude(self) -> Ruling {
        Verdict::Pass(self.taken).into()
    }

    fn take(&mut self, modifications: Vec<Modification>) -> Result<Take, HeaderTooLarge> {
        // Most filters mostly change nothing, and applying that would copy the list of fields.
        if modifications.is_empty() {
            return Ok(Take::GoOn);
        }
        let Some(draft) = &mut self.draft else {
            // Before Data there is no message, and no more of the envelope than the command in hand.
            let counts = |one: &Modification| match one {
                Modification::SetSender(..) => true,
                Modification::SetRecipient(_) | Modification::SetRecipientParameters(_) => {
                    self.stage == Stage::Rcpt
                }
                _ => false,
            };
            let counting: Vec<_> = modifications.into_iter().filter(counts).collect();
            self.envelope.apply(counting.clone());
            self.taken.extend(counting);
            return Ok(Take::GoOn);
        };
        draft.apply(modifications.iter().filter_map(|one| match one {
            Modification::Edit(edit) => Some(edit.clone()),
            Modification::Quarantine(reason) => Some(Edit::quarantine(reason)),
            _ => None,
        }))?;
        self.envelope.apply(modifications.clone());
        let take = if modifications.contains(&Modification::Drop) { Take::Drop } else { Take::GoOn };
        self.taken.extend(modifications);
        self.taken.push(Modification::Edit(Edit::NextFilter));
        Ok(take)
    }
}

fn decided(rule: &Rule, verdict: Verdict) -> Heard {
    Heard::Decided(Ruling { verdict, by: Some(rule.cause()) })
}

/// What follows changes that were taken over.
enum Take {
    GoOn,
    /// The message itself is not delivered, so that no other filter has to see it.
    Drop,
}

/// What a client hears when a filter broke that must not be left out.
pub const FILTER_FAILED: Reply =
    Reply::new(451, EnhancedCode(4, 3, 5), "Unable to accept message at this time");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;
    use crate::envelope::Recipient;
    use crate::message::header::MAX_FIELDS;
    use crate::smtp::address::Address;
    use crate::verdict::FilterKind;

    fn rule(mode: Mode, temp_fail_on_error: bool) -> Rule {
        Rule {
            kind: FilterKind::Hook,
            name: "hook".into(),
            mode,
            temp_fail_on_error,
            max_message_size: 1000,
            breaker: None,
        }
    }

    fn strict() -> Rule {
        rule(Mode::Enforce, true)
    }

    fn by_hook(verdict: Verdict) -> Heard {
        Heard::Decided(Ruling { verdict, by: Some(Cause::object("MtaHook", "hook".into())) })
    }

    fn message() -> Deliberation {
        let header = Header::parse(b"Subject: a\r\n\r\nbody\r\n").unwrap();
        Deliberation::of_message(Envelope::default(), Arc::new(header), 20, &[]).unwrap()
    }

    fn field(name: &str, value: &str) -> Modification {
        Modification::Edit(Edit::AddField { name: name.as_bytes().into(), value: value.as_bytes().into() })
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn a_filter_sees_the_edits_and_the_envelope_of_those_before_it() {
        let mut deliberation = message();
        let changes = vec![field("X-A", "1"), Modification::AddRecipient(address("b@example.org"), None)];
        assert_eq!(deliberation.hear(&strict(), Some(Verdict::Pass(changes))), Heard::Taken);
        let shown = deliberation.draft().unwrap().header_section();
        assert_eq!(String::from_utf8(shown).unwrap(), "X-A: 1\r\nSubject: a\r\n\r\n");
        assert!(deliberation.envelope().has("b@example.org"));
    }

    #[test]
    fn positions_count_what_each_filter_was_shown() {
        let mut deliberation = message();
        deliberation.hear(&strict(), Some(Verdict::Pass(vec![field("X-A", "1")])));
        let insert = Edit::InsertField { index: 1, name: (*b"X-B").into(), value: (*b"2").into() };
        deliberation.hear(&strict(), Some(Verdict::Pass(vec![Modification::Edit(insert)])));
        let Verdict::Pass(all) = deliberation.conclude().verdict else { panic!("no stop was heard") };
        let mut draft = Draft::new(Arc::new(Header::parse(b"Subject: a\r\n\r\nbody\r\n").unwrap()), 20);
        draft
            .apply(all.into_iter().map(|one| match one {
                Modification::Edit(edit) => edit,
                other => panic!("not an edit: {other:?}"),
            }))
            .unwrap();
        let section = String::from_utf8(draft.header_section()).unwrap();
        assert_eq!(section, "X-A: 1\r\nX-B: 2\r\nSubject: a\r\n\r\n");
    }

    #[test]
    fn the_first_stop_decides() {
        let refusal = Verdict::Reject(Reply::new(550, EnhancedCode(5, 7, 1), "no"));
        let mut deliberation = message();
        deliberation.hear(&strict(), Some(Verdict::Pass(vec![field("X-A", "1")])));
        assert_eq!(deliberation.hear(&strict(), Some(refusal.clone())), by_hook(refusal));
    }

    #[test]
    fn a_dropped_message_is_shown_to_nobody_else() {
        let generated = crate::verdict::Generated {
            sender: crate::smtp::address::ReversePath::Null,
            parameters: Default::default(),
            recipient: Recipient { address: address("b@example.org"), parameters: Default::default() },
            message: crate::verdict::GeneratedMessage::InHand,
        };
        let changes = vec![Modification::Generate(Box::new(generated)), Modification::Drop];
        let mut deliberation = message();
        deliberation.hear(&strict(), Some(Verdict::Pass(vec![field("X-A", "1")])));
        let Heard::Decided(Ruling { verdict: Verdict::Pass(all), .. }) =
            deliberation.hear(&strict(), Some(Verdict::Pass(changes)))
        else {
            panic!("the next filter would be asked");
        };
        assert_eq!(all.first(), Some(&field("X-A", "1")));
        assert!(all.contains(&Modification::Drop));
    }

    #[test]
    fn a_filter_that_breaks_defers_or_is_skipped_by_its_rule() {
        assert_eq!(message().hear(&strict(), None), by_hook(Verdict::Defer(FILTER_FAILED)));
        assert_eq!(message().hear(&rule(Mode::Enforce, false), None), Heard::Ignored);
    }

    #[test]
    fn edits_that_cannot_be_applied_are_a_failure_and_leave_nothing_behind() {
        let endless = Modification::Edit(Edit::ReplaceMessage(b"A: b\r\n".repeat(MAX_FIELDS + 1).into()));
        let changes = vec![Modification::AddRecipient(address("b@example.org"), None), endless];
        let mut deliberation = message();
        let heard = deliberation.hear(&strict(), Some(Verdict::Pass(changes)));
        assert_eq!(heard, by_hook(Verdict::Defer(FILTER_FAILED)));
        assert!(deliberation.envelope().recipients.is_empty());
        assert_eq!(deliberation.conclude(), Verdict::Pass(Vec::new()).into());
    }

    #[test]
    fn an_observed_filter_has_no_effect() {
        let observed = rule(Mode::Observe, true);
        for said in [None, Some(Verdict::Discard), Some(Verdict::Pass(vec![field("X-A", "1")]))] {
            let mut deliberation = message();
            assert_eq!(deliberation.hear(&observed, said), Heard::Ignored);
            assert_eq!(deliberation.conclude(), Verdict::Pass(Vec::new()).into());
        }
    }

    #[test]
    fn before_data_only_the_addresses_in_hand_can_change() {
        let parameters = crate::smtp::parameters::RcptParameters::default();
        let recipients = vec![Recipient { address: address("a@example.org"), parameters }];
        let envelope = Envelope { recipients, ..Envelope::default() };
        let mut deliberation = Deliberation::new(Stage::Rcpt, envelope);
        let to = Modification::SetRecipient(address("c@example.org"));
        let more = Modification::AddRecipient(address("b@example.org"), None);
        deliberation.hear(&strict(), Some(Verdict::Pass(vec![more, field("X-A", "1"), to.clone()])));
        assert!(deliberation.envelope().has("c@example.org"));
        assert_eq!(deliberation.conclude(), Verdict::Pass(vec![to]).into());
    }
}
