//! Operators that are killed, that are two, and that have nobody to talk to.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postern_tests::cluster::{ApiServer, LEISURE, Load, Pace, Pod, Process, Release, at};
use postern_tests::wait;

use super::{manifest, site, wait_for_size, wait_long_for_size};

#[test]
fn operators_that_are_killed_lose_nothing() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let pods = site.pods()?;
    let mut worst = Duration::ZERO;
    let mut size = 2_000_000;
    // The leader; every operator there is; the leader again, which is another one by now.
    for all in [false, true, false] {
        let leader = leader(release)?;
        let others = release.pods("operator")?.into_iter().filter(|pod| all && pod.uid != leader.uid);
        let killed: Vec<Pod> = std::iter::once(leader.clone()).chain(others).collect();
        size += 1;
        release.apply(&manifest("MtaStageData", "default", &format!("{{maxMessageSize: {size}}}")))?;
        let begun = Instant::now();
        for pod in &killed {
            kill(release, pod)?;
        }
        size += 1;
        // The webhook of the one that was killed may be asked once more.
        let text = manifest("MtaStageData", "default", &format!("{{maxMessageSize: {size}}}"));
        wait::until("an operator that reviews", LEISURE, || {
            Ok(release.kubectl(&["apply", "-f", "-"], &text)?.success.then_some(()))
        })?;
        for pod in &pods {
            wait_for_size(pod.smtp(), size)?;
        }
        release.all_in_force()?;
        println!(
            "kill -9 of {} operator(s) with a change in hand to all in force: {:?}",
            killed.len(),
            begun.elapsed()
        );
        worst = worst.max(begun.elapsed());
    }
    release.clear()?;
    ensure!(worst < Duration::from_secs(30), "{worst:?}");
    Ok(())
}

#[test]
fn of_two_operators_one_writes_and_both_review() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let operators = wait::until("two operators", LEISURE, || {
        let pods = release.pods("operator")?;
        Ok((pods.len() == 2).then_some(pods))
    })?;
    leader(release)?;
    let leaders = || -> Result<Vec<bool>> {
        operators.iter().map(|pod| Ok(pod.metric("postern_operator_leader")? > 0.0)).collect()
    };
    ensure!(leaders()?.iter().filter(|leads| **leads).count() == 1, "{:?}", leaders()?);
    let before = reconciles(&operators)?;
    for size in 4_000_000..4_000_010 {
        release.apply(&manifest("MtaStageData", "default", &format!("{{maxMessageSize: {size}}}")))?;
    }
    for pod in site.pods()? {
        wait_for_size(pod.smtp(), 4_000_009)?;
    }
    let after = reconciles(&operators)?;
    let writers = before.iter().zip(&after).filter(|(before, after)| after > before).count();
    println!(
        "10 changes with two operators: {writers} of them has reconciled, {before:?} to {after:?} times"
    );
    ensure!(writers == 1);
    release.clear()
}

#[test]
fn an_api_server_that_is_away_for_a_minute_takes_nothing_with_it() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let service = release.service()?;
    let Some(api_server) = ApiServer::stop(release.cluster())? else {
        println!("skipped: the API server of somebody else's cluster is not stopped");
        return Ok(());
    };
    let begun = Instant::now();
    let load = Load::start("away", service, "b@example.org", Pace::default());
    std::thread::sleep(AWAY);
    api_server.start()?;
    let back = begun.elapsed();
    let changed = Instant::now();
    let text = manifest("MtaStageData", "default", "{maxMessageSize: 5000001}");
    wait::until("an operator that reviews", LEISURE, || {
        Ok(release.kubectl(&["apply", "-f", "-"], &text)?.success.then_some(()))
    })?;
    for pod in site.pods()? {
        // A kubelet pauses for up to a minute before it hears that a watch has missed something, and again before it lists.
        wait_long_for_size(pod.smtp(), 5_000_001, 2 * LEISURE)?;
    }
    release.all_in_force()?;
    let in_force = changed.elapsed();
    let tally = load.stop();
    println!(
        "API server away for {back:?}: {} messages, {} failed; a change is in force {in_force:?} after its return",
        tally.taken.len(),
        tally.failed.len()
    );
    tally.is_whole(&site.sink.roster()?)?;
    release.clear()
}

fn kill(release: &Release, pod: &Pod) -> Result<()> {
    match Process::of_pod(&pod.uid, "/postern-operator") {
        Some(process) => process.kill(),
        // Its node is another machine.
        None => release.kubectl(&["delete", "pod", &pod.name, "--grace-period=0", "--force"], "").map(drop),
    }
}

/// The operator that holds the Lease.
fn leader(release: &Release) -> Result<Pod> {
    wait::until("a leader", LEISURE, || {
        let lease = release.get("lease postern-operator")?;
        let holder = at(&lease, "/spec/holderIdentity").as_str().unwrap_or_default().to_owned();
        Ok(release.pods("operator")?.into_iter().find(|pod| pod.name == holder))
    })
}

fn reconciles(operators: &[Pod]) -> Result<Vec<f64>> {
    operators.iter().map(|pod| pod.metric("postern_operator_reconcile_seconds_count")).collect()
}

const AWAY: Duration = Duration::from_secs(60);
