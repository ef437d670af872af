//! What a script is told of the session: `${env.x}` and the `environment` test (RFC 5183).

use jiff::Timestamp;
use postern_core::expr::reverse_name;
use postern_core::session::check::{Check, CheckResult, MessageResults};
use postern_core::smtp::parameters::{BodyType, MailParameters};
use postern_core::verdict::Stage;
use sieve::runtime::Variable;

use super::super::Case;

/// Every item with its value, each under every spelling that finds it.
pub(super) fn environment(case: &Case<'_>) -> Vec<(String, Variable)> {
    let mut items = Items::default();
    let session = case.session;
    let client = session.client();
    let ip = client.remote.ip();
    items.text("remote_ip", ip.to_string());
    items.text("remote_ip.reverse", reverse_name(ip));
    items.text("helo_domain", case.helo().unwrap_or_default().to_lowercase());
    items.text("authenticated_as", case.account().unwrap_or_default());
    items.text("stage", case.stage.name());
    items.set("now", Timestamp::now().as_second());
    items.set("asn", i64::from(client.network.number));
    items.text("country", client.network.country.code());
    let spf = session.sender_spf().map(|sender| &sender.check);
    items.text("spf.result", word(spf));
    items.text("spf_ehlo.result", word(case.helo_spf()));
    let iprev = case.reverse_dns();
    items.text("iprev.result", word(iprev));
    let ptr = iprev.and_then(|check| check.detail.as_deref()).unwrap_or_default();
    items.text("iprev.ptr", ptr);
    let tls = session.tls();
    items.text("tls.version", tls.map_or("", |tls| &tls.version));
    items.text("tls.cipher", tls.map_or("", |tls| &tls.cipher));
    if case.stage >= Stage::Mail {
        items.parameters(&case.envelope.parameters);
    }
    if let Some(results) = case.results() {
        items.results(results);
    }
    items.standard(case, ptr);
    items.0
}

#[derive(Default)]
struct Items(Vec<(String, Variable)>);

impl Items {
    fn set(&mut self, name: &str, value: impl Into<Variable>) {
        let value = value.into();
        // The `environment` test knows names with dashes (RFC 5183 section 4.1), variables those with underscores.
        if name.contains('_') {
            self.0.push((name.replace('_', "-"), value.clone()));
        }
        self.0.push((name.to_owned(), value));
    }

    fn text(&mut self, name: &str, value: impl Into<String>) {
        self.set(name, Variable::from(value.into()));
    }

    fn parameters(&mut self, parameters: &MailParameters) {
        self.text(
            "param.body",
            match parameters.body {
                Some(BodyType::SevenBit) => "7bit",
                Some(BodyType::EightBitMime) => "8bitmime",
                Some(BodyType::BinaryMime) => "binarymime",
                None => "",
            },
        );
        let flag = |is_set: bool| if is_set { Variable::from(1_i64) } else { Variable::default() };
        self.set("param.smtputf8", flag(parameters.smtputf8));
        self.set("param.requiretls", flag(parameters.require_tls));
    }

    fn results(&mut self, results: &MessageResults) {
        let signatures = results.dkim.as_deref().unwrap_or_default();
        let any = |result| signatures.iter().any(|signature| signature.result == result);
        // One good signature is enough; without one, what may pass later says more than what never will.
        let dkim = match (&results.dkim, signatures.first()) {
            (None, _) => "",
            (Some(_), None) => CheckResult::None.name(),
            (Some(_), Some(_)) if any(CheckResult::Pass) => CheckResult::Pass.name(),
            (Some(_), Some(_)) if any(CheckResult::TempError) => CheckResult::TempError.name(),
            (Some(_), Some(first)) => first.result.name(),
        };
        self.text("dkim.result", dkim);
        self.text("dkim", dkim);
        let passing = signatures.iter().filter(|signature| signature.result == CheckResult::Pass);
        let domains: Vec<Variable> = passing
            .filter_map(|signature| signature.tags.as_ref())
            .map(|tags| Variable::from(&*tags.domain))
            .collect();
        self.set("dkim.domains", domains);
        self.text("arc.result", results.arc.map_or("", CheckResult::name));
        self.text("dmarc.result", results.dmarc.as_ref().map_or("", |dmarc| dmarc.result.name()));
        self.text("dmarc.policy", results.dmarc.as_ref().map_or("", |dmarc| dmarc.policy.name()));
    }

    /// The items of RFC 5183 section 4.1.
    fn standard(&mut self, case: &Case<'_>, client_name: &str) {
        let settings = &case.session.policy().settings;
        let host = case.session.hostname();
        self.text("name", "Postern");
        self.text("version", env!("CARGO_PKG_VERSION"));
        self.text("host", &**host);
        self.text("domain", settings.default_domain.as_deref().unwrap_or(host));
        self.text("location", "MTA");
        self.text("phase", "pre");
        self.text("remote-host", client_name);
    }
}

fn word(check: Option<&Check>) -> &'static str {
    check.map_or("", |check| check.result.name())
}
