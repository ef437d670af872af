//! The kinds of `mta.postern.dev/v1alpha1`: what a user writes.
//!
//! Each `…Spec` is the shape of a manifest's `spec`, with strings and optional fields. What the server runs
//! is made from it by the compiler. The doc comments of fields are what `kubectl explain` shows.

pub mod directory;
pub mod domain;
pub mod extensions;
pub mod filter;
pub mod greylist;
pub mod hook;
pub mod inbound_session;
pub mod inbound_throttle;
pub mod listener;
pub mod lookup;
pub mod milter;
pub mod outbound_strategy;
pub mod pipe;
pub mod policy_test;
pub mod route;
pub mod sender_auth;
pub mod settings;
pub mod sieve_interpreter;
pub mod sieve_script;
pub mod spam_filter;
pub mod stage_auth;
pub mod stage_connect;
pub mod stage_data;
pub mod stage_ehlo;
pub mod stage_mail;
pub mod stage_rcpt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// `apiVersion` of every kind.
pub const API_VERSION: &str = "mta.postern.dev/v1alpha1";

/// Name of the one object that a singleton has.
pub const SINGLETON_NAME: &str = "default";

/// How many objects of a kind a namespace holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    /// At most one, named `default`.
    Singleton,
    /// Any number.
    Many,
}

/// What the loader needs to know of a kind.
pub trait KindSpec: Serialize + DeserializeOwned + 'static {
    /// `kind`
    const KIND: &'static str;
    /// Name of the resource in API paths.
    const PLURAL: &'static str;
    /// How many there may be.
    const CARDINALITY: Cardinality;
    /// Fields of other mail servers or of older documents, and what to write instead.
    const RENAMED: &'static [(&'static str, &'static str)] = &[];
}

/// Calls a macro with every kind: the field of an object set, the spec, and the custom resource.
macro_rules! for_each_kind {
    ($callback:ident) => {
        $callback! {
            /// `MtaSettings`
            settings: settings::SettingsSpec, MtaSettings;
            /// `MtaListener`
            listeners: listener::ListenerSpec, MtaListener;
            /// `MtaInboundSession`
            inbound_session: inbound_session::InboundSessionSpec, MtaInboundSession;
            /// `MtaStageConnect`
            stage_connect: stage_connect::StageConnectSpec, MtaStageConnect;
            /// `MtaStageEhlo`
            stage_ehlo: stage_ehlo::StageEhloSpec, MtaStageEhlo;
            /// `MtaStageAuth`
            stage_auth: stage_auth::StageAuthSpec, MtaStageAuth;
            /// `MtaStageMail`
            stage_mail: stage_mail::StageMailSpec, MtaStageMail;
            /// `MtaStageRcpt`
            stage_rcpt: stage_rcpt::StageRcptSpec, MtaStageRcpt;
            /// `MtaStageData`
            stage_data: stage_data::StageDataSpec, MtaStageData;
            /// `MtaExtensions`
            extensions: extensions::ExtensionsSpec, MtaExtensions;
            /// `MtaSenderAuth`
            sender_auth: sender_auth::SenderAuthSpec, MtaSenderAuth;
            /// `MtaInboundThrottle`
            throttles: inbound_throttle::InboundThrottleSpec, MtaInboundThrottle;
            /// `MtaDomain`
            domains: domain::DomainSpec, MtaDomain;
            /// `MtaDirectory`
            directories: directory::DirectorySpec, MtaDirectory;
            /// `MtaLookup`
            lookups: lookup::LookupSpec, MtaLookup;
            /// `MtaRoute`
            routes: route::RouteSpec, MtaRoute;
            /// `MtaOutboundStrategy`
            outbound_strategy: outbound_strategy::OutboundStrategySpec, MtaOutboundStrategy;
            /// `MtaMilter`
            milters: milter::MilterSpec, MtaMilter;
            /// `MtaSieveScript`
            scripts: sieve_script::SieveScriptSpec, MtaSieveScript;
            /// `MtaSieveInterpreter`
            interpreter: sieve_interpreter::SieveInterpreterSpec, MtaSieveInterpreter;
            /// `MtaPipe`
            pipes: pipe::PipeSpec, MtaPipe;
            /// `MtaHook`
            hooks: hook::HookSpec, MtaHook;
            /// `MtaSpamFilter`
            spam_filter: spam_filter::SpamFilterSpec, MtaSpamFilter;
            /// `MtaGreylist`
            greylist: greylist::GreylistSpec, MtaGreylist;
        }
    };
}

pub(crate) use for_each_kind;

/// A kind, for who handles all of them alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// `kind`
    pub name: &'static str,
    /// Name of the resource in API paths.
    pub plural: &'static str,
    /// How many there may be.
    pub cardinality: Cardinality,
}

macro_rules! all_kinds {
    ($($(#[$doc:meta])* $field:ident: $module:ident::$spec:ident, $resource:ident;)*) => {
        /// Every kind.
        pub const KINDS: &[Kind] = &[$(Kind {
            name: <$module::$spec as KindSpec>::KIND,
            plural: <$module::$spec as KindSpec>::PLURAL,
            cardinality: <$module::$spec as KindSpec>::CARDINALITY,
        }),*];
    };
}

for_each_kind!(all_kinds);
