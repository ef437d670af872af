//! One transaction as operators see it: from MAIL, accepted or not, to its end, whatever that was.

use std::fmt;

use postern_core::cause::Cause;
use postern_core::session::Session;
use postern_core::session::id::TraceId;
use postern_core::smtp::address::{ForwardPath, ReversePath};
use postern_core::smtp::reply::{EnhancedCode, Reply};
use postern_core::verdict::Stage;
use postern_trace::{Began, Span};

use super::journal::{List, MOST_ASKED, describe_client, some, some_list};
use crate::filter::Asked;
use crate::handoff::Handed;
pub(super) use crate::metrics::Verdict;

/// What is known of a transaction.
pub(super) struct Record {
    pub(super) id: TraceId,
    pub(super) span: Span,
    began: Began,
    /// Whether anybody will read more than the verdict.
    is_wanted: bool,
    sender: Option<String>,
    /// Those that are shown.
    recipients: Vec<Recipient>,
    recipients_accepted: u64,
    recipients_refused: u64,
    /// The recipient that was named last, until it is answered.
    in_hand: Option<String>,
    /// The last refusal of MAIL or of a recipient.
    refusal: Option<Reply>,
    /// The answer to the data.
    last: Option<Reply>,
    /// Size of the message, once it was read to its end.
    pub(super) octets: Option<u64>,
    filters: Vec<Asked>,
    /// What next hops have said, if they were asked.
    pub(super) handed: Option<Vec<Handed>>,
}

/// A recipient, and the code of its answer.
struct Recipient {
    address: String,
    code: u16,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With an answer, RSET or QUIT.
    Orderly,
    /// With the connection.
    Lost,
}

impl Record {
    pub(super) fn begin(id: TraceId, began: Began, span: Span) -> Self {
        Self {
            id,
            is_wanted: span.is_recorded() || tracing::enabled!(tracing::Level::INFO),
            span,
            began,
            sender: None,
            recipients: Vec::new(),
            recipients_accepted: 0,
            recipients_refused: 0,
            in_hand: None,
            refusal: None,
            last: None,
            octets: None,
            filters: Vec::new(),
            handed: None,
        }
    }

    /// MAIL names its sender.
    pub(super) fn mail(&mut self, sender: &ReversePath) {
        self.sender = self.is_wanted.then(|| sender.to_string());
    }

    /// RCPT names a recipient.
    pub(super) fn rcpt(&mut self, recipient: &ForwardPath) {
        let is_shown = self.is_wanted && self.recipients.len() < MOST_RECIPIENTS;
        self.in_hand = is_shown.then(|| recipient.to_string());
    }

    /// Filters were asked.
    pub(super) fn asked(&mut self, asked: Vec<Asked>) {
        if self.is_wanted {
            self.filters.extend(asked.into_iter().take(MOST_ASKED.saturating_sub(self.filters.len())));
        }
    }

    /// A command of the transaction was answered.
    pub(super) fn replied(&mut self, stage: Stage, reply: &Reply) {
        match stage {
            Stage::Rcpt => {
                let code = reply.code();
                self.recipients.extend(self.in_hand.take().map(|address| Recipient { address, code }));
                match reply.is_positive() {
                    true => self.recipients_accepted += 1,
                    false => self.recipients_refused += 1,
                }
            }
            // The last one counts; of the replies of LMTP the worst.
            Stage::Data if self.octets.is_some() || !reply.is_positive() => {
                if self.last.as_ref().is_none_or(|last| last.code() <= reply.code()) {
                    self.last = Some(reply.clone());
                }
                return;
            }
            _ => {}
        }
        if !reply.is_positive() {
            self.refusal = Some(reply.clone());
        }
    }

    /// The reply that says most about the end.
    fn decisive(&self) -> Option<&Reply> {
        self.last.as_ref().or(self.refusal.as_ref())
    }

