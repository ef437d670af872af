//! Where the collector is.

use hyper::Uri;

use super::Variables;

/// Where spans are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) protocol: Protocol,
    pub(crate) is_secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path of the requests.
    pub(crate) path: String,
}

/// How they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// OTLP/gRPC
    Grpc,
    /// OTLP/HTTP, binary.
    Http,
}

impl Variables<'_> {
    /// The endpoint; none, with a complaint, when it cannot be understood.
    pub(super) fn endpoint(&mut self) -> Option<Endpoint> {
        let protocol = self.protocol();
        let (variable, url) = self.of_traces("ENDPOINT").unwrap_or_else(|| {
            let usual = match protocol {
                Protocol::Grpc => "http://localhost:4317",
                Protocol::Http => "http://localhost:4318",
            };
            ("OTEL_EXPORTER_OTLP_ENDPOINT", usual.to_owned())
        });
        let url = match (protocol, url.contains("://")) {
            // Only gRPC knows an endpoint without a scheme.
            (Protocol::Grpc, false) => match self.is_insecure() {
                true => format!("http://{url}"),
                false => format!("https://{url}"),
            },
            _ => url,
        };
        let endpoint = parse(&url, protocol, variable == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        if endpoint.is_none() {
            self.complain(variable, "no URL of http or https; nothing is traced");
        }
        endpoint
    }

    fn protocol(&mut self) -> Protocol {
        match self.of_traces("PROTOCOL") {
            Some((_, name)) if name == "grpc" => Protocol::Grpc,
            Some((variable, name)) if name != "http/protobuf" => {
                self.complain(variable, "only grpc and http/protobuf are known; http/protobuf is used");
                Protocol::Http
            }
            _ => Protocol::Http,
        }
    }

    fn is_insecure(&mut self) -> bool {
        self.of_traces("INSECURE").is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"))
    }
}

fn parse(url: &str, protocol: Protocol, is_whole: bool) -> Option<Endpoint> {
    let uri: Uri = url.parse().ok()?;
    let is_secure = match uri.scheme_str()? {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let usual = match (protocol, is_secure) {
        (Protocol::Grpc, _) => 4317,
        (Protocol::Http, false) => 80,
        (Protocol::Http, true) => 443,
    };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let path = match (protocol, is_whole) {
        (Protocol::Grpc, _) => "/opentelemetry.proto.collector.trace.v1.TraceService/Export".to_owned(),
        (Protocol::Http, true) => uri.path().to_owned(),
        (Protocol::Http, false) => format!("{}/v1/traces", uri.path().trim_end_matches('/')),
    };
    Some(Endpoint { protocol, is_secure, host, port: uri.port_u16().unwrap_or(usual), path })
}
