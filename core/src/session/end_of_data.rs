//! The end of data: the message is judged, gets its fields, and goes to its next hops.

use std::sync::Arc;

use jiff::Timestamp;

use super::Session;
use super::change::{Change, Step};
use super::check::{self, CheckResult, DmarcPolicy, MessageResults, Refusals};
use super::consult::FilterGroup;
use super::event::{Action, Copy, Delivery, Dispatch, DispatchContent, Received};
use super::facts::{Outbound, View};
use super::question::{Answer, Halt, Inquiry, MessageChecks, Question, Subject};
use super::replies;
use super::state::Transaction;
use crate::cause::Cause;
use crate::envelope::{Envelope, Recipient};
use crate::expr::{Setting, Verify};
use crate::message::checks::Checks;
use crate::message::edit::Edit;
use crate::message::fields::{self, Greeting};
use crate::message::header::Header;
use crate::policy::defaults::DOCUMENTED;
use crate::policy::stage::{BareLineEnds, StageData};
use crate::smtp::reply::Reply;
use crate::verdict::{Generated, GeneratedMessage, Modification, Ruling, Stage, Verdict};

impl Session {
    pub(super) fn received(
        &self,
        now: Timestamp,
        received: &Received,
        inquiry: &Inquiry<'_>,
    ) -> Result<Step, Halt> {
        let transaction = self.transaction().ok_or(replies::MAIL_FIRST)?;
        // Nothing is kept of a doomed message, so nothing can be wrong with it.
        if let Some(doom) = &transaction.doomed {
            return Ok(self.message_dropped().decided_by(doom.by.clone()));
        }
        self.check_size(received)?;
        let view = View::new(self, inquiry);
        let header = self.check_form(received, &view)?;
        let results = self.check_authentication(&view, inquiry)?;
        let mut prefix = self.fields_of_arrival(now, transaction, &results, &view)?;
        // Fields that claim to be ours are gone before anybody can believe them (RFC 8601 section 5).
        let edits = header.forged_results(&self.hostname);
        let mut envelope = transaction.envelope.clone();
        let results = Arc::new(results);
        let Ruling { verdict, by } = self.ask_filters_of_data(&prefix, &edits, &results, &view, inquiry)?;
        let changes = match verdict {
            Verdict::Pass(modifications) => Changes::of(envelope.apply(modifications), edits),
            Verdict::Reject(reply) | Verdict::Defer(reply) => return Ok(self.message_refused(reply)),
            Verdict::Discard => return Ok(self.message_dropped().decided_by(by)),
            Verdict::Disconnect(reply) => return Ok(Step::action(Action::Close(reply)).decided_by(by)),
        };
        if changes.is_dropped {
            envelope.recipients.clear();
        }
        if envelope.recipients.is_empty() && changes.generated.is_empty() {
            return Ok(self.message_dropped().decided_by(by));
        }
        self.add_fields_of_departure(now, transaction, &envelope, header, &view, &mut prefix)?;
        let whole = Outbound { size: received.size, dmarc_pass: results.dmarc_passes() };
        let copies = match self.policy.outbound.quarantine_route.as_ref().filter(|_| changes.is_quarantined) {
            Some(route) => self.copies_to(route, &envelope)?,
            None => self.copies(&envelope, whole, inquiry)?,
        };
        let dispatches = self.dispatches(changes.generated, whole, inquiry)?;
        let counting = dispatches.iter().filter(|dispatch| dispatch.counts()).map(|dispatch| &dispatch.copy);
        let recipients =
            copies.iter().chain(counting).map(|copy| copy.recipient.address.shared_key()).collect();
        let delivery = Delivery {
            id: transaction.id,
            envelope: Envelope { recipients: Vec::new(), ..envelope },
            copies,
            dispatches,
            prefix,
            edits: changes.edits,
            delivered_to: self.policy.data.add_delivered_to_header,
            hostname: Arc::clone(&self.hostname),
        };
        Ok(Step::new(Change::HandingOff(recipients), Action::HandOff(Box::new(delivery))))
    }

    fn check_size(&self, received: &Received) -> Result<(), Reply> {
        if received.too_large {
            return Err(replies::MESSAGE_TOO_LARGE);
        }
        if received.out_of_space {
            return Err(replies::OUT_OF_SPACE);
        }
        Ok(())
    }

    /// Whether this is a message at all, and not one that goes round in circles.
    fn check_form<'r>(&self, received: &'r Received, view: &View<'_>) -> Result<&'r Header, Halt> {
        if received.bare_line_ends && self.policy.data.bare_line_ends == BareLineEnds::Reject {
            return Err(replies::BARE_LINE_ENDS.into());
        }
        let header = received.header.as_ref().map_err(|_| replies::HEADER_TOO_LARGE)?;
        if !header.is_of_a_message() {
            return Err(replies::NOT_A_MESSAGE.into());
        }
        let most =
            view.tuned(&self.policy.data.max_received_headers, &DOCUMENTED.data.max_received_headers)?;
        if header.count(b"Received") as u64 > most {
            return Err(replies::LOOP.into());
        }
        Ok(header)
    }

