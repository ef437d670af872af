//! `MtaDomain` and `MtaDirectory`: which domains are ours, and who lives there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::route::ClientTls;
use super::secret::Secret;
use super::stage::OptionalText;
use crate::expr::Setting;
use crate::ldap::Filter;
use crate::smtp::address::Address;

/// All local domains, by every name they have.
#[derive(Debug, Default)]
pub struct Domains {
    by_name: HashMap<Box<str>, Arc<Domain>>,
}

impl Domains {
    /// Gathers domains; names are in comparison form (lower case, A-labels).
    #[must_use]
    pub fn new(domains: impl IntoIterator<Item = Domain>) -> Self {
        let mut by_name = HashMap::new();
        for domain in domains {
            let domain = Arc::new(domain);
            for alias in &domain.aliases {
                by_name.insert(Box::from(&**alias), Arc::clone(&domain));
            }
            by_name.insert(Box::from(&*domain.name), domain);
        }
        Self { by_name }
    }

    /// The domain of that name or alias, given in comparison form; a disabled one is no domain.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Domain>> {
        self.by_name.get(name).filter(|domain| domain.is_enabled)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// `MtaDomain`
#[derive(Debug)]
pub struct Domain {
    /// `metadata.name`
    pub object: Arc<str>,
    /// Name, in comparison form.
    pub name: Arc<str>,
    /// Other names, in comparison form.
    pub aliases: Vec<Arc<str>>,
    /// A disabled domain is not local.
    pub is_enabled: bool,
    /// Accept unknown recipients of this domain as they are.
    pub allow_relaying: bool,
    /// Where mail for unknown recipients goes.
    pub catch_all: Option<Address>,
    /// What a local part with a `+` means.
    pub sub_addressing: SubAddressing,
    /// Route of its recipients, unless `MtaOutboundStrategy.route` says otherwise.
    pub route: Option<Arc<str>>,
    /// The directory that knows its recipients; unset: all of them.
    pub directory: Option<Arc<str>>,
}

/// `MtaDomain.subAddressing` (RFC 5233)
#[derive(Debug, Default)]
pub enum SubAddressing {
    /// The local part ends at the first `+`.
    #[default]
    Enabled,
    /// Every local part is itself.
    Disabled,
    /// An expression over the local part yields the mailbox.
    Custom(Setting<OptionalText>),
}

/// All directories, in the order in which they are asked.
#[derive(Debug, Default)]
pub struct Directories {
    all: Vec<Directory>,
}

impl Directories {
    /// Gathers directories.
    #[must_use]
    pub fn new(all: Vec<Directory>) -> Self {
        Self { all }
    }

    /// Those that may know recipients of `domain`.
    pub fn of<'a>(&'a self, domain: &'a Domain) -> impl Iterator<Item = &'a Directory> {
        self.all
            .iter()
            .filter(|directory| domain.directory.as_ref().is_none_or(|name| *name == directory.name))
    }

    /// Every directory.
    pub fn iter(&self) -> impl Iterator<Item = &Directory> {
        self.all.iter()
    }

    /// The directory of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Directory> {
        self.all.iter().find(|directory| &*directory.name == name)
    }
}

/// One directory.
#[derive(Debug)]
pub struct Directory {
    /// `metadata.name`
    pub name: Arc<str>,
    /// Where it is.
    pub source: DirectorySource,
}

impl Directory {
    /// Its accounts, if they are part of the policy.
    #[must_use]
    pub fn inline(&self) -> Option<&Inline> {
        match &self.source {
            DirectorySource::Inline(inline) => Some(inline),
            DirectorySource::Ldap(_) | DirectorySource::Oidc(_) => None,
        }
    }

    /// Whether it can say that a recipient does not exist.
    #[must_use]
    pub fn knows_recipients(&self) -> bool {
        !matches!(self.source, DirectorySource::Oidc(_))
    }
}

/// Where accounts are found.
#[derive(Debug)]
pub enum DirectorySource {
    /// In the policy itself.
    Inline(Inline),
    /// On an LDAP server.
    Ldap(Arc<Ldap>),
    /// At an OpenID Connect provider; it knows tokens, not recipients.
    Oidc(Arc<Oidc>),
}

/// Accounts and lists that the policy holds.
#[derive(Debug, Default)]
pub struct Inline {
    entries: HashMap<Box<str>, Entry>,
}

/// What an address of an inline directory is.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A mailbox, by its own address or by an alias.
    Account(Arc<Account>),
    /// A mailing list.
    List(Arc<MailingList>),
}

