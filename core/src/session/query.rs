//! VRFY and EXPN (RFC 5321 sections 4.1.1.6 and 4.1.1.7).

use super::Session;
use super::change::Step;
use super::question::{Answer, DirectoryAnswer, Halt, Inquiry, Question};
use super::replies;
use crate::policy::directory::Entry;
use crate::smtp::address::Address;
use crate::smtp::reply::Reply;

/// What an address turned out to be.
enum Queried {
    Mailbox(Address),
    List(Vec<Address>),
    Nothing,
    Unavailable,
}

impl Session {
    pub(super) fn vrfy(&self, name: &str, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        self.query(self.parameters.vrfy, name, inquiry, |queried| match queried {
            Queried::Mailbox(address) => found([address]),
            Queried::List(_) | Queried::Nothing => replies::QUERY_NOT_FOUND,
            Queried::Unavailable => replies::QUERY_UNAVAILABLE,
        })
    }

    pub(super) fn expn(&self, name: &str, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        self.query(self.parameters.expn, name, inquiry, |queried| match queried {
            Queried::List(members) if !members.is_empty() => found(members),
            Queried::List(_) | Queried::Mailbox(_) | Queried::Nothing => replies::QUERY_NOT_FOUND,
            Queried::Unavailable => replies::QUERY_UNAVAILABLE,
        })
    }

    fn query(
        &self,
        enabled: bool,
        name: &str,
        inquiry: &Inquiry<'_>,
        answer: impl FnOnce(Queried) -> Reply,
    ) -> Result<Step, Halt> {
        if name.is_empty() {
            return Ok(Step::reply(replies::QUERY_EMPTY));
        }
        if !enabled {
            return Ok(Step::reply(replies::QUERY_DISABLED));
        }
        let name = name.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(name);
        let queried = match Address::parse(name) {
            Ok(address) => self.look_up(&address, inquiry)?,
            Err(_) => Queried::Nothing,
        };
        Ok(Step::reply(answer(queried)))
    }

    fn look_up(&self, address: &Address, inquiry: &Inquiry<'_>) -> Result<Queried, Halt> {
        let Some(domain) = self.policy.domains.get(address.key_domain()) else { return Ok(Queried::Nothing) };
        let mut elsewhere = false;
        for directory in self.policy.directories.of(domain) {
            match directory.inline() {
                Some(inline) => match inline.get(address.key()) {
                    Some(Entry::Account(_)) => return Ok(Queried::Mailbox(address.clone())),
                    Some(Entry::List(list)) => return Ok(Queried::List(list.members.clone())),
                    None => {}
                },
                None => elsewhere |= directory.knows_recipients(),
            }
        }
        if !elsewhere {
            return Ok(Queried::Nothing);
        }
        match inquiry.ask(|| Question::Directory(address.clone()))? {
            Answer::Directory(DirectoryAnswer::Mailbox(address)) => Ok(Queried::Mailbox(address.clone())),
            Answer::Directory(DirectoryAnswer::List(members)) => Ok(Queried::List(members.clone())),
            Answer::Directory(DirectoryAnswer::Unknown) => Ok(Queried::Nothing),
            Answer::Directory(DirectoryAnswer::Unavailable) => Ok(Queried::Unavailable),
            _ => Err(Halt::OUT_OF_PLACE),
        }
    }
}

/// One line for each address: nothing but the mailbox (RFC 5321 section 3.5.1), as clients that read these
/// lines as addresses expect it.
fn found(addresses: impl IntoIterator<Item = Address>) -> Reply {
    Reply::plain(250, "").with_lines(addresses.into_iter().map(|one| one.to_string()))
}
