//! Care for the pods: making them look at what was mounted, and hearing what they run.
//!
//! A kubelet notices a changed ConfigMap within a minute or so; it notices a changed pod at once, and looks at
//! the pod's volumes then. So pods that lag behind are annotated, again and again, because a kubelet that was
//! quicker than its own cache of ConfigMaps has looked too early.

mod report;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::api_error::Said;
use crate::plan::PodReport;
use crate::world::{Pod, World};

/// What the pods have said.
#[derive(Debug, Default)]
pub struct Reports(Mutex<BTreeMap<String, PodReport>>);

impl Reports {
    /// What those of these pods have said that are ready.
    #[must_use]
    pub fn of_ready(&self, pods: &[Pod]) -> Vec<PodReport> {
        let known = self.lock();
        let silent = |pod: &Pod| PodReport { name: pod.name.clone(), revision: None, refusal: None };
        let ready = pods.iter().filter(|pod| pod.is_ready);
        ready.map(|pod| known.get(&pod.name).cloned().unwrap_or_else(|| silent(pod))).collect()
    }

    fn runs(&self, pod: &Pod, revision: &str) -> bool {
        self.lock().get(&pod.name).is_some_and(|report| report.revision.as_deref() == Some(revision))
    }

    /// Takes what pods say now; whether that is news.
    fn take(&self, reports: Vec<PodReport>, pods: &[Pod]) -> bool {
        let mut known = self.lock();
        let before = known.clone();
        known.retain(|name, _| pods.iter().any(|pod| pod.name == *name));
        known.extend(reports.into_iter().map(|report| (report.name.clone(), report)));
        *known != before
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, PodReport>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after the pods of a release.
pub struct Care {
    /// For annotating them.
    pub client: Client,
    /// Their namespace.
    pub namespace: String,
    /// Where they are found.
    pub world: Arc<World>,
    /// Where their reports go.
    pub reports: Arc<Reports>,
    /// Their admin port.
    pub admin_port: u16,
    /// What they are to run; none before anything is mounted.
    pub wanted: watch::Receiver<Option<String>>,
    /// Whether they are to be annotated, which one replica does.
    pub leads: watch::Receiver<bool>,
}

impl Care {
    /// Looks after them for as long as it runs.
    pub async fn run(mut self) {
        let mut changes = self.world.subscribe();
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            let mut round = Round::new(wanted);
            // A new revision begins a new round.
            loop {
                let lagging = self.look(&mut round).await;
                let pause = if lagging { round.pause() } else { AT_REST };
                tokio::select! {
                    changed = self.wanted.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    // Pods that come are asked at once; those that lag are asked soon anyway.
                    _ = changes.changed(), if !lagging => sleep(SOON).await,
                    () = sleep(pause) => {}
                }
            }
        }
    }

    /// Asks the pods, and wakes up those that lag behind. Whether there are any.
    async fn look(&self, round: &mut Round) -> bool {
        let pods = self.world.pods(self.admin_port);
        let wanted = round.wanted.clone();
        let lags = |pod: &&Pod| wanted.as_deref().is_some_and(|wanted| !self.reports.runs(pod, wanted));
        let lagging: Vec<&Pod> = pods.iter().filter(lags).collect();
        if !lagging.is_empty() && *self.leads.borrow() && round.is_due(Instant::now()) {
            let value = round.next_value();
            join_all(lagging.iter().map(|pod| self.annotate(pod, &value))).await;
        }
        let asked: Vec<&Pod> = if lagging.is_empty() { pods.iter().collect() } else { lagging };
        let reports = join_all(asked.into_iter().map(report::ask)).await;
        if self.reports.take(reports, &pods) {
            self.world.touch();
        }
        pods.iter().any(|pod| lags(&pod))
    }

    async fn annotate(&self, pod: &Pod, value: &str) {
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let patch = serde_json::json!({"metadata": {"annotations": {ANNOTATION: value}}});
        if let Err(error) =
            api.patch_metadata(&pod.name, &PatchParams::default(), &Patch::Merge(&patch)).await
        {
            tracing::debug!(pod = pod.name, error = %Said(&error), "the pod could not be annotated");
        }
    }
}

/// The care for one revision.
struct Round {
    wanted: Option<String>,
    begun: Instant,
    nudges: u32,
}

impl Round {
    fn new(wanted: Option<String>) -> Self {
        Self { wanted, begun: Instant::now(), nudges: 0 }
    }

