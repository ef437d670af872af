//! An OpenID Connect provider as a directory: whose token this is. It knows nothing of recipients.
//!
//! ```text
//! token ──> JWT ──> issuer ──> key (kept; an unknown id is fetched once) ──> signature ──> claims ──> account
//!       └─> opaque ──> introspection at the provider, never remembered ─────────────────────┘
//! ```

mod claims;
mod jwt;
mod provider;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use postern_core::policy::directory::{Account, Oidc};

use self::claims::Source;
pub(super) use self::jwt::Jwt;
use self::provider::Provider;
use super::DirectoryError;

/// A client of one provider with one set of settings.
#[derive(Debug)]
pub(super) struct OidcDirectory {
    pub(super) name: Arc<str>,
    pub(super) settings: Arc<Oidc>,
    provider: Provider,
}

/// What a provider says of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// It belongs to this account.
    Account(Account),
    /// Forged, for somebody else, of somebody else, or without what is required.
    Wrong,
    /// It was good once.
    Expired,
    /// It is good, and names no address to send from.
    Forbidden,
}

impl OidcDirectory {
    pub(super) fn new(name: Arc<str>, settings: Arc<Oidc>) -> Self {
        Self { provider: Provider::new(Arc::clone(&settings)), name, settings }
    }

    /// Whether it may have made this token; `None` is an opaque one.
    pub(super) fn may_know(&self, token: Option<&Jwt<'_>>) -> bool {
        match token {
            Some(jwt) => jwt.claimed_issuer() == Some(&*self.settings.issuer),
            None => self.settings.introspection.is_some(),
        }
    }

    /// Judges a signed token.
    pub(super) async fn verify(&self, jwt: &Jwt<'_>, user: Option<&str>) -> Result<Token, DirectoryError> {
        let keys = self.provider.keys(jwt).await?;
        let Some(claims) = jwt.verified_by(&keys) else { return Ok(Token::Wrong) };
        Ok(claims::judge(claims, Source::Signed, &self.settings, user, Timestamp::now().as_second()))
    }

    /// Judges an opaque token.
    pub(super) async fn introspect(&self, token: &str, user: Option<&str>) -> Result<Token, DirectoryError> {
        let Some(introspection) = &self.settings.introspection else { return Ok(Token::Wrong) };
        let Some(claims) = self.provider.introspect(introspection, token).await? else {
            return Ok(Token::Wrong);
        };
        let now = Timestamp::now().as_second();
        Ok(claims::judge(&claims, Source::Introspection, &self.settings, user, now))
    }
}
