//! `MtaDirectory` of type `Oidc`.

use std::net::IpAddr;
use std::sync::Arc;

use postern_core::policy::directory::{Introspection, Oidc};

use super::context::Context;
use crate::kinds::directory::{DirectorySpec, IntrospectionSpec};
use crate::node::{Trail, shortened};
use crate::value::TimeSpan;

const SPEC: &Trail<'static> = &Trail::SPEC;

impl Context<'_> {
    pub(super) fn oidc(&mut self, spec: &DirectorySpec) -> Option<Oidc> {
        let issuer = self.needed("issuer", spec.issuer.as_deref(), spec);
        let audience = self.needed("audience", spec.audience.as_deref(), spec);
        let issuer = issuer.map(|issuer| self.http_url(&SPEC.key("issuer"), issuer));
        if issuer.as_ref().is_some_and(|issuer| issuer.contains(['?', '#'])) {
            self.fault(&SPEC.key("issuer"), "an issuer has neither query nor fragment");
        }
        if issuer.as_ref().is_some_and(|issuer| issuer.starts_with("http://") && !is_on_loopback(issuer)) {
            let message = "whoever is between can give out keys of their own: use `https`";
            self.warn(&SPEC.key("issuer"), message);
        }
        let claims = spec.required_claims.iter().flatten();
        let introspection =
            spec.introspection.as_ref().map(|introspection| self.introspection(introspection));
        let required_scopes = self.scopes(spec.required_scopes.as_deref().unwrap_or_default());
        let timeout = self.timeout(&SPEC.key("timeout"), spec.timeout.unwrap_or(TimeSpan::seconds(5)));
        let tls = self.client_tls(&SPEC.key("tls"), spec.tls.as_ref());
        Some(Oidc {
            username_claim: spec.username_claim.as_deref().unwrap_or("email").into(),
            required_claims: claims
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            required_scopes,
            introspection: match introspection {
                Some(introspection) => Some(introspection?),
                None => None,
            },
            timeout,
            tls,
            issuer: issuer?,
            audience: audience?.into(),
        })
    }

    /// Scopes are words of printable ASCII (RFC 6749 section 3.3).
    fn scopes(&mut self, scopes: &[String]) -> Vec<Arc<str>> {
        let at = SPEC.key("requiredScopes");
        for (index, scope) in scopes.iter().enumerate() {
            let is_word = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'"' | b'\\');
            if scope.is_empty() || !scope.bytes().all(is_word) {
                self.fault(&at.index(index), format!("{} is no scope", shortened(scope)));
            }
        }
        scopes.iter().map(|scope| Arc::from(scope.as_str())).collect()
    }

    fn introspection(&mut self, spec: &IntrospectionSpec) -> Option<Introspection> {
        let at = SPEC.key("introspection");
        let url = spec.url.as_deref().map(|url| self.http_url(&at.key("url"), url));
        let client_secret = self.secret(&at.key("clientSecret"), &spec.client_secret);
        Some(Introspection { url, client_id: spec.client_id.as_str().into(), client_secret: client_secret? })
    }
}

fn is_on_loopback(url: &str) -> bool {
    let authority = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
