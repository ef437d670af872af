//! Questions and answers in words, for reports and as keys of recordings.

use postern_core::expr::{DnsKind, Lookup};
use postern_core::session::Session;
use postern_core::session::check::{Check, MessageResults};
use postern_core::session::question::{Answer, Authentication, DirectoryAnswer, MessageChecks, Question};
use postern_core::smtp::address::ReversePath;

/// A question in words.
pub(super) fn described(session: &Session, question: &Question) -> String {
    match question {
        Question::Throttle { index, .. } => match session.policy().throttles.get(*index) {
            Some(throttle) => format!("MtaInboundThrottle/{}", throttle.name),
            None => "a throttle".to_owned(),
        },
        Question::ReverseDns => "reverse DNS".to_owned(),
        Question::SpfEhlo { helo } => format!("SPF of {helo}"),
        Question::SpfMail { sender: ReversePath::Null, helo } => format!("SPF of <>, that is of {helo}"),
        Question::SpfMail { sender, .. } => format!("SPF of {sender}"),
        Question::Message(MessageChecks { dkim, arc, dmarc }) => {
            let wanted = [(dkim, "DKIM"), (arc, "ARC"), (dmarc, "DMARC")];
            wanted.iter().filter(|(is, _)| **is).map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
        }
        Question::Authenticate(_) => "the credentials".to_owned(),
        Question::MayLogIn(_) | Question::LoginFailed(_) => "MtaStageAuth failureRate".to_owned(),
        Question::Directory(address) => format!("the directory about {address}"),
        Question::Greylist { .. } => "MtaGreylist/default".to_owned(),
        Question::Reserve(octets) => format!("room for {octets} octets"),
        Question::Verify(verify) => {
            let names =
                verify.recipients.iter().map(|(to, route)| format!("{} by {}", to.address, route.name));
            format!("the next hop about {}", names.collect::<Vec<_>>().join(", "))
        }
        Question::Lookup(lookup) => lookup_words(lookup),
        Question::Consult(_) => "the filters".to_owned(),
    }
}

/// A lookup as an expression would write it.
pub(super) fn lookup_words(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Dns { name, kind } => format!("dns_query('{name}', '{}')", dns_kind(*kind)),
        Lookup::KeyExists { store, key } => format!("key_exists('{store}', '{key}')"),
        Lookup::KeyGet { store, key } => format!("key_get('{store}', '{key}')"),
        Lookup::KeySet { store, key, value } => format!("key_set('{store}', '{key}', '{value}')"),
        Lookup::CounterGet { store, key } => format!("counter_get('{store}', '{key}')"),
        Lookup::CounterIncrease { store, key, by } => format!("counter_incr('{store}', '{key}', {by})"),
        Lookup::IsLocalAddress { address } => format!("is_local_address('{address}')"),
    }
}

pub(super) fn dns_kind(kind: DnsKind) -> &'static str {
    match kind {
        DnsKind::Ipv4 => "ipv4",
        DnsKind::Ipv6 => "ipv6",
        DnsKind::Ip => "ip",
        DnsKind::Ptr => "ptr",
        DnsKind::Mx => "mx",
        DnsKind::Txt => "txt",
    }
}

/// An answer in words.
pub(super) fn shown(answer: &Answer) -> String {
    let check = |Check { result, detail }: &Check| match detail {
        Some(detail) => format!("{} ({detail})", result.name()),
        None => result.name().to_owned(),
    };
    match answer {
        Answer::Admitted(true) => "admitted".to_owned(),
        Answer::Admitted(false) => "refused".to_owned(),
        Answer::Check(found) => check(found),
        Answer::Message(results) => results_shown(results),
        Answer::Authentication(Authentication::Account(account)) => {
            format!("they are those of {}", account.address)
        }
        Answer::Authentication(_) => "they are wrong".to_owned(),
        Answer::Directory(DirectoryAnswer::Mailbox(_)) => "a mailbox".to_owned(),
        Answer::Directory(DirectoryAnswer::List(members)) => format!("a list of {}", members.len()),
        Answer::Directory(DirectoryAnswer::Unknown) => "nobody".to_owned(),
        Answer::Directory(DirectoryAnswer::Unavailable) => "unavailable".to_owned(),
        Answer::Verified(None) => "would take it".to_owned(),
        Answer::Verified(Some(reply)) => reply.to_string(),
        Answer::Value(_) | Answer::Ruling(_) => String::new(),
    }
}

fn results_shown(results: &MessageResults) -> String {
    let mut words = Vec::new();
    if let Some(signatures) = &results.dkim {
        let each: Vec<_> = signatures.iter().map(|signature| signature.result.name()).collect();
        words.push(format!("dkim={}", if each.is_empty() { "none".to_owned() } else { each.join(",") }));
    }
    words.extend(results.arc.map(|result| format!("arc={}", result.name())));
    words.extend(
        results
            .dmarc
            .as_ref()
            .map(|dmarc| format!("dmarc={} p={}", dmarc.result.name(), dmarc.policy.name())),
    );
    words.join(" ")
}
