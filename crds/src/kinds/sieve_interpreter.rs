//! `MtaSieveInterpreter`: limits of Sieve scripts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::{Expr, TimeSpan};

/// Limits of scripts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaSieveInterpreter",
        plural = "mtasieveinterpreters",
        shortname = "msi",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "Limits of Sieve scripts, and what they send by themselves.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaSieveInterpreter in a namespace, and its name is default"),
        printcolumn(
            name = "Accepted",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
        ),
        printcolumn(
            name = "In force",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Programmed\")].status"
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )
)]
pub struct SieveInterpreterSpec {
    /// Instructions that a run may execute, includes counted. Default 1048576.
    #[schemars(range(min = 1))]
    pub max_cpu_cycles: u64,
    /// Depth of `include`, 0 to 10. Default 5.
    #[schemars(range(max = 10))]
    pub max_nested_includes: u32,
    /// `redirect`s of a run; further ones are ignored. Default 3.
    #[schemars(range(max = 1000))]
    pub max_redirects: u32,
    /// Redirects and notifications of a run together. Default 5.
    #[schemars(range(max = 1000))]
    pub max_out_messages: u32,
    /// No `redirect` of a message with more Received fields. Default 50.
    #[schemars(range(min = 1, max = 1000))]
    pub max_received_headers: u32,
    /// Longest value of a variable, octets; longer ones are cut. Default 52428800.
    #[schemars(range(min = 1))]
    pub max_var_size: u64,
    /// `require` may be left out. Default true.
    pub no_capability_check: bool,
    /// How long identifiers of `duplicate` would be kept. Scripts that use `duplicate` are refused, so this has
    /// no effect. Default `7d`.
    pub duplicate_expiry: TimeSpan,
    /// What a run-time error does: `TempFail` answers 451, `Keep` goes on as if the script had kept. Default
    /// `TempFail`.
    pub on_error: OnError,
    /// Wall-clock limit of a run, `1ms` to `5m`. Default `5s`.
    pub max_wall_time: TimeSpan,
    /// Largest message that a run may make, octets. Default 104857600.
    #[schemars(range(min = 1))]
    pub max_output_size: u64,
    /// Sender address of notifications. A text, connection variables. Default
    /// `'MAILER-DAEMON@' + system('domain')`.
    pub default_from_address: Expr,
    /// Sender name of notifications. A text, connection variables. Default `'Automated Message'`.
    pub default_from_name: Expr,
    /// Envelope sender of redirected and generated mail. A text, connection variables. Default: `<>`.
    pub default_return_path: Expr,
    /// Right side of generated message ids. Default: the host name.
    #[schemars(length(min = 1, max = 253))]
    pub message_id_hostname: Option<String>,
    /// Domain to sign generated mail with. Postern does not sign: any value but `false` is refused. A text,
    /// connection variables. Default `false`.
    pub dkim_sign_domain: Expr,
}

impl KindSpec for SieveInterpreterSpec {
    const KIND: &'static str = "MtaSieveInterpreter";
    const PLURAL: &'static str = "mtasieveinterpreters";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}

impl Default for SieveInterpreterSpec {
    fn default() -> Self {
        Self {
            max_cpu_cycles: 1_048_576,
            max_nested_includes: 5,
            max_redirects: 3,
            max_out_messages: 5,
            max_received_headers: 50,
            max_var_size: 50 << 20,
            no_capability_check: true,
            duplicate_expiry: TimeSpan::seconds(7 * 86_400),
            on_error: OnError::default(),
            max_wall_time: TimeSpan::seconds(5),
            max_output_size: 100 << 20,
            default_from_address: Expr::default(),
            default_from_name: Expr::default(),
            default_return_path: Expr::default(),
            message_id_hostname: None,
            dkim_sign_domain: Expr::default(),
        }
    }
}

/// What a run-time error does.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum OnError {
    /// 451
    #[default]
    TempFail,
    /// As if the script had kept.
    Keep,
}
