//! Releases of the chart.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{Cluster, LEISURE, Said, at};
use crate::process;
use crate::wait;

/// What every release here adds to the values: the image that `tests/run` has made.
pub const VALUES_OF_IMAGE: &str =
    "image: {repository: postern.test/postern, tag: \"1\", pullPolicy: Never}\n";

/// A chart to install from.
#[derive(Debug)]
pub struct Chart {
    path: PathBuf,
    /// Where a copy lies, for as long as it is used.
    _copy: Option<TempDir>,
}

impl Chart {
    /// The chart of the tree.
    pub fn current() -> Self {
        Self { path: Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/postern"), _copy: None }
    }

    /// The same as an earlier version would have it: another version in every label and in the pods.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn earlier(version: &str) -> Result<Self> {
        let copy = tempfile::tempdir()?;
        let path = copy.path().join("postern");
        process::run(Command::new("cp").arg("-rL").arg(Self::current().path).arg(&path))?;
        let about = path.join("Chart.yaml");
        let text: String = fs::read_to_string(&about)?
            .lines()
            .map(|line| match line.split_once(':') {
                Some((key @ ("version" | "appVersion"), _)) => format!("{key}: \"{version}\"\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        fs::write(about, text)?;
        Ok(Self { path, _copy: Some(copy) })
    }
}

/// A ready pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
    /// `status.podIP`
    pub address: IpAddr,
}

impl Pod {
    /// Where its SMTP listener is that the baseline has.
    pub fn smtp(&self) -> SocketAddr {
        SocketAddr::new(self.address, 2525)
    }

    /// What its admin port answers to GET, head and body; the port refuses, or it says nothing for 10 s: an error.
    ///
    /// # Errors
    /// It does not answer.
    pub fn ask(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect((self.address, 9090))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.name)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The value of the metric whose line begins with `name`, labels included.
    ///
    /// # Errors
    /// There is none.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let text = self.ask("/metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.with_context(|| format!("{} has no metric {name}", self.name))?;
        Ok(value.trim().parse()?)
    }
}

/// The chart, installed in a namespace of its own.
#[derive(Debug, Clone)]
pub struct Release {
    cluster: Cluster,
    namespace: String,
}

impl Release {
    /// Installs the chart as the release `postern`, with what `values` (YAML) adds, and waits until every pod is ready.
    ///
    /// # Errors
    /// Helm refuses, or the pods do not become ready.
    pub fn install(cluster: Cluster, namespace: &str, values: &str) -> Result<Self> {
        let release = Self { cluster, namespace: namespace.to_owned() };
        release.upgrade(&Chart::current(), &format!("{VALUES_OF_IMAGE}{values}"))?;
        Ok(release)
    }

    /// The release of another chart.
    ///
    /// # Errors
    /// As for [`Self::install`].
    pub fn install_from(cluster: Cluster, namespace: &str, chart: &Chart, values: &str) -> Result<Self> {
        let release = Self { cluster, namespace: namespace.to_owned() };
        release.upgrade(chart, values)?;
        Ok(release)
    }

    /// `helm upgrade` to a chart and all of its values, and waits until every pod is ready and objects are reviewed.
    ///
    /// # Errors
    /// Helm refuses, or the pods do not become ready.
    pub fn upgrade(&self, chart: &Chart, values: &str) -> Result<()> {
        let chart = chart.path.to_string_lossy();
        let arguments = ["upgrade", "--install", "postern", &chart, "--create-namespace"];
        let said = self.helm(&arguments, &["--values", "-"], values)?;
        ensure!(said.success, "helm: {}", said.errors);
        self.cluster.forget_kinds();
        // Helm's own `--wait` would wait for the address of a load balancer too, which this cluster does not have.
        for deployment in ["deployment/postern-operator", "deployment/postern"] {
            let said = self.kubectl(&["rollout", "status", deployment, "--timeout=180s"], "")?;
            ensure!(said.success, "{deployment}: {}", said.errors);
        }
        // The node's packet filter learns of a ready pod up to a second after everybody else.
        let mut errors = String::new();
        let reached = wait::until("the webhook to be reached", LEISURE, || {
            let said = self.kubectl(&["apply", "--dry-run=server", "-f", "-"], ANY_OBJECT)?;
            errors = said.errors;
            Ok(said.success.then_some(()))
        });
        reached.context(errors)
    }

