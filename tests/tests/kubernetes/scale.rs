//! Many messages, many pods, many objects.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postern_tests::cluster::{Cluster, LEISURE, Load, Pace, Process, Release, Sink, at};
use postern_tests::wait;

use super::{manifest, site};

#[test]
fn under_load_changes_restarts_and_scaling_lose_and_fail_nothing() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let scale = |replicas: &str| -> Result<()> {
        release.kubectl(&["scale", "deployment", "postern", &format!("--replicas={replicas}")], "")?;
        // Pods that go have gone when their sessions have; so long there are more than wanted.
        wait::until("the pods", LEISURE, || {
            let pods = release.get("pods --selector=app.kubernetes.io/component=server")?;
            let all = at(&pods, "/items").as_array().map_or(0, Vec::len);
            Ok((all.to_string() == replicas && release.pods("server")?.len() == all).then_some(()))
        })
    };
    scale("2")?;
    release.settled()?;
    let load = Load::start("steady", release.service()?, "b@example.org", Pace::default());
    let begun = Instant::now();
    for round in 0..50 {
        release.apply(&manifest(
            "MtaStageData",
            "default",
            &format!("{{maxMessageSize: {}}}", 6_000_000 + round),
        ))?;
    }
    release.all_in_force()?;
    let changed = (begun.elapsed(), load.sent());
    release.kubectl(&["rollout", "restart", "deployment/postern"], "")?;
    let said = release.kubectl(&["rollout", "status", "deployment/postern", "--timeout=120s"], "")?;
    ensure!(said.success, "{}", said.errors);
    let restarted = (begun.elapsed(), load.sent());
    scale("5")?;
    scale("2")?;
    let scaled = (begun.elapsed(), load.sent());
    let tally = load.stop();
    println!(
        "20 connections: 50 changes until {changed:?}, a rolling restart until {restarted:?}, 2 to 5 to 2 pods until {scaled:?} \
         (time, messages); {} messages, {} failed, {} heard 421 while idle",
        tally.taken.len(),
        tally.failed.len(),
        tally.farewells
    );
    tally.is_whole(&site.sink.roster()?)?;
    ensure!(tally.farewells > 0, "no pod said goodbye to anybody, so nothing was shown");
    scale("3")?;
    release.clear()
}

#[test]
fn the_autoscaler_adds_pods_under_load_and_takes_them_away_after_it() -> Result<()> {
    let Some(cluster) = Cluster::of_environment() else { return Ok(()) };
    let sink = Sink::start(&cluster, "postern-hpa")?;
    let release = Release::install(cluster, "postern-hpa", AUTOSCALED)?;
    release.settled()?;
    let replicas = || -> Result<u64> {
        at(&release.get("deployment postern")?, "/spec/replicas").as_u64().context("no replicas")
    };
    ensure!(replicas()? == 1);
    let pace = Pace { pause: Duration::ZERO, ..Pace::default() };
    let begun = Instant::now();
    let load = Load::start("hpa", release.service()?, "b@example.org", pace);
    let up = wait::until("more pods", 2 * LEISURE, || Ok((replicas()? >= 3).then(|| begun.elapsed())));
    let ready = wait::until("them to be ready", LEISURE, || {
        Ok((release.pods("server")?.len() >= 3).then(|| begun.elapsed()))
    });
    let utilization = release.get("hpa postern")?["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"].clone();
    let tally = load.stop();
    let (up, ready) = (up?, ready?);
    let idle = Instant::now();
    let down = wait::until("one pod", 2 * LEISURE, || Ok((replicas()? == 1).then(|| idle.elapsed())))?;
    println!(
        "autoscaler: 1 to 3 pods wanted after {up:?} of load and ready after {ready:?}, at {utilization}% CPU of what is requested; \
         back to 1 {down:?} after it; {} messages, {} failed",
        tally.taken.len(),
        tally.failed.len()
    );
    tally.is_whole(&sink.roster()?)?;
    release.remove()
}

