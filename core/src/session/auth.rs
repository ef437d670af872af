//! AUTH (RFC 4954): PLAIN (RFC 4616), LOGIN, OAUTHBEARER (RFC 7628) and XOAUTH2.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Session;
use super::change::{Change, Step};
use super::consult::FilterGroup;
use super::event::Action;
use super::facts::View;
use super::question::{Answer, Authentication, Credentials, Halt, Inquiry, Question, Subject};
use super::state::{Exchange, Login, State};
use super::{replies, sasl_error};
use crate::expr::{SaslMechanism, SaslMechanisms};
use crate::policy::Secret;
use crate::policy::defaults::DOCUMENTED;
use crate::policy::throttle::{Algorithm, Rate};
use crate::smtp::reply::Reply;
use crate::verdict::{Ruling, Stage, Verdict};

/// Asks for what PLAIN and the token mechanisms send.
const CHALLENGE: Reply = Reply::plain(334, "");
/// `Username:` in base64
const CHALLENGE_USER: Reply = Reply::plain(334, "VXNlcm5hbWU6");
/// `Password:` in base64
const CHALLENGE_PASSWORD: Reply = Reply::plain(334, "UGFzc3dvcmQ6");

impl Session {
    /// The mechanisms that may be used now: none in clear text, unless the policy says so by name.
    pub(super) fn mechanisms(&self, view: &View<'_>) -> Result<SaslMechanisms, Halt> {
        if self.tls.is_none() && !self.policy.auth.allow_clear_text_auth {
            return Ok(SaslMechanisms::default());
        }
        view.guarded(&self.policy.auth.sasl_mechanisms)
    }

    pub(super) fn auth(
        &self,
        mechanism: &str,
        initial_response: Option<&str>,
        inquiry: &Inquiry<'_>,
    ) -> Result<Step, Halt> {
        let view = View::new(self, inquiry);
        let offered = self.mechanisms(&view)?;
        if offered.is_empty() {
            return Ok(Step::reply(replies::AUTH_UNAVAILABLE_HERE));
        }
        if self.login.is_some() {
            return Ok(Step::reply(replies::AUTH_ALREADY));
        }
        if self.transaction().is_some() {
            return Ok(Step::reply(replies::AUTH_IN_TRANSACTION));
        }
        let Some(mechanism) = offered.iter().find(|offer| offer.name() == mechanism) else {
            return Ok(Step::reply(replies::AUTH_MECHANISM));
        };
        if let Some(rate) = self.failure_rate(&view)?
            && !inquiry.admitted(|| Question::MayLogIn(rate))?
        {
            return Ok(Step::reply(replies::AUTH_RATE));
        }
        let exchange = Exchange { mechanism, user: None, refusal: None };
        match initial_response {
            None | Some("") => Ok(self.first_challenge(exchange)),
            // RFC 4954 section 4: `=` is an initial response without octets.
            Some("=") => self.respond(&exchange, b"", inquiry),
            Some(response) => self.respond(&exchange, response.as_bytes(), inquiry),
        }
    }

    fn first_challenge(&self, exchange: Exchange) -> Step {
        let challenge = match exchange.mechanism {
            SaslMechanism::Login => CHALLENGE_USER,
            _ => CHALLENGE,
        };
        Step::new(Change::Exchange(exchange), Action::Challenge(challenge))
    }

    pub(super) fn auth_line(&self, line: Option<&[u8]>, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        let State::Authenticating(exchange) = &self.state else { return Err(Halt::OUT_OF_PLACE) };
        if let Some(refusal) = &exchange.refusal {
            // RFC 7628 section 3.2.3: a dummy response, whatever it is, ends the exchange.
            return Ok(self.auth_failed(refusal.clone()));
        }
        match line {
            None => Ok(self.auth_failed(replies::AUTH_MALFORMED)),
            Some(b"*") => Ok(self.auth_failed(replies::AUTH_CANCELLED)),
            Some(line) => self.respond(exchange, line, inquiry),
        }
    }

