//! From a test as it is written to a session and the world around it.

use std::path::Path;

use postern_core::expr::DnsKind;
use postern_core::message::edit::Edit;
use postern_core::session::check::{CheckResult, DmarcPolicy};
use postern_core::smtp::reply::Reply;
use postern_core::verdict::{Modification, Stage, Verdict};
use postern_crds::kinds::filter::StageName;
use postern_crds::kinds::policy_test::{
    DmarcPolicyName, DmarcSpec, DnsKindName, FilterWord, GivenFilterSpec, GivenSpec, PolicyTestSpec,
    ResultName, SessionSpec,
};
use postern_crds::{Fault, Object};

use crate::simulate::Outside;
use crate::simulate::message;
use crate::simulate::recording::Recording;
use crate::simulate::stubs::{FilterStub, LookupKey, LookupStub, Stubs, filter_kind_of};
use crate::simulate::visit::{STRANGER, STRANGERS_NAME, Visit};

/// The session of a test, and who answers in it.
///
/// # Errors
/// A file that it names cannot be used.
pub(super) fn prepare(test: &Object<PolicyTestSpec>, folder: &Path) -> Result<(Visit, Outside), Box<Fault>> {
    let fault = |field: &str, message: String| Box::new(test.fault(field, message));
    let visit = visit(&test.spec.session, folder)
        .map_err(|(field, message)| fault(&format!("session.{field}"), message))?;
    let given = &test.spec.given;
    let stubs = stubs(given);
    let outside = match &given.recording {
        None => Outside::Stubbed(stubs),
        Some(file) => match Recording::read(&folder.join(file)) {
            Ok(recording) => Outside::Recorded(recording, stubs),
            Err(error) => return Err(fault("given.recording", error.to_string())),
        },
    };
    Ok((visit, outside))
}

fn visit(session: &SessionSpec, folder: &Path) -> Result<Visit, (&'static str, String)> {
    let from = session.from.trim_start_matches('<').trim_end_matches('>').to_owned();
    let message = match (&session.message, &session.message_file) {
        (Some(text), _) => {
            message::parse("this message", text.as_bytes()).map_err(|error| ("message", error.to_string()))?
        }
        (None, Some(file)) => {
            message::read(&folder.join(file)).map_err(|error| ("messageFile", error.to_string()))?
        }
        (None, None) => message::plain(&from, &session.to),
    };
    Ok(Visit {
        listener: session.listener.clone(),
        ip: session.ip.as_deref().and_then(|ip| ip.parse().ok()).unwrap_or(STRANGER),
        ptr: session.ptr.clone(),
        ehlo: session.ehlo.clone().unwrap_or_else(|| STRANGERS_NAME.to_owned()),
        tls: session.tls,
        auth: session.auth.clone(),
        from,
        parameters: session.mail_parameters.clone(),
        to: session.to.clone(),
        message,
    })
}

fn stubs(given: &GivenSpec) -> Stubs {
    let dns = given.dns.iter().map(|dns| LookupStub {
        what: LookupKey::Dns { kind: dns_kind(dns.kind), name: dns.name.to_lowercase() },
        finds: dns.finds.clone(),
    });
    let keys = given.keys.iter().map(|key| LookupStub {
        what: LookupKey::Key { store: String::new(), key: key.key.clone() },
        finds: key.value.clone().map(|value| vec![value]),
    });
    Stubs {
        reverse_dns: given.iprev.map(result),
        spf_ehlo: given.spf_ehlo.map(result),
        spf: given.spf.map(result),
        dkim: given.dkim.map(result),
        arc: given.arc.map(result),
        dmarc: given.dmarc.map(|DmarcSpec { result: word, policy }| (result(word), dmarc_policy(policy))),
        filters: given.filters.iter().filter_map(filter).collect(),
        lookups: dns.chain(keys).collect(),
        throttled: given.throttled.clone(),
        greylisted: given.greylisted,
    }
}

/// What a filter is to say; its parts were checked when the test was read.
fn filter(given: &GivenFilterSpec) -> Option<FilterStub> {
    let (kind, name) = given.filter.split_once('/')?;
    let reply = given.reply.as_deref().and_then(Reply::from_text);
    let says = match given.says {
        FilterWord::Continue => Some(Verdict::Pass(changes(given))),
        FilterWord::Reject => Some(Verdict::Reject(reply?)),
        FilterWord::Defer => Some(Verdict::Defer(reply?)),
        FilterWord::Discard => Some(Verdict::Discard),
        FilterWord::Disconnect => Some(Verdict::Disconnect(reply)),
        FilterWord::Fail => None,
    };
    Some(FilterStub {
        kind: filter_kind_of(kind)?,
        name: name.to_owned(),
        stage: given.stage.map(stage),
        says,
    })
}

fn changes(given: &GivenFilterSpec) -> Vec<Modification> {
    let fields = given.add_fields.iter().map(|(name, value)| {
        Modification::Edit(Edit::AddField { name: name.as_bytes().into(), value: value.as_bytes().into() })
    });
    fields.chain(given.quarantine.clone().map(Modification::Quarantine)).collect()
}

fn stage(name: StageName) -> Stage {
    match name {
        StageName::Connect => Stage::Connect,
        StageName::Ehlo => Stage::Ehlo,
        StageName::Auth => Stage::Auth,
        StageName::Mail => Stage::Mail,
        StageName::Rcpt => Stage::Rcpt,
        StageName::Data => Stage::Data,
    }
}

fn result(name: ResultName) -> CheckResult {
    match name {
        ResultName::Pass => CheckResult::Pass,
        ResultName::Fail => CheckResult::Fail,
        ResultName::SoftFail => CheckResult::SoftFail,
        ResultName::Neutral => CheckResult::Neutral,
        ResultName::None => CheckResult::None,
        ResultName::TempError => CheckResult::TempError,
        ResultName::PermError => CheckResult::PermError,
    }
}

fn dmarc_policy(name: DmarcPolicyName) -> DmarcPolicy {
    match name {
        DmarcPolicyName::None => DmarcPolicy::None,
        DmarcPolicyName::Quarantine => DmarcPolicy::Quarantine,
        DmarcPolicyName::Reject => DmarcPolicy::Reject,
    }
}

fn dns_kind(name: DnsKindName) -> DnsKind {
    match name {
        DnsKindName::Ipv4 => DnsKind::Ipv4,
        DnsKindName::Ipv6 => DnsKind::Ipv6,
        DnsKindName::Ip => DnsKind::Ip,
        DnsKindName::Ptr => DnsKind::Ptr,
        DnsKindName::Mx => DnsKind::Mx,
        DnsKindName::Txt => DnsKind::Txt,
    }
}
