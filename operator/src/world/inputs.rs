//! The inputs of a plan, taken from the cache.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use postern_crds::REVISION_FILE;
use postern_crds::kinds::API_VERSION;
use serde_json::Value;

use super::World;
use crate::json::{at, text};
use crate::names::Names;
use crate::plan::{Inputs, Parts, objects_file, secrets_file};

/// A pod of the data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.name`
    pub name: String,
    /// Its admin port.
    pub admin: SocketAddr,
    /// Whether Services lead to it.
    pub is_ready: bool,
}

impl World {
    /// Everything that belongs to a release at one moment, but for what its pods have said.
    #[must_use]
    pub fn inputs(&self, names: &Names, pipe_dir: Option<PathBuf>) -> Inputs {
        let mut inputs = Inputs { pipe_dir, now: Timestamp::now(), ..Inputs::default() };
        inputs.exposed = self.exposed();
        let config_parts: Vec<String> = names.config_parts().collect();
        let secret_parts: Vec<String> = names.secret_parts().collect();
        for (object, value) in &self.lock().objects {
            let own = |parts: &[String]| parts.iter().position(|part| **part == *object.name);
            match &*object.kind {
                "ConfigMap" if *object.name == *names.baseline => inputs.baseline = Some(files(value)),
                "ConfigMap" => match own(&config_parts) {
                    Some(index) => config_part(&mut inputs.mounted, index, value),
                    None => inputs.config_maps.push(Arc::clone(value)),
                },
                "Secret" => match own(&secret_parts) {
                    Some(index) => secret_part(&mut inputs.mounted, index, value),
                    None => inputs.secrets.push(Arc::clone(value)),
                },
                _ if text(value, &["apiVersion"]) == Some(API_VERSION) => {
                    inputs.objects.push(Arc::clone(value))
                }
                _ => {}
            }
        }
        inputs
    }

    /// The pods that have an address and are not about to end.
    #[must_use]
    pub fn pods(&self, admin_port: u16) -> Vec<Pod> {
        let state = self.lock();
        let pods = state.objects.iter().filter(|(object, _)| &*object.kind == "Pod");
        pods.filter_map(|(object, value)| pod(&object.name, value, admin_port)).collect()
    }
}

fn files(config_map: &Value) -> Vec<(String, String)> {
    let entries = at(config_map, &["data"]).as_object().into_iter().flatten();
    entries.filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
}

fn config_part(mounted: &mut Parts, index: usize, value: &Value) {
    let contents = |file: &str| text(value, &["data", file]).unwrap_or_default().to_owned();
    if let Some(part) = mounted.objects.get_mut(index) {
        *part = contents(&objects_file(index));
    }
    if index == 0 {
        mounted.revision = contents(REVISION_FILE);
    }
}

fn secret_part(mounted: &mut Parts, index: usize, value: &Value) {
    use base64::Engine as _;
    let packed = text(value, &["data", &secrets_file(index)]).unwrap_or_default();
    let octets = base64::engine::general_purpose::STANDARD.decode(packed).unwrap_or_default();
    if let Some(part) = mounted.secrets.get_mut(index) {
        *part = String::from_utf8(octets).unwrap_or_default();
    }
}

fn pod(name: &str, value: &Value, admin_port: u16) -> Option<Pod> {
    if !at(value, &["metadata", "deletionTimestamp"]).is_null() {
        return None;
    }
    let address: IpAddr = text(value, &["status", "podIP"])?.parse().ok()?;
    let conditions = at(value, &["status", "conditions"]).as_array()?;
    let is_ready =
        conditions.iter().any(|found| at(found, &["type"]) == "Ready" && at(found, &["status"]) == "True");
    Some(Pod { name: name.to_owned(), admin: SocketAddr::new(address, admin_port), is_ready })
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_crds::ObjectRef;
    use serde_json::json;

    fn names() -> Names {
        Names { namespace: "mail".into(), release: "gate".into(), baseline: "gate-baseline".into() }
    }

    fn world(values: impl IntoIterator<Item = Value>) -> World {
        let world = World::new([]);
        for value in values {
            let string = |value: &Value| value.as_str().unwrap().to_owned();
            let object = ObjectRef {
                kind: string(&value["kind"]).into(),
                name: string(&value["metadata"]["name"]).into(),
            };
            world.put(object, Arc::new(value));
        }
        world
    }

    #[test]
    fn own_parts_are_what_is_mounted_and_nothing_that_objects_may_name() {
        let world = world([
            json!({"kind": "ConfigMap", "metadata": {"name": "gate-baseline"}, "data": {"a.yaml": "x"}}),
            json!({"kind": "ConfigMap", "metadata": {"name": "gate-policy-0"},
                   "data": {"objects-0.yaml": "zero", "revision": "# revision abc\n"}}),
            json!({"kind": "ConfigMap", "metadata": {"name": "gate-policy-7"}, "data": {"objects-7.yaml": "seven"}}),
            json!({"kind": "Secret", "metadata": {"name": "gate-policy-secrets-1"}, "data": {"secrets-1.yaml": "b25l"}}),
            json!({"kind": "Secret", "metadata": {"name": "other"}}),
            json!({"kind": "ConfigMap", "metadata": {"name": "lists"}}),
            json!({"kind": "MtaRoute", "apiVersion": API_VERSION, "metadata": {"name": "a"}}),
        ]);
        let inputs = world.inputs(&names(), None);
        assert_eq!(inputs.baseline, Some(vec![("a.yaml".to_owned(), "x".to_owned())]));
        assert_eq!(
            (inputs.mounted.objects[0].as_str(), inputs.mounted.objects[7].as_str()),
            ("zero", "seven")
        );
        assert_eq!(inputs.mounted.secrets[1], "one");
        assert_eq!(inputs.mounted.revision_id(), Some("abc"));
        assert_eq!((inputs.objects.len(), inputs.secrets.len(), inputs.config_maps.len()), (1, 1, 1));
    }

    #[test]
    fn a_pod_counts_from_its_address_to_its_end() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let world = world([
            json!({"kind": "Pod", "metadata": {"name": "a"}, "status": {"podIP": "198.18.1.5", "conditions": ready}}),
            json!({"kind": "Pod", "metadata": {"name": "b"}, "status": {"podIP": "2001:db8::5", "conditions": []}}),
            json!({"kind": "Pod", "metadata": {"name": "c"}, "status": {}}),
            json!({"kind": "Pod", "metadata": {"name": "d", "deletionTimestamp": "2027-01-01T00:00:00Z"},
                   "status": {"podIP": "198.18.1.6", "conditions": ready}}),
        ]);
        let pods: Vec<_> =
            world.pods(9090).into_iter().map(|pod| (pod.name, pod.admin.to_string(), pod.is_ready)).collect();
        let expected = [("a", "198.18.1.5:9090", true), ("b", "[2001:db8::5]:9090", false)]
            .map(|(a, b, c)| (a.to_owned(), b.to_owned(), c));
        assert_eq!(pods, expected);
    }
}