    fn check_authentication(&self, view: &View<'_>, inquiry: &Inquiry<'_>) -> Result<MessageResults, Halt> {
        let settings = &self.policy.sender_auth;
        let dkim = view.guarded(&settings.dkim_verify)?;
        let arc = view.guarded(&settings.arc_verify)?;
        let dmarc = view.guarded(&settings.dmarc_verify)?;
        let wanted = MessageChecks {
            dkim: dkim != Verify::Disable,
            arc: arc != Verify::Disable,
            dmarc: dmarc != Verify::Disable,
        };
        if wanted == MessageChecks::default() {
            return Ok(MessageResults::default());
        }
        let Answer::Message(results) = inquiry.ask(|| Question::Message(wanted))? else {
            return Err(Halt::OUT_OF_PLACE);
        };
        results.judge_dkim(dkim)?;
        results.judge_arc(arc)?;
        results.judge_dmarc(dmarc)?;
        Ok((**results).clone())
    }

    /// Fields that tell where the message comes from: made before filters run, so that these can see them.
    fn fields_of_arrival(
        &self,
        now: Timestamp,
        transaction: &Transaction,
        results: &MessageResults,
        view: &View<'_>,
    ) -> Result<Vec<u8>, Halt> {
        let mut prefix = Vec::with_capacity(USUAL_FIELDS_OCTETS);
        if self.switch(view, |data| &data.add_received_header)? {
            let hello = self.hello.as_ref();
            fields::Received {
                ehlo: hello.map_or("", |hello| &hello.name),
                ptr: self.client_name(),
                client: self.client.remote.ip(),
                network: (self.client.network.number != 0).then(|| fields::Network {
                    number: self.client.network.number,
                    name: &self.client.network.name,
                    country: self.client.network.country.code(),
                }),
                tls: self.tls.as_ref().map(|tls| fields::Tls { version: &tls.version, cipher: &tls.cipher }),
                hostname: &self.hostname,
                protocol: fields::Protocol {
                    greeting: hello.map_or(Greeting::Helo, |hello| hello.greeting),
                    tls: self.tls.is_some(),
                    authenticated: self.login.is_some(),
                    utf8: transaction.envelope.parameters.smtputf8,
                },
                id: &transaction.id.to_string(),
                time: now,
            }
            .write_to(&mut prefix);
        }
        let checks = self.checks(transaction, results);
        if self.switch(view, |data| &data.add_auth_results_header)? {
            checks.write_authentication_results(&mut prefix);
        }
        if self.switch(view, |data| &data.add_received_spf_header)? {
            checks.write_received_spf(&mut prefix);
        }
        Ok(prefix)
    }

    /// Everything that was checked about the sender.
    fn checks<'a>(&'a self, transaction: &'a Transaction, message: &'a MessageResults) -> Checks<'a> {
        Checks {
            hostname: &self.hostname,
            client: self.client.remote.ip(),
            helo: self.hello.as_ref().map_or("", |hello| &hello.name),
            reverse_dns: self.reverse_dns.as_ref(),
            spf_of_helo: self.hello.as_ref().and_then(|hello| hello.spf.as_ref()),
            spf_of_sender: transaction.spf.as_ref(),
            message,
        }
    }

    /// The name that reverse DNS has confirmed.
    fn client_name(&self) -> Option<&str> {
        self.reverse_dns
            .as_ref()
            .filter(|check| check.result == CheckResult::Pass)
            .and_then(|check| check.detail.as_deref())
    }

    fn ask_filters_of_data(
        &self,
        prefix: &[u8],
        edits: &[Edit],
        results: &Arc<MessageResults>,
        view: &View<'_>,
        inquiry: &Inquiry<'_>,
    ) -> Result<Ruling, Halt> {
        let script = view.guarded(&self.policy.data.script)?;
        let subject = || Subject::Message {
            fields: Arc::from(prefix),
            edits: Arc::from(edits),
            results: Arc::clone(results),
        };
        self.consult(view, inquiry, Stage::Data, FilterGroup::Every, script, subject)
    }

    /// Fields that depend on what filters have left of the envelope.
    fn add_fields_of_departure(
        &self,
        now: Timestamp,
        transaction: &Transaction,
        envelope: &Envelope,
        header: &Header,
        view: &View<'_>,
        prefix: &mut Vec<u8>,
    ) -> Result<(), Halt> {
        if self.switch(view, |data| &data.add_return_path_header)? {
            fields::write_return_path(&envelope.sender, prefix);
        }
        if !header.contains(b"Date") && self.switch(view, |data| &data.add_date_header)? {
            fields::write_date(now, prefix);
        }
        if !header.contains(b"Message-ID") && self.switch(view, |data| &data.add_message_id_header)? {
            fields::write_message_id(&transaction.id.to_string(), &self.hostname, prefix);
        }
        Ok(())
    }

    fn switch(&self, view: &View<'_>, field: impl Fn(&StageData) -> &Setting<bool>) -> Result<bool, Halt> {
        view.tuned(field(&self.policy.data), field(&DOCUMENTED.data))
    }

    fn copies(&self, envelope: &Envelope, whole: Outbound, inquiry: &Inquiry<'_>) -> Result<Vec<Copy>, Halt> {
        envelope
            .recipients
            .iter()
            .map(|recipient| {
                let route = self.route_of(&recipient.address, Some(whole), inquiry)?;
                Ok(Copy { recipient: recipient.clone(), route })
            })
            .collect()
    }

    fn dispatches(
        &self,
        generated: Vec<(Generated, usize)>,
        whole: Outbound,
        inquiry: &Inquiry<'_>,
    ) -> Result<Vec<Dispatch>, Halt> {
        let dispatch = |(generated, edits): (Generated, usize)| {
            let route = self.route_of(&generated.recipient.address, Some(whole), inquiry)?;
            Ok(Dispatch {
                sender: generated.sender,
                parameters: generated.parameters,
                copy: Copy { recipient: generated.recipient, route },
                content: match generated.message {
                    GeneratedMessage::InHand => DispatchContent::InHand(edits),
                    GeneratedMessage::Edited(octets) => DispatchContent::Edited(octets),
                    GeneratedMessage::Own(octets) => DispatchContent::Own(octets),
                },
            })
        };
        generated.into_iter().map(dispatch).collect()
    }

    /// Every recipient by one route, whatever theirs are.
    fn copies_to(&self, route: &str, envelope: &Envelope) -> Result<Vec<Copy>, Halt> {
        let unable = || Halt::Unable(Some(Cause::field_of("MtaOutboundStrategy", "quarantineRoute")));
        let route = self.policy.routes.get(route).ok_or_else(unable)?;
        let copy = |recipient: &Recipient| Copy { recipient: recipient.clone(), route: Arc::clone(route) };
        Ok(envelope.recipients.iter().map(copy).collect())
    }
}

