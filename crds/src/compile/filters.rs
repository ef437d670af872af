//! Milters, pipes, hooks, the spam filter and the greylist.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use postern_core::expr::{Scope, Setting};
use postern_core::policy::filter::{
    BodyEncoding, Breaker, Greylist, Hook, HookAuth, Milter, MilterAddress, MilterVersion, Mode, Pipe,
    Process, SpamAction, SpamFilter,
};
use postern_core::verdict::Stage;

use super::context::{Compiler, Context};
use super::only;
use crate::kinds::filter::{BreakerSpec, Mode as ModeSpec, StageName};
use crate::kinds::hook::{BodyEncoding as BodyEncodingSpec, HookSpec, HttpAuthType};
use crate::kinds::milter::{MilterSpec, MilterVersion as MilterVersionSpec};
use crate::kinds::pipe::PipeSpec;
use crate::kinds::spam_filter::SpamAction as SpamActionSpec;
use crate::load::Object;
use crate::node::{Trail, shortened};
use crate::value::{Expr, Leaf, SetOf};

const SPEC: &Trail<'static> = &Trail::SPEC;
const MILLISECOND: Duration = Duration::from_millis(1);

impl Compiler<'_> {
    pub(super) fn milters(&mut self) -> Vec<Arc<Milter>> {
        let objects = in_order(&self.set.milters, |spec| spec.order);
        objects.into_iter().filter_map(|object| self.at(object).milter(&object.spec).map(Arc::new)).collect()
    }

    pub(super) fn pipes(&mut self) -> Vec<Arc<Pipe>> {
        let objects = in_order(&self.set.pipes, |spec| spec.order);
        objects.into_iter().filter_map(|object| self.at(object).pipe(&object.spec).map(Arc::new)).collect()
    }

    pub(super) fn hooks(&mut self) -> Vec<Arc<Hook>> {
        let objects = in_order(&self.set.hooks, |spec| spec.order);
        objects.into_iter().filter_map(|object| self.at(object).hook(&object.spec).map(Arc::new)).collect()
    }

    pub(super) fn spam_filter(&mut self) -> Option<Arc<SpamFilter>> {
        let object = only(&self.set.spam_filter)?;
        let (mut context, spec) = (self.at(object), &object.spec);
        let process = context.process(&Common {
            mode: spec.mode,
            enable: &Expr::default(),
            stages: &std::iter::once(StageName::Data).collect(),
            temp_fail_on_error: spec.temp_fail_on_error,
            max_message_size: spec.max_message_size,
            breaker: &spec.breaker,
        });
        let password = spec.password.as_ref();
        Some(Arc::new(SpamFilter {
            process,
            url: context.http_url(&SPEC.key("url"), &spec.url),
            password: password.and_then(|source| context.secret(&SPEC.key("password"), source)),
            timeout: context.timeout(&SPEC.key("timeout"), spec.timeout),
            on_reject: spam_action(spec.on_reject),
            on_soft_reject: spam_action(spec.on_soft_reject),
            on_greylist: spam_action(spec.on_greylist),
            tls: context.client_tls(&SPEC.key("tls"), spec.tls.as_ref()),
        }))
    }

    pub(super) fn greylist(&mut self) -> Option<Greylist> {
        let object = only(&self.set.greylist)?;
        let (mut context, spec) = (self.at(object), &object.spec);
        let at = SPEC.key("match");
        let otherwise =
            Expr { otherwise: Some(Leaf("is_empty(authenticated_as)".into())), cases: Vec::new() };
        let expr = if spec.matches.is_unset() { &otherwise } else { &spec.matches };
        let matches = context.setting(&at, expr, Scope::Rcpt);
        let year = Duration::from_secs(366 * 86_400);
        let delay = context.span(&SPEC.key("delay"), spec.delay, MILLISECOND, year);
        let expiry = context.span(&SPEC.key("expiry"), spec.expiry, MILLISECOND, year);
        if expiry <= delay {
            let message = format!("{} is not longer than `delay` ({})", spec.expiry, spec.delay);
            context.fault(&SPEC.key("expiry"), message);
        }
        Some(Greylist {
            matches: matches?,
            delay,
            expiry,
            ipv4_prefix: context.number(&SPEC.key("ipv4Prefix"), spec.ipv4_prefix, 0, 32),
            ipv6_prefix: context.number(&SPEC.key("ipv6Prefix"), spec.ipv6_prefix, 0, 128),
        })
    }
}

/// Objects by `order`, then by name.
fn in_order<T>(objects: &[Object<T>], order: impl Fn(&T) -> i32) -> Vec<&Object<T>> {
    let mut sorted: Vec<&Object<T>> = objects.iter().collect();
    sorted.sort_by(|a, b| order(&a.spec).cmp(&order(&b.spec)).then_with(|| a.name.cmp(&b.name)));
    sorted
}

/// The fields that filters share.
struct Common<'a> {
    mode: ModeSpec,
    enable: &'a Expr,
    stages: &'a SetOf<StageName>,
    temp_fail_on_error: bool,
    max_message_size: u64,
    breaker: &'a BreakerSpec,
}

