//! What `kubectl get mta` shows, and what is not written.

use anyhow::{Context, Result, ensure};
use postern_tests::cluster::{LEISURE, at};
use postern_tests::wait;
use serde_json::Value;

use super::{manifest, site, wait_for_condition};

#[test]
fn kubectl_get_mta_shows_every_object_accepted_and_in_force_and_all_pods() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    release.apply(&format!(
        "{}{}{}",
        manifest("MtaRoute", "shown", "{type: Discard}"),
        manifest("MtaDomain", "shown", "{name: shown.example, allowRelaying: true, route: shown}"),
        manifest("MtaStageData", "default", "{maxMessageSize: 3000000}"),
    ))?;
    release.all_in_force()?;
    wait::until("3/3", LEISURE, || {
        Ok((*at(&release.get("mtasettings default")?, "/status/pods") == "3/3").then_some(()))
    })?;
    let table = release.kubectl(&["get", "mta"], "")?.output;
    println!("{table}");
    for (object, wanted) in [
        ("mtaroute.mta.postern.dev/shown", &["ACCEPTED True", "IN_FORCE True"][..]),
        ("mtadomain.mta.postern.dev/shown", &["ACCEPTED True", "IN_FORCE True"]),
        ("mtastagedata.mta.postern.dev/default", &["ACCEPTED True", "IN_FORCE True"]),
        ("mtasettings.mta.postern.dev/default", &["PODS 3/3", "ACCEPTED True", "IN_FORCE True"]),
    ] {
        let cells = cells(&table, object)?;
        for cell in wanted {
            ensure!(cells.contains(&(*cell).to_owned()), "{object} has no {cell}: {cells:?}");
        }
    }
    for item in at(&release.get("mta")?, "/items").as_array().context("no objects")? {
        let generation = at(item, "/metadata/generation");
        let conditions = at(item, "/status/conditions").as_array().context("no conditions")?;
        ensure!(*at(item, "/status/observedGeneration") == *generation, "{item}");
        ensure!(
            conditions.iter().all(|condition| at(condition, "/observedGeneration") == generation),
            "{item}"
        );
    }
    release.clear()
}

#[test]
fn pods_that_come_and_go_change_the_settings_alone() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    release.apply(&manifest("MtaRoute", "steady", "{type: Discard}"))?;
    wait_for_condition(release, "mtaroute steady", "Programmed", "True ")?;
    release.settled()?;
    let versions = || -> Result<Vec<(String, String)>> {
        let all = release.get("mta")?;
        let items = at(&all, "/items").as_array().cloned().unwrap_or_default();
        let others = items.iter().filter(|item| at(item, "/kind") != "MtaSettings");
        let text = |item: &Value, pointer: &str| at(item, pointer).as_str().unwrap_or_default().to_owned();
        Ok(others
            .map(|item| (text(item, "/metadata/name"), text(item, "/metadata/resourceVersion")))
            .collect())
    };
    let before = versions()?;
    for replicas in ["5", "2", "3"] {
        release.kubectl(&["scale", "deployment", "postern", &format!("--replicas={replicas}")], "")?;
        wait::until("the settings to count the pods", LEISURE, || {
            let settings = release.get("mtasettings default")?;
            Ok((*at(&settings, "/status/pods") == format!("{replicas}/{replicas}")).then_some(()))
        })?;
    }
    let after = versions()?;
    println!("scaled 3, 5, 2, 3: {} objects with the same resourceVersion", after.len());
    ensure!(before == after && !after.is_empty(), "{before:?} became {after:?}");
    release.clear()
}

#[test]
fn a_listener_that_no_service_port_leads_to_says_so() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    release.apply(&manifest("MtaListener", "hidden", "{bind: ['0.0.0.0:2626'], publicPort: 26}"))?;
    let exposed = wait_for_condition(release, "mtalistener hidden", "Exposed", "False NoServicePort: ")?;
    println!("{exposed}");
    wait_for_condition(release, "mtalistener hidden", "Programmed", "True ")?;
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: hidden}\nspec:\n  \
                   selector: {app.kubernetes.io/component: server}\n  ports: [{port: 26, targetPort: 2626}]\n";
    release.apply(service)?;
    wait_for_condition(release, "mtalistener hidden", "Exposed", "True ")?;
    release.kubectl(&["delete", "service", "hidden"], "")?;
    release.clear()
}

/// The row of an object in what `kubectl get` prints for several kinds, as `COLUMN value`.
fn cells(table: &str, object: &str) -> Result<Vec<String>> {
    // A column's name may have two words.
    let table = table.replace("IN FORCE", "IN_FORCE");
    let mut header = Vec::new();
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first() == Some(&"NAME") {
            header = words;
        } else if words.first() == Some(&object) {
            return Ok(header.iter().zip(words).map(|(column, value)| format!("{column} {value}")).collect());
        }
    }
    anyhow::bail!("{object} is not in\n{table}")
}
