use super::*;

fn read(variables: &[(&str, &str)]) -> (Option<Settings>, Vec<Complaint>) {
    let lookup =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
    Settings::from_variables(("postern", "1.2.3"), lookup)
}

fn sound(variables: &[(&str, &str)]) -> Settings {
    let (settings, complaints) = read(variables);
    assert_eq!(complaints, []);
    settings.unwrap()
}

const HERE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");

#[test]
fn nothing_is_traced_until_a_collector_is_named() {
    for variables in [
        &[][..],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
        &[HERE, ("OTEL_SDK_DISABLED", "True")],
        &[HERE, ("OTEL_TRACES_EXPORTER", "none")],
    ] {
        let (settings, complaints) = read(variables);
        assert!(settings.is_none() && complaints.is_empty(), "{variables:?}");
    }
    assert_eq!(sound(&[("OTEL_TRACES_EXPORTER", "otlp")]).endpoint.host, "localhost");
    assert!(read(&[HERE, ("OTEL_SDK_DISABLED", "1")]).0.is_some(), "only the word true switches it off");
}

#[test]
fn endpoints_are_taken_apart_as_the_standard_says() {
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let endpoint = |variables: &[(&str, &str)]| {
        let Endpoint { is_secure, host, port, path, .. } = sound(variables).endpoint;
        (is_secure, host, port, path)
    };
    let service = "/opentelemetry.proto.collector.trace.v1.TraceService/Export".to_owned();
    assert_eq!(endpoint(&[HERE, grpc]), (false, "collector".into(), 4317, service.clone()));
    let bare = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
    assert_eq!(endpoint(&[bare, grpc]), (true, "collector".into(), 4317, service.clone()));
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    assert_eq!(endpoint(&[bare, grpc, insecure]), (false, "collector".into(), 4317, service));
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://[::1]/otlp/");
    assert_eq!(endpoint(&[base]), (true, "::1".into(), 443, "/otlp/v1/traces".into()));
    let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:4318/x");
    assert_eq!(endpoint(&[base, whole]), (false, "b".into(), 4318, "/x".into()));
}

#[test]
fn the_variables_of_traces_win_over_those_of_all_signals() {
    let settings = sound(&[
        HERE,
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc,x-tenant=mail"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/own.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/own.key"),
    ]);
    assert_eq!(settings.endpoint.protocol, Protocol::Grpc);
    assert_eq!(settings.timeout, Duration::from_millis(250));
    let headers: Vec<_> =
        settings.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(headers, [("authorization", &b"Basic abc"[..]), ("x-tenant", b"mail")]);
    assert_eq!(settings.certificates.authorities.as_deref(), Some("/ca.pem"));
    assert_eq!(settings.certificates.client, Some(("/own.pem".into(), "/own.key".into())));
}

#[test]
fn samplers_have_their_standard_names() {
    let sampler = |name, argument| {
        sound(&[HERE, ("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)]).sampler
    };
    assert_eq!(sound(&[HERE]).sampler, Sampler::AlwaysOn);
    assert_eq!(sampler("always_off", ""), Sampler::AlwaysOff);
    assert_eq!(sampler("parentbased_always_on", ""), Sampler::AlwaysOn);
    assert_eq!(sampler("traceidratio", "0.25"), Sampler::ratio(0.25));
    assert_eq!(sampler("parentbased_traceidratio", "0"), Sampler::AlwaysOff);
}

#[test]
fn the_resource_names_the_service() {
    let settings = sound(&[
        HERE,
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,k8s.pod.name=mail-0,service.version=7"),
        ("OTEL_SERVICE_NAME", "edge"),
    ]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        settings.resource,
        [pair("service.name", "edge"), pair("service.version", "7"), pair("k8s.pod.name", "mail-0")]
    );
}

#[test]
fn what_cannot_be_understood_is_named_and_its_default_holds() {
    let (settings, complaints) = read(&[
        HERE,
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization: secret"),
    ]);
    let settings = settings.unwrap();
    assert_eq!((settings.batches.queue, settings.sampler), (2048, Sampler::AlwaysOn));
    let named: Vec<_> = complaints.iter().map(|complaint| complaint.variable).collect();
    assert_eq!(
        named,
        [
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "OTEL_TRACES_SAMPLER"
        ]
    );
    assert!(complaints.iter().all(|complaint| !complaint.to_string().contains("secret")));
    let (settings, complaints) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere at all")]);
    assert!(settings.is_none() && complaints.len() == 1);
}
