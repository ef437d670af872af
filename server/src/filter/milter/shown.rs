//! What a milter is shown of a session.

use std::net::SocketAddr;

use postern_core::envelope::Envelope;
use postern_core::milter::facts::{Facts, InHand, Login, Ptr, Transaction};
use postern_core::milter::macros::Addressee;
use postern_core::session::check::CheckResult;
use postern_core::session::question::Subject;
use postern_core::verdict::Stage;
use postern_trace::{Traceparent, traceparent};

use crate::filter::Case;

/// The session with the command in hand.
pub(super) fn facts<'a>(case: &'a Case<'_>) -> Facts<'a> {
    let (session, client) = (case.session, case.session.client());
    let login = case.account().zip(case.mechanism());
    Facts {
        hostname: session.hostname(),
        daemon_name: &client.listener.name,
        daemon: SocketAddr::new(client.local_ip, client.local_port),
        client: client.remote,
        ptr: case.reverse_dns().and_then(|check| {
            let name = check.detail.as_deref()?;
            Some(Ptr { name, is_confirmed: check.result == CheckResult::Pass })
        }),
        helo: case.helo(),
        tls: session.tls(),
        login: login.map(|(account, mechanism)| Login { account, mechanism: mechanism.name() }),
        traceparent: Some(traceparent(session.id().0))
            .filter(Traceparent::is_recorded)
            .map(|parent| parent.to_string()),
        transaction: transaction(case),
    }
}

fn transaction<'a>(case: &'a Case<'_>) -> Option<Transaction<'a>> {
    let Envelope { sender, parameters, recipients } = case.envelope;
    let mut transaction = Transaction {
        id: case.session.transaction_id(),
        sender,
        parameters,
        raw_parameters: None,
        recipients,
        in_hand: None,
        fields: Vec::new(),
    };
    match (case.stage, case.subject) {
        (Stage::Connect | Stage::Ehlo | Stage::Auth, _) => return None,
        (Stage::Mail, Subject::Sender { parameters, .. }) => transaction.raw_parameters = Some(parameters),
        (Stage::Rcpt, Subject::Recipient { parameters, members, .. }) => {
            // It stands last in the envelope.
            let (last, others) = recipients.split_last()?;
            transaction.recipients = others;
            let addressee = Addressee::Accepted(&last.address);
            transaction.in_hand = Some(InHand { addressee, parameters, members });
        }
        (Stage::Data, _) => {
            let message = case.message.as_ref();
            transaction.fields.extend(message.into_iter().flat_map(|message| message.draft().fields()));
        }
        (Stage::Mail | Stage::Rcpt, _) => {}
    }
    Some(transaction)
}
