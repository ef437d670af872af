//! The world outside as a transcript tells it: who answers what.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use postern_core::envelope::Recipient;
use postern_core::expr::{DnsKind, Lookup, LookupFailure, Value};
use postern_core::message::edit::Edit;
use postern_core::policy::Policy;
use postern_core::policy::directory::{Account, Entry};
use postern_core::session::check::{Check, CheckResult, Dmarc, DmarcPolicy, MessageResults, Signature};
use postern_core::session::consult::Call;
use postern_core::session::question::{
    Answer, Authentication, Consultation, Credentials, DirectoryAnswer, MessageChecks, Question, Subject,
    Verify,
};
use postern_core::smtp::address::{Address, ReversePath};
use postern_core::smtp::parameters::MailParameters;
use postern_core::smtp::reply::Reply;
use postern_core::verdict::{Modification, Ruling, Verdict};

use super::format::Given;

/// Answers by the script; what nobody has scripted is answered as by a world without troubles.
#[derive(Debug)]
pub(crate) struct Outside {
    given: Vec<Given>,
    used: RefCell<BTreeSet<usize>>,
}

impl Outside {
    pub(crate) fn new(given: &[Given]) -> Self {
        Self { given: given.to_vec(), used: RefCell::default() }
    }

    /// Lines that no question was about.
    pub(crate) fn unused(&self) -> Vec<usize> {
        let used = self.used.borrow();
        self.given.iter().map(|given| given.line).filter(|line| !used.contains(line)).collect()
    }

    /// The answers about somebody, those that name him first.
    fn about(&self, topic: &str, about: &str) -> Vec<&str> {
        let of = |wanted: Option<&str>| -> Vec<&Given> {
            self.given
                .iter()
                .filter(|given| given.topic == topic && given.about.as_deref() == wanted)
                .collect()
        };
        let found = match of(Some(about)) {
            named if named.is_empty() => of(None),
            named => named,
        };
        self.used.borrow_mut().extend(found.iter().map(|given| given.line));
        found.into_iter().map(|given| &*given.answer).collect()
    }

    fn one(&self, topic: &str, about: &str) -> Option<&str> {
        self.about(topic, about).first().copied()
    }

    /// Every answer to a topic, by whom it is about.
    pub(crate) fn all(&self, topic: &str) -> HashMap<String, String> {
        let of = self.given.iter().filter(|given| given.topic == topic);
        of.filter_map(|given| Some((given.about.clone()?, given.answer.clone()))).collect()
    }

    /// Octets that there is room for.
    pub(crate) fn room(&self) -> Option<u64> {
        self.one("room", "").and_then(|octets| octets.parse().ok())
    }

    /// The answer to a question, but for those that the host answers by itself.
    pub(crate) fn answer(&self, question: &Question, policy: &Policy) -> Result<Answer, String> {
        Ok(match question {
            Question::Lookup(lookup) => Answer::Value(self.lookup(lookup)?),
            Question::Consult(consultation) => {
                let verdict = self.verdict(consultation)?;
                // By the first who is asked: transcripts do not say which of several it was.
                let first = consultation.calls.iter().find_map(Call::rule);
                let stops = !matches!(verdict, Verdict::Pass(_));
                let by = first.filter(|_| stops).map(|rule| rule.cause());
                Answer::Ruling(Ruling { verdict, by })
            }
            Question::ReverseDns => Answer::Check(self.check("reverse dns", "")?),
            Question::SpfEhlo { helo } => Answer::Check(self.check("spf of ehlo", helo)?),
            Question::SpfMail { sender, .. } => Answer::Check(self.check("spf of mail", sender.key())?),
            Question::Message(wanted) => Answer::Message(Box::new(self.message(*wanted)?)),
            Question::Authenticate(credentials) => {
                Answer::Authentication(self.authenticate(credentials, policy))
            }
            Question::Directory(address) => Answer::Directory(self.directory(address)?),
            Question::Greylist { recipient, .. } => {
                Answer::Admitted(self.one("greylist", recipient) != Some("wait"))
            }
            Question::Reserve(octets) => Answer::Admitted(self.room().is_none_or(|room| *octets <= room)),
            Question::Verify(verify) => Answer::Verified(self.verify(verify)?),
            Question::Throttle { .. } | Question::MayLogIn(_) | Question::LoginFailed(_) => {
                return Err("throttles are counted, not scripted".to_owned());
            }
        })
    }

