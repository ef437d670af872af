//! The dashboard and the alert rules of the chart ask for metrics that there are.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use postern_tests::gate::file_of_tree;
use serde_json::Value;

/// Metrics and labels of the document, which the programs' own tests hold against what they show.
fn documented() -> Result<Vec<(String, BTreeSet<String>)>> {
    let document = file_of_tree("docs/observability.md")?;
    let rows = document.lines().filter(|line| line.starts_with("| `postern_"));
    let mut metrics = Vec::new();
    for row in rows {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let name = cells.next().context("no name")?.trim_matches('`').to_owned();
        let labels = cells.next().context("no labels")?.split(',');
        let labels = labels.map(|label| label.trim().trim_matches('`').to_owned()).collect();
        metrics.push((name, labels));
    }
    ensure!(metrics.len() > 30, "{} metrics", metrics.len());
    Ok(metrics)
}

/// Every metric of an expression is documented, and every label that it is chosen by.
fn is_documented(expression: &str, metrics: &[(String, BTreeSet<String>)]) -> Result<()> {
    let mut rest = expression;
    let mut found = 0;
    while let Some(at) = rest.find("postern_") {
        let text = rest.get(at..).unwrap_or_default();
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        let plain = name.strip_suffix("_bucket").unwrap_or(name);
        let (_, labels) = metrics
            .iter()
            .find(|(known, _)| known == plain)
            .with_context(|| format!("no {name}: {expression}"))?;
        if let Some((chosen, _)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            for pair in chosen.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
                let label = pair.split(['=', '!']).next().unwrap_or_default();
                ensure!(label == "namespace" || labels.contains(label), "no {label} of {name}: {expression}");
            }
        }
        found += 1;
        rest = after;
    }
    ensure!(found > 0, "no metric of ours in {expression}");
    Ok(())
}

#[test]
fn panels_ask_for_metrics_that_there_are() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&file_of_tree("charts/postern/dashboard.json")?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    ensure!(panels.len() > 10);
    let metrics = documented()?;
    for panel in panels {
        ensure!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{panel}");
        for target in panel["targets"].as_array().context("no targets")? {
            is_documented(target["expr"].as_str().context("no expression")?, &metrics)?;
        }
    }
    Ok(())
}

#[test]
fn alerts_ask_for_metrics_that_there_are() -> Result<()> {
    let rules = file_of_tree("charts/postern/alerts.yaml")?
        .replace("{ {{- $jobs -}} }", "{namespace=\"\"}")
        .replace("{ {{- $jobs }},", "{namespace=\"\",");
    let metrics = documented()?;
    let mut alerts = 0;
    for rule in rules.split("- alert: ").skip(1) {
        let expression = rule.split("expr:").nth(1).and_then(|rest| rest.split("labels:").next());
        is_documented(expression.context("no expression")?, &metrics).with_context(|| rule.to_owned())?;
        alerts += 1;
    }
    ensure!(alerts > 10, "{alerts} alerts");
    Ok(())
}
