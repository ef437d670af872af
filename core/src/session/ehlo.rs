//! EHLO, HELO and LHLO (RFC 5321 section 4.1.1.1, RFC 2033 section 4.1).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Session;
use super::change::{Change, Step};
use super::check::{self, Check, Refusals};
use super::consult::FilterGroup;
use super::event::Action;
use super::facts::View;
use super::question::{Answer, Halt, Inquiry, Question, Subject};
use super::replies;
use super::state::Hello;
use crate::expr::Verify;
use crate::message::fields::Greeting;
use crate::policy::defaults::DOCUMENTED;
use crate::smtp::reply::Reply;
use crate::verdict::{Ruling, Stage, Verdict};

/// Longest name that may follow EHLO, in octets (RFC 5321 section 4.5.3.1.2).
const MAX_NAME_OCTETS: usize = 255;

impl Session {
    pub(super) fn ehlo(
        &self,
        now: Timestamp,
        greeting: Greeting,
        name: &str,
        inquiry: &Inquiry<'_>,
    ) -> Result<Step, Halt> {
        match (greeting, self.is_lmtp()) {
            (Greeting::Lhlo, false) => return Ok(Step::reply(replies::LHLO_ON_SMTP)),
            (Greeting::Ehlo | Greeting::Helo, true) => return Ok(Step::reply(replies::EHLO_ON_LMTP)),
            _ => {}
        }
        let name = self.checked_name(greeting, name)?;
        let view = View::new(self, inquiry).with_helo(&name);
        let repeated = self.hello.as_ref().filter(|hello| *hello.name == *name);
        let spf = match repeated {
            // The name in force was judged already; only the answer is said again.
            Some(hello) => hello.spf.clone(),
            None => {
                let spf = self.check_spf_of_name(&name, inquiry)?;
                if let Some(step) = self.judge_name(&name, spf.as_ref(), &view, inquiry)? {
                    return Ok(step);
                }
                spf
            }
        };
        let reply = match greeting {
            Greeting::Helo => Reply::plain(250, "").with_text(format!("{} greets {name}", self.hostname)),
            Greeting::Ehlo | Greeting::Lhlo => self.extensions(now, &view)?,
        };
        Ok(Step::new(Change::Hello(Hello { name, greeting, spf }), Action::Reply(reply)))
    }

    fn checked_name(&self, greeting: Greeting, name: &str) -> Result<Arc<str>, Reply> {
        if name.is_empty() && greeting == Greeting::Ehlo && !self.parameters.reject_non_fqdn {
            return Ok("null".into());
        }
        if name.is_empty() || name.len() > MAX_NAME_OCTETS {
            return Err(replies::EHLO_NAME_INVALID);
        }
        if self.parameters.reject_non_fqdn && !is_qualified(name) {
            return Err(replies::EHLO_NOT_FQDN);
        }
        Ok(name.into())
    }

    fn check_spf_of_name(&self, name: &Arc<str>, inquiry: &Inquiry<'_>) -> Result<Option<Check>, Halt> {
        if self.parameters.spf_ehlo == Verify::Disable {
            return Ok(None);
        }
        let Answer::Check(check) = inquiry.ask(|| Question::SpfEhlo { helo: Arc::clone(name) })? else {
            return Err(Halt::OUT_OF_PLACE);
        };
        check::judge(
            self.parameters.spf_ehlo,
            check.result,
            &Refusals { permanent: replies::SPF_EHLO_FAILED, temporary: replies::SPF_EHLO_TEMPORARY },
        )?;
        Ok(Some(check.clone()))
    }

    /// What filters say of a new name: nothing, or what to do instead of accepting it.
    fn judge_name(
        &self,
        name: &Arc<str>,
        spf: Option<&Check>,
        view: &View<'_>,
        inquiry: &Inquiry<'_>,
    ) -> Result<Option<Step>, Halt> {
        let script = view.guarded(&self.policy.ehlo.script)?;
        let subject = || Subject::Helo { name: Arc::clone(name), spf: spf.cloned() };
        let Ruling { verdict, by } =
            self.consult(view, inquiry, Stage::Ehlo, FilterGroup::Every, script, subject)?;
        let action = match verdict {
            Verdict::Pass(_) => return Ok(None),
            Verdict::Reject(reply) | Verdict::Defer(reply) => Action::Reply(reply),
            Verdict::Discard => Action::Reply(replies::OK),
            Verdict::Disconnect(reply) => Action::Close(reply),
        };
        Ok(Some(Step::new(Change::DropTransaction, action).decided_by(by)))
    }

