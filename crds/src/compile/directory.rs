//! `MtaDirectory`.

use std::collections::HashMap;
use std::sync::Arc;

use postern_core::policy::Directories;
use postern_core::policy::directory::{Account, Directory, DirectorySource, Inline, MailingList, Oidc};
use postern_core::smtp::address::Address;

use super::context::{Compiler, Context};
use crate::kinds::directory::{AccountSpec, DirectorySpec, DirectoryType, MailingListSpec};
use crate::node::Trail;
use crate::value::SetOf;

const SPEC: &Trail<'static> = &Trail::SPEC;

impl Compiler<'_> {
    pub(super) fn directories(&mut self) -> Directories {
        let mut directories = Vec::new();
        let mut owners = HashMap::new();
        let mut introspecting = Vec::new();
        for object in &self.set.directories {
            let mut context = self.at(object);
            if !context.is_trusted(&SPEC.key("type")) {
                continue;
            }
            context.refuse_foreign_fields(&object.spec);
            let source = match object.spec.kind {
                DirectoryType::Inline => {
                    Some(DirectorySource::Inline(context.inline(&object.spec, &object.name, &mut owners)))
                }
                DirectoryType::Ldap => {
                    context.ldap(&object.spec).map(|ldap| DirectorySource::Ldap(Arc::new(ldap)))
                }
                DirectoryType::Oidc => {
                    context.oidc(&object.spec).map(|oidc| DirectorySource::Oidc(Arc::new(oidc)))
                }
            };
            if let Some(DirectorySource::Oidc(oidc)) = &source
                && oidc.introspection.is_some()
            {
                context.share_opaque_tokens(&object.name, oidc, &mut introspecting);
            }
            directories.extend(source.map(|source| Directory { name: Arc::clone(&object.name), source }));
        }
        directories.sort_by(|a, b| a.name.cmp(&b.name));
        Directories::new(directories)
    }
}

/// Objects whose providers are asked about opaque tokens, and their issuers.
type Introspecting = Vec<(Arc<str>, Arc<str>)>;

/// Addresses that inline entries have, and the object in which.
type Owners = HashMap<Box<str>, Arc<str>>;

