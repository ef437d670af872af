//! Which ports of the pods a Service leads to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::World;
use crate::json::{at, text};

impl World {
    /// The container ports that clients can come to through any Service.
    pub(super) fn exposed(&self) -> BTreeSet<u16> {
        let state = self.lock();
        let of_kind = |kind: &'static str| {
            let objects = state.objects.iter().filter(move |(object, _)| &*object.kind == kind);
            objects.map(|(_, value)| &**value)
        };
        let pods: Vec<PodPorts> = of_kind("Pod").map(PodPorts::of).collect();
        of_kind("Service").flat_map(|service| ports(service, &pods)).collect()
    }
}

/// What a Service needs to know about a pod.
struct PodPorts {
    labels: BTreeMap<String, String>,
    /// Ports that have a name.
    named: BTreeMap<String, u16>,
}

impl PodPorts {
    fn of(pod: &Value) -> Self {
        let containers = at(pod, &["spec", "containers"]).as_array().into_iter().flatten();
        let ports =
            containers.flat_map(|container| at(container, &["ports"]).as_array().into_iter().flatten());
        let named = ports.filter_map(|port| {
            Some((text(port, &["name"])?.to_owned(), number(at(port, &["containerPort"]))?))
        });
        Self { labels: strings(at(pod, &["metadata", "labels"])), named: named.collect() }
    }

    fn resolve(&self, target: &Value) -> Option<u16> {
        number(target).or_else(|| self.named.get(target.as_str()?).copied())
    }
}

/// A Service without a selector chooses no pod.
fn ports(service: &Value, pods: &[PodPorts]) -> BTreeSet<u16> {
    let selector = strings(at(service, &["spec", "selector"]));
    let chosen = pods.iter().filter(|pod| {
        !selector.is_empty() && selector.iter().all(|(label, value)| pod.labels.get(label) == Some(value))
    });
    let targets: Vec<&Value> = at(service, &["spec", "ports"])
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| match at(port, &["targetPort"]) {
            Value::Null => at(port, &["port"]),
            target => target,
        })
        .collect();
    chosen.flat_map(|pod| targets.iter().filter_map(|target| pod.resolve(target))).collect()
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|number| u16::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use postern_crds::ObjectRef;
    use serde_json::json;

    fn world(objects: &[Value]) -> World {
        let world = World::new([]);
        for value in objects {
            let string = |value: &Value| value.as_str().unwrap().into();
            let object = ObjectRef { kind: string(&value["kind"]), name: string(&value["metadata"]["name"]) };
            world.put(object, Arc::new(value.clone()));
        }
        world
    }

    fn service(name: &str, spec: Value) -> Value {
        json!({"kind": "Service", "metadata": {"name": name}, "spec": spec})
    }

    #[test]
    fn ports_count_that_a_service_of_the_pods_leads_to() {
        let pod = json!({
            "kind": "Pod", "metadata": {"name": "a", "labels": {"app": "postern", "tier": "edge"}},
            "spec": {"containers": [{"ports": [{"name": "smtp", "containerPort": 2525}]}]},
        });
        let world = world(&[
            pod,
            service(
                "number",
                json!({"selector": {"app": "postern"}, "ports": [{"port": 465, "targetPort": 2465}]}),
            ),
            service(
                "name",
                json!({"selector": {"app": "postern", "tier": "edge"}, "ports": [{"port": 25, "targetPort": "smtp"}]}),
            ),
            service("same", json!({"selector": {"app": "postern"}, "ports": [{"port": 2587}]})),
            service(
                "other",
                json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}),
            ),
            service(
                "unknown-name",
                json!({"selector": {"app": "postern"}, "ports": [{"port": 1, "targetPort": "lmtp"}]}),
            ),
            service("no-selector", json!({"ports": [{"port": 24, "targetPort": 2424}]})),
        ]);
        assert_eq!(world.exposed(), BTreeSet::from([2465, 2525, 2587]));
    }
}
