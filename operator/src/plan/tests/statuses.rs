//! What objects are told, and when they are told nothing.

use serde_json::json;

use super::Cluster;
use crate::plan::PodReport;

#[test]
fn every_condition_carries_the_generation() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 5}));
    cluster.converge();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 6}));
    cluster.converge();
    let status = cluster.status("MtaStageData", "default");
    assert_eq!(status["observedGeneration"], 2);
    let conditions = status["conditions"].as_array().unwrap();
    assert_eq!(conditions.len(), 3);
    assert!(conditions.iter().all(|condition| condition["observedGeneration"] == 2));
}

#[test]
fn an_object_is_programmed_when_every_ready_pod_runs_it() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 5}));
    cluster.reconcile();
    assert_eq!(cluster.condition("MtaStageData", "default", "Programmed").0, "False NoReadyPod");
    cluster.pods_load();
    cluster.inputs.pods[1].revision = Some("older".to_owned());
    cluster.reconcile();
    assert_eq!(cluster.condition("MtaStageData", "default", "Programmed").0, "False Pending");
    cluster.pods_load();
    cluster.reconcile();
    assert_eq!(cluster.condition("MtaStageData", "default", "Programmed").0, "True InForce");
}

#[test]
fn a_pod_that_refuses_is_quoted() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 5}));
    cluster.pods_load();
    cluster.inputs.pods[0].refusal = Some("MtaListener/smtp spec.bind: address in use".to_owned());
    let made = cluster.reconcile();
    let (programmed, message) = cluster.condition("MtaStageData", "default", "Programmed");
    assert_eq!(programmed, "False RefusedByPod");
    assert_eq!(message, "pod a: MtaListener/smtp spec.bind: address in use");
    assert_eq!(made.notices.len(), 1);
}

#[test]
fn a_listener_that_no_service_leads_to_says_so() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaListener", "extra", json!({"bind": ["0.0.0.0:2465", "[::]:2466"]}));
    cluster.inputs.exposed = [2525, 2465].into();
    cluster.converge();
    let (exposed, message) = cluster.condition("MtaListener", "extra", "Exposed");
    assert_eq!(exposed, "False NoServicePort");
    assert_eq!(message, "no Service leads to port 2466 of the pods; add it to `listeners` of the chart");
    assert_eq!(cluster.condition("MtaListener", "extra", "Programmed").0, "True InForce");
    cluster.inputs.exposed.insert(2466);
    cluster.converge();
    assert_eq!(cluster.condition("MtaListener", "extra", "Exposed").0, "True ServicePort");
}

#[test]
fn settings_carry_the_revision_and_count_pods() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaSettings", "default", json!({}));
    cluster.converge();
    let status = cluster.status("MtaSettings", "default");
    assert_eq!(status["pods"], "2/2");
    assert_eq!(status["revision"].as_str(), cluster.inputs.mounted.revision_id());
}

#[test]
fn nothing_is_written_when_nothing_changed() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": "nonsense("}));
    cluster.apply("MtaRoute", "sink", json!({"type": "Discard"}));
    cluster.converge();
    cluster.inputs.now = jiff::Timestamp::from_second(1_900_000_000).unwrap();
    let made = cluster.reconcile();
    assert_eq!((made.statuses, made.notices), (Vec::new(), Vec::new()));
}

#[test]
fn a_pod_more_or_less_changes_the_status_of_the_settings_only() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaSettings", "default", json!({}));
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 5}));
    cluster.converge();
    cluster.inputs.pods.push(PodReport { name: "c".to_owned(), revision: None, refusal: None });
    let made = cluster.reconcile();
    let written: Vec<_> = made.statuses.iter().map(|write| write.object.to_string()).collect();
    assert_eq!(written, ["MtaSettings/default"]);
    assert_eq!(cluster.status("MtaSettings", "default")["pods"], "2/3");
    cluster.inputs.pods.clear();
    assert_eq!(cluster.reconcile().statuses.len(), 1);
}

#[test]
fn a_fault_is_told_once() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": "nonsense("}));
    let made = cluster.reconcile();
    let [notice] = &made.notices[..] else { panic!("{:?}", made.notices) };
    assert_eq!((notice.object.to_string().as_str(), notice.reason), ("MtaStageData/default", "Invalid"));
    assert!(cluster.reconcile().notices.is_empty());
    cluster.apply("MtaStageData", "default", json!({"maxMessages": "other nonsense("}));
    assert_eq!(cluster.reconcile().notices.len(), 1);
}

#[test]
fn the_time_of_a_condition_changes_with_its_status_only() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 5}));
    cluster.converge();
    let time = |cluster: &Cluster| {
        cluster.status("MtaStageData", "default")["conditions"][0]["lastTransitionTime"].clone()
    };
    let before = time(&cluster);
    assert_eq!(before, "2027-01-15T08:00:00Z");
    cluster.inputs.now = jiff::Timestamp::from_second(1_900_000_000).unwrap();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 6}));
    cluster.converge();
    assert_eq!(time(&cluster), before);
    cluster.apply("MtaStageData", "default", json!({"maxMessages": "nonsense("}));
    cluster.converge();
    assert_ne!(time(&cluster), before);
}
