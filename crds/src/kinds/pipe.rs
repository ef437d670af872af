//! `MtaPipe`: a program that reads the message and writes it back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::filter::{BreakerSpec, Mode};
use super::{Cardinality, KindSpec};
use crate::value::Expr;

/// A pipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaPipe",
        plural = "mtapipes",
        shortname = "mpi",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "A program that reads the message and writes it back.",
        validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63")
            .message("metadata.name must be a DNS label"),
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
pub struct PipeSpec {
    /// Bare name of the program inside the folder that the server was started with; no value, or `false`: this
    /// pipe is skipped for this message. A text, RCPT variables. Required.
    pub command: Expr,
    /// Arguments of the program. A list of texts, RCPT variables. Default `[]`.
    pub arguments: Expr,
    /// Limit for writing the message, and again for the answer. A span of time, RCPT variables. Default `30s`.
    pub timeout: Expr,
    /// Pipes run in this order, then by name. Default 0.
    pub order: i32,
    /// `Enforce`: its output counts. `Observe`: it runs, and has no effect. Default `Enforce`.
    pub mode: Mode,
    /// A failure is answered with 451; when false the pipe is skipped. Default true.
    pub temp_fail_on_error: bool,
    /// Larger messages fall under the failure rule, octets. Default 26214400.
    #[schemars(range(min = 1))]
    pub max_message_size: u64,
    /// Largest output, octets; more is a failure. Default 104857600.
    #[schemars(range(min = 1))]
    pub max_output_size: u64,
    /// When to stop asking a pipe that fails.
    pub breaker: BreakerSpec,
}

impl KindSpec for PipeSpec {
    const KIND: &'static str = "MtaPipe";
    const PLURAL: &'static str = "mtapipes";
    const CARDINALITY: Cardinality = Cardinality::Many;
}

impl Default for PipeSpec {
    fn default() -> Self {
        Self {
            command: Expr::default(),
            arguments: Expr::default(),
            timeout: Expr::default(),
            order: 0,
            mode: Mode::default(),
            temp_fail_on_error: true,
            max_message_size: 25 << 20,
            max_output_size: 100 << 20,
            breaker: BreakerSpec::default(),
        }
    }
}
