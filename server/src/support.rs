//! What a policy may ask for that this build cannot do yet.
//!
//! Such a policy is refused as a whole: leaving a filter out, or a check, would open the gate.

use postern_core::policy::Policy;
use postern_core::policy::directory::DirectorySource;
use postern_core::policy::settings::Store;

/// One line for everything that cannot be served.
#[must_use]
pub fn unsupported(policy: &Policy) -> Vec<String> {
    let filters = &policy.filters;
    let mut all = Vec::new();
    let mut refuse = |kind: &str, name: &str| {
        all.push(format!("{kind}/{name}: this version of Postern cannot run objects of this kind yet"));
    };
    filters.milters.iter().for_each(|milter| refuse("MtaMilter", &milter.process.name));
    filters.pipes.iter().for_each(|pipe| refuse("MtaPipe", &pipe.process.name));
    filters.hooks.iter().for_each(|hook| refuse("MtaHook", &hook.process.name));
    filters.spam_filter.iter().for_each(|filter| refuse("MtaSpamFilter", &filter.process.name));
    filters.greylist.iter().for_each(|_| refuse("MtaGreylist", "default"));
    filters.scripts.values().for_each(|script| refuse("MtaSieveScript", &script.name));
    for directory in policy.directories.iter() {
        match directory.source {
            DirectorySource::Inline(_) => {}
            DirectorySource::Ldap(_) | DirectorySource::Oidc(_) => refuse("MtaDirectory", &directory.name),
        }
    }
    if matches!(policy.settings.store, Store::Redis(_)) {
        all.push("MtaSettings/default spec.store: this version of Postern has no Redis store yet".into());
    }
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use postern_core::policy::Directories;
    use postern_core::policy::directory::{Directory, Inline, Oidc};

    use super::*;

    #[test]
    fn a_policy_is_refused_for_what_would_be_left_out() {
        let inline = Directory { name: "people".into(), source: DirectorySource::Inline(Inline::default()) };
        let oidc = Oidc {
            issuer: "https://issuer.example".into(),
            audience: "gate".into(),
            username_claim: "email".into(),
            required_claims: Vec::new(),
            introspection: None,
            tls: Default::default(),
        };
        let oidc = Directory { name: "tokens".into(), source: DirectorySource::Oidc(Box::new(oidc)) };
        let policy = Policy { directories: Directories::new(vec![inline, oidc]), ..Policy::default() };
        assert_eq!(unsupported(&Policy::default()), Vec::<String>::new());
        assert_eq!(unsupported(&policy).len(), 1);
    }
}
