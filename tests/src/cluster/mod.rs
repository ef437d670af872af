//! A real Kubernetes, as `tests/run --cluster` starts it, and a release of the chart in it.

use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::wait;

/// How long a test waits for what a cluster does at its leisure: pods that start, replicas that take over.
pub const LEISURE: Duration = Duration::from_secs(90);

/// The cluster of the environment.
#[derive(Debug, Clone)]
pub struct Cluster {
    kubeconfig: PathBuf,
    programs: PathBuf,
}

/// What a program of the cluster said.
#[derive(Debug)]
pub struct Said {
    /// Whether it succeeded.
    pub success: bool,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Cluster {
    /// The cluster whose kubeconfig `POSTERN_TEST_CLUSTER` names; none without it, and then the test is skipped.
    pub fn of_environment() -> Option<Self> {
        let Some(kubeconfig) = env::var_os("POSTERN_TEST_CLUSTER").filter(|path| !path.is_empty()) else {
            let test = std::thread::current();
            let name = test.name().unwrap_or("a test");
            let _ = writeln!(std::io::stderr(), "skipped: {name}: it needs `tests/run --cluster`");
            return None;
        };
        let kubeconfig = PathBuf::from(kubeconfig);
        let programs = kubeconfig.parent().map(|folder| folder.join("bin")).unwrap_or_default();
        Some(Self { kubeconfig, programs })
    }

    /// Runs `kubectl` or `helm` with something on its standard input.
    ///
    /// # Errors
    /// It cannot be started. What it says is the caller's to judge.
    pub fn run<I: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = I>,
        input: &str,
    ) -> Result<Said> {
        let own = self.programs.join(program);
        let path = if own.is_file() { own } else { PathBuf::from(program) };
        let mut child = Command::new(&path)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            // What kinds there are is remembered by the cluster's address. That of an earlier cluster, or of this one
            // before the chart, knows no kind of ours.
            .env("KUBECACHEDIR", self.kubeconfig.with_file_name(format!("{program}-cache")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", path.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let done = child.wait_with_output()?;
        let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
        Ok(Said { success: done.status.success(), output: text(done.stdout), errors: text(done.stderr) })
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
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/postern");
        let chart = chart.to_string_lossy().into_owned();
        let image = "image: {repository: postern.test/postern, tag: \"1\", pullPolicy: Never}\n";
        let arguments =
            ["upgrade", "--install", "postern", &chart, "--namespace", namespace, "--create-namespace"];
        let arguments = arguments.into_iter().chain(["--values", "-", "--wait", "--timeout", "120s"]);
        let said = cluster.run("helm", arguments, &format!("{image}{values}"))?;
        ensure!(said.success, "helm: {}", said.errors);
        Ok(Self { cluster, namespace: namespace.to_owned() })
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

    /// Names and addresses of the ready pods of a component, `server` or `operator`.
    ///
    /// # Errors
    /// kubectl fails.
    pub fn pods(&self, component: &str) -> Result<Vec<(String, IpAddr)>> {
        let label = format!("pods --selector=app.kubernetes.io/component={component}");
        let pods = self.get(&label)?;
        let pods = at(&pods, "/items").as_array().cloned().unwrap_or_default();
        let ready = pods.iter().filter(|pod| {
            let conditions = at(pod, "/status/conditions").as_array();
            at(pod, "/metadata/deletionTimestamp").is_null()
                && conditions.is_some_and(|all| {
                    all.iter().any(|found| at(found, "/type") == "Ready" && at(found, "/status") == "True")
                })
        });
        ready
            .map(|pod| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                Ok((text(at(pod, "/metadata/name")), text(at(pod, "/status/podIP")).parse()?))
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

/// The value at a JSON pointer (RFC 6901), or null.
pub fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}
