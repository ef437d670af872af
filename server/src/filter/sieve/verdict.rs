//! From what a script wants to what the gate does.

use postern_core::envelope::{Envelope, Recipient};
use postern_core::message::edit::Edit;
use postern_core::session::consult::ScriptCall;
use postern_core::smtp::address::{Address, ReversePath};
use postern_core::smtp::parameters::{
    DeliverBy, DeliverByMode, DsnReturn, MailParameters, Notify, RcptParameters,
};
use postern_core::smtp::reply::{EnhancedCode, Reply};
use postern_core::verdict::{Generated, GeneratedMessage, Modification, Stage, Verdict};
use sieve::compiler::grammar::actions::action_redirect::{self as asked, ByMode, ByTime, NotifyItem};

use super::envelope::modifications;
use super::notice::notification;
use super::run::{End, Form, Notice, Outcome, Redirect};

/// What the gate does.
pub(super) fn verdict(outcome: Outcome, envelope: &Envelope, stage: Stage, call: &ScriptCall) -> Verdict {
    match outcome.end {
        End::Reject(text) => return refusal(&text),
        // Before MAIL there is nothing yet that could be discarded.
        End::Discard if stage < Stage::Mail => return Verdict::Pass(Vec::new()),
        End::Discard if stage < Stage::Data => return Verdict::Discard,
        End::Discard | End::Keep => {}
    }
    let mut all = modifications(envelope, stage, &outcome.envelope);
    let sender = return_path(call);
    let edits = outcome.edits.into_iter().map(Modification::Edit);
    // A redirected message is taken in the state that the changes before it in this list have left it in.
    let (last, first): (Vec<_>, Vec<_>) =
        outcome.redirects.into_iter().partition(|redirect| matches!(redirect.form, Form::Final));
    all.extend(first.into_iter().filter_map(|redirect| redirected(redirect, &sender)));
    all.extend(edits);
    all.extend(last.into_iter().filter_map(|redirect| redirected(redirect, &sender)));
    all.extend(outcome.notices.into_iter().flat_map(|notice| notices(notice, &sender)));
    let fields = outcome.fields.into_iter().map(|(name, value)| {
        Modification::Edit(Edit::AddField { name: name.into_bytes().into(), value: one_line(&value).into() })
    });
    all.extend(fields);
    let generates = all.iter().any(|one| matches!(one, Modification::Generate(_)));
    match (outcome.end, generates) {
        (End::Discard, false) => Verdict::Discard,
        (End::Discard, true) => {
            all.push(Modification::Drop);
            Verdict::Pass(all)
        }
        _ => Verdict::Pass(all),
    }
}

/// The reply of `reject`: the text itself when it begins with a code that refuses, else behind one of ours.
fn refusal(text: &str) -> Verdict {
    let begins_with_code = text.get(..4).is_some_and(|start| start.ends_with(' '));
    let own = Reply::from_text(text).filter(|_| begins_with_code);
    match own.filter(|reply| reply.is_transient() || reply.is_permanent()) {
        Some(reply) if reply.code() == 421 => Verdict::Disconnect(Some(reply)),
        Some(reply) if reply.is_transient() => Verdict::Defer(reply),
        Some(reply) => Verdict::Reject(reply),
        None => Verdict::Reject(REFUSED.with_text(folded(text))),
    }
}

/// What stands before a text without a code of its own.
const REFUSED: Reply = Reply::new(503, EnhancedCode(5, 5, 3), "Rejected");

