//! Jaeger, which takes spans and tells them again.

mod hook;
mod trace;

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

pub use self::hook::audited;
pub use self::trace::{Span, Trace};
use crate::certificate::Authority;
use crate::gate::get;
use crate::port::Port;
use crate::process::{Ending, Program};
use crate::require;
use crate::wait::{self, PATIENCE};

/// A running Jaeger that keeps spans in memory.
#[derive(Debug)]
pub struct Jaeger {
    _program: Option<Program>,
    query: SocketAddr,
    ports: Vec<Port>,
    has_tls: bool,
    _home: Option<TempDir>,
}

impl Jaeger {
    /// Starts one on loopback; nothing, where it was not built (`tests/cluster/build jaeger`).
    ///
    /// # Errors
    /// When it does not start, or is not there with `POSTERN_TEST_REQUIRE_PEERS=1` and without `POSTERN_TEST_NO_JAEGER=1`, which
    /// `tests/run` sets where nothing can build it.
    pub fn start() -> Result<Option<Self>> {
        Self::launch(None)
    }

    /// The same, taking spans over TLS as `localhost`, from those alone whom the authority has certified.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn with_tls(authority: &Authority) -> Result<Option<Self>> {
        Self::launch(Some(authority))
    }

    fn launch(authority: Option<&Authority>) -> Result<Option<Self>> {
        if env::var_os("POSTERN_TEST_NO_JAEGER").is_some() {
            return Ok(None);
        }
        let Some(binary) = binary() else {
            require::skip("Jaeger is not built: tests/cluster/build jaeger")?;
            return Ok(None);
        };
        let home = TempDir::with_prefix("postern-jaeger-")?;
        let ports: Vec<Port> = (0..7).map(|_| Port::reserve()).collect::<Result<_>>()?;
        let address = |at: usize| ports.get(at).map(Port::address).context("no port");
        let mut command = Command::new(binary);
        command.arg("--log-level=warn").current_dir(home.path());
        for (at, option) in OPTIONS.iter().enumerate() {
            command.arg(format!("{option}.host-port={}", address(at)?));
        }
        if let Some(authority) = authority {
            authority.issue(&["localhost"])?.write(home.path())?;
            for option in [OPTIONS[GRPC], OPTIONS[HTTP]] {
                command.arg(format!("{option}.tls.enabled=true"));
                command.arg(format!("{option}.tls.cert=tls.crt")).arg(format!("{option}.tls.key=tls.key"));
                command.arg(format!("{option}.tls.client-ca={}", authority.file().display()));
            }
        }
        let program = Program::start("jaeger", command, &home.path().join("log"), Ending::Kill)?;
        let query = address(QUERY)?;
        let has_tls = authority.is_some();
        let mut jaeger = Self { _program: Some(program), query, ports, has_tls, _home: Some(home) };
        wait::until("Jaeger to be ready", PATIENCE, || {
            if let Some(program) = &mut jaeger._program {
                program.must_run()?;
            }
            Ok(get(query, "/api/services").ok().filter(|(code, _)| *code == 200))
        })?;
        Ok(Some(jaeger))
    }

    /// One that runs already; its API is at this address.
    pub fn at(query: SocketAddr) -> Self {
        Self { _program: None, query, ports: Vec::new(), has_tls: false, _home: None }
    }

    /// Where it takes OTLP/gRPC.
    pub fn grpc(&self) -> String {
        self.url(GRPC)
    }

    /// Where it takes OTLP/HTTP.
    pub fn http(&self) -> String {
        self.url(HTTP)
    }

    fn url(&self, at: usize) -> String {
        let Some(address) = self.ports.get(at).map(Port::address) else { return String::new() };
        if self.has_tls {
            return format!("https://localhost:{}", address.port());
        }
        format!("http://{address}")
    }

    /// A trace by its id, once it is complete: every span but the first has its parent, and `is_whole` says so too.
    ///
    /// # Errors
    /// When it never is; the error shows what is there.
    pub fn trace(&self, id: &str, is_whole: impl Fn(&Trace) -> bool) -> Result<Trace> {
        let mut last = None;
        let found = wait::until("the trace", PATIENCE, || {
            last = self.look(id)?;
            Ok(last.clone().filter(|trace| trace.is_connected() && is_whole(trace)))
        });
        found.with_context(|| match last {
            Some(trace) => format!("trace {id}:\n{}", trace.outline()),
            None => format!("there is no trace {id}"),
        })
    }

    /// A complete trace of a service whose first span has this name.
    ///
    /// # Errors
    /// When there never is one.
    pub fn find(&self, service: &str, operation: &str) -> Result<Trace> {
        wait::until(operation, PATIENCE, || {
            let path = format!("/api/traces?service={service}&operation={operation}&limit=20");
            let (_, body) = get(self.query, &path)?;
            let answer: Value = serde_json::from_str(&body)?;
            let traces = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
            let traces: Vec<Trace> = traces
                .into_iter()
                .map(|trace| Trace::read(&serde_json::json!({"data": [trace]})))
                .collect::<Result<_>>()?;
            Ok(traces.into_iter().find(|trace| trace.is_connected() && trace.spans.len() > 3))
        })
    }

    /// What there is of a trace now, as Jaeger's API says it.
    ///
    /// # Errors
    /// When Jaeger does not answer.
    pub fn raw(&self, id: &str) -> Result<Option<Value>> {
        let (code, body) = get(self.query, &format!("/api/traces/{id}"))?;
        if code == 404 {
            return Ok(None);
        }
        ensure!(code == 200, "Jaeger answers {code}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    fn look(&self, id: &str) -> Result<Option<Trace>> {
        self.raw(id)?.map(|answer| Trace::read(&answer)).transpose()
    }
}

/// The program that the test cluster builds.
fn binary() -> Option<PathBuf> {
    let cache = env::var_os("POSTERN_TEST_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache/postern-tests")))?;
    let folders = std::fs::read_dir(cache.join("cluster")).ok()?.flatten();
    let ours = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with("jaeger-"));
    ours.map(|entry| entry.path().join("all-in-one")).find(|file| file.is_file())
}

/// Everything that it listens on, as options.
const OPTIONS: [&str; 7] = [
    "--collector.otlp.grpc",
    "--collector.otlp.http",
    "--query.http-server",
    "--query.grpc-server",
    "--admin.http",
    "--collector.grpc-server",
    "--collector.http-server",
];
const GRPC: usize = 0;
const HTTP: usize = 1;
const QUERY: usize = 2;
