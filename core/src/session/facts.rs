//! What expressions may know of a session, and how their failures are taken.

use std::borrow::Cow;

use super::Session;
use super::question::{Answer, Halt, Inquiry, Question};
use super::record::Evaluation;
use crate::envelope::Recipient;
use crate::expr::{
    Evaluated, Facts, Interrupt, Lookup, LookupFailure, Setting, System, Target, Value, Variable,
};
use crate::policy::directory::Domain;
use crate::smtp::address::{Address, ReversePath, normalise_domain};
use crate::smtp::parameters::MailParameters;

/// A session as one evaluation sees it: its state, and what the command in hand says beyond it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    session: &'a Session,
    inquiry: &'a Inquiry<'a>,
    helo: Option<&'a str>,
    account: Option<&'a str>,
    is_tls: bool,
    sender: Option<&'a ReversePath>,
    parameters: Option<&'a MailParameters>,
    recipient: Option<&'a Address>,
    recipients: &'a [Recipient],
    outbound: Option<Outbound>,
    /// Stands in for `rcpt` in rules for sub-addresses.
    local_part: Option<&'a str>,
}

/// What only the choice of a route may look at.
#[derive(Clone, Copy)]
pub(super) struct Outbound {
    pub(super) size: u64,
    pub(super) dmarc_pass: bool,
}

impl<'a> View<'a> {
    pub(super) fn new(session: &'a Session, inquiry: &'a Inquiry<'a>) -> Self {
        let envelope = session.transaction().map(|transaction| &transaction.envelope);
        Self {
            session,
            inquiry,
            helo: session.hello.as_ref().map(|hello| &*hello.name),
            account: session.account(),
            is_tls: session.tls.is_some(),
            sender: envelope.map(|envelope| &envelope.sender),
            parameters: envelope.map(|envelope| &envelope.parameters),
            recipient: None,
            recipients: envelope.map_or(&[], |envelope| &envelope.recipients),
            outbound: None,
            local_part: None,
        }
    }

    /// As after the handshake: nobody has greeted or logged in yet.
    pub(super) fn inside_tls(self) -> Self {
        Self { is_tls: true, helo: None, account: None, ..self }
    }

    pub(super) fn with_helo(self, name: &'a str) -> Self {
        Self { helo: Some(name), ..self }
    }

    pub(super) fn with_account(self, account: &'a str) -> Self {
        Self { account: Some(account), ..self }
    }

    pub(super) fn with_sender(self, sender: &'a ReversePath, parameters: &'a MailParameters) -> Self {
        Self { sender: Some(sender), parameters: Some(parameters), ..self }
    }

    pub(super) fn with_recipient(self, recipient: &'a Address) -> Self {
        Self { recipient: Some(recipient), ..self }
    }

    pub(super) fn with_outbound(self, outbound: Outbound) -> Self {
        Self { outbound: Some(outbound), ..self }
    }

    fn with_local_part(self, local_part: &'a str) -> Self {
        Self { local_part: Some(local_part), ..self }
    }

    /// The value of a setting that guards something: its failure refuses, and never opens the gate.
    pub(super) fn guarded<T: Target>(&self, setting: &Setting<T>) -> Result<T, Halt> {
        match self.value(setting) {
            Ok(value) => Ok(value),
            Err(Interrupt::Needs(lookup)) => Err(Halt::Ask(Box::new(Question::Lookup(lookup)))),
            Err(Interrupt::Failed(_)) => Err(Halt::Unable(setting.origin().cloned())),
        }
    }

    /// The value of a limit or a switch: its failure means the documented default.
    pub(super) fn tuned<T: Target>(&self, setting: &Setting<T>, documented: &Setting<T>) -> Result<T, Halt> {
        match self.value(setting) {
            Ok(value) => Ok(value),
            Err(Interrupt::Needs(lookup)) => Err(Halt::Ask(Box::new(Question::Lookup(lookup)))),
            Err(Interrupt::Failed(_)) => {
                self.value(documented).map_err(|_| Halt::Unable(documented.origin().cloned()))
            }
        }
    }

    fn value<T: Target>(&self, setting: &Setting<T>) -> Result<T, Interrupt> {
        let Evaluated { part, value } = setting.appraise(self);
        let outcome = match &value {
            // It will be evaluated again from its beginning.
            Err(Interrupt::Needs(_)) => return value,
            Err(Interrupt::Failed(failure)) => Err(failure),
            Ok(value) => Ok(value),
        };
        self.inquiry.notes().evaluated(|| Evaluation {
            origin: setting.origin().cloned(),
            part,
            variables: setting
                .variables()
                .iter()
                .map(|variable| (variable, self.variable(variable).to_string()))
                .collect(),
            lookups: Vec::new(),
            value: outcome.map(T::shown).map_err(Clone::clone),
        });
        value
    }

    /// The mailbox that a local part means under a domain's rule for sub-addresses.
    pub(super) fn plain_local_part(&self, domain: &Domain, local: &str) -> Result<Option<String>, Halt> {
        use crate::policy::directory::SubAddressing;
        let plain = match &domain.sub_addressing {
            SubAddressing::Disabled => return Ok(None),
            SubAddressing::Enabled => match local.split_once('+') {
                Some((plain, _)) if !plain.is_empty() => plain.to_owned(),
                _ => return Ok(None),
            },
            SubAddressing::Custom(rule) => match self.with_local_part(local).guarded(rule)? {
                Some(plain) => plain.to_string(),
                None => return Ok(None),
            },
        };
        Ok((plain != local).then_some(plain))
    }