    fn respond(&self, exchange: &Exchange, line: &[u8], inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        let Some(text) = STANDARD.decode(line).ok().and_then(|octets| String::from_utf8(octets).ok()) else {
            return Ok(self.auth_failed(replies::AUTH_MALFORMED));
        };
        let credentials = match (exchange.mechanism, &exchange.user) {
            (SaslMechanism::Login, None) if text.is_empty() => None,
            (SaslMechanism::Login, None) => {
                let exchange = Exchange { user: Some(text.into()), ..exchange.clone() };
                return Ok(Step::new(Change::Exchange(exchange), Action::Challenge(CHALLENGE_PASSWORD)));
            }
            (SaslMechanism::Login, Some(user)) => password(Arc::clone(user), &text),
            (SaslMechanism::Plain, _) => plain(&text),
            (SaslMechanism::OauthBearer, _) => oauthbearer(&text),
            (SaslMechanism::Xoauth2, _) => xoauth2(&text),
        };
        match credentials {
            None => Ok(self.auth_failed(replies::AUTH_MALFORMED)),
            Some(credentials) => self.authenticate(exchange, credentials, inquiry),
        }
    }

    fn authenticate(
        &self,
        exchange: &Exchange,
        credentials: Credentials,
        inquiry: &Inquiry<'_>,
    ) -> Result<Step, Halt> {
        let Answer::Authentication(outcome) = inquiry.ask(|| Question::Authenticate(credentials))? else {
            return Err(Halt::OUT_OF_PLACE);
        };
        let over = |reply| Step::new(Change::ExchangeOver { failed: false }, Action::Reply(reply));
        match outcome {
            Authentication::Account(account) => {
                let login = Login { account: Arc::clone(account), mechanism: exchange.mechanism };
                self.logged_in(login, inquiry)
            }
            Authentication::Wrong => {
                if let Some(rate) = self.failure_rate(&View::new(self, inquiry))? {
                    inquiry.ask(|| Question::LoginFailed(rate))?;
                }
                Ok(self.refuse(exchange, replies::AUTH_WRONG))
            }
            Authentication::Expired => Ok(self.refuse(exchange, replies::AUTH_EXPIRED)),
            Authentication::Forbidden => Ok(over(replies::AUTH_FORBIDDEN)),
            Authentication::Unavailable => Ok(over(replies::AUTH_BACKEND)),
        }
    }

    /// How often the client's network may fail, if there is a limit.
    ///
    /// Only credentials that were looked at count: what is malformed or cancelled tells nobody anything.
    fn failure_rate(&self, view: &View<'_>) -> Result<Option<Rate>, Halt> {
        let auth = &self.policy.auth;
        let count = view.tuned(&auth.failure_count, &DOCUMENTED.auth.failure_count)?;
        // A sliding window, so that nobody has the whole count twice around the full hour.
        let rate = Rate { count, period: auth.failure_period, algorithm: Algorithm::SlidingWindow };
        Ok((count > 0).then_some(rate))
    }

    /// Passwords are refused at once. Who sent a token hears first, in JSON, where to get a better one.
    fn refuse(&self, exchange: &Exchange, reply: Reply) -> Step {
        let providers = &self.policy.directories;
        let reason = match exchange.mechanism {
            SaslMechanism::Plain | SaslMechanism::Login => return self.auth_failed(reply),
            SaslMechanism::OauthBearer => sasl_error::oauthbearer(providers),
            SaslMechanism::Xoauth2 => sasl_error::xoauth2(providers),
        };
        let exchange = Exchange { refusal: Some(reply), ..exchange.clone() };
        let challenge = CHALLENGE.with_lines([STANDARD.encode(reason)]);
        Step::new(Change::Exchange(exchange), Action::Challenge(challenge))
    }

    /// The credentials were right. Filters of the Auth stage still have a word.
    fn logged_in(&self, login: Login, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        let view = View::new(self, inquiry).with_account(login.account.address.key());
        let refused = |action| Step::new(Change::ExchangeOver { failed: false }, action);
        let subject =
            || Subject::Login { account: login.account.address.key().into(), mechanism: login.mechanism };
        let Ruling { verdict, by } =
            self.consult(&view, inquiry, Stage::Auth, FilterGroup::Every, None, subject)?;
        match verdict {
            Verdict::Pass(_) => {}
            Verdict::Reject(reply) | Verdict::Defer(reply) => return Ok(refused(Action::Reply(reply))),
            Verdict::Discard => {
                return Ok(refused(Action::Reply(replies::REFUSED_BY_FILTER.or_because(by.as_ref()))));
            }
            Verdict::Disconnect(reply) => return Ok(refused(Action::Close(reply)).decided_by(by)),
        }
        let extensions = &self.policy.extensions;
        let vrfy = view.tuned(&extensions.vrfy, &DOCUMENTED.extensions.vrfy)?;
        let expn = view.tuned(&extensions.expn, &DOCUMENTED.extensions.expn)?;
        Ok(Step::new(Change::LoggedIn { login, vrfy, expn }, Action::Reply(replies::AUTH_OK)))
    }

