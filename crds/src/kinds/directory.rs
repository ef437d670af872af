//! `MtaDirectory`: who lives in our domains.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cardinality, KindSpec};
use std::collections::BTreeMap;

use crate::value::{ClientTlsSpec, SecretSource, SetOf, TimeSpan};

/// A directory of accounts and lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "mta.postern.dev",
        version = "v1alpha1",
        kind = "MtaDirectory",
        plural = "mtadirectories",
        shortname = "mdi",
        category = "mta",
        namespaced,
        status = "crate::value::ObjectStatus",
        doc = "Who lives in our domains and may log in.",
        validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63")
            .message("metadata.name must be a DNS label"),
        printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
        printcolumn(
            name = "Accepted",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
        ),
        printcolumn(
            name = "In force",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Programmed\")].status"
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.type == 'Inline' || !(has(self.accounts) || has(self.lists))",
     "message": "accounts and lists go with type Inline only"},
    {"rule": "self.type == 'Ldap' ? has(self.url) && has(self.baseDn) : !(has(self.url) || has(self.baseDn) || has(self.startTls) || has(self.bindDn) || has(self.bindPassword) || has(self.userFilter) || has(self.loginFilter) || has(self.mailAttributes) || has(self.listFilter) || has(self.memberAttributes) || has(self.memberDnAttributes) || has(self.authentication) || has(self.pool) || has(self.cacheTtl) || has(self.negativeCacheTtl) || has(self.cacheEntries))",
     "message": "Ldap needs url and baseDn, the other types have no LDAP fields"},
    {"rule": "has(self.bindDn) == has(self.bindPassword)", "message": "bindDn and bindPassword go together"},
    {"rule": "has(self.listFilter) || !(has(self.memberAttributes) || has(self.memberDnAttributes))",
     "message": "memberAttributes and memberDnAttributes go with listFilter"},
    {"rule": "!has(self.startTls) || !has(self.url) || self.url.startsWith('ldap://')",
     "message": "startTls goes with ldap://, ldaps:// has TLS from the beginning"},
    {"rule": "self.type == 'Oidc' ? has(self.issuer) && has(self.audience) : !(has(self.issuer) || has(self.audience) || has(self.usernameClaim) || has(self.requiredClaims) || has(self.requiredScopes) || has(self.introspection))",
     "message": "Oidc needs issuer and audience, the other types have no OpenID fields"},
    {"rule": "self.type != 'Inline' || !(has(self.tls) || has(self.timeout))", "message": "Inline connects to nothing and has neither tls nor timeout"}
]))]
pub struct DirectorySpec {
    /// `Inline`: accounts and lists in this object. `Ldap`: an LDAP server. `Oidc`: an OpenID Connect provider,
    /// which knows tokens and no recipients.
    #[serde(rename = "type")]
    pub kind: DirectoryType,
    /// Inline: mailboxes.
    #[serde(default)]
    #[schemars(extend("maxItems" = 10_000, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["address"]))]
    pub accounts: Option<Vec<AccountSpec>>,
    /// Inline: mailing lists.
    #[serde(default)]
    #[schemars(extend("maxItems" = 10_000, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["address"]))]
    pub lists: Option<Vec<MailingListSpec>>,
    /// Ldap: `ldap://host:port` or `ldaps://host:port`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 2048), extend("pattern" = "^ldaps?://.+"))]
    pub url: Option<String>,
    /// Ldap: with `ldap://`, begin TLS by StartTLS before anything else is said, and use no server that refuses it.
    /// Default true; with false, passwords cross the network in clear.
    #[serde(default)]
    pub start_tls: Option<bool>,
    /// Ldap: whom searches are made as. Default: anonymous.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    pub bind_dn: Option<String>,
    /// Ldap: password of `bindDn`.
    #[serde(default)]
    pub bind_password: Option<SecretSource>,
    /// Ldap: where searches begin.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    pub base_dn: Option<String>,
    /// Ldap: filter (RFC 4515) that finds a mailbox. In its values `{address}` stands for the address in lower case,
    /// `{local}` and `{domain}` for its parts; what a client sends is never part of the filter itself. Default
    /// `(mail={address})`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 4096))]
    pub user_filter: Option<String>,
    /// Ldap: filter that finds who logs in; `{address}` stands for the user name in lower case, which need not be an
    /// address. Default: `userFilter`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 4096))]
    pub login_filter: Option<String>,
    /// Ldap: attributes that hold addresses; the first is the account's own. Default
    /// `[mail, mailAlternateAddress]`.
    #[serde(default)]
    #[schemars(extend("minItems" = 1, "maxItems" = 16, "x-kubernetes-list-type" = "atomic"))]
    pub mail_attributes: Option<Vec<String>>,
    /// Ldap: filter that finds a mailing list by its address, with the same places. Default: there are no lists.
    #[serde(default)]
    #[schemars(length(min = 1, max = 4096))]
    pub list_filter: Option<String>,
    /// Ldap: attributes of a list that hold addresses of its members. Default
    /// `[mgrpRFC822MailMember, rfc822MailMember]`.
    #[serde(default)]
    #[schemars(extend("maxItems" = 16, "x-kubernetes-list-type" = "atomic"))]
    pub member_attributes: Option<Vec<String>>,
    /// Ldap: attributes of a list that name the entries of its members, whose address is then read there. Default
    /// `[member, uniqueMember]`.
    #[serde(default)]
    #[schemars(extend("maxItems" = 16, "x-kubernetes-list-type" = "atomic"))]
    pub member_dn_attributes: Option<Vec<String>>,
    /// Ldap: `Bind` checks a password by binding as the account, `Hash` reads `userPassword` and compares.
    /// Default `Bind`.
    #[serde(default)]
    #[schemars(with = "LdapAuthentication")]
    pub authentication: Option<LdapAuthentication>,
    /// Ldap: connections, 1 to 1000. Default 8.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub pool: Option<u32>,
    /// Ldap, Oidc: limit for one answer, connecting and waiting for a connection included. Default `5s`.
    #[serde(default)]
    pub timeout: Option<TimeSpan>,
    /// Ldap: how long mailboxes and lists that were found are remembered. Passwords never are. Default `5m`.
    #[serde(default)]
    pub cache_ttl: Option<TimeSpan>,
    /// Ldap: how long it is remembered that there is nobody. Failures never are. Default `1m`.
    #[serde(default)]
    pub negative_cache_ttl: Option<TimeSpan>,
    /// Ldap: most answers that are remembered, 0 to 1000000. Default 10000.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub cache_entries: Option<u32>,
    /// Oidc: the issuer's `https` URL; its discovery document names the rest.
    #[serde(default)]
    #[schemars(length(min = 1, max = 2048), extend("pattern" = "^https?://.+"))]
    pub issuer: Option<String>,
    /// Oidc: value that the token's `aud` must hold.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    pub audience: Option<String>,
    /// Oidc: claim with the account's address. Default `email`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 256))]
    pub username_claim: Option<String>,
    /// Oidc: claims that must have these values.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64))]
    pub required_claims: Option<BTreeMap<String, String>>,
    /// Oidc: scopes that the token must have, in its `scope` or `scp`. Default: none.
    #[serde(default)]
    #[schemars(extend("maxItems" = 16, "x-kubernetes-list-type" = "atomic"))]
    pub required_scopes: Option<Vec<String>>,
    /// Oidc: ask the provider about tokens that are no JWT (RFC 7662).
    #[serde(default)]
    pub introspection: Option<IntrospectionSpec>,
    /// Ldap, Oidc: TLS towards the server.
    #[serde(default)]
    pub tls: Option<ClientTlsSpec>,
}

