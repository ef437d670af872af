//! What objects and people are told.

use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType};
use postern_crds::ObjectRef;
use postern_crds::kinds::{API_VERSION, KINDS, SINGLETON_NAME};
use serde_json::json;

use super::Applier;
use crate::api_error::Said;
use crate::json;
use crate::names::MANAGER;
use crate::plan::{Notice, PLACEHOLDER, StatusWrite};

impl Applier {
    /// Writes statuses. One that fails is left to the next plan; the others are written all the same.
    /// Whether all were written.
    pub async fn tell(&self, writes: &[StatusWrite]) -> bool {
        let told: Vec<_> = writes.iter().map(|write| self.tell_one(write)).collect();
        let outcomes: Vec<kube::Result<()>> = stream::iter(told).buffer_unordered(AT_ONCE).collect().await;
        let failed: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        if let Some(error) = failed.first() {
            tracing::warn!(statuses = failed.len(), error = %Said(error), "not every status was written");
        }
        failed.is_empty()
    }

    async fn tell_one(&self, write: &StatusWrite) -> kube::Result<()> {
        let Some(resource) = resource(&write.object.kind) else { return Ok(()) };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.names.namespace, &resource);
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": &*write.object.kind,
            "metadata": {"name": &*write.object.name},
            "status": write.status,
        });
        let params = PatchParams::apply(MANAGER).force();
        let written = match api.patch_status(&write.object.name, &params, &Patch::Apply(&body)).await {
            Ok(written) => written,
            // It has been deleted meanwhile, and there is nobody left to tell.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Some(value) = crate::world::plain(written, &resource) {
            self.world.put(write.object.clone(), std::sync::Arc::new(value));
        }
        Ok(())
    }

    /// Makes the MtaSettings that carry the state of the release, when there are none.
    ///
    /// # Errors
    /// The API server refused.
    pub async fn ensure_settings(&self) -> kube::Result<()> {
        if self.world.get(SETTINGS, SINGLETON_NAME).is_some() {
            return Ok(());
        }
        let Some(resource) = resource(SETTINGS) else { return Ok(()) };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.names.namespace, &resource);
        let mut settings = DynamicObject::new(SINGLETON_NAME, &resource).data(json!({"spec": {}}));
        settings.metadata.annotations = Some([(PLACEHOLDER.to_owned(), "true".to_owned())].into());
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match api.create(&params, &settings).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            created => created.map(drop),
        }
    }

    /// Publishes Warning events. They are a courtesy: one that fails is only logged.
    pub async fn warn(&self, notices: &[Notice]) {
        for notice in notices {
            tracing::warn!(object = %notice.object, reason = notice.reason, "{}", notice.message);
            let event = Event {
                type_: EventType::Warning,
                reason: notice.reason.to_owned(),
                note: Some(notice.message.chars().take(LONGEST_NOTE).collect()),
                action: "Reconcile".to_owned(),
                secondary: None,
            };
            if let Err(error) = self.recorder.publish(&event, &self.reference(&notice.object)).await {
                tracing::warn!(object = %notice.object, error = %Said(&error), "no event published");
            }
        }
    }

    fn reference(&self, object: &ObjectRef) -> ObjectReference {
        let known = self.world.get(&object.kind, &object.name);
        let uid = known.and_then(|value| json::text(&value, &["metadata", "uid"]).map(str::to_owned));
        ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(object.kind.to_string()),
            name: Some(object.name.to_string()),
            namespace: Some(self.names.namespace.clone()),
            uid,
            ..ObjectReference::default()
        }
    }
}

/// A kind of ours as a resource of the API.
fn resource(kind: &str) -> Option<ApiResource> {
    let known = KINDS.iter().find(|known| known.name == kind)?;
    let (group, version) = API_VERSION.split_once('/')?;
    Some(ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, known.name), known.plural))
}

const SETTINGS: &str = "MtaSettings";
/// Writes at the same time: enough to be quick with a thousand, and few enough to leave the server to others.
const AT_ONCE: usize = 16;
/// The API takes 1 kB, and a character may have four octets.
const LONGEST_NOTE: usize = 250;
