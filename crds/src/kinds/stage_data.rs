//! `MtaStageData`: limits of messages, and the fields that are added to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use crate::value::{Expr, TimeSpan};

/// The DATA stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaStageData",
        plural = "mtastagedatas",
        shortname = "msd",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "The DATA stage: size, loops, added header fields, the end-of-data script.",
        validation = Rule::new("self.metadata.name == 'default'")
            .message("there is one MtaStageData in a namespace, and its name is default"),
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
pub struct StageDataSpec {
    /// Name of the Sieve script that runs at the end of data; `false` for none. A text, RCPT variables. Default
    /// `false`.
    pub script: Expr,
    /// Messages on one connection; more are answered 452. An integer, RCPT variables. Default 10.
    pub max_messages: Expr,
    /// Largest message in octets, 0 for no limit. An integer, RCPT variables. Default 104857600.
    pub max_message_size: Expr,
    /// Received fields on arrival; a message with more is refused as a loop. An integer, RCPT variables.
    /// Default 50.
    pub max_received_headers: Expr,
    /// Add a Received field. A boolean, RCPT variables. Default: `true` where `local_port == 25`, else `false`.
    pub add_received_header: Expr,
    /// Add a Received-SPF field. A boolean, RCPT variables. Default: `true` where `local_port == 25`, else
    /// `false`.
    pub add_received_spf_header: Expr,
    /// Add an Authentication-Results field. A boolean, RCPT variables. Default: `true` where
    /// `local_port == 25`, else `false`.
    pub add_auth_results_header: Expr,
    /// Add a Return-Path field. A boolean, RCPT variables. Default: `true` where `local_port == 25`, else
    /// `false`.
    pub add_return_path_header: Expr,
    /// Add a Date field to a message without one. A boolean, RCPT variables. Default: `true` where
    /// `local_port == 25`, else `false`.
    pub add_date_header: Expr,
    /// Add a Message-ID field to a message without one. A boolean, RCPT variables. Default: `true` where
    /// `local_port == 25`, else `false`.
    pub add_message_id_header: Expr,
    /// Add a Delivered-To field to copies with one recipient for Maildir and LMTP routes. Default true.
    pub add_delivered_to_header: bool,
    /// Ask the MtaSpamFilter, if there is one. A boolean, RCPT variables. Default
    /// `is_empty(authenticated_as)`.
    pub enable_spam_filter: Expr,
    /// What happens to a bare CR or LF in a message: `Normalize` makes it CRLF, `Reject` refuses the message
    /// with 550. Default `Normalize`.
    pub bare_line_ends: BareLineEnds,
    /// Time for all filters of one message, after which it is refused with 451. Filters that are only
    /// observed spend it too, since the client waits for them as well. Together with the final timeout of
    /// every relay it must stay under 10 minutes. Default `4m`.
    pub filter_budget: TimeSpan,
}

impl KindSpec for StageDataSpec {
    const KIND: &'static str = "MtaStageData";
    const PLURAL: &'static str = "mtastagedatas";
    const CARDINALITY: Cardinality = Cardinality::Singleton;
}

impl Default for StageDataSpec {
    fn default() -> Self {
        Self {
            script: Expr::default(),
            max_messages: Expr::default(),
            max_message_size: Expr::default(),
            max_received_headers: Expr::default(),
            add_received_header: Expr::default(),
            add_received_spf_header: Expr::default(),
            add_auth_results_header: Expr::default(),
            add_return_path_header: Expr::default(),
            add_date_header: Expr::default(),
            add_message_id_header: Expr::default(),
            add_delivered_to_header: true,
            enable_spam_filter: Expr::default(),
            bare_line_ends: BareLineEnds::default(),
            filter_budget: TimeSpan::seconds(240),
        }
    }
}

/// What happens to a bare CR or LF.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum BareLineEnds {
    /// It becomes CRLF.
    #[default]
    Normalize,
    /// The message is refused.
    Reject,
}
