//! The members of a mailing list: addresses in its entry, and entries that it names.

use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use postern_core::ldap::{Entry, Filter, Outcome, Scope, Subject};
use postern_core::policy::directory::LdapLists;
use postern_core::smtp::address::Address;

use super::LdapDirectory;
use crate::directory::DirectoryError;

impl LdapDirectory {
    /// The addresses of all members. A member without one, or whose entry is gone, gets no mail.
    pub(super) async fn members(
        &self,
        list: &Entry,
        lists: &LdapLists,
    ) -> Result<Vec<Address>, DirectoryError> {
        let mut members: Vec<Address> = Vec::new();
        let mut add = |member: Address| {
            if members.iter().all(|known| known.key() != member.key()) {
                members.push(member);
            }
        };
        let named: Vec<&[u8]> =
            lists.member_dn_attributes.iter().flat_map(|attribute| list.values(attribute)).collect();
        let written = lists.member_attributes.iter().flat_map(|attribute| list.values(attribute));
        let written: Vec<Address> = written.filter_map(super::address).collect();
        if named.len() + written.len() > MOST_MEMBERS {
            return Err(DirectoryError::ListTooLong(MOST_MEMBERS));
        }
        written.into_iter().for_each(&mut add);
        let named = named.into_iter().filter_map(|dn| std::str::from_utf8(dn).ok());
        // Boxed and collected: the compiler cannot see that a stream of borrowing closures may change threads.
        let reads: Vec<_> = named.map(|dn| self.address_at(dn).boxed()).collect();
        let read = stream::iter(reads).buffered(AT_A_TIME);
        // One limit for all of them: a client waits for the reply to its RCPT.
        let limit = self.settings.timeout;
        let read = tokio::time::timeout(limit, read.try_collect::<Vec<Option<Address>>>()).await;
        read.unwrap_or(Err(DirectoryError::Timeout(limit)))?.into_iter().flatten().for_each(add);
        Ok(members)
    }

    /// The first address of the entry with that name.
    async fn address_at(&self, dn: &str) -> Result<Option<Address>, DirectoryError> {
        let attributes: Vec<&str> = self.settings.mail_attributes.iter().map(|name| &**name).collect();
        let filter = Filter::any_entry().encode(Subject::of(""));
        match self.search_below(dn, Scope::Base, &filter, &attributes).await {
            Ok(entries) => {
                let account =
                    entries.first().and_then(|entry| super::account(entry, &self.settings.mail_attributes));
                Ok(account.map(|account| account.address))
            }
            Err(DirectoryError::Refused { code: Outcome::NO_SUCH_OBJECT, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// As many as one RCPT may reasonably become.
const MOST_MEMBERS: usize = 1000;
/// Entries that are read side by side.
const AT_A_TIME: usize = 4;
