//! The watches that fill the cache.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBuilder;
use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event, ExponentialBackoff, watcher};
use kube::runtime::{WatchStreamExt as _, watcher::Config};
use kube::{Api, Client};
use postern_crds::ObjectRef;
use postern_crds::kinds::{API_VERSION, KINDS};
use serde_json::Value;

use super::World;

/// A kind to watch.
#[derive(Debug, Clone)]
pub struct Source {
    /// `kind`
    pub kind: &'static str,
    resource: ApiResource,
    config: Config,
}

/// Everything that is watched: our kinds, what they may name, the pods with these labels, and Services.
#[must_use]
pub fn sources(pods: &str) -> Vec<Source> {
    let (group, version) = API_VERSION.split_once('/').unwrap_or(("", API_VERSION));
    let ours = KINDS.iter().map(|kind| Source {
        kind: kind.name,
        resource: ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(group, version, kind.name),
            kind.plural,
        ),
        config: Config::default(),
    });
    let core = |kind: &'static str, plural: &str, config: Config| Source {
        kind,
        resource: ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", kind), plural),
        config,
    };
    // Helm keeps whole charts in Secrets; nobody names those.
    let secrets = Config::default().fields("type!=helm.sh/release.v1");
    let others = [
        core("Secret", "secrets", secrets),
        core("ConfigMap", "configmaps", Config::default()),
        core("Pod", "pods", Config::default().labels(pods)),
        core("Service", "services", Config::default()),
    ];
    ours.chain(others).collect()
}

/// Keeps one kind up to date for as long as it runs. When the API server is away, what was known stays.
pub async fn follow(client: Client, namespace: String, source: Source, world: Arc<World>) {
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &source.resource);
    let mut events = pin!(watcher(api, source.config.clone()).backoff(pauses()));
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => take(event, &source, &world, &mut listed),
            Err(error) => log(&source, &error),
        }
    }
}

/// The pauses of a watch that breaks off again and again: longer each time, but never longer than twice
/// [`LONGEST_PAUSE`]. After an outage there may be two, one before the server is asked again and one when it has said
/// that the watch has missed something. What is usual, up to a minute each, would make every change wait so long.
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_jitter()
        .into()
}

fn take(
    event: Event<DynamicObject>,
    source: &Source,
    world: &World,
    listed: &mut Vec<(ObjectRef, Arc<Value>)>,
) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => listed.extend(entry(source, object)),
        Event::InitDone => world.replace(source.kind, std::mem::take(listed)),
        Event::Apply(object) => {
            if let Some((object, value)) = entry(source, object) {
                world.put(object, value);
            }
        }
        Event::Delete(object) => {
            if let Some(name) = object.metadata.name {
                world.remove(&ObjectRef { kind: source.kind.into(), name: name.into() });
            }
        }
    }
}

fn log(source: &Source, error: &watcher::Error) {
    if matches!(error, watcher::Error::WatchError(status) if status.code == EXPIRED) {
        // An everyday matter: the server keeps no history that is long enough, and everything is listed again.
        return tracing::debug!(kind = source.kind, "the watch begins anew");
    }
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(kind = source.kind, %error, cause, "the watch broke off and is tried again");
}

/// Without what chance adds, which is as much again.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// 410 Gone: what was asked for is too long ago.
const EXPIRED: u16 = 410;

fn entry(source: &Source, object: DynamicObject) -> Option<(ObjectRef, Arc<Value>)> {
    let name = object.metadata.name.clone()?;
    let value = plain(object, &source.resource)?;
    Some((ObjectRef { kind: source.kind.into(), name: name.into() }, Arc::new(value)))
}

/// An object as it is kept: without what nobody here reads, and with kind and version, which items of a list
/// lack.
pub(crate) fn plain(mut object: DynamicObject, resource: &ApiResource) -> Option<Value> {
    object.metadata.managed_fields = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    let mut value = serde_json::to_value(object).ok()?;
    let fields = value.as_object_mut()?;
    fields.insert("apiVersion".to_owned(), resource.api_version.as_str().into());
    fields.insert("kind".to_owned(), resource.kind.as_str().into());
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_a_list_gets_its_kind_and_loses_what_is_not_read() {
        let all = sources("app=postern");
        let source = all.iter().find(|source| source.kind == "MtaRoute").unwrap();
        let object: DynamicObject = serde_json::from_value(serde_json::json!({
            "metadata": {
                "name": "a",
                "managedFields": [],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "x": "y"},
            },
            "spec": {"type": "Discard"},
        }))
        .unwrap();
        let (object, value) = entry(source, object).unwrap();
        assert_eq!(object.to_string(), "MtaRoute/a");
        assert_eq!(value["kind"], "MtaRoute");
        assert_eq!(value["apiVersion"], API_VERSION);
        assert_eq!(value["spec"]["type"], "Discard");
        assert_eq!(value["metadata"], serde_json::json!({"name": "a", "annotations": {"x": "y"}}));
    }

    #[test]
    fn a_watch_is_tried_again_for_ever_and_never_after_a_long_pause() {
        let pauses: Vec<Duration> = pauses().take(1000).collect();
        assert_eq!(pauses.len(), 1000);
        assert!(pauses.iter().all(|pause| *pause <= 2 * LONGEST_PAUSE), "{pauses:?}");
        assert!(pauses[0] < Duration::from_secs(2));
    }

    #[test]
    fn every_kind_is_watched() {
        assert_eq!(sources("app=postern").len(), KINDS.len() + 4);
    }
}