impl Context<'_> {
    fn refuse_foreign_fields(&mut self, spec: &DirectorySpec) {
        use DirectoryType::{Inline, Ldap, Oidc};
        let fields = [
            ("accounts", spec.accounts.is_some(), Inline),
            ("lists", spec.lists.is_some(), Inline),
            ("url", spec.url.is_some(), Ldap),
            ("startTls", spec.start_tls.is_some(), Ldap),
            ("bindDn", spec.bind_dn.is_some(), Ldap),
            ("bindPassword", spec.bind_password.is_some(), Ldap),
            ("baseDn", spec.base_dn.is_some(), Ldap),
            ("userFilter", spec.user_filter.is_some(), Ldap),
            ("loginFilter", spec.login_filter.is_some(), Ldap),
            ("mailAttributes", spec.mail_attributes.is_some(), Ldap),
            ("listFilter", spec.list_filter.is_some(), Ldap),
            ("memberAttributes", spec.member_attributes.is_some(), Ldap),
            ("memberDnAttributes", spec.member_dn_attributes.is_some(), Ldap),
            ("authentication", spec.authentication.is_some(), Ldap),
            ("pool", spec.pool.is_some(), Ldap),
            ("cacheTtl", spec.cache_ttl.is_some(), Ldap),
            ("negativeCacheTtl", spec.negative_cache_ttl.is_some(), Ldap),
            ("cacheEntries", spec.cache_entries.is_some(), Ldap),
            ("issuer", spec.issuer.is_some(), Oidc),
            ("audience", spec.audience.is_some(), Oidc),
            ("usernameClaim", spec.username_claim.is_some(), Oidc),
            ("requiredClaims", spec.required_claims.is_some(), Oidc),
            ("requiredScopes", spec.required_scopes.is_some(), Oidc),
            ("introspection", spec.introspection.is_some(), Oidc),
        ];
        for (field, is_set, owner) in fields {
            if is_set && owner != spec.kind {
                self.fault(&SPEC.key(field), format!("goes with `type: {owner:?}` only"));
            }
        }
        for (field, is_set) in [("tls", spec.tls.is_some()), ("timeout", spec.timeout.is_some())] {
            if spec.kind == Inline && is_set {
                self.fault(&SPEC.key(field), "`type: Inline` connects to nothing");
            }
        }
    }

    /// An opaque token does not say who made it, so every provider that can be asked gets those of the others.
    fn share_opaque_tokens(&mut self, object: &Arc<str>, oidc: &Oidc, known: &mut Introspecting) {
        if let Some((other, _)) = known.iter().find(|(_, issuer)| *issuer != oidc.issuer) {
            let message = format!(
                "this provider and that of `{other}` are shown each other's tokens: an opaque token does not say whose it is"
            );
            self.warn(&SPEC.key("introspection"), message);
        }
        known.push((Arc::clone(object), Arc::clone(&oidc.issuer)));
    }

    /// The value of a field that the type needs.
    pub(super) fn needed<'s>(
        &mut self,
        field: &'static str,
        value: Option<&'s str>,
        spec: &DirectorySpec,
    ) -> Option<&'s str> {
        if value.is_none_or(str::is_empty) {
            self.fault(&SPEC.key(field), format!("`type: {:?}` needs it", spec.kind));
            return None;
        }
        value
    }

    fn inline(&mut self, spec: &DirectorySpec, object: &Arc<str>, owners: &mut Owners) -> Inline {
        let at = SPEC.key("accounts");
        let accounts = spec.accounts.as_deref().unwrap_or_default().iter().enumerate();
        let accounts: Vec<Account> = accounts
            .filter_map(|(index, account)| self.account(&at.index(index), account, object, owners))
            .collect();
        let at = SPEC.key("lists");
        let lists = spec.lists.as_deref().unwrap_or_default().iter().enumerate();
        let lists: Vec<MailingList> =
            lists.filter_map(|(index, list)| self.list(&at.index(index), list, object, owners)).collect();
        Inline::new(accounts, lists)
    }

    fn account(
        &mut self,
        at: &Trail<'_>,
        spec: &AccountSpec,
        object: &Arc<str>,
        owners: &mut Owners,
    ) -> Option<Account> {
        let address = self.owned_mailbox(&at.key("address"), &spec.address, object, owners);
        let aliases = self.mailboxes(&at.key("aliases"), &spec.aliases, Some((object, owners)));
        let passwords_at = at.key("passwords");
        let passwords = spec
            .passwords
            .iter()
            .enumerate()
            .filter_map(|(index, source)| self.secret(&passwords_at.index(index), source))
            .collect();
        Some(Account { address: address?, aliases, passwords })
    }

    fn list(
        &mut self,
        at: &Trail<'_>,
        spec: &MailingListSpec,
        object: &Arc<str>,
        owners: &mut Owners,
    ) -> Option<MailingList> {
        let address = self.owned_mailbox(&at.key("address"), &spec.address, object, owners);
        if spec.members.is_empty() {
            self.fault(&at.key("members"), "needs at least one address");
        }
        let members = self.mailboxes(&at.key("members"), &spec.members, None);
        Some(MailingList { address: address?, members })
    }

    fn mailboxes(
        &mut self,
        at: &Trail<'_>,
        texts: &SetOf<String>,
        mut owners: Option<(&Arc<str>, &mut Owners)>,
    ) -> Vec<Address> {
        let mut mailboxes = Vec::new();
        for text in texts.iter() {
            let index = self.source.index_of(&at.path(), text);
            let element = at.index(index.unwrap_or_default());
            let at = if index.is_some() { &element } else { at };
            mailboxes.extend(match &mut owners {
                Some((object, owners)) => self.owned_mailbox(at, text, object, owners),
                None => self.mailbox(at, text),
            });
        }
        mailboxes
    }

    /// A mailbox that no other entry of any inline directory may have.
    fn owned_mailbox(
        &mut self,
        at: &Trail<'_>,
        text: &str,
        object: &Arc<str>,
        owners: &mut Owners,
    ) -> Option<Address> {
        let address = self.mailbox(at, text)?;
        match owners.insert(address.key().into(), Arc::clone(object)) {
            Some(other) if other == *object => {
                self.fault(at, format!("the address {address} is there already"))
            }
            Some(other) => self.conflict(at, format!("MtaDirectory/{other} has the address {address} too")),
            None => {}
        }
        Some(address)
    }
}