    /// `helm test`: what its pods say.
    ///
    /// # Errors
    /// It fails.
    pub fn test(&self) -> Result<String> {
        let said = self.helm(&["test", "postern", "--logs"], &["--timeout", "60s"], "")?;
        ensure!(said.success, "helm test: {} {}", said.output, said.errors);
        Ok(said.output)
    }

    /// Uninstalls it and lets its namespace go, for which nobody has to wait.
    ///
    /// # Errors
    /// Helm or kubectl refuses.
    pub fn remove(self) -> Result<()> {
        let said = self.helm(&["uninstall", "postern"], &[], "")?;
        ensure!(said.success, "helm: {}", said.errors);
        self.cluster.kubectl(&["delete", "namespace", "--wait=false", &self.namespace], "").map(drop)
    }

    /// Its cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn helm(&self, first: &[&str], more: &[&str], input: &str) -> Result<Said> {
        let place = ["--namespace", &self.namespace];
        self.cluster.run("helm", first.iter().chain(&place).chain(more), input)
    }

    /// Runs kubectl in the namespace.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<Said> {
        let all = ["--namespace", &self.namespace].into_iter().chain(arguments.iter().copied());
        self.cluster.run("kubectl", all, input)
    }

    /// Applies manifests, all of which must be taken. What kubectl warns of is in the answer.
    ///
    /// # Errors
    /// One is refused.
    pub fn apply(&self, manifests: &str) -> Result<Said> {
        let said = self.kubectl(&["apply", "-f", "-"], manifests)?;
        ensure!(said.success, "kubectl apply: {}", said.errors);
        Ok(said)
    }

    /// Removes every object of the policy but the settings, and waits until pods run without them.
    ///
    /// # Errors
    /// kubectl fails, or the pods do not follow.
    pub fn clear(&self) -> Result<()> {
        let kinds = self.kubectl(&["api-resources", "--categories=mta", "--output=name"], "")?.output;
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("mtasettings.")).collect();
        let said = self.kubectl(&["delete", "--all", "--wait=true", &kinds.join(",")], "")?;
        ensure!(said.success, "kubectl delete: {}", said.errors);
        self.settled()
    }

    /// How many objects the policy has, the settings among them.
    ///
    /// # Errors
    /// kubectl fails.
    pub fn objects(&self) -> Result<usize> {
        Ok(at(&self.get("mta")?, "/items").as_array().map_or(0, Vec::len))
    }

    /// Waits until every pod runs what is mounted, and that is as new as the objects.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn settled(&self) -> Result<()> {
        wait::until("every pod to run the newest policy", LEISURE, || {
            let all = self.get("mta")?;
            let items = at(&all, "/items").as_array().cloned().unwrap_or_default();
            let settings = items.iter().find(|item| at(item, "/kind") == "MtaSettings");
            let pods =
                settings.and_then(|settings| at(settings, "/status/pods").as_str()).unwrap_or_default();
            let are_equal = pods.split_once('/').is_some_and(|(some, all)| some == all && all != "0");
            let are_judged = items
                .iter()
                .all(|item| at(item, "/status/observedGeneration") == at(item, "/metadata/generation"));
            Ok((are_equal && are_judged).then_some(()))
        })
    }

    /// Waits until every object is accepted, complete and in force in its newest generation.
    ///
    /// # Errors
    /// One is not; it is named with its conditions.
    pub fn all_in_force(&self) -> Result<()> {
        let mut left = Vec::new();
        let done = wait::until("every object to be in force", LEISURE, || {
            let all = self.get("mta")?;
            let items = at(&all, "/items").as_array().cloned().unwrap_or_default();
            left = items
                .iter()
                .filter(|item| !is_in_force(item))
                .map(|item| at(item, "/status").to_string())
                .collect();
            Ok((left.is_empty() && !items.is_empty()).then_some(()))
        });
        done.with_context(|| format!("{} objects, such as {:?}", left.len(), left.first()))
    }

    /// Objects as JSON.
    ///
    /// # Errors
    /// kubectl fails.
    pub fn get(&self, what: &str) -> Result<Value> {
        let mut arguments = vec!["get", "--output=json"];
        arguments.extend(what.split(' '));
        let said = self.kubectl(&arguments, "")?;
        ensure!(said.success, "kubectl get {what}: {}", said.errors);
        Ok(serde_json::from_str(&said.output)?)
    }

    /// `status reason: message` of a condition.
    ///
    /// # Errors
    /// There is no such object.
    pub fn condition(&self, object: &str, kind: &str) -> Result<String> {
        let object = self.get(object)?;
        let conditions = at(&object, "/status/conditions").as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| at(condition, "/type") == kind);
        let text = |field: &str| found.and_then(|found| found[field].as_str()).unwrap_or("?").to_owned();
        Ok(format!("{} {}: {}", text("status"), text("reason"), text("message")))
    }

    /// The ready pods of a component, `server` or `operator`.
    ///
    /// # Errors
    /// kubectl fails.
    pub fn pods(&self, component: &str) -> Result<Vec<Pod>> {
        self.pods_that(component, |pod| {
            let conditions = at(pod, "/status/conditions").as_array();
            conditions.is_some_and(|all| {
                all.iter().any(|found| at(found, "/type") == "Ready" && at(found, "/status") == "True")
            })
        })
    }

    /// The pods of a component that have an address, ready or not.
    ///
    /// # Errors
    /// kubectl fails.
    pub fn started_pods(&self, component: &str) -> Result<Vec<Pod>> {
        self.pods_that(component, |pod| !at(pod, "/status/podIP").is_null())
    }

    /// Those that are not about to end.
    fn pods_that(&self, component: &str, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Pod>> {
        let pods = self.get(&format!("pods --selector=app.kubernetes.io/component={component}"))?;
        let pods = at(&pods, "/items").as_array().cloned().unwrap_or_default();
        let stays = |pod: &&Value| at(pod, "/metadata/deletionTimestamp").is_null() && wanted(pod);
        pods.iter()
            .filter(stays)
            .map(|pod| {
                let text = |pointer: &str| at(pod, pointer).as_str().unwrap_or_default().to_owned();
                Ok(Pod {
                    name: text("/metadata/name"),
                    uid: text("/metadata/uid"),
                    address: text("/status/podIP").parse()?,
                })
            })
            .collect()
    }

    /// Where the Service for clients outside leads.
    ///
    /// # Errors
    /// It has no address.
    pub fn service(&self) -> Result<SocketAddr> {
        let service = self.get("service postern")?;
        let address = at(&service, "/spec/clusterIP").as_str().context("a Service without an address")?;
        Ok(SocketAddr::new(address.parse()?, 25))
    }
}

/// Valid in every release.
const ANY_OBJECT: &str = "\
apiVersion: mta.postern.dev/v1alpha1
kind: MtaRoute
metadata: {name: any}
spec: {type: Discard}
";

fn is_in_force(object: &Value) -> bool {
    let generation = at(object, "/metadata/generation");
    let conditions = at(object, "/status/conditions").as_array().map(Vec::as_slice).unwrap_or_default();
    at(object, "/status/observedGeneration") == generation
        && !conditions.is_empty()
        && conditions.iter().all(|condition| {
            at(condition, "/observedGeneration") == generation
                && (at(condition, "/status") == "True" || at(condition, "/type") == "Exposed")
        })
}
