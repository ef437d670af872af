//! The filters of a stage, asked or played.

use std::collections::BTreeMap;

use postern_core::deliberation::{FILTER_FAILED, Heard};
use postern_core::envelope::Envelope;
use postern_core::policy::Policy;
use postern_core::policy::filter::Mode;
use postern_core::session::Session;
use postern_core::session::consult::{Call, Rule};
use postern_core::session::question::{Consultation, Subject};
use postern_core::verdict::{FilterKind, Ruling, Verdict};
use postern_crds::sieve::Script;

use super::handed;
use super::recording::{Recorded, VerdictRecord, mail_words};
use super::report::{FilterFinding, Finding, Source};
use super::world::{Outside, World, digest};
use crate::filter::{self, Case, FilterError, InHand, Panel, Time};
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
        let time = Time::begin(session.policy().data.filter_budget);
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
            let (record, source) = self.said(&mut panel, call, &rule, &case, time).await;
            let over = match record {
                VerdictRecord::OutOfTime => filter::out_of_time(&rule),
                _ => None,
            };
            decided = over.or_else(|| match deliberation.hear(&rule, record.verdict()) {
                Heard::Decided(ruling) => Some(ruling),
                Heard::Taken | Heard::Ignored => None,
            });
            let observed = rule.mode == Mode::Observe;
            said.push(FilterFinding { filter: rule.cause().to_string(), verdict: record, source, observed });
            if decided.is_some() {
                break;
            }
        }
        self.panel = panel;
        decided.unwrap_or_else(|| deliberation.conclude())
    }

    /// What one filter says, asked or played.
    async fn said(
        &self,
        panel: &mut Panel,
        call: &Call,
        rule: &Rule,
        case: &Case<'_>,
        time: Time,
    ) -> (VerdictRecord, Source) {
        // The policy keeps the message from it, so that it says nothing: neither a flag nor a recording knows better.
        if let Some(error) = filter::too_large(rule, case) {
            return (VerdictRecord::Failed(chain(&error)), Source::Policy);
        }
        let key = match self.outside {
            Outside::Recorded(..) | Outside::Live(Some(_)) => Some(self.key(call, rule, case).await),
            Outside::Stubbed(_) | Outside::Live(None) => None,
        };
        if let Some(played) = self.played(rule, call, case, key.as_deref()) {
            return played;
        }
        let record = match panel.ask(call, rule, case, time).await {
            Ok(verdict) => VerdictRecord::of(&verdict),
            Err(FilterError::OutOfTime { .. }) => VerdictRecord::OutOfTime,
            Err(error) => VerdictRecord::Failed(chain(&error)),
        };
        if let Some(key) = key {
            self.outside.keep(key, || Some(Recorded::Verdict(record.clone())));
        }
        (record, if self.outside.is_live() { Source::Live } else { Source::Here })
    }

    /// What a filter says without being asked; nothing when it is to be asked.
    fn played(
        &self,
        rule: &Rule,
        call: &Call,
        case: &Case<'_>,
        key: Option<&str>,
    ) -> Option<(VerdictRecord, Source)> {
        if let Some(stub) = self.outside.stubs().and_then(|stubs| stubs.filter(rule, case.stage)) {
            let record = match &stub.says {
                Some(verdict) => VerdictRecord::of(verdict),
                None => VerdictRecord::Failed("as the stub says".to_owned()),
            };
            return Some((record, Source::Given));
        }
        if let (Some(recording), Some(key)) = (self.outside.recording(), key)
            && let Some(Recorded::Verdict(record)) = recording.get(key)
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

    /// What a filter is shown of the client, the envelope and the message, each as those before it have left it.
    async fn key(&self, call: &Call, rule: &Rule, case: &Case<'_>) -> String {
        let session = case.session;
        let listener = self.visit.listener(session.policy()).map_or("-", |listener| &listener.name);
        let tls = if session.tls().is_some() { "yes" } else { "no" };
        let (ip, helo, account) = (self.visit.ip, case.helo().unwrap_or("-"), case.account().unwrap_or("-"));
        let mut key = format!(
            "filter {} {} listener={listener} ip={ip} helo={helo} tls={tls} login={account}",
            rule.cause(),
            case.stage.name()
        );
        match call {
            Call::Script(_) => key.push_str(&format!(" scripts={}", scripts(session.policy()))),
            Call::Pipe(pipe) => {
                key.push_str(&format!(" program={} arguments={:?}", pipe.command, pipe.arguments))
            }
            Call::Milter(_)
            | Call::NoSuchScript(_)
            | Call::SpamFilter(_)
            | Call::Hook(_)
            | Call::Undecided(_) => {}
        }
        let Envelope { sender, parameters, recipients } = case.envelope;
        match case.subject {
            Subject::Nothing | Subject::Helo { .. } | Subject::Login { .. } => {}
            Subject::Sender { .. } | Subject::Recipient { .. } | Subject::Message { .. } => {
                key.push_str(&format!(" from={sender} parameters='{}'", mail_words(parameters)));
            }
        }
        if !recipients.is_empty() {
            let to: Vec<_> = recipients.iter().map(|one| one.address.key()).collect();
            key.push_str(&format!(" to={}", to.join(",")));
        }
        if let Some(message) = &case.message {
            // What cannot be read is no message that a recording knows.
            let octets = handed::octets(&message.content()).await;
            key.push_str(&format!(" message={}", octets.map_or("-".to_owned(), |octets| digest(&octets))));
        }
        key
    }
}

/// The text of all scripts, because each may include any other.
fn scripts(policy: &Policy) -> String {
    let compiled = policy.filters.scripts.iter().filter_map(|(name, script)| {
        let script = script.program.get::<Script>()?;
        Some((name, script.digest))
    });
    let all: BTreeMap<_, _> = compiled.collect();
    let together: Vec<u8> =
        all.into_iter().flat_map(|(name, text)| [name.as_bytes(), b"\0", &text].concat()).collect();
    digest(&together)
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
