//! The standard environment variables (OpenTelemetry specification, "Environment Variable Specification" and
//! "OpenTelemetry Protocol Exporter").

mod endpoint;
mod list;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

pub(crate) use self::endpoint::{Endpoint, Protocol};
use crate::sampler::Sampler;

/// How spans are recorded and sent.
#[derive(Debug)]
pub struct Settings {
    pub(crate) sampler: Sampler,
    pub(crate) batches: Batches,
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// For one request.
    pub(crate) timeout: Duration,
    pub(crate) certificates: Certificates,
    /// What spans say of the process.
    pub(crate) resource: Vec<(String, String)>,
    /// Name and version of the program.
    pub(crate) scope: (&'static str, &'static str),
}

/// Sizes and times of the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batches {
    /// Spans that wait at most.
    pub(crate) queue: usize,
    /// Spans in a request at most.
    pub(crate) batch: usize,
    /// How long a span waits for others.
    pub(crate) delay: Duration,
    /// For a batch, with all its tries.
    pub(crate) timeout: Duration,
}

/// Files for TLS; their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Certificates {
    /// Authorities in place of the system's.
    pub(crate) authorities: Option<String>,
    /// Our own certificate, and its key.
    pub(crate) client: Option<(String, String)>,
}

/// A variable that does not say what it should. Its default holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Name of the variable.
    pub variable: &'static str,
    /// What is wrong with it, without its value, which may be a secret.
    pub fault: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.fault)
    }
}

impl Settings {
    /// What the environment says; none: nothing is recorded, because no collector is named, or tracing is switched off.
    #[must_use]
    pub fn from_env(program: &'static str, version: &'static str) -> (Option<Self>, Vec<Complaint>) {
        Self::from_variables((program, version), |name| std::env::var(name).ok())
    }

    pub(crate) fn from_variables(
        scope: (&'static str, &'static str),
        lookup: impl Fn(&str) -> Option<String>,
    ) -> (Option<Self>, Vec<Complaint>) {
        let mut variables = Variables { lookup: &lookup, complaints: Vec::new() };
        let settings = variables.is_on().then(|| variables.settings(scope)).flatten();
        (settings, variables.complaints)
    }
}

/// The variables, and what is wrong with them.
pub(crate) struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    complaints: Vec<Complaint>,
}

