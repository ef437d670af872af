//! What filters are configured: milters, Sieve scripts, pipes, hooks, the spam filter, the greylist.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::route::ClientTls;
use super::secret::Secret;
use super::stage::{OptionalDuration, OptionalText};
use crate::expr::{Setting, TextList};
use crate::verdict::Stage;

/// Everything that may be consulted.
#[derive(Debug, Default)]
pub struct Filters {
    /// By `order`, then name.
    pub milters: Vec<Arc<Milter>>,
    /// By `order`, then name.
    pub pipes: Vec<Arc<Pipe>>,
    /// By `order`, then name.
    pub hooks: Vec<Arc<Hook>>,
    /// rspamd.
    pub spam_filter: Option<Arc<SpamFilter>>,
    /// Refusal of first sights.
    pub greylist: Option<Greylist>,
    /// Active scripts by lower-cased name.
    pub scripts: HashMap<Box<str>, Arc<SieveScript>>,
    /// Limits of scripts.
    pub interpreter: SieveInterpreter,
}

impl Filters {
    /// Whether any filter but a script may be asked at a stage.
    #[must_use]
    pub fn has_any(&self, stage: Stage) -> bool {
        self.has_milters(stage) || self.has_others(stage)
    }

    /// Whether any milter may be asked at a stage.
    #[must_use]
    pub fn has_milters(&self, stage: Stage) -> bool {
        self.milters.iter().any(|milter| milter.process.stages.contains(&stage))
    }

    /// Whether any pipe, hook or spam filter may be asked at a stage.
    #[must_use]
    pub fn has_others(&self, stage: Stage) -> bool {
        self.pipes.iter().any(|pipe| pipe.process.stages.contains(&stage))
            || self.hooks.iter().any(|hook| hook.process.stages.contains(&stage))
            || self.spam_filter.iter().any(|filter| filter.process.stages.contains(&stage))
    }
}

/// What all filters that are processes of their own have in common.
#[derive(Debug)]
pub struct Process {
    /// `metadata.name`
    pub name: Arc<str>,
    /// Whether its verdict counts.
    pub mode: Mode,
    /// Evaluated for each stage.
    pub enable: Setting<bool>,
    /// Where it is consulted.
    pub stages: Vec<Stage>,
    /// Whether a failure is a 451; otherwise the filter is skipped. Default true.
    pub temp_fail_on_error: bool,
    /// Larger messages fall under the failure rule, octets. Default 25 MiB.
    pub max_message_size: u64,
    /// When to stop asking.
    pub breaker: Breaker,
}

/// `mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Its verdict counts.
    #[default]
    Enforce,
    /// It runs, its verdict is reported, and has no effect.
    Observe,
}

/// `breaker`: a filter that fails is left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row. Default 5.
    pub failures: u32,
    /// How long it is left alone. Default 10 s.
    pub cooldown: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, cooldown: Duration::from_secs(10) }
    }
}

/// `MtaMilter`
#[derive(Debug)]
pub struct Milter {
    /// Name, mode, stages, failure rule.
    pub process: Process,
    /// Where it listens.
    pub address: MilterAddress,
    /// Protocol version offered.
    pub version: MilterVersion,
    /// Actions offered; unset: all that Postern honours.
    pub flags_action: Option<u32>,
    /// Protocol steps offered; unset: all that Postern honours.
    pub flags_protocol: Option<u32>,
    /// Default 30 s.
    pub timeout_connect: Duration,
    /// Default 30 s.
    pub timeout_command: Duration,
    /// Default 60 s.
    pub timeout_data: Duration,
    /// Largest frame accepted, octets. Default 50 MiB.
    pub max_response_size: u32,
    /// TLS, when used.
    pub tls: Option<ClientTls>,
}

/// Where a milter listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MilterAddress {
    /// TCP.
    Tcp {
        /// Name or IP address, resolved at each connect.
        host: Arc<str>,
        /// Port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// Version of the milter protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MilterVersion {
    /// Version 2.
    V2,
    /// Version 6.
    #[default]
    V6,
}

/// `MtaHook`
#[derive(Debug)]
pub struct Hook {
    /// Name, mode, stages, failure rule.
    pub process: Process,
    /// Target of the POST.
    pub url: Arc<str>,
    /// Credentials.
    pub auth: HookAuth,
    /// Fields added to the request.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// The whole exchange. Default 30 s.
    pub timeout: Duration,
    /// Largest answer, octets. Default 50 MiB.
    pub max_response_size: u64,
    /// How the body is put into JSON.
    pub body_encoding: BodyEncoding,
    /// TLS towards `https` URLs.
    pub tls: ClientTls,
}

/// `MtaHook.httpAuth`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HookAuth {
    /// None.
    #[default]
    Unauthenticated,
    /// RFC 7617
    Basic {
        /// User.
        username: Arc<str>,
        /// Password.
        secret: Secret,
    },
    /// RFC 6750
    Bearer(Secret),
}