    fn lookup(&self, lookup: &Lookup) -> Result<Result<Value<'static>, LookupFailure>, String> {
        let (topic, about) = match lookup {
            Lookup::Dns { name, kind } => (format!("dns {}", dns_kind(*kind)), name),
            Lookup::KeyExists { store, key } | Lookup::KeyGet { store, key } => {
                (format!("key in {store}"), key)
            }
            other => return Err(format!("nobody answers {other:?}")),
        };
        Ok(match self.one(&topic, about) {
            Some("failure") => Err(LookupFailure::Dns("scripted".to_owned())),
            Some(answer) => Ok(match lookup {
                Lookup::Dns { kind: DnsKind::Txt, .. } | Lookup::KeyGet { .. } => text(answer),
                Lookup::KeyExists { .. } => Value::Integer(1),
                _ => Value::from(answer.split_whitespace().map(text).collect::<Vec<_>>()),
            }),
            None => Ok(lookup.nothing_found()),
        })
    }

    fn verdict(&self, consultation: &Consultation) -> Result<Verdict, String> {
        let who = match consultation.calls.iter().all(|call| matches!(call, Call::Milter(_))) {
            true => "milters",
            false => "filters",
        };
        let about = match &consultation.subject {
            Subject::Helo { name, .. } => name.to_string(),
            Subject::Sender { envelope, .. } => envelope.sender.key().to_owned(),
            Subject::Recipient { recipient, .. } => recipient.address.key().to_owned(),
            Subject::Nothing | Subject::Login { .. } | Subject::Message { .. } => String::new(),
        };
        let mut modifications = Vec::new();
        for answer in self.about(&format!("{who} at {}", consultation.stage.name()), &about) {
            let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
            match word {
                "reject" => return Ok(Verdict::Reject(reply(rest)?)),
                "defer" => return Ok(Verdict::Defer(reply(rest)?)),
                "discard" => return Ok(Verdict::Discard),
                "disconnect" if rest.is_empty() => return Ok(Verdict::Disconnect(None)),
                "disconnect" => return Ok(Verdict::Disconnect(Some(reply(rest)?))),
                "pass" => {}
                _ => modifications
                    .push(modification(word, rest).ok_or_else(|| format!("no verdict: {answer}"))?),
            }
        }
        Ok(Verdict::Pass(modifications))
    }

    fn check(&self, topic: &str, about: &str) -> Result<Check, String> {
        let answer = self.one(topic, about).unwrap_or("none");
        let (word, detail) = answer.split_once(' ').map_or((answer, None), |(word, name)| (word, Some(name)));
        Ok(Check { result: result(word)?, detail: detail.map(Arc::from) })
    }

    fn message(&self, wanted: MessageChecks) -> Result<MessageResults, String> {
        let signature = |word| result(word).map(Signature::from);
        let dkim = || self.one("dkim", "").unwrap_or_default().split_whitespace().map(signature).collect();
        let dmarc = || {
            let answer = self.one("dmarc", "").unwrap_or("none none");
            let (word, policy) = answer.split_once(' ').ok_or("dmarc: result and policy")?;
            let policy = match policy {
                "reject" => DmarcPolicy::Reject,
                "quarantine" => DmarcPolicy::Quarantine,
                _ => DmarcPolicy::None,
            };
            Ok::<_, String>(Dmarc { result: result(word)?, policy, from: "example.net".into(), reason: None })
        };
        Ok(MessageResults {
            dkim: wanted.dkim.then(dkim).transpose()?,
            arc: wanted.arc.then(|| result(self.one("arc", "").unwrap_or("none"))).transpose()?,
            dmarc: wanted.dmarc.then(dmarc).transpose()?,
        })
    }

    fn authenticate(&self, credentials: &Credentials, policy: &Policy) -> Authentication {
        let (who, password) = match credentials {
            Credentials::Password { user, password } => (user.to_lowercase(), Some(password)),
            Credentials::Token { token, .. } => (token.expose().to_owned(), None),
        };
        let account = |name: &str| {
            policy.directories.iter().filter_map(|directory| directory.inline()).find_map(|inline| {
                match inline.get(name) {
                    Some(Entry::Account(account)) => Some(Arc::clone(account)),
                    _ => None,
                }
            })
        };
        let right =
            |account: &Arc<Account>| password.is_none_or(|password| account.passwords.contains(password));
        match self.one("credentials", &who) {
            Some("expired") => Authentication::Expired,
            Some("forbidden") => Authentication::Forbidden,
            Some("unavailable") => Authentication::Unavailable,
            Some(name) => account(name).map_or(Authentication::Wrong, Authentication::Account),
            None => match (account(&who).filter(right), password) {
                (Some(account), Some(_)) => Authentication::Account(account),
                _ => Authentication::Wrong,
            },
        }
    }

    fn directory(&self, address: &Address) -> Result<DirectoryAnswer, String> {
        let answer = self.one("directory", address.key()).unwrap_or("unknown");
        let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
        Ok(match word {
            "mailbox" => DirectoryAnswer::Mailbox(address.clone()),
            "list" => {
                let members = rest.split_whitespace().map(address_of).collect::<Option<_>>();
                DirectoryAnswer::List(members.ok_or("no list of addresses")?)
            }
            "unknown" => DirectoryAnswer::Unknown,
            "unavailable" => DirectoryAnswer::Unavailable,
            _ => return Err(format!("no answer of a directory: {answer}")),
        })
    }

    fn verify(&self, verify: &Verify) -> Result<Option<Reply>, String> {
        for (recipient, _) in &verify.recipients {
            if let Some(answer) = self.one("next hop", recipient.address.key()) {
                return reply(answer).map(Some);
            }
        }
        Ok(None)
    }

    /// The answer at the end of data for each recipient.
    pub(crate) fn last_answer(&self, recipient: &Recipient) -> Result<Reply, String> {
        reply(self.one("last answer", recipient.address.key()).unwrap_or("250 2.0.0 OK"))
    }
}

