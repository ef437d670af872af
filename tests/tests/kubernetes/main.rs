//! A release of the chart on a real Kubernetes: installed, changed by `kubectl apply`, and hurt.
//!
//! `tests/run --cluster` builds the image, starts the cluster and runs this file; without it every test is skipped. The tests
//! share one release and run one after another.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postern_tests::client::{Client, deliver, letter};
use postern_tests::cluster::{Cluster, LEISURE, Release, at};
use postern_tests::wait;

#[test]
fn a_message_to_the_service_is_taken_after_an_install() -> Result<()> {
    let Some(release) = release()? else { return Ok(()) };
    let reply = deliver(release.service()?, "a@example.net", &["b@example.org"], &letter("first", 2000))?;
    ensure!(reply.is("250"), "{reply}");
    Ok(())
}

#[test]
fn a_change_is_in_force_in_every_pod_within_a_second() -> Result<()> {
    let Some(release) = release()? else { return Ok(()) };
    let pods: Vec<SocketAddr> =
        release.pods("server")?.into_iter().map(|(_, address)| SocketAddr::new(address, 2525)).collect();
    ensure!(pods.len() == 3, "{pods:?}");
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        // A kubelet looks at a pod at most once a second; changes in a row would only measure that.
        std::thread::sleep(Duration::from_millis(1300));
        let size = 1_000_000 + round;
        let begun = Instant::now();
        release.apply(&manifest("MtaStageData", "default", &format!("{{maxMessageSize: {size}}}")))?;
        let applied = begun.elapsed();
        for pod in &pods {
            wait_for_size(*pod, size)?;
        }
        times.push((begun.elapsed(), applied));
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    println!(
        "apply to in force in 3 pods: median {:?}, worst {:?}; of that kubectl {:?}",
        median.0, worst.0, median.1
    );
    release.clear()?;
    ensure!(median.0 < Duration::from_secs(1), "median {median:?} of {times:?}");
    Ok(())
}

#[test]
fn what_is_wrong_is_refused_with_its_position_and_nothing_changes() -> Result<()> {
    let Some(release) = release()? else { return Ok(()) };
    let bad = manifest("MtaStageData", "default", "{maxMessages: '1 + sender_doman'}");
    for arguments in [&["apply", "-f", "-"][..], &["apply", "--dry-run=server", "-f", "-"]] {
        let said = release.kubectl(arguments, &bad)?;
        ensure!(!said.success);
        for words in ["spec.maxMessages", "line 1 column 5", "did you mean `sender_domain`?"] {
            ensure!(said.errors.contains(words), "{words} is missing in: {}", said.errors);
        }
    }
    let open = manifest("MtaStageRcpt", "default", "{allowRelaying: true}");
    let said = release.kubectl(&["apply", "-f", "-"], &open)?;
    ensure!(!said.success && said.errors.contains("an open relay"), "{}", said.errors);
    Ok(())
}

#[test]
fn a_set_in_the_wrong_order_is_taken_with_warnings_and_comes_together() -> Result<()> {
    let Some(release) = release()? else { return Ok(()) };
    let domain =
        manifest("MtaDomain", "ordered", "{name: ordered.example, allowRelaying: true, route: later}");
    let route = manifest("MtaRoute", "later", "{type: Discard}");
    let both = format!("{domain}---\n{route}");
    let dry = release.kubectl(&["apply", "--dry-run=server", "-f", "-"], &both)?;
    ensure!(dry.success, "{}", dry.errors);
    let said = release.apply(&domain)?;
    ensure!(said.errors.contains("Warning: ") && said.errors.contains("`later`"), "{}", said.errors);
    release.settled()?;
    let resolved = release.condition("mtadomain ordered", "ResolvedRefs")?;
    ensure!(resolved.starts_with("False RefNotFound: "), "{resolved}");
    release.apply(&both)?;
    wait::until("both in force", LEISURE, || {
        let programmed = release.condition("mtadomain ordered", "Programmed")?;
        Ok(programmed.starts_with("True ").then_some(()))
    })?;
    let reply =
        deliver(release.service()?, "a@example.net", &["b@ordered.example"], &letter("ordered", 500))?;
    ensure!(reply.is("250"), "{reply}");
    release.clear()
}

#[test]
fn a_deleted_route_that_is_in_use_stays_in_force_and_says_so() -> Result<()> {
    let Some(release) = release()? else { return Ok(()) };
    let route = manifest("MtaRoute", "used", "{type: Discard}");
    let domain = manifest("MtaDomain", "user", "{name: user.example, allowRelaying: true, route: used}");
    release.apply(&format!("{route}---\n{domain}"))?;
    wait::until("both in force", LEISURE, || {
        Ok(release.condition("mtadomain user", "Programmed")?.starts_with("True ").then_some(()))
    })?;
    release.kubectl(&["delete", "mtaroute", "used"], "")?;
    wait::until("the domain to say so", LEISURE, || {
        let resolved = release.condition("mtadomain user", "ResolvedRefs")?;
        Ok(resolved.contains("MtaRoute/used has been deleted").then_some(()))
    })?;
    let reply = deliver(release.service()?, "a@example.net", &["b@user.example"], &letter("used", 500))?;
    ensure!(reply.is("250"), "{reply}");
    release.clear()
}

