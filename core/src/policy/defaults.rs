//! The documented defaults of every stage, in the expression language itself.
//!
//! They stand in for absent singletons and absent fields, and for limits whose expression fails at
//! run time. A condition may only look at what cannot fail.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::filter::SieveInterpreter;
use super::stage::{
    BareLineEnds, Extensions, InboundSession, SenderAuth, StageAuth, StageConnect, StageData, StageEhlo,
    StageMail, StageRcpt,
};
use crate::expr::{ConditionalSource, Scope, Setting, Target};

/// The defaults, compiled once.
#[derive(Debug, Default)]
pub struct Documented {
    /// `MtaInboundSession`
    pub inbound: InboundSession,
    /// `MtaStageConnect`
    pub connect: StageConnect,
    /// `MtaStageEhlo`
    pub ehlo: StageEhlo,
    /// `MtaStageAuth`
    pub auth: StageAuth,
    /// `MtaStageRcpt`
    pub rcpt: StageRcpt,
    /// `MtaStageData`
    pub data: StageData,
    /// `MtaExtensions`
    pub extensions: Extensions,
}

/// The defaults that take the place of limits and switches whose own expression fails.
pub static DOCUMENTED: LazyLock<Documented> = LazyLock::new(Documented::default);

/// A default written as `[if → then, …]; else`.
#[expect(clippy::expect_used, reason = "literal sources, all of them parsed by a test")]
fn written<T: Target>(cases: &[(&str, &str)], otherwise: &str, scope: Scope) -> Setting<T> {
    let source = ConditionalSource {
        cases: cases.iter().map(|(condition, then)| ((*condition).into(), (*then).into())).collect(),
        otherwise: otherwise.into(),
    };
    Setting::parse(&source, scope).expect("a documented default parses")
}

fn minutes(count: u64) -> Setting<Option<Duration>> {
    Setting::constant(Some(Duration::from_secs(60 * count)))
}

fn seconds(count: u64) -> Setting<Option<Duration>> {
    Setting::constant(Some(Duration::from_secs(count)))
}

fn none() -> Setting<Option<Arc<str>>> {
    Setting::constant(None)
}

impl Default for InboundSession {
    fn default() -> Self {
        Self {
            timeout: minutes(5),
            max_duration: minutes(10),
            transfer_limit: Setting::constant(262_144_000),
        }
    }
}

impl Default for StageConnect {
    fn default() -> Self {
        Self {
            hostname: written(&[], "system('hostname')", Scope::Connection),
            smtp_greeting: written(
                &[],
                "system('hostname') + ' Postern ESMTP at your service'",
                Scope::Connection,
            ),
            script: none(),
        }
    }
}

/// `[local_port == 25 → value]; otherwise`, the shape of most defaults.
fn on_port_25<T: Target>(value: &str, otherwise: &str, scope: Scope) -> Setting<T> {
    written(&[("local_port == 25", value)], otherwise, scope)
}

/// `[!is_empty(authenticated_as) → value]; false`
fn for_accounts<T: Target>(value: &str) -> Setting<T> {
    written(&[("!is_empty(authenticated_as)", value)], "false", Scope::Mail)
}

impl Default for StageEhlo {
    fn default() -> Self {
        Self {
            require: Setting::constant(true),
            reject_non_fqdn: on_port_25("true", "false", Scope::Connection),
            script: none(),
        }
    }
}

impl Default for StageAuth {
    fn default() -> Self {
        Self {
            sasl_mechanisms: written(
                &[
                    ("local_port != 25 && is_tls", "[plain, login, oauthbearer, xoauth2]"),
                    ("local_port != 25", "[oauthbearer, xoauth2]"),
                ],
                "false",
                Scope::Ehlo,
            ),
            require: written(&[], "local_port != 25", Scope::Ehlo),
            must_match_sender: Setting::constant(true),
            max_failures: Setting::constant(3),
            wait_on_fail: seconds(5),
            allow_clear_text_auth: false,
        }
    }
}

impl Default for StageMail {
    fn default() -> Self {
        Self {
            is_sender_allowed: written(
                &[],
                "!is_empty(authenticated_as) || !key_exists('spam-block', sender_domain)",
                Scope::Mail,
            ),
            rewrite: none(),
            script: none(),
        }
    }
}

impl Default for StageRcpt {
    fn default() -> Self {
        Self {
            allow_relaying: written(&[], "!is_empty(authenticated_as)", Scope::Rcpt),
            rewrite: none(),
            script: none(),
            max_recipients: Setting::constant(100),
            max_failures: Setting::constant(5),
            wait_on_fail: seconds(5),
        }
    }
}

impl Default for StageData {
    fn default() -> Self {
        let header = || on_port_25("true", "false", Scope::Rcpt);
        Self {
            script: none(),
            max_messages: Setting::constant(10),
            max_message_size: Setting::constant(104_857_600),
            max_received_headers: Setting::constant(50),
            add_received_header: header(),
            add_received_spf_header: header(),
            add_auth_results_header: header(),
            add_return_path_header: header(),
            add_date_header: header(),
            add_message_id_header: header(),
            add_delivered_to_header: true,
            enable_spam_filter: written(&[], "is_empty(authenticated_as)", Scope::Rcpt),
            bare_line_ends: BareLineEnds::Normalize,
            filter_budget: Duration::from_secs(240),
        }
    }
}

impl Default for Extensions {
    fn default() -> Self {
        Self {
            pipelining: Setting::constant(true),
            chunking: Setting::constant(true),
            require_tls: Setting::constant(true),
            dsn: for_accounts("true"),
            future_release: for_accounts("7d"),
            deliver_by: for_accounts("15d"),
            mt_priority: for_accounts("mixer"),
            no_soliciting: Setting::constant(Some("".into())),
            vrfy: for_accounts("true"),
            expn: for_accounts("true"),
        }
    }
}

impl Default for SenderAuth {
    fn default() -> Self {
        Self {
            spf_ehlo_verify: on_port_25("relaxed", "disable", Scope::Connection),
            spf_from_verify: on_port_25("relaxed", "disable", Scope::Connection),
            reverse_ip_verify: on_port_25("relaxed", "disable", Scope::Connection),
            dkim_verify: Setting::constant(crate::expr::Verify::Relaxed),
            arc_verify: Setting::constant(crate::expr::Verify::Disable),
            dmarc_verify: on_port_25("relaxed", "disable", Scope::Rcpt),
            dkim_strict: true,
        }
    }
}

impl Default for SieveInterpreter {
    fn default() -> Self {
        Self {
            max_cpu_cycles: 1_048_576,
            max_nested_includes: 5,
            max_redirects: 3,
            max_out_messages: 5,
            max_received_headers: 50,
            max_var_size: 52_428_800,
            no_capability_check: true,
            on_error: super::filter::ScriptError::TempFail,
            max_wall_time: Duration::from_secs(5),
            max_output_size: 104_857_600,
            default_from_address: written(&[], "'MAILER-DAEMON@' + system('domain')", Scope::Rcpt),
            default_from_name: Setting::constant(Some("Automated Message".into())),
            default_return_path: none(),
            message_id_hostname: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_default_parses() {
        let policy = crate::policy::Policy::default();
        assert!(policy.rcpt.max_recipients.constant_value().is_some());
        assert!(policy.sender_auth.dkim_strict);
        assert!(DOCUMENTED.data.add_delivered_to_header);
    }
}
