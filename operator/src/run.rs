//! From the command line to the running parts.

use std::io;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client, Config};
use postern_trace::Tracer;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::apply::{Applier, owned_by};
use crate::cli::{Certificate, Cli};
use crate::health::Health;
use crate::lease::Candidate;
use crate::metrics::Metrics;
use crate::names::Names;
use crate::pods::{Care, Reports};
use crate::reconcile::Reconciler;
use crate::webhook::{Identity, Keeper, Reviewer, Webhook};
use crate::world::{World, follow, sources};

/// Why the operator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It is not known where the API server is.
    #[error("neither in a cluster nor with a kubeconfig")]
    Config(#[from] kube::config::InferConfigError),
    /// The API server does not answer.
    #[error("the API server cannot be used")]
    Api(#[from] kube::Error),
    /// A port cannot be bound, or signals cannot be waited for.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is no host name to be known by.
    #[error("the host has no name; give --identity")]
    Identity,
}

/// Runs until a signal ends it.
///
/// # Errors
/// Only before anything is watched.
pub async fn run(cli: Cli) -> Result<(), StartError> {
    let config = Config::infer().await?;
    let (tracer, tracing) = Tracer::from_env("postern-operator", env!("CARGO_PKG_VERSION"));
    let namespace = cli.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let operator = Operator::new(cli, Client::try_from(config)?, namespace, Metrics::new(tracer)).await?;
    let health = Health::bind(operator.cli.admin).await?;
    let webhook = match operator.cli.webhook {
        Some(address) => Some(Webhook::bind(address).await?),
        None => None,
    };
    let worked = operator.work(health, webhook).await;
    if let Some(tracing) = tracing {
        tracing.end().await;
    }
    worked
}

/// What the parts share.
struct Operator {
    cli: Cli,
    client: Client,
    names: Names,
    identity: String,
    world: Arc<World>,
    applier: Applier,
    metrics: Metrics,
}

impl Operator {
    async fn new(cli: Cli, client: Client, namespace: String, metrics: Metrics) -> Result<Self, StartError> {
        let identity = cli.identity.clone().or_else(host_name).ok_or(StartError::Identity)?;
        let baseline = cli.baseline.clone().unwrap_or_else(|| format!("{}-baseline", cli.release));
        let names = Names { namespace, release: cli.release.clone(), baseline };
        let owner = match &cli.owner {
            Some(name) => owner(&client, &names.namespace, name).await?,
            None => None,
        };
        let kinds = sources("").into_iter().map(|source| source.kind);
        let world = Arc::new(World::new(kinds));
        let applier =
            Applier::new(client.clone(), names.clone(), Arc::clone(&world), identity.clone(), owner);
        Ok(Self { cli, client, names, identity, world, applier, metrics })
    }

    async fn work(self, health: TcpListener, webhook: Option<Webhook>) -> Result<(), StartError> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (end, ended) = watch::channel(());
        let candidate = Candidate::new(
            self.client.clone(),
            &self.names.namespace,
            self.names.lease(),
            self.identity.clone(),
        );
        let leads = candidate.leads();
        let election = tokio::spawn(candidate.run(until_dropped(ended)));
        let mut parts = JoinSet::new();
        for source in sources(&self.pod_selector()) {
            parts.spawn(follow(
                self.client.clone(),
                self.names.namespace.clone(),
                source,
                Arc::clone(&self.world),
            ));
        }
        self.reconcile(&mut parts, &leads);
        let identity = webhook.map(|webhook| self.review(webhook, &mut parts, &leads));
        let health_of = Health { world: Arc::clone(&self.world), identity, metrics: self.metrics.clone() };
        parts.spawn(health_of.serve(health));
        parts.spawn(count_leadership(leads, self.metrics.clone()));
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            // No part ends by itself; one that breaks is better started anew with all others.
            broken = parts.join_next() => tracing::error!(?broken, "a part has ended"),
        }
        tracing::info!("ending");
        // What is being written must not go on beside the next leader.
        parts.shutdown().await;
        drop(end);
        if let Err(error) = election.await {
            tracing::error!(%error, "the election broke");
        }
        Ok(())
    }

    fn reconcile(&self, parts: &mut JoinSet<()>, leads: &watch::Receiver<bool>) {
        let reports = Arc::new(Reports::default());
        let (wanted, wanted_now) = watch::channel(None);
        let care = Care {
            client: self.client.clone(),
            namespace: self.names.namespace.clone(),
            world: Arc::clone(&self.world),
            reports: Arc::clone(&reports),
            admin_port: self.cli.pod_admin_port,
            wanted: wanted_now,
            leads: leads.clone(),
        };
        parts.spawn(care.run());
        let reconciler = Reconciler {
            world: Arc::clone(&self.world),
            reports,
            applier: self.applier.clone(),
            names: self.names.clone(),
            pipe_dir: self.cli.pipe_dir.clone(),
            admin_port: self.cli.pod_admin_port,
            leads: leads.clone(),
            wanted,
            metrics: self.metrics.clone(),
        };
        parts.spawn(reconciler.run());
    }

    fn review(&self, webhook: Webhook, parts: &mut JoinSet<()>, leads: &watch::Receiver<bool>) -> Identity {
        let identity = Identity::default();
        let release = &self.names.release;
        let namespace = &self.names.namespace;
        let secret = self.cli.webhook_secret.clone().unwrap_or_else(|| format!("{release}-webhook-tls"));
        let service = self.cli.webhook_service.clone().unwrap_or_else(|| format!("{release}-webhook"));
        parts.spawn(identity.clone().follow(Arc::clone(&self.world), secret.clone()));
        let reviewer = Reviewer {
            world: Arc::clone(&self.world),
            names: self.names.clone(),
            pipe_dir: self.cli.pipe_dir.clone(),
            metrics: self.metrics.clone(),
        };
        let shown = identity.clone();
        parts.spawn(async move { webhook.serve(reviewer, &shown).await });
        if self.cli.webhook_certificate == Certificate::SelfSigned {
            let configuration = self.cli.webhook_configuration.clone();
            let keeper = Keeper {
                client: self.client.clone(),
                applier: self.applier.clone(),
                world: Arc::clone(&self.world),
                secret,
                configuration: configuration.unwrap_or_else(|| format!("{release}-webhook-{namespace}")),
                hosts: vec![
                    format!("{service}.{namespace}.svc"),
                    format!("{service}.{namespace}.svc.cluster.local"),
                ],
                leads: leads.clone(),
            };
            parts.spawn(keeper.run());
        }
        identity
    }

    fn pod_selector(&self) -> String {
        let release = &self.names.release;
        let default = || {
            format!(
                "app.kubernetes.io/name=postern,app.kubernetes.io/instance={release},\
                 app.kubernetes.io/component=server"
            )
        };
        self.cli.pods.clone().unwrap_or_else(default)
    }
}

async fn owner(client: &Client, namespace: &str, name: &str) -> kube::Result<Option<Value>> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    Ok(owned_by("v1", "ServiceAccount", &api.get(name).await?.metadata))
}

/// In a pod this is the name of the pod.
fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    // The number of the process tells two operators on one machine apart.
    (!name.is_empty()).then(|| format!("{name}-{}", std::process::id()))
}

async fn until_dropped(mut ended: watch::Receiver<()>) {
    while ended.changed().await.is_ok() {}
}

async fn count_leadership(mut leads: watch::Receiver<bool>, metrics: Metrics) {
    loop {
        let is_leader = *leads.borrow_and_update();
        metrics.leads(is_leader);
        if leads.changed().await.is_err() {
            return;
        }
    }
}