#[test]
fn a_thousand_objects_are_reconciled_in_two_seconds_and_two_thousand_are_taken_at_once() -> Result<()> {
    let Some(cluster) = Cluster::of_environment() else { return Ok(()) };
    let values = super::VALUES.replace("replicas: 3", "replicas: 1");
    let release = Release::install(cluster, "postern-many", &values)?;
    let operator = release.pods("operator")?;
    let begun = Instant::now();
    apply_unchecked(&release, &objects(0..2000))?;
    let applied = begun.elapsed();
    let mounted = wait::until("2,000 objects in force", 2 * LEISURE, || {
        let last = [("mtadomain", "many-1999"), ("mtaroute", "many-1990"), ("mtadomain", "many-1")];
        let all = last.iter().map(|(kind, name)| release.condition(&format!("{kind} {name}"), "Programmed"));
        let all: Vec<String> = all.collect::<Result<_>>()?;
        Ok(all.iter().all(|condition| condition.starts_with("True ")).then(|| begun.elapsed()))
    })?;
    release.all_in_force()?;
    let memory = |release: &Release| -> Result<f64> {
        let operators = release.pods("operator")?;
        let most = operators.iter().filter_map(|pod| Process::of_pod(&pod.uid, "/postern-operator"));
        let most: Vec<u64> = most.map(Process::most_memory).collect::<Result<_>>()?;
        Ok(most.into_iter().max().context("no operator on this machine")? as f64 / 1e6)
    };
    let most = memory(&release)?;
    println!(
        "2,000 objects at once: kubectl {applied:?}, in force after {mounted:?}; operator at most {most:.0} MB"
    );
    let names = (1000..2000).map(|number| format!("{}/many-{number}", kind(number)));
    let names: Vec<String> = std::iter::once("delete".to_owned()).chain(names).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    ensure!(release.kubectl(&names, "")?.success);
    release.all_in_force()?;
    let taken = reconciles(&release, &operator)?;
    for round in 0..5 {
        release.apply(&manifest(
            "MtaDomain",
            "many-1",
            &format!("{{name: d1.many.example, allowRelaying: {}}}", round % 2 == 0),
        ))?;
        wait_for_in_force(&release)?;
    }
    let after = reconciles(&release, &operator)?;
    let each = (after.0 - taken.0) / (after.1 - taken.1);
    println!(
        "1,000 objects: a reconcile takes {each:.3} s on average over {}; operator at most {most:.0} MB with 2,000",
        after.1 - taken.1
    );
    ensure!(each < 2.0, "{each}");
    ensure!(most < 150.0, "{most} MB");
    release.remove()
}

fn wait_for_in_force(release: &Release) -> Result<()> {
    wait::until("the change to be in force", LEISURE, || {
        let object = release.get("mtadomain many-1")?;
        let generation = at(&object, "/metadata/generation");
        let conditions = at(&object, "/status/conditions").as_array().cloned().unwrap_or_default();
        let is_done = |condition: &serde_json::Value| {
            at(condition, "/status") == "True" && at(condition, "/observedGeneration") == generation
        };
        Ok((!conditions.is_empty() && conditions.iter().all(is_done)).then_some(()))
    })
}

/// Seconds and number of all reconciles so far.
fn reconciles(_release: &Release, operators: &[postern_tests::cluster::Pod]) -> Result<(f64, f64)> {
    let mut sum = (0.0, 0.0);
    for pod in operators {
        sum.0 += pod.metric("postern_operator_reconcile_seconds_sum")?;
        sum.1 += pod.metric("postern_operator_reconcile_seconds_count")?;
    }
    Ok(sum)
}

fn kind(number: usize) -> &'static str {
    if number.is_multiple_of(10) { "MtaRoute" } else { "MtaDomain" }
}

/// Domains in tens with a route for each ten.
fn objects(numbers: std::ops::Range<usize>) -> String {
    let object = |number: usize| {
        let route = number - number % 10;
        let spec = match kind(number) {
            "MtaRoute" => "{type: Discard}".to_owned(),
            _ => format!("{{name: d{number}.many.example, allowRelaying: true, route: many-{route}}}"),
        };
        manifest(kind(number), &format!("many-{number}"), &spec)
    };
    numbers.map(object).collect()
}

/// Without kubectl's own look at the schema, which takes it longer than everything else; the API server looks anyway.
fn apply_unchecked(release: &Release, manifests: &str) -> Result<()> {
    let said = release.kubectl(&["apply", "--validate=false", "-f", "-"], manifests)?;
    ensure!(said.success, "{}", said.errors);
    Ok(())
}

const AUTOSCALED: &str = "
domain: {name: example.org, allowRelaying: true}
route: {type: Relay, address: sink}
service: {type: ClusterIP}
server: {resources: {requests: {cpu: 50m, memory: 64Mi}}}
autoscaling:
  enabled: true
  minReplicas: 1
  maxReplicas: 3
  targetCPUUtilizationPercentage: 50
  behavior: {scaleDown: {stabilizationWindowSeconds: 10}}
";