/// Room for our fields above a message; few need more.
const USUAL_FIELDS_OCTETS: usize = 512;

/// What filters ask for beyond the envelope.
#[derive(Debug, Default)]
struct Changes {
    edits: Vec<Edit>,
    /// Each with the number of edits before it.
    generated: Vec<(Generated, usize)>,
    is_quarantined: bool,
    is_dropped: bool,
}

impl Changes {
    /// `edits` were made before any filter was asked.
    fn of(modifications: Vec<Modification>, mut edits: Vec<Edit>) -> Self {
        if !edits.is_empty() {
            edits.push(Edit::NextFilter);
        }
        let mut changes = Self { edits, ..Self::default() };
        for modification in modifications {
            match modification {
                Modification::Edit(edit) => changes.edits.push(edit),
                Modification::Quarantine(reason) => {
                    changes.is_quarantined = true;
                    changes.edits.push(Edit::quarantine(&reason));
                }
                Modification::Generate(generated) => {
                    changes.generated.push((*generated, changes.edits.len()));
                }
                Modification::Drop => changes.is_dropped = true,
                // The envelope has taken them already.
                Modification::SetSender(..)
                | Modification::AddRecipient(..)
                | Modification::RemoveRecipient(_)
                | Modification::SetRecipient(_)
                | Modification::SetRecipientParameters(_) => {}
            }
        }
        changes
    }
}

impl MessageResults {
    fn dmarc_passes(&self) -> bool {
        self.dmarc.as_ref().is_some_and(|dmarc| dmarc.result == CheckResult::Pass)
    }

    /// At least one signature has to pass; a message without signatures does not.
    fn judge_dkim(&self, level: Verify) -> Result<(), Reply> {
        let Some(signatures) = &self.dkim else { return Ok(()) };
        let any = |result| signatures.iter().any(|signature| signature.result == result);
        let result = match () {
            () if any(CheckResult::Pass) => CheckResult::Pass,
            () if any(CheckResult::TempError) => CheckResult::TempError,
            () => CheckResult::Fail,
        };
        let refusals = Refusals { permanent: replies::DKIM_FAILED, temporary: replies::DKIM_TEMPORARY };
        check::judge(level, result, &refusals)
    }

    /// A message without a chain is no worse than one with a good chain.
    fn judge_arc(&self, level: Verify) -> Result<(), Reply> {
        let Some(result) = self.arc.filter(|result| *result != CheckResult::None) else { return Ok(()) };
        let refusals = Refusals { permanent: replies::ARC_FAILED, temporary: replies::ARC_TEMPORARY };
        check::judge(level, result, &refusals)
    }

    /// Only the policy `reject` refuses, and a temporary error when the policy could not be had.
    fn judge_dmarc(&self, level: Verify) -> Result<(), Reply> {
        let Some(dmarc) = &self.dmarc else { return Ok(()) };
        let concerned = dmarc.policy == DmarcPolicy::Reject || dmarc.result == CheckResult::TempError;
        if !concerned || dmarc.result == CheckResult::None {
            return Ok(());
        }
        let refusals = Refusals { permanent: replies::DMARC_FAILED, temporary: replies::DMARC_TEMPORARY };
        check::judge(level, dmarc.result, &refusals)
    }
}