/// A text on one line; each line end becomes one space.
fn folded(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn one_line(text: &str) -> Vec<u8> {
    text.bytes().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect()
}

fn return_path(call: &ScriptCall) -> ReversePath {
    let address = call.return_path.as_deref().and_then(|text| Address::parse(text).ok());
    address.map_or(ReversePath::Null, ReversePath::Mailbox)
}

/// A redirected message; none when its recipient is no address that mail can go to.
fn redirected(redirect: Redirect, sender: &ReversePath) -> Option<Modification> {
    let message = match redirect.form {
        Form::Shown | Form::Final => GeneratedMessage::InHand,
        Form::Between(octets) => GeneratedMessage::Edited(octets.into()),
    };
    let notify = match redirect.notify {
        asked::Notify::Default => None,
        asked::Notify::Never => Some(Notify::default()),
        asked::Notify::Items(items) => Some(Notify {
            success: items.contains(&NotifyItem::Success),
            failure: items.contains(&NotifyItem::Failure),
            delay: items.contains(&NotifyItem::Delay),
        }),
    };
    let parameters = MailParameters {
        ret: match redirect.ret {
            asked::Ret::Default => None,
            asked::Ret::Full => Some(DsnReturn::Full),
            asked::Ret::Hdrs => Some(DsnReturn::Headers),
        },
        by: deliver_by(&redirect.by),
        ..MailParameters::default()
    };
    generated(&redirect.recipient, RcptParameters { notify, orcpt: None }, sender, parameters, message)
}

fn deliver_by(by: &ByTime<i64>) -> Option<DeliverBy> {
    let (seconds, mode, trace) = match by {
        ByTime::None => return None,
        ByTime::Relative { rlimit, mode, trace } => (i64::try_from(*rlimit).ok()?, mode, *trace),
        ByTime::Absolute { alimit, mode, trace } => {
            (alimit.saturating_sub(jiff::Timestamp::now().as_second()), mode, *trace)
        }
    };
    let mode = match mode {
        ByMode::Return => DeliverByMode::Return,
        ByMode::Notify | ByMode::Default => DeliverByMode::Notify,
    };
    Some(DeliverBy { seconds, mode, trace })
}

fn notices(notice: Notice, sender: &ReversePath) -> Vec<Modification> {
    let Some(message) = notification(&notice.message) else { return Vec::new() };
    let to = |address: String| {
        let message = GeneratedMessage::Own(message.clone().into());
        let parameters = RcptParameters { notify: Some(Notify::default()), orcpt: None };
        generated(&address, parameters, sender, MailParameters::default(), message)
    };
    notice.recipients.into_iter().filter_map(to).collect()
}

fn generated(
    recipient: &str,
    of_recipient: RcptParameters,
    sender: &ReversePath,
    parameters: MailParameters,
    message: GeneratedMessage,
) -> Option<Modification> {
    let Ok(address) = Address::parse(recipient.trim()) else {
        tracing::warn!("a script sends mail to something that is no address, which is left out");
        return None;
    };
    let recipient = Recipient { address, parameters: of_recipient };
    Some(Modification::Generate(Box::new(Generated {
        sender: sender.clone(),
        parameters,
        recipient,
        message,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_code_that_it_names_or_one_of_ours() {
        let reply = |text| match refusal(text) {
            Verdict::Reject(reply) => format!("reject {reply}"),
            Verdict::Defer(reply) => format!("defer {reply}"),
            Verdict::Disconnect(Some(reply)) => format!("disconnect {reply}"),
            other => panic!("{other:?}"),
        };
        for (text, wanted) in [
            ("not today", "reject 503 5.5.3 not today"),
            ("550 5.7.1 no", "reject 550 5.7.1 no"),
            ("451 4.7.1 later", "defer 451 4.7.1 later"),
            ("421 4.7.0 bye", "disconnect 421 4.7.0 bye"),
            ("250 2.0.0 fine", "reject 503 5.5.3 250 2.0.0 fine"),
            ("5500 of them", "reject 503 5.5.3 5500 of them"),
            ("one\r\n250 two\r\nRSET\r\n", "reject 503 5.5.3 one 250 two RSET"),
            ("550 one\r\n250 two", "reject 550 one 250 two"),
        ] {
            assert_eq!(reply(text), wanted, "{text:?}");
        }
    }
}
