//! From nothing to a message, and from one version to the next.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postern_tests::client::{deliver, letter};
use postern_tests::cluster::{Chart, Cluster, LEISURE, Load, Pace, Release, Sink, VALUES_OF_IMAGE};
use postern_tests::wait;

use super::{manifest, site};

#[test]
fn default_values_and_one_file_bring_a_message_to_a_sink_beside_another_release() -> Result<()> {
    // The shared release is the other one.
    let Some(site) = site()? else { return Ok(()) };
    let cluster = site.release.cluster().clone();
    let begun = Instant::now();
    let sink = Sink::start(&cluster, "postern-defaults")?;
    let release = Release::install(cluster, "postern-defaults", "")?;
    let installed = begun.elapsed();
    let domain = manifest("MtaDomain", "example", "{name: example.org, allowRelaying: true}");
    let route = manifest("MtaRoute", "mailbox-server", "{type: Relay, address: sink}");
    release.apply(&format!("{domain}{route}"))?;
    release.settled()?;
    let reply = deliver(release.service()?, "a@example.net", &["b@example.org"], &letter("first", 2000))?;
    ensure!(reply.is("250"), "{reply}");
    ensure!(sink.roster()?.contains("first"), "{:?}", sink.roster()?);
    println!(
        "helm install with default values: {installed:?}; the first message is in the sink after {:?}",
        begun.elapsed()
    );
    // Both have their own policy, and their own webhook.
    let reply =
        deliver(site.release.service()?, "a@example.net", &["b@example.org"], &letter("second", 2000))?;
    ensure!(reply.is("250"), "{reply}");
    ensure!(site.sink.roster()?.contains("second") && !sink.roster()?.contains("second"));
    let bad = manifest("MtaStageData", "default", "{maxMessages: '1 + sender_doman'}");
    for release in [&release, &site.release] {
        let said = release.kubectl(&["apply", "-f", "-"], &bad)?;
        ensure!(!said.success && said.errors.contains("sender_domain"), "{}", said.errors);
    }
    release.remove()
}

#[test]
fn mail_flows_while_a_release_is_upgraded_from_the_chart_before() -> Result<()> {
    let Some(cluster) = Cluster::of_environment() else { return Ok(()) };
    let sink = Sink::start(&cluster, "postern-upgrade")?;
    let values = |tag: &str| {
        let image = VALUES_OF_IMAGE.replace("\"1\"", tag);
        format!("{image}{}", super::VALUES.replace("replicas: 3", "replicas: 2"))
    };
    let release =
        Release::install_from(cluster, "postern-upgrade", &Chart::earlier("0.0.9")?, &values("before"))?;
    release.settled()?;
    let load = Load::start("upgrade", release.service()?, "b@example.org", Pace::default());
    wait::until("load", LEISURE, || Ok((load.sent() > 100).then_some(())))?;
    let begun = Instant::now();
    release.upgrade(&Chart::current(), &values("\"1\""))?;
    let upgraded = begun.elapsed();
    let after = load.sent();
    wait::until("load", LEISURE, || Ok((load.sent() > after + 100).then_some(())))?;
    let tally = load.stop();
    println!(
        "helm upgrade under load: {upgraded:?}; {} messages, {} failed, {} heard 421 while idle",
        tally.taken.len(),
        tally.failed.len(),
        tally.farewells
    );
    tally.is_whole(&sink.roster()?)?;
    ensure!(upgraded > Duration::from_secs(1), "no pod was replaced");
    release.remove()
}

#[test]
fn helm_test_sends_a_message() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let begun = Instant::now();
    let said = site.release.test()?;
    println!("helm test: {:?}", begun.elapsed());
    ensure!(said.contains("250 "), "{said}");
    Ok(())
}