#[test]
fn operators_that_are_killed_lose_nothing() -> Result<()> {
    let Some(release) = release()? else { return Ok(()) };
    let pods = release.pods("server")?;
    let mut worst = Duration::ZERO;
    for round in 0..3 {
        let leader = leader(&release)?;
        let size = 2_000_000 + round;
        release.apply(&manifest("MtaStageData", "default", &format!("{{maxMessageSize: {size}}}")))?;
        release.kubectl(&["delete", "pod", &leader, "--grace-period=0", "--force"], "")?;
        let size = size + 1000;
        let begun = Instant::now();
        // The webhook of the one that was killed may be asked once more.
        wait::until("an operator that reviews", LEISURE, || {
            let text = manifest("MtaStageData", "default", &format!("{{maxMessageSize: {size}}}"));
            Ok(release.kubectl(&["apply", "-f", "-"], &text)?.success.then_some(()))
        })?;
        for (_, address) in &pods {
            wait_for_size(SocketAddr::new(*address, 2525), size)?;
        }
        worst = worst.max(begun.elapsed());
    }
    println!("kill -9 of the leader to in force: worst {worst:?}");
    release.clear()?;
    ensure!(worst < Duration::from_secs(30), "{worst:?}");
    Ok(())
}

#[test]
fn pods_that_come_and_go_change_the_settings_alone() -> Result<()> {
    let Some(release) = release()? else { return Ok(()) };
    release.apply(&manifest("MtaRoute", "steady", "{type: Discard}"))?;
    wait::until("it to be in force", LEISURE, || {
        Ok(release.condition("mtaroute steady", "Programmed")?.starts_with("True ").then_some(()))
    })?;
    release.settled()?;
    let version = |release: &Release| -> Result<String> {
        Ok(at(&release.get("mtaroute steady")?, "/metadata/resourceVersion").to_string())
    };
    let before = version(&release)?;
    for replicas in ["4", "3"] {
        release.kubectl(&["scale", "deployment", "postern", &format!("--replicas={replicas}")], "")?;
        wait::until("the settings to count the pods", LEISURE, || {
            let settings = release.get("mtasettings default")?;
            Ok((*at(&settings, "/status/pods") == format!("{replicas}/{replicas}")).then_some(()))
        })?;
    }
    ensure!(version(&release)? == before, "the route was written");
    release.clear()
}

/// The release that the tests share, for one at a time; none without a cluster.
fn release() -> Result<Option<MutexGuard<'static, Release>>> {
    static RELEASE: OnceLock<Result<Mutex<Release>, String>> = OnceLock::new();
    let Some(cluster) = Cluster::of_environment() else { return Ok(None) };
    let installed = RELEASE.get_or_init(|| {
        let begun = Instant::now();
        let release =
            Release::install(cluster, "postern-e2e", VALUES).map_err(|error| format!("{error:#}"))?;
        release.settled().map_err(|error| format!("{error:#}"))?;
        println!("helm install to 3 pods in force: {:?}", begun.elapsed());
        Ok(Mutex::new(release))
    });
    match installed {
        Ok(release) => Ok(Some(release.lock().unwrap_or_else(PoisonError::into_inner))),
        Err(error) => anyhow::bail!("{error}"),
    }
}

fn manifest(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: mta.postern.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

/// Waits until a pod answers a new connection with that SIZE.
fn wait_for_size(pod: SocketAddr, size: u64) -> Result<()> {
    wait::until("the new size", LEISURE, || {
        let mut client = Client::connect(pod)?;
        let is_new = client.command("EHLO client.example")?.has_line(&format!("SIZE {size}"));
        client.quit();
        // Asking all the time would take the processor from those who are asked.
        let pause = if is_new { Duration::ZERO } else { Duration::from_millis(20) };
        std::thread::sleep(pause);
        Ok(is_new.then_some(()))
    })
}

fn leader(release: &Release) -> Result<String> {
    wait::until("a leader", LEISURE, || {
        let lease = release.get("lease postern-operator")?;
        let holder = at(&lease, "/spec/holderIdentity").as_str().unwrap_or_default().to_owned();
        let pods = release.pods("operator")?;
        Ok(pods.iter().any(|(name, _)| *name == holder).then_some(holder))
    })
}

const ROUNDS: u64 = 20;
const VALUES: &str = "
domain: {name: example.org, allowRelaying: true}
route: {type: Discard}
service: {type: ClusterIP}
server: {replicas: 3}
";
