//! Why a token was refused, as the mechanisms for tokens say it: JSON in one last challenge.

use serde_json::{Map, Value};

use crate::policy::Directories;
use crate::policy::directory::{DirectorySource, Oidc};

/// RFC 7628 section 3.2.2.
pub(super) fn oauthbearer(directories: &Directories) -> String {
    let mut reason = Map::new();
    reason.insert("status".to_owned(), "invalid_token".into());
    reason.insert("schemes".to_owned(), "bearer".into());
    if let Some(provider) = only_provider(directories) {
        let issuer = provider.issuer.trim_end_matches('/');
        let discovery = format!("{issuer}/.well-known/openid-configuration");
        reason.insert("openid-configuration".to_owned(), discovery.into());
        add_scope(&mut reason, provider);
    }
    Value::Object(reason).to_string()
}

/// As Google and Microsoft document it.
pub(super) fn xoauth2(directories: &Directories) -> String {
    let mut reason = Map::new();
    reason.insert("status".to_owned(), "401".into());
    reason.insert("schemes".to_owned(), "Bearer".into());
    if let Some(provider) = only_provider(directories) {
        add_scope(&mut reason, provider);
    }
    Value::Object(reason).to_string()
}

/// With several there is no telling which one the client should go to.
fn only_provider(directories: &Directories) -> Option<&Oidc> {
    let mut providers = directories.iter().filter_map(|directory| match &directory.source {
        DirectorySource::Oidc(oidc) => Some(&**oidc),
        DirectorySource::Inline(_) | DirectorySource::Ldap(_) => None,
    });
    let first = providers.next();
    first.filter(|_| providers.next().is_none())
}

fn add_scope(reason: &mut Map<String, Value>, provider: &Oidc) {
    if !provider.required_scopes.is_empty() {
        let scope = provider.required_scopes.iter().map(|scope| &**scope).collect::<Vec<_>>().join(" ");
        reason.insert("scope".to_owned(), scope.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::policy::directory::Directory;

    fn provider(name: &str) -> Directory {
        let oidc = Oidc {
            issuer: "https://id.example.org/".into(),
            audience: "mail".into(),
            username_claim: "email".into(),
            required_claims: Vec::new(),
            required_scopes: vec!["openid".into(), "mail".into()],
            introspection: None,
            timeout: Duration::from_secs(5),
            tls: Default::default(),
        };
        Directory { name: name.into(), source: DirectorySource::Oidc(Arc::new(oidc)) }
    }

    #[test]
    fn the_only_provider_is_named() {
        let one = Directories::new(vec![provider("a")]);
        assert_eq!(
            oauthbearer(&one),
            r#"{"openid-configuration":"https://id.example.org/.well-known/openid-configuration","schemes":"bearer","scope":"openid mail","status":"invalid_token"}"#
        );
        assert_eq!(xoauth2(&one), r#"{"schemes":"Bearer","scope":"openid mail","status":"401"}"#);
    }

    #[test]
    fn of_several_providers_none_is() {
        let two = Directories::new(vec![provider("a"), provider("b")]);
        assert_eq!(oauthbearer(&two), r#"{"schemes":"bearer","status":"invalid_token"}"#);
        assert_eq!(xoauth2(&Directories::default()), r#"{"schemes":"Bearer","status":"401"}"#);
    }
}