    /// A failure that counts: its reply comes after the delay, and the last one closes the connection.
    fn auth_failed(&self, reply: Reply) -> Step {
        let is_last = self.auth_failures.saturating_add(1) >= self.parameters.auth_max_failures;
        let then = match is_last {
            true => Action::ReplyAndClose(reply, replies::AUTH_TOO_MANY),
            false => Action::Reply(reply),
        };
        Step::new(Change::ExchangeOver { failed: true }, delayed(self.parameters.auth_wait_on_fail, then))
    }
}

/// An action after a pause, if there is any.
pub(super) fn delayed(pause: Option<std::time::Duration>, action: Action) -> Action {
    match pause {
        Some(pause) => Action::Wait(pause, Box::new(action)),
        None => action,
    }
}

fn password(user: Arc<str>, password: &str) -> Option<Credentials> {
    let usable = !user.is_empty() && !password.is_empty();
    usable.then(|| Credentials::Password { user, password: Secret::new(password) })
}

/// `[authzid] NUL authcid NUL password`; the authorization identity is not used.
fn plain(text: &str) -> Option<Credentials> {
    let mut parts = text.splitn(3, '\0');
    let (_authzid, user, secret) = (parts.next()?, parts.next()?, parts.next()?);
    password(user.into(), secret)
}

/// `n,a=user,^Ahost=…^Aport=…^Aauth=Bearer token^A^A`
fn oauthbearer(text: &str) -> Option<Credentials> {
    let (header, pairs) = text.split_once('\u{1}')?;
    let user = header.split(',').find_map(|part| part.strip_prefix("a="));
    bearer(user, pairs)
}

/// `user=…^Aauth=Bearer token^A^A`
fn xoauth2(text: &str) -> Option<Credentials> {
    let (user, pairs) = text.split_once('\u{1}')?;
    bearer(Some(user.strip_prefix("user=")?), pairs)
}

fn bearer(user: Option<&str>, pairs: &str) -> Option<Credentials> {
    let value = pairs.split('\u{1}').find_map(|pair| pair.strip_prefix("auth="))?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return None;
    }
    let user = user.filter(|user| !user.is_empty()).map(Arc::from);
    Some(Credentials::Token { user, token: Secret::new(token) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user_and_password(user: &str, secret: &str) -> Option<Credentials> {
        password(user.into(), secret)
    }

    #[test]
    fn plain_takes_three_parts_and_ignores_the_first() {
        assert_eq!(plain("\0ann\0secret"), user_and_password("ann", "secret"));
        assert_eq!(plain("bob\0ann\0secret"), user_and_password("ann", "secret"));
        assert_eq!(plain("\0ann\0a\0b"), user_and_password("ann", "a\0b"));
        for wrong in ["", "ann", "\0ann", "\0\0secret", "\0ann\0"] {
            assert_eq!(plain(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn tokens_are_found_between_control_a() {
        let token = |user: Option<&str>| {
            Some(Credentials::Token { user: user.map(Arc::from), token: Secret::new("abc.def") })
        };
        let bearer = "n,a=ann@example.org,\u{1}host=mx\u{1}port=587\u{1}auth=Bearer abc.def\u{1}\u{1}";
        assert_eq!(oauthbearer(bearer), token(Some("ann@example.org")));
        assert_eq!(oauthbearer("n,,\u{1}auth=bearer abc.def\u{1}\u{1}"), token(None));
        assert_eq!(xoauth2("user=ann\u{1}auth=Bearer abc.def\u{1}\u{1}"), token(Some("ann")));
        for wrong in ["", "n,,", "n,,\u{1}\u{1}", "n,,\u{1}auth=Basic abc\u{1}", "n,,\u{1}auth=Bearer \u{1}"]
        {
            assert_eq!(oauthbearer(wrong), None, "{wrong:?}");
        }
    }
}
