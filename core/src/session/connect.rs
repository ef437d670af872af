//! The Connect stage: throttles, settings, filters, greeting.

use std::sync::Arc;

use super::Session;
use super::change::{Change, Step};
use super::consult::FilterGroup;
use super::event::{Action, Tls};
use super::facts::View;
use super::question::{Halt, Inquiry, Subject};
use super::replies;
use super::state::Parameters;
use crate::policy::defaults::DOCUMENTED;
use crate::policy::throttle::ThrottleClass;
use crate::smtp::reply::Reply;
use crate::verdict::{Ruling, Stage, Verdict};

impl Session {
    pub(super) fn connected(&self, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        let view = View::new(self, inquiry);
        match self.check_throttles(ThrottleClass::Connection, &view, inquiry) {
            // Who comes too often is not worth a greeting.
            Err(Halt::Refuse(refusal)) => {
                return Ok(Step::action(Action::Close(None)).decided_by(refusal.because().cloned()));
            }
            checked => checked?,
        }
        let parameters = Box::new(self.evaluate_parameters(&view)?);
        let script = view.guarded(&self.policy.connect.script)?;
        let Ruling { verdict, by } =
            self.consult(&view, inquiry, Stage::Connect, FilterGroup::Every, script, || Subject::Nothing)?;
        match verdict {
            Verdict::Pass(_) => {}
            Verdict::Reject(reply) | Verdict::Defer(reply) => {
                return Ok(Step::action(Action::Close(Some(reply))));
            }
            Verdict::Discard => {
                return Ok(Step::action(Action::Close(Some(replies::OK))).decided_by(by));
            }
            Verdict::Disconnect(reply) => return Ok(Step::action(Action::Close(reply)).decided_by(by)),
        }
        let hostname = match view.tuned(&self.policy.connect.hostname, &DOCUMENTED.connect.hostname)? {
            Some(name) if !name.is_empty() => name,
            _ => "localhost".into(),
        };
        let greeting =
            match view.tuned(&self.policy.connect.smtp_greeting, &DOCUMENTED.connect.smtp_greeting)? {
                Some(text) if !text.is_empty() => text,
                _ => Arc::from(format!("{hostname} ESMTP Postern")),
            };
        let greeting = Reply::plain(220, "").with_text(greeting.to_string());
        Ok(Step::new(Change::Greeted { hostname, parameters }, Action::Reply(greeting)))
    }

    /// TLS has begun. What hangs on `is_tls` is evaluated again; budgets of time and octets go on.
    pub(super) fn secured(&self, tls: &Tls, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        let inside = View::new(self, inquiry).inside_tls();
        let parameters = Box::new(self.evaluate_parameters(&inside)?);
        // The handshake was the answer to STARTTLS; the client speaks next.
        Ok(Step::new(Change::Secured { tls: tls.clone(), parameters }, Action::Listen))
    }

    fn evaluate_parameters(&self, view: &View<'_>) -> Result<Parameters, Halt> {
        let (policy, documented) = (&*self.policy, &*DOCUMENTED);
        Ok(Parameters {
            timeout: view.tuned(&policy.inbound.timeout, &documented.inbound.timeout)?,
            max_duration: view.tuned(&policy.inbound.max_duration, &documented.inbound.max_duration)?,
            transfer_limit: view.tuned(&policy.inbound.transfer_limit, &documented.inbound.transfer_limit)?,
            require_ehlo: view.guarded(&policy.ehlo.require)?,
            reject_non_fqdn: view.tuned(&policy.ehlo.reject_non_fqdn, &documented.ehlo.reject_non_fqdn)?,
            require_auth: view.guarded(&policy.auth.require)?,
            auth_max_failures: view.tuned(&policy.auth.max_failures, &documented.auth.max_failures)?,
            auth_wait_on_fail: view.tuned(&policy.auth.wait_on_fail, &documented.auth.wait_on_fail)?,
            vrfy: view.tuned(&policy.extensions.vrfy, &documented.extensions.vrfy)?,
            expn: view.tuned(&policy.extensions.expn, &documented.extensions.expn)?,
            spf_ehlo: view.guarded(&policy.sender_auth.spf_ehlo_verify)?,
            spf_from: view.guarded(&policy.sender_auth.spf_from_verify)?,
            reverse_ip: view.guarded(&policy.sender_auth.reverse_ip_verify)?,
        })
    }
}
