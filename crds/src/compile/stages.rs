//! The stages of the session. What a manifest leaves out keeps its documented default.

use std::time::Duration;

use postern_core::expr::Scope;
use postern_core::policy::stage::BareLineEnds;
use postern_core::policy::{
    Extensions, InboundSession, SenderAuth, StageAuth, StageConnect, StageData, StageEhlo, StageMail,
    StageRcpt,
};

use super::context::{Compiler, Context};
use super::only;
use crate::kinds::stage_data;
use crate::node::Trail;
use crate::value::Expr;

const SPEC: &Trail<'static> = &Trail::SPEC;

/// Puts every expression field that is set in the place of its default: `field "fieldName" Scope`.
macro_rules! apply {
    ($context:ident, $spec:ident -> $stage:ident: $($field:ident $name:literal $scope:ident),* $(,)?) => {
        $($context.apply(&SPEC.key($name), &$spec.$field, Scope::$scope, &mut $stage.$field);)*
    };
}

impl Compiler<'_> {
    pub(super) fn inbound_session(&mut self) -> InboundSession {
        let mut stage = InboundSession::default();
        let Some(object) = only(&self.set.inbound_session) else { return stage };
        let (mut context, spec) = (self.at(object), &object.spec);
        apply! { context, spec -> stage:
            timeout "timeout" Connection,
            max_duration "maxDuration" Connection,
            transfer_limit "transferLimit" Connection,
        }
        stage
    }

    pub(super) fn stage_connect(&mut self) -> StageConnect {
        let mut stage = StageConnect::default();
        let Some(object) = only(&self.set.stage_connect) else { return stage };
        let (mut context, spec) = (self.at(object), &object.spec);
        apply! { context, spec -> stage:
            hostname "hostname" Connection,
            smtp_greeting "smtpGreeting" Connection,
            script "script" Connection,
        }
        context.check_scripts(&SPEC.key("script"), &stage.script);
        stage
    }

    pub(super) fn stage_ehlo(&mut self) -> StageEhlo {
        let mut stage = StageEhlo::default();
        let Some(object) = only(&self.set.stage_ehlo) else { return stage };
        let (mut context, spec) = (self.at(object), &object.spec);
        apply! { context, spec -> stage:
            require "require" Connection,
            reject_non_fqdn "rejectNonFqdn" Connection,
            script "script" Ehlo,
        }
        context.check_scripts(&SPEC.key("script"), &stage.script);
        stage
    }

    pub(super) fn stage_auth(&mut self) -> StageAuth {
        let mut stage = StageAuth::default();
        let Some(object) = only(&self.set.stage_auth) else { return stage };
        let (mut context, spec) = (self.at(object), &object.spec);
        apply! { context, spec -> stage:
            sasl_mechanisms "saslMechanisms" Ehlo,
            require "require" Ehlo,
            must_match_sender "mustMatchSender" Mail,
            max_failures "maxFailures" Ehlo,
            wait_on_fail "waitOnFail" Ehlo,
        }
        let rate = SPEC.key("failureRate");
        context.apply(&rate.key("count"), &spec.failure_rate.count, Scope::Ehlo, &mut stage.failure_count);
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        stage.failure_period = context.span(&rate.key("period"), spec.failure_rate.period, second, day);
        stage.allow_clear_text_auth = spec.allow_clear_text_auth;
        stage
    }

    pub(super) fn stage_mail(&mut self) -> StageMail {
        let mut stage = StageMail::default();
        let Some(object) = only(&self.set.stage_mail) else { return stage };
        let (mut context, spec) = (self.at(object), &object.spec);
        apply! { context, spec -> stage:
            is_sender_allowed "isSenderAllowed" Mail,
            rewrite "rewrite" Mail,
            script "script" Mail,
        }
        context.check_scripts(&SPEC.key("script"), &stage.script);
        stage
    }

    pub(super) fn stage_rcpt(&mut self) -> StageRcpt {
        let mut stage = StageRcpt::default();
        let Some(object) = only(&self.set.stage_rcpt) else { return stage };
        let (mut context, spec) = (self.at(object), &object.spec);
        apply! { context, spec -> stage:
            allow_relaying "allowRelaying" Rcpt,
            rewrite "rewrite" Rcpt,
            script "script" Rcpt,
            max_recipients "maxRecipients" Mail,
            max_failures "maxFailures" Mail,
            wait_on_fail "waitOnFail" Mail,
        }
        context.check_scripts(&SPEC.key("script"), &stage.script);
        stage
    }

    pub(super) fn stage_data(&mut self) -> StageData {
        let mut stage = StageData::default();
        let Some(object) = only(&self.set.stage_data) else { return stage };
        let (mut context, spec) = (self.at(object), &object.spec);
        apply! { context, spec -> stage:
            script "script" Rcpt,
            max_messages "maxMessages" Rcpt,
            max_message_size "maxMessageSize" Rcpt,
            max_received_headers "maxReceivedHeaders" Rcpt,
            add_received_header "addReceivedHeader" Rcpt,
            add_received_spf_header "addReceivedSpfHeader" Rcpt,
            add_auth_results_header "addAuthResultsHeader" Rcpt,
            add_return_path_header "addReturnPathHeader" Rcpt,
            add_date_header "addDateHeader" Rcpt,
            add_message_id_header "addMessageIdHeader" Rcpt,
            enable_spam_filter "enableSpamFilter" Rcpt,
        }
        context.check_scripts(&SPEC.key("script"), &stage.script);
        stage.add_delivered_to_header = spec.add_delivered_to_header;
        stage.bare_line_ends = match spec.bare_line_ends {
            stage_data::BareLineEnds::Normalize => BareLineEnds::Normalize,
            stage_data::BareLineEnds::Reject => BareLineEnds::Reject,
        };
        let most = Duration::from_secs(599);
        stage.filter_budget =
            context.span(&SPEC.key("filterBudget"), spec.filter_budget, Duration::from_secs(1), most);
        stage
    }

    pub(super) fn extensions(&mut self) -> Extensions {
        let mut stage = Extensions::default();
        let Some(object) = only(&self.set.extensions) else { return stage };
        let (mut context, spec) = (self.at(object), &object.spec);
        apply! { context, spec -> stage:
            pipelining "pipelining" Mail,
            chunking "chunking" Mail,
            require_tls "requireTls" Mail,
            dsn "dsn" Mail,
            future_release "futureRelease" Mail,
            deliver_by "deliverBy" Mail,
            mt_priority "mtPriority" Mail,
            no_soliciting "noSoliciting" Mail,
            vrfy "vrfy" Mail,
            expn "expn" Mail,
        }
        stage
    }

    pub(super) fn sender_auth(&mut self) -> SenderAuth {
        let mut stage = SenderAuth::default();
        let Some(object) = only(&self.set.sender_auth) else { return stage };
        let (mut context, spec) = (self.at(object), &object.spec);
        apply! { context, spec -> stage:
            spf_ehlo_verify "spfEhloVerify" Connection,
            spf_from_verify "spfFromVerify" Connection,
            reverse_ip_verify "reverseIpVerify" Connection,
            dkim_verify "dkimVerify" Rcpt,
            arc_verify "arcVerify" Rcpt,
            dmarc_verify "dmarcVerify" Rcpt,
        }
        context.refuse_signing(&SPEC.key("dkimSignDomain"), &spec.dkim_sign_domain, Scope::Rcpt);
        stage.dkim_strict = spec.dkim_strict;
        stage
    }
}

impl Context<'_> {
    /// `dkimSignDomain`: Postern hands messages on and does not sign them. `false` says just that.
    pub(super) fn refuse_signing(&mut self, at: &Trail<'_>, expr: &Expr, scope: Scope) {
        let Some(setting) = self.setting::<Option<postern_core::expr::Text>>(at, expr, scope) else { return };
        if !matches!(setting.constant_value(), Some(None)) {
            self.fault(at, "Postern does not sign messages; the only value is `false`");
        }
    }
}