    pub(super) fn verdict(&self, ending: Ending) -> Verdict {
        match (&self.last, &self.refusal) {
            (Some(last), _) if last.is_positive() => match &self.handed {
                Some(_) => Verdict::Accepted,
                None => Verdict::Discarded,
            },
            (Some(refusal), _) => refused(refusal),
            (None, _) if ending == Ending::Lost => Verdict::Lost,
            (None, Some(refusal)) if self.recipients_accepted == 0 => refused(refusal),
            (None, _) => Verdict::Abandoned,
        }
    }

    /// Tells of it.
    pub(super) fn end(mut self, verdict: Verdict, connection: TraceId, session: &Session) {
        self.end_span(verdict, session);
        if !self.is_wanted {
            return;
        }
        let client = session.client();
        let reply = self.decisive();
        tracing::info!(
            id = %self.id,
            %connection,
            client = %client.remote,
            listener = %client.listener.name,
            tls = session.tls().map(|tls| &*tls.version),
            ehlo = some(session.helo()),
            account = session.account(),
            policy = %session.policy().revision,
            sender = self.sender.as_deref(),
            recipients = some_list(&self.recipients),
            recipients_accepted = self.recipients_accepted,
            recipients_refused = self.recipients_refused,
            octets = self.octets,
            verdict = verdict.name(),
            code = reply.map(Reply::code),
            reply = reply.map(tracing::field::display),
            object = reply.and_then(Reply::because).map(|cause| tracing::field::display(Object(cause))),
            rule = reply.and_then(Reply::because).and_then(Cause::field),
            filters = some_list(&self.filters),
            next_hops = self.handed.as_deref().and_then(some_list),
            seconds = self.began.elapsed().as_secs_f64(),
            "transaction"
        );
    }

    fn end_span(&mut self, verdict: Verdict, session: &Session) {
        let mut span = std::mem::take(&mut self.span);
        if !span.is_recorded() {
            return;
        }
        describe_client(&mut span, session);
        span.text("postern.queue_id", self.id);
        span.text_if("postern.sender", self.sender.as_deref());
        if !self.recipients.is_empty() {
            span.text("postern.recipients", List(&self.recipients));
        }
        span.number("postern.recipients.accepted", self.recipients_accepted);
        span.number("postern.recipients.refused", self.recipients_refused);
        if let Some(octets) = self.octets {
            span.number("postern.message.octets", octets);
        }
        span.text("postern.verdict", verdict.name());
        if let Some(reply) = self.decisive() {
            describe_reply(&mut span, reply);
        }
        if verdict == Verdict::Lost {
            span.fail("the connection was lost");
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            250..=259 => f.write_str(&self.address),
            code => write!(f, "{} ({code})", self.address),
        }
    }
}

/// The kind and name of what has decided.
pub(super) struct Object<'a>(pub(super) &'a Cause);

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.kind(), self.0.name())
    }
}

fn refused(reply: &Reply) -> Verdict {
    if reply.is_permanent() { Verdict::Rejected } else { Verdict::Deferred }
}

/// What a client was told.
pub(super) fn describe_reply(span: &mut Span, reply: &Reply) {
    if !span.is_recorded() {
        return;
    }
    span.number("postern.reply.code", reply.code().into());
    span.text("postern.reply.text", reply);
    if let Some(cause) = reply.because() {
        span.text("postern.object", Object(cause));
        span.text_if("postern.rule", cause.field());
    }
    if is_our_failure(reply) {
        span.fail(reply);
    }
}

/// A refusal is an answer like any other; one about the state of this system or of the next hop says that something
/// has failed (RFC 3463 sections 3.4 and 3.5).
fn is_our_failure(reply: &Reply) -> bool {
    matches!(reply.enhanced(), Some(EnhancedCode(4, 3 | 4, _)))
}

/// Recipients that are shown; all are counted.
const MOST_RECIPIENTS: usize = 10;