fn text(text: &str) -> Value<'static> {
    Value::Text(text.to_owned().into())
}

fn dns_kind(kind: DnsKind) -> &'static str {
    match kind {
        DnsKind::Ipv4 => "ipv4",
        DnsKind::Ipv6 => "ipv6",
        DnsKind::Ip => "ip",
        DnsKind::Ptr => "ptr",
        DnsKind::Mx => "mx",
        DnsKind::Txt => "txt",
    }
}

fn reply(text: &str) -> Result<Reply, String> {
    Reply::from_text(text).ok_or_else(|| format!("no reply: {text}"))
}

fn result(word: &str) -> Result<CheckResult, String> {
    Ok(match word {
        "pass" => CheckResult::Pass,
        "fail" => CheckResult::Fail,
        "softfail" => CheckResult::SoftFail,
        "neutral" => CheckResult::Neutral,
        "none" => CheckResult::None,
        "temperror" => CheckResult::TempError,
        "permerror" => CheckResult::PermError,
        _ => return Err(format!("no result: {word}")),
    })
}

fn address_of(text: &str) -> Option<Address> {
    Address::parse(text.trim_start_matches('<').trim_end_matches('>')).ok()
}

fn modification(word: &str, rest: &str) -> Option<Modification> {
    Some(match word {
        "sender" => {
            let (path, parameters) = rest.split_once(' ').unwrap_or((rest, ""));
            let sender = match path {
                "<>" => ReversePath::Null,
                path => ReversePath::Mailbox(address_of(path)?),
            };
            let parameters =
                (!parameters.is_empty()).then(|| Box::new(MailParameters::from_filter(parameters)));
            Modification::SetSender(sender, parameters)
        }
        "recipient" => Modification::SetRecipient(address_of(rest)?),
        "add-recipient" => Modification::AddRecipient(address_of(rest)?, None),
        "remove-recipient" => Modification::RemoveRecipient(address_of(rest)?),
        "quarantine" => Modification::Quarantine(rest.to_owned()),
        "add-field" => {
            let (name, value) = rest.split_once(": ")?;
            Modification::Edit(Edit::AddField {
                name: name.as_bytes().into(),
                value: value.as_bytes().into(),
            })
        }
        "body" => Modification::Edit(Edit::ReplaceBody(format!("{rest}\r\n").into_bytes().into())),
        _ => return None,
    })
}
