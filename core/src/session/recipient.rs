//! From a recipient as it was named to the recipients it stands for.

use std::sync::Arc;

use super::Session;
use super::facts::View;
use super::question::{Answer, DirectoryAnswer, Halt, Inquiry, Question};
use super::replies;
use crate::cause::Cause;
use crate::envelope::Recipient;
use crate::policy::directory::{Domain, Entry};
use crate::smtp::address::Address;
use crate::smtp::parameters::OriginalRecipient;

/// What a recipient stands for.
#[derive(Debug)]
pub(super) enum Resolution {
    /// These, and at least one.
    Recipients(Vec<Recipient>),
    /// Its domain is not ours, and it may not be relayed.
    RelayDenied,
    /// Its domain is ours, and nobody of that name is there.
    Unknown(Cause),
}

/// What is known of a mailbox name.
enum Found {
    Mailbox,
    List(Vec<Address>),
    Nobody,
}

impl Session {
    pub(super) fn resolve(
        &self,
        recipient: &Recipient,
        is_postmaster: bool,
        inquiry: &Inquiry<'_>,
    ) -> Result<Resolution, Halt> {
        let view = View::new(self, inquiry).with_recipient(&recipient.address);
        let Some(domain) = self.policy.domains.get(recipient.address.key_domain()) else {
            let may_pass = is_postmaster || view.guarded(&self.policy.rcpt.allow_relaying)?;
            return Ok(match may_pass {
                true => Resolution::Recipients(vec![recipient.clone()]),
                false => Resolution::RelayDenied,
            });
        };
        let address = match view.plain_local_part(domain, recipient.address.key_local())? {
            Some(local) => Address::from_parts(&local, recipient.address.domain())
                .map_err(|_| Halt::Unable(Some(cause(domain, "customRule"))))?,
            None => recipient.address.clone(),
        };
        let found = match self.find(domain, &address, inquiry)? {
            Found::Mailbox => vec![renamed(recipient, address)],
            Found::List(members) => members.into_iter().map(|member| renamed(recipient, member)).collect(),
            Found::Nobody => match &domain.catch_all {
                Some(catch_all) => {
                    vec![Recipient { address: catch_all.clone(), ..recipient.clone() }]
                }
                None if domain.allow_relaying || is_postmaster => vec![recipient.clone()],
                None => return Ok(Resolution::Unknown(cause(domain, DIRECTORY))),
            },
        };
        Ok(match found.is_empty() {
            true => Resolution::Unknown(cause(domain, DIRECTORY)),
            false => Resolution::Recipients(found),
        })
    }

    /// Looks an address up in every directory of its domain, the policy's own first.
    fn find(&self, domain: &Domain, address: &Address, inquiry: &Inquiry<'_>) -> Result<Found, Halt> {
        let mut elsewhere = false;
        for directory in self.policy.directories.of(domain) {
            match directory.inline() {
                Some(inline) => match inline.get(address.key()) {
                    Some(Entry::Account(_)) => return Ok(Found::Mailbox),
                    Some(Entry::List(list)) => return Ok(Found::List(list.members.clone())),
                    None => {}
                },
                None => elsewhere |= directory.knows_recipients(),
            }
        }
        if !elsewhere {
            return Ok(Found::Nobody);
        }
        match inquiry.ask(|| Question::Directory(address.clone()))? {
            Answer::Directory(DirectoryAnswer::Mailbox(_)) => Ok(Found::Mailbox),
            Answer::Directory(DirectoryAnswer::List(members)) => Ok(Found::List(members.clone())),
            Answer::Directory(DirectoryAnswer::Unknown) => Ok(Found::Nobody),
            Answer::Directory(DirectoryAnswer::Unavailable) => {
                Err(replies::DIRECTORY_UNAVAILABLE.or_because(Some(&cause(domain, DIRECTORY))).into())
            }
            _ => Err(Halt::OUT_OF_PLACE),
        }
    }
}

const DIRECTORY: &str = "directory";

/// The field of a domain that decides who is there.
pub(super) fn cause(domain: &Domain, field: &'static str) -> Cause {
    Cause::object("MtaDomain", Arc::clone(&domain.object)).with_field(field)
}

/// A recipient under another address; the original is remembered for notifications (RFC 3461 section 5.2.1).
fn renamed(recipient: &Recipient, address: Address) -> Recipient {
    let mut parameters = recipient.parameters.clone();
    if address.key() != recipient.address.key() && parameters.orcpt.is_none() {
        let original = recipient.address.as_str().to_owned();
        parameters.orcpt = Some(OriginalRecipient { kind: "rfc822".into(), address: original });
    }
    Recipient { address, parameters }
}
