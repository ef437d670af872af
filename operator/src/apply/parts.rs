//! The ConfigMaps and Secrets that pods mount.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::try_join_all;
use postern_crds::REVISION_FILE;
use serde_json::{Map, Value, json};

use super::{Applier, core};
use crate::names::MANAGER;
use crate::plan::{Parts, objects_file, secrets_file};

impl Applier {
    /// Mounts `new` in the place of `old`. The part with `revision` comes last: until then pods see that the
    /// folder is not complete, and keep what they have.
    ///
    /// # Errors
    /// The first write that failed. What was written before it does no harm, and the next plan finds it.
    pub async fn mount(&self, old: &Parts, new: &Parts) -> kube::Result<()> {
        let mut writes = Vec::new();
        let objects = old.objects.iter().zip(&new.objects);
        for (index, (name, (old, new))) in self.names.config_parts().zip(objects).enumerate().skip(1) {
            if old != new {
                writes.push(self.write_part("ConfigMap", name, files(objects_file(index), new.clone())));
            }
        }
        let secrets = old.secrets.iter().zip(&new.secrets);
        for (index, (name, (old, new))) in self.names.secret_parts().zip(secrets).enumerate() {
            if old != new {
                writes.push(self.write_part(
                    "Secret",
                    name,
                    files(secrets_file(index), STANDARD.encode(new)),
                ));
            }
        }
        try_join_all(writes).await?;
        let [first, ..] = &new.objects;
        let mut last = files(objects_file(0), first.clone());
        last.insert(REVISION_FILE.to_owned(), new.revision.as_str().into());
        let name = self.names.config_parts().next().unwrap_or_default();
        self.write_part("ConfigMap", name, last).await
    }

    async fn write_part(&self, kind: &str, name: String, files: Map<String, Value>) -> kube::Result<()> {
        let plural = if kind == "Secret" { "secrets" } else { "configmaps" };
        let body = json!({
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": name, "labels": self.labels("policy")},
            "data": files,
        });
        self.write(&core(kind, plural), &name, body).await
    }

    /// The labels of what the operator makes.
    pub(crate) fn labels(&self, component: &str) -> Value {
        json!({
            "app.kubernetes.io/name": "postern",
            "app.kubernetes.io/instance": self.names.release,
            "app.kubernetes.io/component": component,
            "app.kubernetes.io/managed-by": MANAGER,
        })
    }
}

/// A file without text is not there.
fn files(name: String, text: String) -> Map<String, Value> {
    if text.is_empty() { Map::new() } else { Map::from_iter([(name, Value::String(text))]) }
}