impl Variables<'_> {
    fn is_on(&mut self) -> bool {
        if self.truth("OTEL_SDK_DISABLED").unwrap_or(false) {
            return false;
        }
        match self.text("OTEL_TRACES_EXPORTER").as_deref() {
            Some("otlp") => true,
            Some("none") => false,
            Some(_) => {
                self.complain("OTEL_TRACES_EXPORTER", "only otlp and none are known; nothing is traced");
                false
            }
            // The standard would send to this host, where a pod has no collector; a gate that nobody told of one has none.
            None => ENDPOINTS.iter().any(|name| self.text(name).is_some()),
        }
    }

    fn settings(&mut self, scope: (&'static str, &'static str)) -> Option<Settings> {
        let endpoint = self.endpoint()?;
        let headers = self.headers();
        let milliseconds = |value: Option<u64>, usual: u64| Duration::from_millis(value.unwrap_or(usual));
        let batches = Batches {
            queue: self.number("OTEL_BSP_MAX_QUEUE_SIZE").filter(|n| *n > 0).unwrap_or(2048),
            batch: self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE").filter(|n| *n > 0).unwrap_or(512),
            delay: milliseconds(self.number("OTEL_BSP_SCHEDULE_DELAY"), 5_000),
            timeout: milliseconds(self.number("OTEL_BSP_EXPORT_TIMEOUT"), 30_000),
        };
        let timeout = match self.number("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") {
            None => self.number("OTEL_EXPORTER_OTLP_TIMEOUT"),
            own => own,
        };
        if self.of_traces("COMPRESSION").is_some_and(|(_, value)| value != "none") {
            self.complain("OTEL_EXPORTER_OTLP_COMPRESSION", "only none is known; spans are sent as they are");
        }
        let mut file = |name| self.of_traces(name).map(|(_, file)| file);
        let certificates = Certificates {
            authorities: file("CERTIFICATE"),
            client: file("CLIENT_CERTIFICATE").zip(file("CLIENT_KEY")),
        };
        Some(Settings {
            sampler: self.sampler(),
            batches: Batches { batch: batches.batch.min(batches.queue), ..batches },
            endpoint,
            headers,
            timeout: milliseconds(timeout, 10_000),
            certificates,
            resource: self.resource(scope),
            scope,
        })
    }

    fn sampler(&mut self) -> Sampler {
        const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
        let name = self.text("OTEL_TRACES_SAMPLER").unwrap_or_default();
        match name.strip_prefix("parentbased_").unwrap_or(&name) {
            "" | "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => match self.number::<f64>(ARGUMENT) {
                Some(ratio) if (0.0..=1.0).contains(&ratio) => Sampler::ratio(ratio),
                Some(_) => {
                    self.complain(ARGUMENT, "not between 0 and 1; every trace is recorded");
                    Sampler::AlwaysOn
                }
                None => Sampler::AlwaysOn,
            },
            _ => {
                self.complain("OTEL_TRACES_SAMPLER", "no sampler of this name; every trace is recorded");
                Sampler::AlwaysOn
            }
        }
    }

    fn headers(&mut self) -> Vec<(HeaderName, HeaderValue)> {
        let Some((variable, value)) = self.of_traces("HEADERS") else { return Vec::new() };
        let mut headers = Vec::new();
        for pair in list::pairs(&value) {
            let header = pair.and_then(|(name, value)| {
                let mut value = HeaderValue::from_str(&value).ok()?;
                value.set_sensitive(true);
                Some((HeaderName::from_str(&name).ok()?, value))
            });
            match header {
                Some(header) => headers.push(header),
                None => self.complain(variable, "a part is no name=value of a header field; it is left out"),
            }
        }
        headers
    }

    fn resource(&mut self, (program, version): (&str, &str)) -> Vec<(String, String)> {
        const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let mut attributes = vec![
            ("service.name".to_owned(), program.to_owned()),
            ("service.version".to_owned(), version.to_owned()),
        ];
        for pair in list::pairs(&self.text(VARIABLE).unwrap_or_default()) {
            match pair {
                Some((name, value)) => set(&mut attributes, name, value),
                None => self.complain(VARIABLE, "a part is no name=value; it is left out"),
            }
        }
        if let Some(name) = self.text("OTEL_SERVICE_NAME") {
            set(&mut attributes, "service.name".to_owned(), name);
        }
        attributes
    }

    /// A variable of the exporter: the one for traces, else the one for all signals.
    pub(crate) fn of_traces(&mut self, name: &str) -> Option<(&'static str, String)> {
        let (_, own, general) = *EXPORTER.iter().find(|(short, ..)| *short == name)?;
        self.text(own).map(|value| (own, value)).or_else(|| Some((general, self.text(general)?)))
    }

    /// A variable that is set; one that is empty is not (as the specification says).
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn number<T: FromStr>(&mut self, name: &'static str) -> Option<T> {
        let text = self.text(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.complain(name, "no number; the default holds");
        }
        number
    }

    pub(crate) fn truth(&mut self, name: &'static str) -> Option<bool> {
        // Whatever is not "true" is false (the specification, "Boolean").
        Some(self.text(name)?.eq_ignore_ascii_case("true"))
    }

    pub(crate) fn complain(&mut self, variable: &'static str, fault: impl Into<String>) {
        self.complaints.push(Complaint { variable, fault: fault.into() });
    }
}

fn set(attributes: &mut Vec<(String, String)>, name: String, value: String) {
    match attributes.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => *known = value,
        None => attributes.push((name, value)),
    }
}

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Variables of the exporter: short, for traces, for all signals.
const EXPORTER: [(&str, &str, &str); 8] = [
    ("ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ("INSECURE", "OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"),
    ("HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"),
    ("COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"),
    ("CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
    (
        "CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    ),
    ("CLIENT_KEY", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
];

#[cfg(test)]
mod tests;