    fn recipient_now(&self) -> Option<&'a Address> {
        self.recipient.or_else(|| self.recipients.last().map(|recipient| &recipient.address))
    }

    /// Answers from the policy alone, without asking anybody.
    fn known(&self, lookup: &Lookup) -> Option<Value<'a>> {
        let namespace =
            |store: &str| self.session.policy.lookups.get(store).filter(|namespace| namespace.is_whole());
        match lookup {
            // The empty name means the store of this server; any other that is no namespace does not exist.
            Lookup::KeyExists { store, .. } | Lookup::KeyGet { store, .. }
                if !store.is_empty() && self.session.policy.lookups.get(store).is_none() =>
            {
                Some(Value::EMPTY)
            }
            Lookup::KeyExists { store, key } => {
                namespace(store).map(|namespace| truth(namespace.get(key).is_some()))
            }
            Lookup::KeyGet { store, key } => {
                namespace(store).map(|namespace| namespace.get(key).map_or(Value::EMPTY, |value| text(value)))
            }
            Lookup::IsLocalAddress { address } => match Address::parse(address) {
                Err(_) => Some(truth(false)),
                Ok(address) => self.session.policy.knows_mailbox(&address).map(truth),
            },
            _ => None,
        }
    }
}

impl Facts for View<'_> {
    fn variable(&self, variable: Variable) -> Value<'_> {
        let client = &self.session.client;
        match variable {
            Variable::Listener => text(&client.listener.name),
            Variable::RemoteIp | Variable::ReceivedFromIp => text(&self.session.remote_ip),
            Variable::RemotePort => Value::Integer(client.remote.port().into()),
            Variable::LocalIp => text(&self.session.local_ip),
            Variable::LocalPort | Variable::ReceivedViaPort => Value::Integer(client.local_port.into()),
            Variable::Protocol => text(client.listener.protocol.name()),
            Variable::IsTls => truth(self.is_tls),
            Variable::Asn => Value::Integer(client.network.number.into()),
            Variable::Country => text(client.network.country.code()),
            Variable::HeloDomain => text(self.helo.unwrap_or_default()),
            Variable::AuthenticatedAs => text(self.account.unwrap_or_default()),
            Variable::Sender => text(self.sender.map_or("", ReversePath::key)),
            Variable::SenderDomain => {
                text(self.sender.and_then(ReversePath::address).map_or("", Address::key_domain))
            }
            Variable::Rcpt => match self.local_part {
                Some(local_part) => text(local_part),
                None => text(self.recipient_now().map_or("", Address::key)),
            },
            Variable::RcptDomain => text(self.recipient_now().map_or("", Address::key_domain)),
            Variable::Recipients => {
                let known = self.recipients.iter().map(|recipient| &recipient.address);
                let all: Vec<_> = known.chain(self.recipient).map(|address| text(address.key())).collect();
                Value::from(all)
            }
            Variable::Priority => {
                let priority = self.parameters.and_then(|parameters| parameters.mt_priority).unwrap_or(0);
                Value::Text(Cow::Owned(priority.to_string()))
            }
            Variable::Size => {
                let size = self.outbound.map_or(0, |outbound| outbound.size);
                Value::Integer(i64::try_from(size).unwrap_or(i64::MAX))
            }
            Variable::Source => text(match (self.account, self.outbound) {
                (Some(_), _) => "authenticated",
                (None, Some(Outbound { dmarc_pass: true, .. })) => "dmarc_pass",
                (None, _) => "unauthenticated",
            }),
        }
    }

    fn system(&self, system: System) -> Value<'_> {
        let settings = &self.session.policy.settings;
        let hostname = settings.default_hostname.as_ref().unwrap_or(&self.session.client.host_name);
        match system {
            System::Hostname => text(hostname),
            System::Domain => text(settings.default_domain.as_ref().unwrap_or(hostname)),
            System::NodeHostname => text(&self.session.client.host_name),
            // Pods are all alike: they have neither numbers nor roles.
            System::NodeId => Value::Integer(0),
            System::NodeRole => Value::EMPTY,
        }
    }

    fn is_local_domain(&self, domain: &str) -> bool {
        normalise_domain(domain).is_ok_and(|domain| self.session.policy.domains.get(&domain).is_some())
    }

    fn lookup(&self, lookup: &Lookup) -> Option<Result<Value<'_>, LookupFailure>> {
        let answer = match self.known(lookup) {
            Some(value) => Ok(value),
            None => match self.inquiry.next()? {
                Answer::Value(Ok(value)) => Ok(value.borrowed()),
                Answer::Value(Err(failure)) => Err(failure.clone()),
                _ => Err(LookupFailure::OutOfStep),
            },
        };
        self.inquiry.notes().looked_up(lookup, answer.as_ref());
        Some(answer)
    }
}

fn text(value: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(value))
}

fn truth(value: bool) -> Value<'static> {
    Value::Integer(value.into())
}
