//! What every custom resource is told about itself.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use postern_crds::value::{Condition, ObjectStatus, SettingsStatus};
use postern_crds::{Fault, ObjectRef};
use serde::Serialize;
use serde_json::Value;

use super::choice::Choice;
use super::document::Document;
use super::inventory::Inventory;
use super::parts::Parts;
use super::{Hold, Inputs, Notice, PodReport, StatusWrite};
use crate::json::at;

/// Everything that conditions follow from.
pub(super) struct Verdicts<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) inventory: &'a Inventory,
    pub(super) choice: &'a Choice,
    pub(super) parts: &'a Parts,
    pub(super) held: Option<&'a Hold>,
}

/// A condition without what follows from the object.
struct Verdict {
    kind: &'static str,
    is_true: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    const fn good(kind: &'static str, reason: &'static str) -> Self {
        Self { kind, is_true: true, reason, message: String::new() }
    }

    fn bad(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, is_true: false, reason, message: shortened(message.into()) }
    }
}

impl Verdicts<'_> {
    /// The statuses that are not what they should be, and what is new in them and bad.
    pub(super) fn statuses(&self) -> (Vec<StatusWrite>, Vec<Notice>) {
        let (mut writes, mut notices) = (Vec::new(), Vec::new());
        for resource in self.inventory.resources.values() {
            let before: SettingsStatus = resource
                .value
                .get("status")
                .and_then(|status| serde_json::from_value(status.clone()).ok())
                .unwrap_or_default();
            let conditions: Vec<Condition> = self
                .verdicts(resource, &before.conditions)
                .into_iter()
                .map(|verdict| self.condition(verdict, resource, &before.conditions))
                .collect();
            let Some(status) = self.status(resource, &before, conditions.clone()) else { continue };
            notices.extend(news(&resource.object, &before.conditions, &conditions));
            writes.push(StatusWrite { object: resource.object.clone(), status });
        }
        (writes, notices)
    }

    fn verdicts(&self, resource: &Document, before: &[Condition]) -> Vec<Verdict> {
        let object = &resource.object;
        let mut verdicts =
            vec![self.accepted(object), self.resolved(object), self.programmed(resource, before)];
        if &*object.kind == SETTINGS {
            verdicts.extend([self.baseline(), self.converged()]);
        }
        if &*object.kind == "MtaListener" {
            verdicts.push(self.exposed(resource));
        }
        verdicts
    }

    /// Whether clients can come to every port of a listener. Nothing keeps a listener from being of use without:
    /// a load balancer may go to pods directly.
    fn exposed(&self, listener: &Document) -> Verdict {
        let addresses = at(&listener.value, &["spec", "bind"]).as_array().into_iter().flatten();
        let ports =
            addresses.filter_map(|address| Some(address.as_str()?.parse::<SocketAddr>().ok()?.port()));
        let closed: BTreeSet<u16> = ports.filter(|port| !self.inputs.exposed.contains(port)).collect();
        if closed.is_empty() {
            return Verdict::good(EXPOSED, "ServicePort");
        }
        let closed = closed.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        Verdict::bad(
            EXPOSED,
            "NoServicePort",
            format!("no Service leads to port {closed} of the pods; add it to `listeners` of the chart"),
        )
    }

    fn accepted(&self, object: &ObjectRef) -> Verdict {
        match self.choice.own.get(object) {
            None => Verdict::good(ACCEPTED, "Accepted"),
            Some(faults) => Verdict::bad(ACCEPTED, "Invalid", lines(faults.iter().map(said))),
        }
    }

    fn resolved(&self, object: &ObjectRef) -> Verdict {
        match self.choice.unresolved.get(object) {
            None => Verdict::good(RESOLVED, "ResolvedRefs"),
            Some(messages) => Verdict::bad(RESOLVED, "RefNotFound", lines(messages.iter().cloned())),
        }
    }

    /// Whether every ready pod runs the newest form.
    fn programmed(&self, resource: &Document, before: &[Condition]) -> Verdict {
        let object = &resource.object;
        let last = if self.inventory.last.contains_key(object) {
            "what was in force before stays"
        } else {
            "it has never been in force"
        };
        if self.choice.own.contains_key(object) {
            return Verdict::bad(PROGRAMMED, "Invalid", format!("it is not accepted; {last}"));
        }
        if self.choice.fallen.contains(object) {
            return Verdict::bad(PROGRAMMED, "RefNotFound", format!("it names what is not there; {last}"));
        }
        if let Some(hold) = self.held
            && self.choice.newest_text.get(object) != self.inventory.last_text.get(object)
        {
            return Verdict::bad(PROGRAMMED, hold.reason(), format!("{hold}; {last}"));
        }
        self.in_pods(resource, before)
    }

    /// The same for an object whose newest form is mounted.
    ///
    /// A pod never goes back to an older revision, so what every ready pod has had once it keeps. That spares
    /// writing a thousand statuses whenever a pod comes or goes.
    fn in_pods(&self, resource: &Document, before: &[Condition]) -> Verdict {
        let had_it = before.iter().any(|condition| {
            condition.kind == PROGRAMMED
                && condition.status == TRUE
                && condition.observed_generation == Some(resource.generation())
        });
        if had_it || (!self.inputs.pods.is_empty() && self.up_to_date() == self.inputs.pods.len()) {
            return Verdict::good(PROGRAMMED, "InForce");
        }
        let refusal = self.inputs.pods.iter().find_map(|pod| Some((pod, pod.refusal.as_deref()?)));
        match refusal {
            Some((PodReport { name, .. }, refusal)) => {
                Verdict::bad(PROGRAMMED, "RefusedByPod", format!("pod {name}: {refusal}"))
            }
            None if self.inputs.pods.is_empty() => {
                Verdict::bad(PROGRAMMED, "NoReadyPod", "no pod is ready to run it")
            }
            None => Verdict::bad(PROGRAMMED, "Pending", "not every ready pod runs it yet"),
        }
    }

    /// Ready pods that run what is mounted.
    fn up_to_date(&self) -> usize {
        let wanted = self.parts.revision_id();
        self.inputs.pods.iter().filter(|pod| wanted.is_some() && pod.revision.as_deref() == wanted).count()
    }

    /// Objects of the baseline have no status of their own.
    fn baseline(&self) -> Verdict {
        if let Some(hold @ Hold::Baseline(_)) = self.held {
            return Verdict::bad(BASELINE, "NotUsable", hold.to_string());
        }
        let of_baseline = |object: &ObjectRef| !self.inventory.resources.contains_key(object);
        let own = self.choice.own.iter().filter(|(object, _)| of_baseline(object));
        let own = own
            .flat_map(|(object, faults)| faults.iter().map(move |fault| format!("{object} {}", said(fault))));
        let unresolved = self.choice.unresolved.iter().filter(|(object, _)| of_baseline(object));
        let unresolved = unresolved
            .flat_map(|(object, messages)| messages.iter().map(move |message| format!("{object} {message}")));
        let faults: Vec<String> = own.chain(unresolved).collect();
        if faults.is_empty() {
            Verdict::good(BASELINE, "Usable")
        } else {
            Verdict::bad(BASELINE, "Invalid", lines(faults.into_iter()))
        }
    }

    fn converged(&self) -> Verdict {
        match self.held {
            None => Verdict::good(CONVERGED, "Mounted"),
            Some(hold) => Verdict::bad(CONVERGED, hold.reason(), hold.to_string()),
        }
    }

    fn condition(&self, verdict: Verdict, resource: &Document, before: &[Condition]) -> Condition {
        let status = if verdict.is_true { TRUE } else { FALSE };
        let old = before.iter().find(|old| old.kind == verdict.kind && old.status == status);
        let now = || format!("{:.0}", self.inputs.now);
        Condition {
            kind: verdict.kind.to_owned(),
            status: status.to_owned(),
            observed_generation: Some(resource.generation()),
            last_transition_time: old.map_or_else(now, |old| old.last_transition_time.clone()),
            reason: verdict.reason.to_owned(),
            message: verdict.message,
        }
    }

    /// The status, unless it is what it was.
    fn status(
        &self,
        resource: &Document,
        before: &SettingsStatus,
        conditions: Vec<Condition>,
    ) -> Option<Value> {
        let observed_generation = Some(resource.generation());
        if &*resource.object.kind != SETTINGS {
            let is_same =
                before.observed_generation == observed_generation && before.conditions == conditions;
            return changed(is_same, &ObjectStatus { observed_generation, conditions });
        }
        let status = SettingsStatus {
            observed_generation,
            conditions,
            revision: self.parts.revision_id().map(str::to_owned),
            pods: Some(format!("{}/{}", self.up_to_date(), self.inputs.pods.len())),
        };
        changed(*before == status, &status)
    }
}