impl Context<'_> {
    fn process(&mut self, common: &Common<'_>) -> Process {
        let breaker = SPEC.key("breaker");
        let enable_at = SPEC.key("enable");
        let enable = self.setting(&enable_at, common.enable, Scope::Rcpt);
        Process {
            name: Arc::clone(&self.object.name),
            mode: match common.mode {
                ModeSpec::Enforce => Mode::Enforce,
                ModeSpec::Observe => Mode::Observe,
            },
            enable: enable.unwrap_or_else(|| Setting::constant(true).at(self.cause(&enable_at))),
            stages: common.stages.iter().map(|stage| stage_of(*stage)).collect(),
            temp_fail_on_error: common.temp_fail_on_error,
            max_message_size: self.number(&SPEC.key("maxMessageSize"), common.max_message_size, 1, u64::MAX),
            breaker: Breaker {
                failures: self.number(&breaker.key("failures"), common.breaker.failures, 1, 1000),
                cooldown: self.timeout(&breaker.key("cooldown"), common.breaker.cooldown),
            },
        }
    }

    fn milter(&mut self, spec: &MilterSpec) -> Option<Milter> {
        let process = self.process(&Common {
            mode: spec.mode,
            enable: &spec.enable,
            stages: &spec.stages,
            temp_fail_on_error: spec.temp_fail_on_error,
            max_message_size: spec.max_message_size,
            breaker: &spec.breaker,
        });
        let address = self.milter_address(spec);
        Some(Milter {
            process,
            version: match spec.protocol_version {
                MilterVersionSpec::V2 => MilterVersion::V2,
                MilterVersionSpec::V6 => MilterVersion::V6,
            },
            flags_action: spec.flags_action,
            flags_protocol: spec.flags_protocol,
            timeout_connect: self.timeout(&SPEC.key("timeoutConnect"), spec.timeout_connect),
            timeout_command: self.timeout(&SPEC.key("timeoutCommand"), spec.timeout_command),
            timeout_data: self.timeout(&SPEC.key("timeoutData"), spec.timeout_data),
            max_response_size: self.number(
                &SPEC.key("maxResponseSize"),
                spec.max_response_size,
                1024,
                256 << 20,
            ),
            tls: spec.tls.as_ref().map(|tls| self.client_tls(&SPEC.key("tls"), Some(tls))),
            address: address?,
        })
    }

    fn milter_address(&mut self, spec: &MilterSpec) -> Option<MilterAddress> {
        match (&spec.hostname, &spec.socket_path) {
            (Some(host), None) => {
                self.check_host(&SPEC.key("hostname"), host);
                let port = self.number(&SPEC.key("port"), spec.port, 1, u16::MAX);
                Some(MilterAddress::Tcp { host: host.as_str().into(), port })
            }
            (None, Some(path)) => {
                if spec.tls.is_some() {
                    self.fault(&SPEC.key("tls"), "does not go with `socketPath`");
                }
                // The address of a Unix socket has 108 octets, one of them for the end.
                if path.is_empty() || path.len() > 107 || path.contains('\0') {
                    self.fault(&SPEC.key("socketPath"), "is no path of a Unix socket (1 to 107 octets)");
                }
                Some(MilterAddress::Unix(PathBuf::from(path)))
            }
            (None, None) => {
                self.fault(&SPEC.key("hostname"), "is required, or `socketPath`");
                None
            }
            (Some(_), Some(_)) => {
                self.fault(&SPEC.key("socketPath"), "does not go with `hostname`; give one of them");
                None
            }
        }
    }

    fn pipe(&mut self, spec: &PipeSpec) -> Option<Pipe> {
        let folder = self.options.pipe_dir.as_deref().map(Arc::from);
        if folder.is_none() {
            self.fault(
                SPEC,
                "pipes are off: the server was started without a folder of programs (`--pipe-dir`)",
            );
        }
        let process = self.process(&Common {
            mode: spec.mode,
            enable: &Expr::default(),
            stages: &std::iter::once(StageName::Data).collect(),
            temp_fail_on_error: spec.temp_fail_on_error,
            max_message_size: spec.max_message_size,
            breaker: &spec.breaker,
        });
        let at = SPEC.key("command");
        if spec.command.is_unset() {
            self.fault(&at, "is required");
        }
        let command: Option<Setting<Option<postern_core::expr::Text>>> =
            self.setting(&at, &spec.command, Scope::Rcpt);
        let literals = command.iter().flat_map(Setting::literals);
        let paths: Vec<_> = literals
            .filter_map(|(part, name)| Some((part, name.clone()?)))
            .filter(|(_, name)| !is_bare_name(name))
            .collect();
        for (part, name) in paths {
            let path = self.part(&at, part);
            self.fault_at(&path, format!("{} is no bare file name", shortened(&name)));
        }
        let (arguments_at, timeout_at) = (SPEC.key("arguments"), SPEC.key("timeout"));
        let arguments = self.setting(&arguments_at, &spec.arguments, Scope::Rcpt);
        let timeout = self.setting(&timeout_at, &spec.timeout, Scope::Rcpt);
        let half_a_minute = Some(Duration::from_secs(30));
        Some(Pipe {
            process,
            folder: folder?,
            command: command?,
            arguments: arguments
                .unwrap_or_else(|| Setting::constant([].into()).at(self.cause(&arguments_at))),
            timeout: timeout.unwrap_or_else(|| Setting::constant(half_a_minute).at(self.cause(&timeout_at))),
            max_output_size: self.number(&SPEC.key("maxOutputSize"), spec.max_output_size, 1, u64::MAX),
        })
    }

    fn hook(&mut self, spec: &HookSpec) -> Option<Hook> {
        let process = self.process(&Common {
            mode: spec.mode,
            enable: &spec.enable,
            stages: &spec.stages,
            temp_fail_on_error: spec.temp_fail_on_error,
            max_message_size: spec.max_message_size,
            breaker: &spec.breaker,
        });
        self.check_headers(spec);
        Some(Hook {
            process,
            url: self.http_url(&SPEC.key("url"), &spec.url),
            headers: spec
                .http_headers
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            timeout: self.timeout(&SPEC.key("timeout"), spec.timeout),
            max_response_size: self.number(&SPEC.key("maxResponseSize"), spec.max_response_size, 1, u64::MAX),
            body_encoding: match spec.body_encoding {
                BodyEncodingSpec::Text => BodyEncoding::Text,
                BodyEncodingSpec::Base64 => BodyEncoding::Base64,
            },
            tls: self.client_tls(&SPEC.key("tls"), spec.tls.as_ref()),
            auth: self.hook_auth(spec)?,
        })
    }

    fn hook_auth(&mut self, spec: &HookSpec) -> Option<HookAuth> {
        let (at, auth) = (SPEC.key("httpAuth"), &spec.http_auth);
        if !self.is_trusted(&at.key("type")) {
            return None;
        }
        let fields = [
            ("username", auth.username.is_some(), HttpAuthType::Basic),
            ("secret", auth.secret.is_some(), HttpAuthType::Basic),
            ("bearerToken", auth.bearer_token.is_some(), HttpAuthType::Bearer),
        ];
        for (field, is_set, owner) in fields {
            match (is_set, owner == auth.kind) {
                (true, false) => self.fault(&at.key(field), format!("goes with `type: {owner:?}` only")),
                (false, true) => self.fault(&at.key(field), format!("`type: {owner:?}` needs it")),
                _ => {}
            }
        }
        match auth.kind {
            HttpAuthType::Unauthenticated => Some(HookAuth::Unauthenticated),
            HttpAuthType::Basic => {
                let secret = self.secret(&at.key("secret"), auth.secret.as_ref()?)?;
                Some(HookAuth::Basic { username: auth.username.as_deref()?.into(), secret })
            }
            HttpAuthType::Bearer => {
                self.secret(&at.key("bearerToken"), auth.bearer_token.as_ref()?).map(HookAuth::Bearer)
            }
        }
    }

    /// Names are tokens and values hold no line ends (RFC 9110 section 5); what the request itself needs is ours.
    fn check_headers(&mut self, spec: &HookSpec) {
        const OURS: [&str; 5] = ["connection", "content-length", "content-type", "host", "transfer-encoding"];
        let at = SPEC.key("httpHeaders");
        for (name, value) in &spec.http_headers {
            let at = at.key(name);
            let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
            if name.is_empty() || !name.bytes().all(is_token) {
                self.fault(&at, format!("{} is no name of a header field", shortened(name)));
            } else if OURS.contains(&name.to_ascii_lowercase().as_str()) {
                self.fault(&at, format!("`{name}` is set by Postern"));
            } else if name.eq_ignore_ascii_case("authorization")
                && spec.http_auth.kind != HttpAuthType::Unauthenticated
            {
                self.fault(&at, "contradicts `httpAuth`");
            }
            if value.bytes().any(|octet| octet < b' ' && octet != b'\t' || octet == 0x7f) {
                self.fault(&at, "the value holds control characters");
            }
        }
    }
}

/// Whether a name means a file of one folder and nothing elsewhere.
fn is_bare_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name)
        && !name.contains('\0')
}

fn stage_of(name: StageName) -> Stage {
    match name {
        StageName::Connect => Stage::Connect,
        StageName::Ehlo => Stage::Ehlo,
        StageName::Auth => Stage::Auth,
        StageName::Mail => Stage::Mail,
        StageName::Rcpt => Stage::Rcpt,
        StageName::Data => Stage::Data,
    }
}

fn spam_action(action: SpamActionSpec) -> SpamAction {
    match action {
        SpamActionSpec::Reject => SpamAction::Reject,
        SpamActionSpec::TempFail => SpamAction::TempFail,
        SpamActionSpec::Quarantine => SpamAction::Quarantine,
        SpamActionSpec::Tag => SpamAction::Tag,
        SpamActionSpec::Ignore => SpamAction::Ignore,
    }
}
