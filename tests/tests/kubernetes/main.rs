//! Releases of the chart on a real Kubernetes: installed, changed by `kubectl apply`, loaded, and hurt.
//!
//! `tests/run` builds the image, starts the cluster and runs this file; without a cluster every test is skipped. Most tests share
//! one release and run one after another. Each prints what it has measured.

mod bad_input;
mod install;
mod operators;
mod plugin;
mod policy;
mod scale;
mod status;
mod traces;

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postern_tests::client::Client;
use postern_tests::cluster::{Cluster, LEISURE, Pod, Release, Sink};
use postern_tests::wait;

/// What most tests share: a release with three pods, whose mail for example.org goes to a sink beside it.
struct Site {
    release: Release,
    sink: Sink,
}

impl Site {
    /// Its three server pods, ready or not.
    fn pods(&self) -> Result<Vec<Pod>> {
        let pods = self.release.started_pods("server")?;
        ensure!(pods.len() == 3, "{pods:?}");
        Ok(pods)
    }
}

/// The shared site without any object but the settings, for one test at a time; none without a cluster.
fn site() -> Result<Option<MutexGuard<'static, Site>>> {
    static SITE: OnceLock<Result<Mutex<Site>, String>> = OnceLock::new();
    let Some(cluster) = Cluster::of_environment() else { return Ok(None) };
    let installed = SITE.get_or_init(|| install(cluster).map_err(|error| format!("{error:#}")));
    match installed {
        Ok(site) => {
            let site = site.lock().unwrap_or_else(PoisonError::into_inner);
            // A test that failed leaves what it had.
            if site.release.objects()? > 1 {
                site.release.clear()?;
            }
            Ok(Some(site))
        }
        Err(error) => anyhow::bail!("{error}"),
    }
}

fn install(cluster: Cluster) -> Result<Mutex<Site>> {
    let sink = Sink::start(&cluster, "postern-e2e")?;
    let begun = Instant::now();
    let release = Release::install(cluster, "postern-e2e", VALUES)?;
    release.settled()?;
    println!("helm install to 3 pods in force: {:?}", begun.elapsed());
    Ok(Mutex::new(Site { release, sink }))
}

fn manifest(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: mta.postern.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

/// Waits until a pod answers a new connection with that SIZE.
fn wait_for_size(pod: SocketAddr, size: u64) -> Result<()> {
    wait_long_for_size(pod, size, LEISURE)
}

/// The same, for as long as the caller says.
fn wait_long_for_size(pod: SocketAddr, size: u64, longest: Duration) -> Result<()> {
    wait::until("the new size", longest, || {
        let mut client = Client::connect(pod)?;
        let is_new = client.command("EHLO client.example")?.has_line(&format!("SIZE {size}"));
        client.quit();
        // Asking all the time would take the processor from those who are asked.
        let pause = if is_new { Duration::ZERO } else { Duration::from_millis(20) };
        std::thread::sleep(pause);
        Ok(is_new.then_some(()))
    })
}

/// Waits until a condition begins with `wanted`, such as `True` or `False Held`; the condition.
fn wait_for_condition(release: &Release, object: &str, kind: &str, wanted: &str) -> Result<String> {
    let mut last = String::new();
    let found = wait::until(&format!("{object} to be {kind} {wanted}"), LEISURE, || {
        last = release.condition(object, kind)?;
        Ok(last.starts_with(wanted).then(|| last.clone()))
    });
    found.map_err(|error| error.context(format!("it was {last}")))
}

const VALUES: &str = "
domain: {name: example.org, allowRelaying: true}
route: {type: Relay, address: sink}
service: {type: ClusterIP}
server: {replicas: 3}
";
