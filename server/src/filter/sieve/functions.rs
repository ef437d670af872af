//! The functions of expressions in scripts, as far as they ask for something beyond their arguments.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use postern_core::expr::{DnsKind, Value};
use postern_core::smtp::address::{Address, normalise_domain};
use postern_crds::sieve::{Function, HostFunction, function};
use sieve::Context;
use sieve::runtime::Variable;

use super::run::Run;
use super::{part, text};
use crate::dns::{DnsError, Resolver};

/// The functions as one call of a run sees them.
pub(super) struct Functions<'a, 'x> {
    pub(super) run: &'a Run,
    pub(super) context: &'a Context<'x>,
    pub(super) deadline: Instant,
}

impl Functions<'_, '_> {
    /// The value of a call. One that fails is empty text, and the script goes on.
    pub(super) fn call(
        &self,
        id: u32,
        arguments: &[Variable],
        fields: &mut Vec<(String, String)>,
    ) -> Variable {
        match function(id) {
            Some(Function::Pure(function)) => {
                let values = arguments.iter().map(value_of);
                function.call(values).map_or_else(|_| Variable::default(), variable_of)
            }
            Some(Function::Host(function)) => self.answer(function, arguments, fields),
            None => Variable::default(),
        }
    }

    fn answer(
        &self,
        function: HostFunction,
        arguments: &[Variable],
        fields: &mut Vec<(String, String)>,
    ) -> Variable {
        use HostFunction as Host;
        let [first, second] =
            [0, 1].map(|at| arguments.get(at).map_or_else(Cow::default, Variable::to_string));
        let context = self.context;
        match function {
            Host::IsLocalDomain => self.is_local_domain(&first).into(),
            Host::IsLocalAddress => self.is_local_address(&first),
            Host::KeyExists => self.key(&first, &second, |value| value.is_some().into()),
            Host::KeyGet => {
                self.key(&first, &second, |value| value.map_or_else(Variable::default, Variable::from))
            }
            Host::CounterGet if first.is_empty() => self
                .within_time(self.run.gate.store.count(&second))
                .map_or_else(Variable::default, Variable::from),
            Host::CounterGet => Variable::default(),
            Host::DnsQuery => self.query(&first, &second),
            Host::DnsExists => self.exists(&first, &second),
            Host::AddHeader => {
                fields.push((first.into_owned(), second.into_owned()));
                true.into()
            }
            Host::IsBody => part::is_body(context).into(),
            Host::IsAttachment => part::is_attachment(context).into(),
            Host::AttachmentName => part::attachment_name(context).into(),
            Host::MimePartLen => part::octets(context).into(),
            Host::IsEncodingProblem => part::is_encoding_problem(context).into(),
            Host::IsHeaderUtf8Valid => part::is_header_utf8_valid(context, &first).into(),
            Host::ReceivedPart => {
                let number = arguments.first().map_or(0, Variable::to_usize);
                part::received(context, number, &second).map_or_else(Variable::default, Variable::from)
            }
            Host::VarNames => {
                let mut names: Vec<&str> = context.global_variable_names().collect();
                names.sort_unstable();
                names.into_iter().map(Variable::from).collect::<Vec<_>>().into()
            }
            Host::IsAscii => first.is_ascii().into(),
            Host::ThreadName => text::thread_name(&first).into(),
            Host::HtmlToText => text::from_html(&first).into(),
            Host::LevenshteinDistance => {
                text::levenshtein_distance(&first, &second).map_or_else(Variable::default, Variable::from)
            }
            Host::CosineSimilarity => text::cosine_similarity(&first, &second).into(),
            Host::JaccardSimilarity => text::jaccard_similarity(&first, &second).into(),
            Host::DomainPart => text::domain_part(&first, &second).into(),
            Host::UriPart => text::uri_part(&first, &second).into(),
            Host::PunyDecode => text::puny_decode(&first).into(),
            Host::HasZwsp => text::has_zero_width_space(&first).into(),
            Host::HasObscured => text::has_obscured(&first).into(),
        }
    }

    fn is_local_domain(&self, domain: &str) -> bool {
        normalise_domain(domain).is_ok_and(|domain| self.run.policy.domains.get(&domain).is_some())
    }

    fn is_local_address(&self, address: &str) -> Variable {
        match Address::parse(address) {
            Ok(address) => {
                self.run.policy.knows_mailbox(&address).map_or_else(Variable::default, Variable::from)
            }
            Err(_) => false.into(),
        }
    }

