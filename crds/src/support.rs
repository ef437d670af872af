//! What a policy may ask for that this build cannot do yet.
//!
//! Such an object is refused by whoever is asked first: the webhook, the operator, `check`, and at last the server.
//! Leaving a filter out, or a check, would open the gate.

use std::sync::Arc;

use postern_core::policy::Policy;
use postern_core::policy::directory::DirectorySource;

use crate::fault::{Fault, FaultClass, ObjectRef};

/// An object that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unsupported {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: Arc<str>,
    /// The field that cannot be honoured.
    pub path: &'static str,
}

impl Unsupported {
    /// As a fault of the object itself.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault {
            class: FaultClass::Own,
            object: Some(ObjectRef { kind: self.kind.into(), name: Arc::clone(&self.name) }),
            path: self.path.to_owned(),
            file: None,
            line: None,
            column: None,
            message: "this version of Postern cannot do that yet".to_owned(),
            suggestion: None,
            position_in_source: None,
        }
    }
}

/// Everything that cannot be served, in order.
#[must_use]
pub fn unsupported(policy: &Policy) -> Vec<Unsupported> {
    let mut all = Vec::new();
    let mut refuse =
        |kind, name: &Arc<str>, path| all.push(Unsupported { kind, name: Arc::clone(name), path });
    for directory in policy.directories.iter() {
        match directory.source {
            DirectorySource::Inline(_) | DirectorySource::Ldap(_) => {}
            DirectorySource::Oidc(_) => {
                refuse("MtaDirectory", &directory.name, "spec.type");
            }
        }
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
            required_scopes: Vec::new(),
            introspection: None,
            timeout: std::time::Duration::from_secs(5),
            tls: Default::default(),
        };
        let oidc = Directory { name: "tokens".into(), source: DirectorySource::Oidc(Arc::new(oidc)) };
        let policy = Policy { directories: Directories::new(vec![inline, oidc]), ..Policy::default() };
        assert_eq!(unsupported(&Policy::default()), []);
        let refused = Unsupported { kind: "MtaDirectory", name: "tokens".into(), path: "spec.type" };
        assert_eq!(unsupported(&policy), [refused]);
    }
}