/// `MtaHook.bodyEncoding`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyEncoding {
    /// As text; octets that are not UTF-8 are replaced.
    #[default]
    Text,
    /// Base64, so that no octet is lost.
    Base64,
}

/// `MtaPipe`
#[derive(Debug)]
pub struct Pipe {
    /// Name, mode, failure rule; `enable` is always true, the command decides.
    pub process: Process,
    /// The folder of allowed programs.
    pub folder: Arc<Path>,
    /// Bare file name inside that folder; none: skipped for this message.
    pub command: Setting<OptionalText>,
    /// Arguments.
    pub arguments: Setting<TextList>,
    /// Limit for writing, and again for the answer.
    pub timeout: Setting<OptionalDuration>,
    /// Largest output, octets. Default 100 MiB.
    pub max_output_size: u64,
}

/// `MtaSpamFilter`: rspamd's normal worker.
#[derive(Debug)]
pub struct SpamFilter {
    /// Name, mode, failure rule; consulted at DATA, when `enableSpamFilter` says so.
    pub process: Process,
    /// Base URL.
    pub url: Arc<str>,
    /// Password of the worker.
    pub password: Option<Secret>,
    /// Default 15 s.
    pub timeout: Duration,
    /// What `reject` becomes.
    pub on_reject: SpamAction,
    /// What `soft reject` becomes.
    pub on_soft_reject: SpamAction,
    /// What `greylist` becomes.
    pub on_greylist: SpamAction,
    /// TLS towards `https` URLs.
    pub tls: ClientTls,
}

/// What an action of rspamd becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpamAction {
    /// 5xx
    Reject,
    /// 451
    TempFail,
    /// Delivered to quarantine.
    Quarantine,
    /// Delivered with a field that says so.
    Tag,
    /// Delivered.
    Ignore,
}

/// `MtaGreylist`
#[derive(Debug)]
pub struct Greylist {
    /// When it applies.
    pub matches: Setting<bool>,
    /// How long a first sight has to wait. Default 5 m.
    pub delay: Duration,
    /// How long a triple is remembered. Default 36 d.
    pub expiry: Duration,
    /// Bits of an IPv4 address that count. Default 24.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that count. Default 64.
    pub ipv6_prefix: u8,
}

/// `MtaSieveScript`, active.
#[derive(Debug, Clone)]
pub struct SieveScript {
    /// Name in `script` fields and `include`, as written.
    pub name: Arc<str>,
    /// What its text was compiled to.
    pub program: Program,
}

/// A script in the form that the interpreter runs.
///
/// Decisions need no interpreter, so this crate does not know it: the loader puts a program of its language in,
/// and the server, which runs that language, takes it out again. That way a script is compiled once, and a policy
/// that exists holds no script that does not compile.
#[derive(Clone)]
pub struct Program(Arc<dyn Any + Send + Sync>);

impl Program {
    /// Takes a program of any interpreter.
    #[must_use]
    pub fn new<T: Any + Send + Sync>(program: Arc<T>) -> Self {
        Self(program)
    }

    /// The program; none when it is one of another interpreter.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.0).downcast().ok()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

/// `MtaSieveInterpreter`
#[derive(Debug)]
pub struct SieveInterpreter {
    /// Instructions of a run, includes counted. Default 1048576.
    pub max_cpu_cycles: u64,
    /// Default 5.
    pub max_nested_includes: u32,
    /// Further `redirect`s are ignored. Default 3.
    pub max_redirects: u32,
    /// Redirects and notifications together. Default 5.
    pub max_out_messages: u32,
    /// No `redirect` above this many Received fields. Default 50.
    pub max_received_headers: u32,
    /// Longer values are cut, octets. Default 50 MiB.
    pub max_var_size: u64,
    /// `require` may be left out. Default true.
    pub no_capability_check: bool,
    /// What a run-time error does.
    pub on_error: ScriptError,
    /// Wall-clock limit of a run. Default 5 s.
    pub max_wall_time: Duration,
    /// Largest message that a run may make, octets. Default 100 MiB.
    pub max_output_size: u64,
    /// Sender address of notifications.
    pub default_from_address: Setting<OptionalText>,
    /// Sender name of notifications.
    pub default_from_name: Setting<OptionalText>,
    /// Envelope sender of generated mail; none: `<>`.
    pub default_return_path: Setting<OptionalText>,
    /// Right side of generated message ids; unset: the hostname.
    pub message_id_hostname: Option<Arc<str>>,
}

impl SieveInterpreter {
    /// Whether a run-time error is taken for a `keep`.
    #[must_use]
    pub fn keeps_on_error(&self) -> bool {
        self.on_error == ScriptError::Keep
    }
}

/// `MtaSieveInterpreter.onError`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScriptError {
    /// `451 4.3.5`
    #[default]
    TempFail,
    /// As if the script had kept.
    Keep,
}