    /// What follows from the value of a key; a store that does not exist is empty text.
    fn key(&self, store: &str, key: &str, answer: impl FnOnce(Option<&str>) -> Variable) -> Variable {
        match self.run.policy.lookups.get(store) {
            Some(namespace) if namespace.is_whole() => answer(namespace.get(key)),
            None if store.is_empty() => match self.within_time(self.run.gate.store.value(key)) {
                Some(value) => answer(value.as_deref()),
                None => Variable::default(),
            },
            Some(_) | None => Variable::default(),
        }
    }

    /// `dns_query`: lists, except for `txt`; a short word when there is no answer.
    fn query(&self, name: &str, kind: &str) -> Variable {
        let Some(kind) = DnsKind::from_name(kind) else { return Variable::default() };
        match self.wait(records(&self.run.gate.resolver, name, kind)) {
            Ok(records) if kind == DnsKind::Txt => records.concat().into(),
            Ok(records) => records.into_iter().map(Variable::from).collect::<Vec<_>>().into(),
            Err(error) => word_of(&error).into(),
        }
    }

    fn exists(&self, name: &str, kind: &str) -> Variable {
        let Some(kind) = DnsKind::from_name(kind) else { return (-1_i64).into() };
        match self.wait(records(&self.run.gate.resolver, name, kind)) {
            Ok(_) => 1_i64,
            Err(error) if error.is_nothing() => 0,
            Err(_) => -1,
        }
        .into()
    }

    fn wait<T>(&self, answer: impl Future<Output = Result<T, DnsError>>) -> Result<T, DnsError> {
        self.within_time(answer).unwrap_or(Err(DnsError::TimedOut))
    }

    /// Waits for an answer of the network, and no longer than the script may run.
    fn within_time<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let rest = self.deadline.checked_duration_since(Instant::now()).unwrap_or(Duration::ZERO);
        self.run.handle.block_on(async { tokio::time::timeout(rest, answer).await }).ok()
    }
}

async fn records(resolver: &Resolver, name: &str, kind: DnsKind) -> Result<Vec<String>, DnsError> {
    fn texts<T: ToString>(records: impl IntoIterator<Item = T>) -> Vec<String> {
        records.into_iter().map(|record| record.to_string()).collect()
    }
    Ok(match kind {
        DnsKind::Ipv4 => texts(resolver.ipv4(name).await?),
        DnsKind::Ipv6 => texts(resolver.ipv6(name).await?),
        DnsKind::Ip => match (resolver.ipv4(name).await, resolver.ipv6(name).await) {
            (Ok(v4), Ok(v6)) => texts(v4.into_iter().map(IpAddr::V4).chain(v6.into_iter().map(IpAddr::V6))),
            (Ok(v4), Err(error)) if error.is_nothing() => texts(v4),
            (Err(error), Ok(v6)) if error.is_nothing() => texts(v6),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
            (Err(v4), Err(v6)) => return Err(if v4.is_nothing() { v6 } else { v4 }),
        },
        DnsKind::Ptr => {
            let address = name.parse().map_err(|_| DnsError::NotAName)?;
            texts(resolver.names(address).await?)
        }
        DnsKind::Mx => {
            let exchangers = resolver.mx(name).await?.into_iter();
            texts(exchangers.map(|exchanger| format!("{} {}", exchanger.preference, exchanger.host)))
        }
        DnsKind::Txt => {
            let records = resolver.txt(name).await?;
            texts(records.iter().map(|record| String::from_utf8_lossy(record)))
        }
    })
}

/// What `dns_query` says instead of records.
fn word_of(error: &DnsError) -> &'static str {
    match error {
        DnsError::NoSuchName | DnsError::NoRecords => "not_found",
        DnsError::NotAName => "invalid_record",
        DnsError::TimedOut => "temp_fail",
        DnsError::Failed(_) => "io_error",
    }
}

fn value_of(variable: &Variable) -> Value<'_> {
    match variable {
        Variable::String(text) => Value::Text(Cow::Borrowed(text)),
        Variable::Integer(number) => Value::Integer(*number),
        Variable::Float(number) => Value::Float(*number),
        Variable::Array(elements) => elements.iter().map(value_of).collect::<Vec<_>>().into(),
    }
}

fn variable_of(value: Value<'_>) -> Variable {
    match value {
        Value::Integer(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::List(list) => list.into_elements().into_iter().map(variable_of).collect::<Vec<_>>().into(),
        text @ (Value::Text(_) | Value::Word(_)) => text.into_text().into(),
    }
}