/// A mailbox that may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its address and account name.
    pub address: Address,
    /// Other addresses it may send from and receive at.
    pub aliases: Vec<Address>,
    /// Any of them is right; plain text or a crypt-style hash.
    pub passwords: Vec<Secret>,
}

/// A list of addresses under one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailingList {
    /// The list's own address.
    pub address: Address,
    /// Who gets its mail.
    pub members: Vec<Address>,
}

impl Inline {
    /// Gathers accounts and lists; of two entries with one address the loader has made a fault.
    #[must_use]
    pub fn new(accounts: Vec<Account>, lists: Vec<MailingList>) -> Self {
        let mut entries = HashMap::new();
        for list in lists {
            let list = Arc::new(list);
            entries.insert(Box::from(list.address.key()), Entry::List(list));
        }
        for account in accounts {
            let account = Arc::new(account);
            for address in std::iter::once(&account.address).chain(&account.aliases) {
                entries.insert(Box::from(address.key()), Entry::Account(Arc::clone(&account)));
            }
        }
        Self { entries }
    }

    /// Every account, once for each of its addresses.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Account(account) => Some(account),
            Entry::List(_) => None,
        })
    }

    /// The entry with that address, given in comparison form.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }
}

/// `MtaDirectory` of type `Ldap` (RFC 4511)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ldap {
    /// Name or IP address of the server.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
    /// When TLS begins.
    pub security: LdapSecurity,
    /// Whom searches are made as; unset: anonymous.
    pub service: Option<LdapService>,
    /// Where searches begin.
    pub base_dn: Arc<str>,
    /// Finds a mailbox by its address. Default `(mail={address})`.
    pub user_filter: Filter,
    /// Finds who logs in by the name that was given; unset: `user_filter`.
    pub login_filter: Option<Filter>,
    /// Attributes that hold addresses; the first is the account's own.
    pub mail_attributes: Vec<Arc<str>>,
    /// How mailing lists are found; unset: there are none.
    pub lists: Option<LdapLists>,
    /// How passwords are checked.
    pub authentication: LdapAuthentication,
    /// Connections. Default 8.
    pub pool: u32,
    /// Wait for one answer, connecting included. Default 5 s.
    pub timeout: Duration,
    /// What is remembered of answers about recipients.
    pub cache: LdapCache,
    /// TLS towards the server.
    pub tls: ClientTls,
}

/// When a connection to an LDAP server becomes private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LdapSecurity {
    /// Never.
    Clear,
    /// By StartTLS, before anything else is said; a server that refuses it is not used.
    StartTls,
    /// From the first octet (`ldaps`).
    Implicit,
}

/// Whom searches are made as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapService {
    /// Name of the entry.
    pub dn: Arc<str>,
    /// Its password; not empty.
    pub password: Secret,
}

/// How mailing lists are found in an LDAP directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapLists {
    /// Finds a list by its address.
    pub filter: Filter,
    /// Attributes that hold addresses of members.
    pub member_attributes: Vec<Arc<str>>,
    /// Attributes that hold names of entries, whose addresses are looked up.
    pub member_dn_attributes: Vec<Arc<str>>,
}

/// How long, and how many, answers about recipients are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LdapCache {
    /// Mailboxes and lists. Default 5 m.
    pub positive: Duration,
    /// That there is nobody. Default 1 m.
    pub negative: Duration,
    /// Most answers. Default 10000; 0 remembers nothing.
    pub entries: u32,
}

/// How an LDAP directory checks a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LdapAuthentication {
    /// By binding as the account.
    #[default]
    Bind,
    /// By reading `userPassword` and comparing here.
    Hash,
}

/// `MtaDirectory` of type `Oidc`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// Issuer URL; its discovery document names the rest.
    pub issuer: Arc<str>,
    /// Value that `aud` must hold.
    pub audience: Arc<str>,
    /// Claim with the account's address. Default `email`.
    pub username_claim: Arc<str>,
    /// Claims that must have these values.
    pub required_claims: Vec<(Arc<str>, Arc<str>)>,
    /// Scopes that a token must have; clients are told them.
    pub required_scopes: Vec<Arc<str>>,
    /// Ask the provider about tokens that are no JWT (RFC 7662).
    pub introspection: Option<Introspection>,
    /// Wait for one answer of the provider. Default 5 s.
    pub timeout: Duration,
    /// TLS towards the provider.
    pub tls: ClientTls,
}

/// Credentials for token introspection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// Endpoint; unset: the one in the discovery document.
    pub url: Option<Arc<str>>,
    /// Client id.
    pub client_id: Arc<str>,
    /// Client secret.
    pub client_secret: Secret,
}