    /// The answer to EHLO and LHLO: every extension that is on.
    fn extensions(&self, now: Timestamp, view: &View<'_>) -> Result<Reply, Halt> {
        let (wanted, documented) = (&self.policy.extensions, &DOCUMENTED.extensions);
        let mut lines: Vec<String> = Vec::with_capacity(16);
        let mut when = |on: bool, keyword: &str| {
            if on {
                lines.push(keyword.to_owned());
            }
        };
        when(self.tls.is_none() && self.client.tls_available, "STARTTLS");
        when(view.tuned(&wanted.pipelining, &documented.pipelining)?, "PIPELINING");
        let chunking = view.tuned(&wanted.chunking, &documented.chunking)?;
        when(chunking, "CHUNKING");
        when(chunking, "BINARYMIME");
        when(true, "8BITMIME");
        when(true, "SMTPUTF8");
        when(true, "ENHANCEDSTATUSCODES");
        when(view.tuned(&wanted.vrfy, &documented.vrfy)?, "VRFY");
        when(view.tuned(&wanted.expn, &documented.expn)?, "EXPN");
        when(self.tls.is_some() && view.tuned(&wanted.require_tls, &documented.require_tls)?, "REQUIRETLS");
        when(view.tuned(&wanted.dsn, &documented.dsn)?, "DSN");
        if let Some(text) = view.tuned(&wanted.no_soliciting, &documented.no_soliciting)? {
            lines.push(format!("NO-SOLICITING {text}").trim_end().to_owned());
        }
        if let Some(longest) = view.tuned(&wanted.future_release, &documented.future_release)? {
            let latest = latest_release(now, longest.as_secs());
            lines.push(format!("FUTURERELEASE {} {latest}", longest.as_secs()));
        }
        if let Some(longest) = view.tuned(&wanted.deliver_by, &documented.deliver_by)? {
            lines.push(format!("DELIVERBY {}", longest.as_secs()));
        }
        if let Some(profile) = view.tuned(&wanted.mt_priority, &documented.mt_priority)? {
            lines.push(format!("MT-PRIORITY {}", profile.keyword()));
        }
        let size = view.tuned(&self.policy.data.max_message_size, &DOCUMENTED.data.max_message_size)?;
        if size > 0 {
            lines.push(format!("SIZE {size}"));
        }
        let mechanisms = self.mechanisms(view)?;
        if !mechanisms.is_empty() && self.login.is_none() {
            let names: Vec<_> = mechanisms.iter().map(|mechanism| mechanism.name()).collect();
            lines.push(format!("AUTH {}", names.join(" ")));
        }
        let name = self.hello_text();
        Ok(Reply::ehlo(&name, &lines))
    }

    fn hello_text(&self) -> String {
        format!("{} at your service", self.hostname)
    }
}

/// The latest time that FUTURERELEASE allows, to the second (RFC 4865 section 4).
fn latest_release(now: Timestamp, seconds: u64) -> Timestamp {
    let span = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let latest = now.checked_add(span).unwrap_or(Timestamp::MAX);
    Timestamp::from_second(latest.as_second()).unwrap_or(latest)
}

/// A name with at least two labels, none too long, or an address literal.
fn is_qualified(name: &str) -> bool {
    if let Some(literal) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match literal.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
                literal.get(5..).is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
            }
            _ => literal.parse::<Ipv4Addr>().is_ok(),
        };
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    name.contains('.') && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_a_dot_and_short_labels() {
        let long = format!("{}.example", "a".repeat(64));
        for (name, expected) in [
            ("mx.example.org", true),
            ("mx.example.org.", true),
            ("localhost", false),
            ("a..b", false),
            (".example", false),
            (&*long, false),
            ("[192.0.2.1]", true),
            ("[IPv6:2001:db8::1]", true),
            ("[ipv6:::1]", true),
            ("[192.0.2]", false),
            ("[nonsense]", false),
        ] {
            assert_eq!(is_qualified(name), expected, "{name}");
        }
    }
}