impl KindSpec for DirectorySpec {
    const KIND: &'static str = "MtaDirectory";
    const PLURAL: &'static str = "mtadirectories";
    const CARDINALITY: Cardinality = Cardinality::Many;
}

/// Where accounts are found.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum DirectoryType {
    /// In the object.
    #[default]
    Inline,
    /// On an LDAP server.
    Ldap,
    /// At an OpenID Connect provider.
    Oidc,
}

/// A mailbox that may log in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountSpec {
    /// Its address, which is also the name of the account.
    #[schemars(length(min = 3, max = 320))]
    pub address: String,
    /// Other addresses it may send from and receive at. Default: none.
    #[serde(default)]
    pub aliases: SetOf<String>,
    /// Passwords, any of which is right; each in plain text or as a crypt-style hash. Default: none, the account
    /// cannot log in.
    #[serde(default)]
    #[schemars(extend("maxItems" = 8, "x-kubernetes-list-type" = "atomic"))]
    pub passwords: Vec<SecretSource>,
}

/// A list of addresses under one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailingListSpec {
    /// The list's own address.
    #[schemars(length(min = 3, max = 320))]
    pub address: String,
    /// Addresses that get its mail. At least one.
    #[schemars(extend("minItems" = 1, "maxItems" = 10_000))]
    pub members: SetOf<String>,
}

/// How an LDAP directory checks a password.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum LdapAuthentication {
    /// By binding as the account.
    #[default]
    Bind,
    /// By comparing hashes.
    Hash,
}

/// Credentials for token introspection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntrospectionSpec {
    /// Endpoint. Default: the one in the discovery document.
    #[serde(default)]
    #[schemars(length(min = 1, max = 2048), extend("pattern" = "^https?://.+"))]
    pub url: Option<String>,
    /// Client id.
    #[schemars(length(min = 1, max = 1024))]
    pub client_id: String,
    /// Client secret.
    pub client_secret: SecretSource,
}
