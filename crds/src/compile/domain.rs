//! `MtaDomain`.

use std::collections::HashMap;
use std::sync::Arc;

use postern_core::expr::Scope;
use postern_core::policy::Domains;
use postern_core::policy::directory::{Domain, SubAddressing};

use super::context::{Compiler, Context};
use crate::kinds::directory::DirectoryType;
use crate::kinds::domain::{DomainSpec, SubAddressing as SubAddressingSpec};
use crate::node::Trail;

const SPEC: &Trail<'static> = &Trail::SPEC;

impl Compiler<'_> {
    pub(super) fn domains(&mut self) -> Domains {
        let mut domains: Vec<Domain> = Vec::new();
        let mut taken: HashMap<Arc<str>, Arc<str>> = HashMap::new();
        for object in &self.set.domains {
            let mut context = self.at(object);
            let Some(domain) = context.domain(&object.spec, &object.name) else { continue };
            for name in std::iter::once(&domain.name).chain(&domain.aliases) {
                match taken.insert(Arc::clone(name), Arc::clone(&object.name)) {
                    Some(other) if other == object.name => {
                        context.fault(&SPEC.key("aliases"), format!("has the domain `{name}` twice"));
                    }
                    Some(other) => {
                        let at = if *name == domain.name { SPEC.key("name") } else { SPEC.key("aliases") };
                        context.conflict(&at, format!("MtaDomain/{other} has the domain `{name}` too"));
                    }
                    None => {}
                }
            }
            if self.knows_nobody(&domain) {
                let message = "knows tokens and no recipients, so every recipient of this domain is refused; \
                               `allowRelaying: true` leaves that to the next hop";
                self.at(object).warn(&SPEC.key("directory"), message);
            }
            domains.push(domain);
        }
        Domains::new(domains)
    }

    /// Whether the one directory of a domain cannot say who is there, and nothing else takes its mail.
    fn knows_nobody(&self, domain: &Domain) -> bool {
        let is_only_for_tokens = self.set.directories.iter().any(|directory| {
            domain.directory.as_ref() == Some(&directory.name) && directory.spec.kind == DirectoryType::Oidc
        });
        is_only_for_tokens && !domain.allow_relaying && domain.catch_all.is_none()
    }
}

impl Context<'_> {
    fn domain(&mut self, spec: &DomainSpec, object: &Arc<str>) -> Option<Domain> {
        let name = self.domain_name(&SPEC.key("name"), spec.name.as_deref().unwrap_or(object));
        let aliases_at = SPEC.key("aliases");
        let mut aliases = Vec::new();
        for alias in spec.aliases.iter() {
            match self.source.index_of(&aliases_at.path(), alias) {
                Some(index) => aliases.extend(self.domain_name(&aliases_at.index(index), alias)),
                None => aliases.extend(self.domain_name(&aliases_at, alias)),
            }
        }
        let catch_all = spec.catch_all_address.as_deref();
        let catch_all = catch_all.and_then(|address| self.mailbox(&SPEC.key("catchAllAddress"), address));
        let sub_addressing = self.sub_addressing(spec);
        Some(Domain {
            object: Arc::clone(object),
            name: name?,
            aliases,
            is_enabled: spec.is_enabled,
            allow_relaying: spec.allow_relaying,
            catch_all,
            sub_addressing: sub_addressing?,
            route: spec.route.as_deref().map(|name| self.route_name(&SPEC.key("route"), name)),
            directory: spec
                .directory
                .as_deref()
                .map(|name| self.directory_name(&SPEC.key("directory"), name)),
        })
    }

    fn sub_addressing(&mut self, spec: &DomainSpec) -> Option<SubAddressing> {
        let at = SPEC.key("customRule");
        if !self.is_trusted(&SPEC.key("subAddressing")) {
            return None;
        }
        match (spec.sub_addressing, spec.custom_rule.is_unset()) {
            (SubAddressingSpec::Custom, true) => {
                self.fault(&at, "`subAddressing: Custom` needs it");
                None
            }
            (SubAddressingSpec::Custom, false) => {
                self.setting(&at, &spec.custom_rule, Scope::SubAddress).map(SubAddressing::Custom)
            }
            (_, false) => {
                self.fault(&at, "goes with `subAddressing: Custom` only");
                None
            }
            (SubAddressingSpec::Enabled, true) => Some(SubAddressing::Enabled),
            (SubAddressingSpec::Disabled, true) => Some(SubAddressing::Disabled),
        }
    }
}