    /// 0, 0.5, 1, 2 … seconds after the beginning.
    ///
    /// After one look at a pod, a kubelet takes the next only when it has listed the containers of the node again,
    /// which it does once a second. A nudge too many therefore keeps the next change waiting. When the API server
    /// was away, a kubelet takes up each of its watches up to two minutes after its return (a pause before it
    /// hears that it has missed something, and another before it lists), and pods are not to wait any longer
    /// then. Who still lags later has another reason, such as a refusal.
    fn is_due(&self, now: Instant) -> bool {
        now.duration_since(self.begun) >= nudge_at(self.nudges)
    }

    /// A value that no pod has yet.
    fn next_value(&mut self) -> String {
        self.nudges = self.nudges.saturating_add(1);
        format!("{}-{}", self.wanted.as_deref().unwrap_or_default(), self.nudges)
    }

    fn pause(&self) -> Duration {
        match self.begun.elapsed() {
            young if young < Duration::from_secs(5) => Duration::from_millis(50),
            young if young < Duration::from_secs(60) => Duration::from_millis(500),
            _ => Duration::from_secs(5),
        }
    }
}

fn nudge_at(nudges: u32) -> Duration {
    const DOUBLINGS: u32 = 5;
    const STEADY: u32 = DOUBLINGS + 15;
    let halves = match nudges {
        0 => 0,
        few if few <= DOUBLINGS => 1_u64 << (few - 1),
        more if more <= STEADY => u64::from(more - DOUBLINGS + 1) * 16,
        many => u64::from(STEADY - DOUBLINGS + 1) * 16 + u64::from(many - STEADY) * 120,
    };
    Duration::from_millis(500 * halves)
}

/// Annotation that changes when there is something new to mount.
const ANNOTATION: &str = "mta.postern.dev/revision";
/// How often pods are asked that run what they should.
const AT_REST: Duration = Duration::from_secs(10);
/// For changes that come together.
const SOON: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, is_ready: bool) -> Pod {
        Pod { name: name.to_owned(), admin: ([127, 0, 0, 1], 1).into(), is_ready }
    }

    fn runs(name: &str, revision: &str) -> PodReport {
        PodReport { name: name.to_owned(), revision: Some(revision.to_owned()), refusal: None }
    }

    #[test]
    fn nudges_come_ever_more_slowly() {
        let times: Vec<u128> = (0..8).map(|nudges| nudge_at(nudges).as_millis()).collect();
        assert_eq!(times, [0, 500, 1000, 2000, 4000, 8000, 16_000, 24_000]);
        let late: Vec<u64> = (18..23).map(|nudges| nudge_at(nudges).as_secs()).collect();
        assert_eq!(late, [112, 120, 128, 188, 248]);
    }

    #[test]
    fn each_nudge_has_a_value_of_its_own() {
        let mut round = Round::new(Some("abc".to_owned()));
        assert_eq!([round.next_value(), round.next_value()], ["abc-1", "abc-2"]);
    }

    #[test]
    fn only_ready_pods_count_and_a_silent_one_runs_nothing() {
        let reports = Reports::default();
        let pods = [pod("a", true), pod("b", false), pod("c", true)];
        assert!(reports.take(vec![runs("a", "abc"), runs("b", "abc")], &pods));
        let said = reports.of_ready(&pods);
        assert_eq!(said, [runs("a", "abc"), PodReport { revision: None, ..runs("c", "") }]);
    }

    #[test]
    fn what_a_pod_says_again_is_no_news_and_a_pod_that_has_gone_is_forgotten() {
        let reports = Reports::default();
        let pods = [pod("a", true), pod("b", true)];
        assert!(reports.take(vec![runs("a", "abc"), runs("b", "abc")], &pods));
        assert!(!reports.take(vec![runs("a", "abc")], &pods));
        assert!(reports.take(Vec::new(), &pods[..1]));
        assert!(!reports.runs(&pods[1], "abc"));
    }
}
