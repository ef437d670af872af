//! Carrying out a plan: writes to the API server, and nothing that needs thought.

mod parts;
mod status;

use std::sync::Arc;

use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client};
use postern_crds::ObjectRef;
use serde_json::Value;

use crate::json;
use crate::names::{MANAGER, Names};
use crate::world::{World, plain};

/// Writes what plans want.
#[derive(Clone)]
pub struct Applier {
    client: Client,
    names: Names,
    world: Arc<World>,
    /// What is deleted together with the release; what is written belongs to it.
    owner: Option<Value>,
    recorder: Recorder,
}

impl Applier {
    /// Writes under the names of a release, for an owner (an entry of `metadata.ownerReferences`).
    #[must_use]
    pub fn new(
        client: Client,
        names: Names,
        world: Arc<World>,
        identity: String,
        owner: Option<Value>,
    ) -> Self {
        let reporter = Reporter { controller: MANAGER.into(), instance: Some(identity) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, names, world, owner, recorder }
    }

    /// Applies an object to exactly the version that is known, so that who has an older view fails. What the
    /// server answers is in the cache at once.
    ///
    /// A new object is created empty first: creating is the one write that fails when another was faster, and
    /// fields that it sets would belong to another field manager than those that are applied.
    pub(crate) async fn write(
        &self,
        resource: &ApiResource,
        name: &str,
        mut body: Value,
    ) -> kube::Result<()> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.names.namespace, resource);
        let known = self.world.get(&resource.kind, name);
        let version = known.and_then(|known| Some(json::text(&known, VERSION)?.to_owned()));
        let version = match version {
            Some(version) => Some(version),
            None => {
                let mut empty = DynamicObject::new(name, resource);
                empty.data = Value::Object(serde_json::Map::new());
                api.create(&PostParams::default(), &empty).await?.metadata.resource_version
            }
        };
        json::set(&mut body, VERSION, version.into());
        if let Some(owner) = &self.owner {
            json::set(&mut body, &["metadata", "ownerReferences"], Value::Array(vec![owner.clone()]));
        }
        let written = api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&body)).await?;
        if let Some(value) = plain(written, resource) {
            let object = ObjectRef { kind: resource.kind.as_str().into(), name: name.into() };
            self.world.put(object, Arc::new(value));
        }
        Ok(())
    }
}

const VERSION: &[&str] = &["metadata", "resourceVersion"];

/// A ConfigMap or Secret as a resource of the API.
pub(crate) fn core(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", kind), plural)
}

/// The entry of `metadata.ownerReferences` for an object.
#[must_use]
pub fn owned_by(api_version: &str, kind: &str, metadata: &ObjectMeta) -> Option<Value> {
    Some(serde_json::json!({
        "apiVersion": api_version,
        "kind": kind,
        "name": metadata.name.as_ref()?,
        "uid": metadata.uid.as_ref()?,
    }))
}
