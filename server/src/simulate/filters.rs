//! The filters of a stage, asked or played.

use postern_core::deliberation::{FILTER_FAILED, Heard};
use postern_core::policy::filter::Mode;
use postern_core::session::Session;
use postern_core::session::consult::{Call, Rule};
use postern_core::session::question::{Consultation, Subject};
use postern_core::verdict::{FilterKind, Ruling, Verdict};

use super::recording::{Recorded, VerdictRecord};
use super::report::{FilterFinding, Finding, Source};
use super::world::World;
use crate::filter::{self, Case, InHand};
use crate::snapshot::chain;

impl World<'_> {
    /// What the filters of a stage say together, and each of them. Who decides is the same code as in the server.
    pub(super) async fn consult(
        &mut self,
        session: &Session,
        consultation: &Consultation,
    ) -> (Ruling, Finding) {
        let mut said = Vec::new();
        let ruling = self.deliberate(session, consultation, &mut said).await;
        let words = match &ruling.by {
            Some(by) => format!("{} by {by}", words(&ruling.verdict)),
            None => words(&ruling.verdict),
        };
        (ruling, Finding::Filters { said, ruling: words })
    }

    async fn deliberate(
        &mut self,
        session: &Session,
        consultation: &Consultation,
        said: &mut Vec<FilterFinding>,
    ) -> Ruling {
        let mut panel = std::mem::take(&mut self.panel);
        let kept = self.kept.clone();
        let Ok(mut deliberation) = filter::begin(session, kept.as_ref(), consultation) else {
            return Verdict::Defer(FILTER_FAILED).into();
        };
        let mut decided = None;
        for call in &consultation.calls {
            let Some(rule) = call.rule() else {
                said.extend(missing_script(call));
                continue;
            };
            let message = match (&kept, deliberation.draft()) {
                (Some(whole), Some(draft)) => Some(InHand::new(whole, draft)),
                _ => None,
            };
            let case = Case {
                gate: self.gate,
                session,
                stage: consultation.stage,
                subject: &consultation.subject,
                envelope: deliberation.envelope(),
                message,
            };
            let (record, source) = match self.played(&rule, call, &case) {
                Some(played) => played,
                None => {
                    let record = match panel.ask_alone(call, &rule, &case).await {
                        Ok(verdict) => VerdictRecord::of(&verdict),
                        Err(error) => VerdictRecord::Failed(chain(&error)),
                    };
                    self.outside.keep(self.key(&rule, &case), || Some(Recorded::Verdict(record.clone())));
                    (record, if self.outside.is_live() { Source::Live } else { Source::Here })
                }
            };
            let heard = deliberation.hear(&rule, record.verdict());
            let observed = rule.mode == Mode::Observe;
            said.push(FilterFinding { filter: rule.cause().to_string(), verdict: record, source, observed });
            if let Heard::Decided(ruling) = heard {
                decided = Some(ruling);
                break;
            }
        }
        self.panel = panel;
        decided.unwrap_or_else(|| deliberation.conclude())
    }

    /// What a filter says without being asked; nothing when it is to be asked.
    fn played(&self, rule: &Rule, call: &Call, case: &Case<'_>) -> Option<(VerdictRecord, Source)> {
        if let Some(stub) = self.outside.stubs().and_then(|stubs| stubs.filter(rule, case.stage)) {
            let record = match &stub.says {
                Some(verdict) => VerdictRecord::of(verdict),
                None => VerdictRecord::Failed("as the stub says".to_owned()),
            };
            return Some((record, Source::Given));
        }
        if let Some(recording) = self.outside.recording()
            && let Some(Recorded::Verdict(record)) = recording.get(&self.key(rule, case))
        {
            return Some((record.clone(), Source::Recorded));
        }
        // Scripts are a part of the policy, and what could not be decided needs nobody to fail.
        let runs_here = rule.kind == FilterKind::Sieve || matches!(call, Call::Undecided(_));
        match self.outside.is_live() || runs_here {
            true => None,
            false => Some((VerdictRecord::Pass(Vec::new()), Source::Stub)),
        }
    }

    /// Everything that a verdict may depend on.
    fn key(&self, rule: &Rule, case: &Case<'_>) -> String {
        let about = match case.subject {
            Subject::Nothing => String::new(),
            Subject::Helo { name, .. } => format!(" helo={name}"),
            Subject::Login { account, .. } => format!(" account={account}"),
            Subject::Sender { envelope, .. } => format!(" from={}", envelope.sender),
            Subject::Recipient { recipient, .. } => {
                let sender = case.session.envelope().map(|envelope| envelope.sender.to_string());
                format!(" from={} to={}", sender.unwrap_or_default(), recipient.address)
            }
            Subject::Message { .. } => {
                let to: Vec<_> = case.envelope.recipients.iter().map(|one| one.address.key()).collect();
                format!(" from={} to={} message={}", case.envelope.sender, to.join(","), self.digest)
            }
        };
        let (ip, account) = (self.visit.ip, case.account().unwrap_or("-"));
        format!("filter {} {} ip={ip} login={account}{about}", rule.cause(), case.stage.name())
    }
}

fn missing_script(call: &Call) -> Option<FilterFinding> {
    let Call::NoSuchScript(name) = call else { return None };
    Some(FilterFinding {
        filter: format!("{}/{name}", FilterKind::Sieve.object_kind()),
        verdict: VerdictRecord::Failed("there is no such script, nothing runs".to_owned()),
        source: Source::Policy,
        observed: false,
    })
}

/// A verdict in words.
pub(super) fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass(changes) if changes.is_empty() => "continue".to_owned(),
        Verdict::Pass(changes) => format!("continue with {} changes", changes.len()),
        Verdict::Reject(reply) | Verdict::Defer(reply) => format!("refuse: {reply}"),
        Verdict::Discard => "discard".to_owned(),
        Verdict::Disconnect(Some(reply)) => format!("disconnect: {reply}"),
        Verdict::Disconnect(None) => "disconnect".to_owned(),
    }
}