fn changed(is_same: bool, status: &impl Serialize) -> Option<Value> {
    if is_same { None } else { serde_json::to_value(status).ok() }
}

/// Conditions that have become bad, or bad in another way.
fn news<'a>(
    object: &'a ObjectRef,
    before: &'a [Condition],
    now: &'a [Condition],
) -> impl Iterator<Item = Notice> + use<'a> {
    now.iter().filter_map(move |condition| {
        let reason =
            NOTED.into_iter().find(|reason| condition.status == FALSE && condition.reason == **reason)?;
        // Accepted and ResolvedRefs say more than the Programmed that follows from them.
        let follows = condition.kind == PROGRAMMED && matches!(reason, "Invalid" | "RefNotFound");
        let is_known = before.iter().any(|old| {
            old.kind == condition.kind && old.status == condition.status && old.message == condition.message
        });
        let notice = || Notice { object: object.clone(), reason, message: condition.message.clone() };
        (!follows && !is_known).then(notice)
    })
}

/// A fault as the status of its own object has it.
fn said(fault: &Fault) -> String {
    Fault { object: None, ..fault.clone() }.to_string()
}

fn lines(messages: impl Iterator<Item = String>) -> String {
    messages.collect::<Vec<_>>().join("\n")
}

/// What fits into a condition, and is still read by somebody.
fn shortened(mut message: String) -> String {
    const LONGEST: usize = 4096;
    if message.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| message.is_char_boundary(*end)).unwrap_or_default();
        message.truncate(end);
        message.push('…');
    }
    message
}

const SETTINGS: &str = "MtaSettings";
const ACCEPTED: &str = "Accepted";
const RESOLVED: &str = "ResolvedRefs";
const PROGRAMMED: &str = "Programmed";
const BASELINE: &str = "Baseline";
const CONVERGED: &str = "Converged";
const EXPOSED: &str = "Exposed";
const TRUE: &str = "True";
const FALSE: &str = "False";
/// Reasons that are worth an event; what is only a matter of time is not.
const NOTED: [&str; 6] = ["Invalid", "RefNotFound", "Held", "TooLarge", "RefusedByPod", "NotUsable"];
