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
use crate::cause::Cause;
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
        let at = |field| Cause::field_of("MtaInboundSession", field);
        Self {
            timeout: minutes(5).at(at("timeout")),
            max_duration: minutes(10).at(at("maxDuration")),
            transfer_limit: Setting::constant(262_144_000).at(at("transferLimit")),
        }
    }
}

impl Default for StageConnect {
    fn default() -> Self {
        let at = |field| Cause::field_of("MtaStageConnect", field);
        Self {
            hostname: written(&[], "system('hostname')", Scope::Connection).at(at("hostname")),
            smtp_greeting: written(
                &[],
                "system('hostname') + ' Postern ESMTP at your service'",
                Scope::Connection,
            )
            .at(at("smtpGreeting")),
            script: none().at(at("script")),
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
        let at = |field| Cause::field_of("MtaStageEhlo", field);
        Self {
            require: Setting::constant(true).at(at("require")),
            reject_non_fqdn: on_port_25("true", "false", Scope::Connection).at(at("rejectNonFqdn")),
            script: none().at(at("script")),
        }
    }
}

impl Default for StageAuth {
    fn default() -> Self {
        let at = |field| Cause::field_of("MtaStageAuth", field);
        Self {
            sasl_mechanisms: written(
                &[
                    ("local_port != 25 && is_tls", "[plain, login, oauthbearer, xoauth2]"),
                    ("local_port != 25", "[oauthbearer, xoauth2]"),
                ],
                "false",
                Scope::Ehlo,
            )
            .at(at("saslMechanisms")),
            require: written(&[], "local_port != 25", Scope::Ehlo).at(at("require")),
            must_match_sender: Setting::constant(true).at(at("mustMatchSender")),
            max_failures: Setting::constant(3).at(at("maxFailures")),
            wait_on_fail: seconds(5).at(at("waitOnFail")),
            failure_count: Setting::constant(100).at(at("failureRate")),
            failure_period: Duration::from_secs(3600),
            allow_clear_text_auth: false,
        }
    }
}

impl Default for StageMail {
    fn default() -> Self {
        let at = |field| Cause::field_of("MtaStageMail", field);
        Self {
            is_sender_allowed: written(
                &[],
                "!is_empty(authenticated_as) || !key_exists('spam-block', sender_domain)",
                Scope::Mail,
            )
            .at(at("isSenderAllowed")),
            rewrite: none().at(at("rewrite")),
            script: none().at(at("script")),
        }
    }
}

impl Default for StageRcpt {
    fn default() -> Self {
        let at = |field| Cause::field_of("MtaStageRcpt", field);
        Self {
            allow_relaying: written(&[], "!is_empty(authenticated_as)", Scope::Rcpt).at(at("allowRelaying")),
            rewrite: none().at(at("rewrite")),
            script: none().at(at("script")),
            max_recipients: Setting::constant(100).at(at("maxRecipients")),
            max_failures: Setting::constant(5).at(at("maxFailures")),
            wait_on_fail: seconds(5).at(at("waitOnFail")),
        }
    }
}

impl Default for StageData {
    fn default() -> Self {
        let header = || on_port_25("true", "false", Scope::Rcpt);
        let at = |field| Cause::field_of("MtaStageData", field);
        Self {
            script: none().at(at("script")),
            max_messages: Setting::constant(10).at(at("maxMessages")),
            max_message_size: Setting::constant(104_857_600).at(at("maxMessageSize")),
            max_received_headers: Setting::constant(50).at(at("maxReceivedHeaders")),
            add_received_header: header().at(at("addReceivedHeader")),
            add_received_spf_header: header().at(at("addReceivedSpfHeader")),
            add_auth_results_header: header().at(at("addAuthResultsHeader")),
            add_return_path_header: header().at(at("addReturnPathHeader")),
            add_date_header: header().at(at("addDateHeader")),
            add_message_id_header: header().at(at("addMessageIdHeader")),
            add_delivered_to_header: true,
            enable_spam_filter: written(&[], "is_empty(authenticated_as)", Scope::Rcpt)
                .at(at("enableSpamFilter")),
            bare_line_ends: BareLineEnds::Normalize,
            filter_budget: Duration::from_secs(240),
        }
    }
}

impl Default for Extensions {
    fn default() -> Self {
        let at = |field| Cause::field_of("MtaExtensions", field);
        Self {
            pipelining: Setting::constant(true).at(at("pipelining")),
            chunking: Setting::constant(true).at(at("chunking")),
            require_tls: Setting::constant(true).at(at("requireTls")),
            dsn: for_accounts("true").at(at("dsn")),
            future_release: for_accounts("7d").at(at("futureRelease")),
            deliver_by: for_accounts("15d").at(at("deliverBy")),
            mt_priority: for_accounts("mixer").at(at("mtPriority")),
            no_soliciting: Setting::constant(Some("".into())).at(at("noSoliciting")),
            vrfy: for_accounts("true").at(at("vrfy")),
            expn: for_accounts("true").at(at("expn")),
        }
    }
}

impl Default for SenderAuth {
    fn default() -> Self {
        let at = |field| Cause::field_of("MtaSenderAuth", field);
        Self {
            spf_ehlo_verify: on_port_25("relaxed", "disable", Scope::Connection).at(at("spfEhloVerify")),
            spf_from_verify: on_port_25("relaxed", "disable", Scope::Connection).at(at("spfFromVerify")),
            reverse_ip_verify: on_port_25("relaxed", "disable", Scope::Connection).at(at("reverseIpVerify")),
            dkim_verify: Setting::constant(crate::expr::Verify::Relaxed).at(at("dkimVerify")),
            arc_verify: Setting::constant(crate::expr::Verify::Disable).at(at("arcVerify")),
            dmarc_verify: on_port_25("relaxed", "disable", Scope::Rcpt).at(at("dmarcVerify")),
            dkim_strict: true,
        }
    }
}

impl Default for SieveInterpreter {
    fn default() -> Self {
        let at = |field| Cause::field_of("MtaSieveInterpreter", field);
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
            default_from_address: written(&[], "'MAILER-DAEMON@' + system('domain')", Scope::Rcpt)
                .at(at("defaultFromAddress")),
            default_from_name: Setting::constant(Some("Automated Message".into())).at(at("defaultFromName")),
            default_return_path: none().at(at("defaultReturnPath")),
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
