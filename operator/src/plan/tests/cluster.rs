//! A cluster in memory: what a plan wants is done, and the next plan sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use postern_crds::{ObjectRef, read_json};
use serde_json::{Value, json};

use crate::plan::{Inputs, Plan, PodReport, plan};

/// The listener that every baseline has.
pub(crate) const LISTENER: &str = "apiVersion: mta.postern.dev/v1alpha1\nkind: MtaListener\n\
    metadata: {name: smtp}\nspec: {bind: ['0.0.0.0:2525']}\n";

pub(crate) struct Cluster {
    pub(crate) inputs: Inputs,
    objects: BTreeMap<ObjectRef, Value>,
    pub(crate) pods: Vec<&'static str>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let inputs = Inputs {
            baseline: Some(vec![("baseline.yaml".to_owned(), LISTENER.to_owned())]),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            ..Inputs::default()
        };
        Self { inputs, objects: BTreeMap::new(), pods: vec!["a", "b"] }
    }

    /// Applies a manifest as `kubectl apply` does: a change counts the generation up and keeps the status.
    pub(crate) fn apply(&mut self, kind: &str, name: &str, spec: Value) {
        let object = reference(kind, name);
        let old = self.objects.get(&object);
        let generation = old.map_or(0, |old| old["metadata"]["generation"].as_i64().unwrap());
        let step = i64::from(old.is_none_or(|old| old["spec"] != spec));
        let mut value = json!({
            "apiVersion": "mta.postern.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "generation": generation + step},
            "spec": spec,
        });
        if let Some(status) = old.and_then(|old| old.get("status")) {
            value["status"] = status.clone();
        }
        self.objects.insert(object, value);
    }

    pub(crate) fn annotate(&mut self, kind: &str, name: &str, annotation: &str) {
        self.objects.get_mut(&reference(kind, name)).unwrap()["metadata"]["annotations"] =
            json!({annotation: ""});
    }

    pub(crate) fn delete(&mut self, kind: &str, name: &str) {
        self.objects.remove(&reference(kind, name)).unwrap();
    }

    pub(crate) fn secret(&mut self, name: &str, data: Value) {
        self.inputs.secrets.retain(|secret| secret["metadata"]["name"] != name);
        self.inputs.secrets.push(Arc::new(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}),
        ));
    }

    pub(crate) fn config_map(&mut self, name: &str, data: Value) {
        self.inputs.config_maps.retain(|map| map["metadata"]["name"] != name);
        self.inputs.config_maps.push(Arc::new(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}),
        ));
    }

    /// Makes a plan and carries it out; pods report what they ran before.
    pub(crate) fn reconcile(&mut self) -> Plan {
        self.inputs.objects = self.objects.values().cloned().map(Arc::new).collect();
        let made = plan(&self.inputs);
        self.inputs.mounted = made.parts.clone();
        for write in &made.statuses {
            self.objects.get_mut(&write.object).unwrap()["status"] = write.status.clone();
        }
        made
    }

    /// All pods load what is mounted.
    pub(crate) fn pods_load(&mut self) {
        let revision = self.inputs.mounted.revision_id().map(str::to_owned);
        let report =
            |name: &&str| PodReport { name: (*name).to_owned(), revision: revision.clone(), refusal: None };
        self.inputs.pods = self.pods.iter().map(report).collect();
    }

    /// Reconciles until nothing is left to do.
    pub(crate) fn converge(&mut self) {
        for _ in 0..8 {
            let before = self.inputs.mounted.clone();
            let made = self.reconcile();
            self.pods_load();
            if made.statuses.is_empty() && made.parts == before {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// The manifests that are mounted, as JSON, by `Kind/name`.
    pub(crate) fn mounted(&self) -> BTreeMap<String, Value> {
        self.inputs
            .mounted
            .manifests()
            .flat_map(|(name, text)| read_json(&name, text).unwrap())
            .map(|value| {
                let name = format!(
                    "{}/{}",
                    value["kind"].as_str().unwrap(),
                    value["metadata"]["name"].as_str().unwrap()
                );
                (name, value)
            })
            .collect()
    }

    pub(crate) fn status(&self, kind: &str, name: &str) -> &Value {
        &self.objects[&reference(kind, name)]["status"]
    }

    /// `status reason` of a condition, and its message.
    pub(crate) fn condition(&self, kind: &str, name: &str, condition: &str) -> (String, String) {
        let conditions = self.status(kind, name)["conditions"].as_array().unwrap();
        let found = conditions.iter().find(|found| found["type"] == condition).unwrap();
        let text = |field: &str| found[field].as_str().unwrap();
        (format!("{} {}", text("status"), text("reason")), text("message").to_owned())
    }
}

pub(crate) fn reference(kind: &str, name: &str) -> ObjectRef {
    ObjectRef { kind: kind.into(), name: name.into() }
}
