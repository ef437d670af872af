//! What a provider publishes: its discovery document and its keys, kept for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method};
use postern_core::policy::directory::{Introspection, Oidc};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync;
use tokio::time::{Instant, timeout};

use super::jwt::{Jwt, Key};
use crate::directory::DirectoryError;
use crate::http::{Exchange, HttpClient, Target};
use crate::message::Budget;

/// A provider, asked as seldom as its keys allow.
#[derive(Debug)]
pub(super) struct Provider {
    settings: Arc<Oidc>,
    http: HttpClient,
    budget: Budget,
    known: Mutex<Known>,
    /// Held while something is fetched, so that many sessions ask once. Who needs nothing new never waits for it.
    fetching: sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    published: Option<Arc<Published>>,
    fetched_at: Option<Instant>,
    tried_at: Option<Instant>,
}

/// What a session can do with what is known.
#[derive(Debug)]
enum Use {
    /// This will do.
    Kept(Arc<Published>),
    /// So will this, though it is time for a look at the provider.
    Old(Arc<Published>),
    /// Something is missing.
    Lacking,
}

#[derive(Debug)]
struct Published {
    keys: Arc<[Key]>,
    introspection_endpoint: Option<String>,
}

/// The part of the discovery document that is of use (OpenID Connect Discovery section 3).
#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
    introspection_endpoint: Option<String>,
}

impl Provider {
    pub(super) fn new(settings: Arc<Oidc>) -> Self {
        Self {
            settings,
            http: HttpClient::default(),
            budget: Budget::new(MEMORY, 0),
            known: Mutex::default(),
            fetching: sync::Mutex::default(),
        }
    }

    /// The keys, as they are kept; fetched anew when they are old, or when the one that a token needs is not among
    /// them and nobody has asked for a while: a provider publishes a new key before it uses it.
    pub(super) async fn keys(&self, jwt: &Jwt<'_>) -> Result<Arc<[Key]>, DirectoryError> {
        let published = self.published(|published| jwt.lacks_key(&published.keys)).await?;
        Ok(Arc::clone(&published.keys))
    }

    async fn published(
        &self,
        lacks_something: impl Fn(&Published) -> bool,
    ) -> Result<Arc<Published>, DirectoryError> {
        let limit = self.settings.timeout;
        let late = || DirectoryError::Timeout(limit);
        let usable = self.known().usable(&lacks_something)?;
        let _turn = match usable {
            Use::Kept(kept) => return Ok(kept),
            Use::Old(kept) => match self.fetching.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(kept),
            },
            Use::Lacking => timeout(limit, self.fetching.lock()).await.map_err(|_| late())?,
        };
        // It may have been fetched, or tried in vain, while this session waited.
        let usable = self.known().usable(&lacks_something)?;
        if let Use::Kept(kept) = usable {
            return Ok(kept);
        }
        // Here for the sessions that end while they fetch, below for the time that a fetch takes.
        self.known().tried_at = Some(Instant::now());
        let outcome = timeout(limit, Box::pin(self.fetch())).await.unwrap_or_else(|_| Err(late()));
        let mut known = self.known();
        let now = Instant::now();
        known.tried_at = Some(now);
        match (outcome, known.kept()) {
            (Ok(published), _) => {
                let published = Arc::new(published);
                known.published = Some(Arc::clone(&published));
                known.fetched_at = Some(now);
                Ok(published)
            }
            (Err(error), Some(kept)) => {
                let error = crate::snapshot::chain(&error);
                tracing::warn!(issuer = %self.settings.issuer, error, "the keys that are known stay in use");
                Ok(kept)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) -> Result<Published, DirectoryError> {
        let issuer = &self.settings.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery: Discovery = serde_json::from_slice(&self.get(&url).await?)
            .map_err(|_| DirectoryError::Unexpected("the discovery document is none"))?;
        // OpenID Connect Discovery section 4.3: else somebody else's document could bring their keys.
        if discovery.issuer != **issuer {
            return Err(DirectoryError::Unexpected("the discovery document is another issuer's"));
        }
        if issuer.starts_with("https:") && !discovery.jwks_uri.starts_with("https:") {
            return Err(DirectoryError::Unexpected("the keys are published in clear"));
        }
        let keys = Key::set(&self.get(&discovery.jwks_uri).await?)
            .ok_or(DirectoryError::Unexpected("the set of keys is none"))?;
        Ok(Published { keys: keys.into(), introspection_endpoint: discovery.introspection_endpoint })
    }

    /// What the provider says of a token (RFC 7662); nothing when it is not valid.
    pub(super) async fn introspect(
        &self,
        introspection: &Introspection,
        token: &str,
    ) -> Result<Option<Map<String, Value>>, DirectoryError> {
        let url = match &introspection.url {
            Some(url) => url.to_string(),
            None => {
                let published = self.published(|_| false).await?;
                let endpoint = published.introspection_endpoint.clone();
                endpoint.ok_or(DirectoryError::Unexpected("the provider has no introspection endpoint"))?
            }
        };
        if self.settings.issuer.starts_with("https:") && !url.starts_with("https:") {
            return Err(DirectoryError::Unexpected("tokens would be sent in clear"));
        }
        let mut headers = accepting_json();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(AUTHORIZATION, basic(introspection)?);
        let form = format!("token={}&token_type_hint=access_token", form_encoded(token));
        let answer = self.exchange(Method::POST, &url, headers, form.into()).await?;
        let answer: Map<String, Value> = serde_json::from_slice(&answer)
            .map_err(|_| DirectoryError::Unexpected("the answer about a token is no JSON object"))?;
        match answer.get("active") {
            Some(Value::Bool(true)) => Ok(Some(answer)),
            Some(Value::Bool(false)) => Ok(None),
            _ => {
                Err(DirectoryError::Unexpected("the answer about a token does not say whether it is active"))
            }
        }
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, DirectoryError> {
        self.exchange(Method::GET, url, accepting_json(), Bytes::new()).await
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Vec<u8>, DirectoryError> {
        let exchange = Exchange {
            method,
            target: Target::parse(url).map_err(DirectoryError::Provider)?,
            tls: &self.settings.tls,
            headers,
            body,
            limit: self.settings.timeout,
            max_answer: LARGEST_ANSWER,
            budget: &self.budget,
        };
        let answer = self.http.ask(exchange).await.map_err(DirectoryError::Provider)?;
        Ok(answer.octets)
    }
}

impl Known {
    fn usable(&self, lacks_something: impl Fn(&Published) -> bool) -> Result<Use, DirectoryError> {
        let is_old = self.fetched_at.is_none_or(|at| at.elapsed() >= FRESH);
        match self.kept() {
            Some(kept) if !self.has_rested() => Ok(Use::Kept(kept)),
            Some(kept) if lacks_something(&kept) => Ok(Use::Lacking),
            Some(kept) if is_old => Ok(Use::Old(kept)),
            Some(kept) => Ok(Use::Kept(kept)),
            None if self.has_rested() => Ok(Use::Lacking),
            None => Err(DirectoryError::Unexpected("the provider gave no answer just now")),
        }
    }

    /// What may be used when the provider gives no answer.
    fn kept(&self) -> Option<Arc<Published>> {
        self.published.clone().filter(|_| self.fetched_at.is_some_and(|at| at.elapsed() < OLDEST))
    }

    /// Whether the provider may be asked again.
    fn has_rested(&self) -> bool {
        self.tried_at.is_none_or(|at| {
            let was_answered = self.fetched_at.is_some_and(|fetched| fetched >= at);
            at.elapsed() >= if was_answered { REST } else { RETRY }
        })
    }
}

fn accepting_json() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
}

/// RFC 6749 section 2.3.1: both parts are form-encoded first.
fn basic(introspection: &Introspection) -> Result<HeaderValue, DirectoryError> {
    let secret = form_encoded(introspection.client_secret.expose());
    let pair = format!("{}:{secret}", form_encoded(&introspection.client_id));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| DirectoryError::Unexpected("the credentials of the client cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => encoded.push(octet.into()),
            _ => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

/// How long keys are used without a look at the provider.
const FRESH: Duration = Duration::from_secs(600);
/// How long they are used when the provider gives no answer.
const OLDEST: Duration = Duration::from_secs(86_400);
/// Between two attempts: whoever sends tokens with invented key ids makes us ask twice a minute, not more.
const REST: Duration = Duration::from_secs(30);
/// After an attempt that has failed: many sessions must not wait for the same silence one after the other.
const RETRY: Duration = Duration::from_secs(3);
/// Largest document of a provider, octets.
const LARGEST_ANSWER: u64 = 256 * 1024;
/// All documents in hand, octets.
const MEMORY: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use postern_core::policy::route::ClientTls;
    use tokio::net::TcpListener;

    use super::*;

    /// A provider that takes connections and says nothing. The listener must live as long.
    async fn silent() -> (Provider, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Oidc {
            issuer: format!("http://{}", listener.local_addr().unwrap()).into(),
            audience: "mail".into(),
            username_claim: "email".into(),
            required_claims: Vec::new(),
            required_scopes: Vec::new(),
            introspection: None,
            timeout: Duration::from_secs(5),
            tls: ClientTls::default(),
        };
        (Provider::new(Arc::new(settings)), listener)
    }

    /// It had answered, so long ago.
    fn published(provider: &Provider, ago: Duration) -> Arc<Published> {
        let published = Arc::new(Published { keys: [].into(), introspection_endpoint: None });
        let at = Instant::now().checked_sub(ago);
        *provider.known() = Known { published: Some(Arc::clone(&published)), fetched_at: at, tried_at: at };
        published
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_asks_again_right_after_a_silence() {
        let (provider, _listener) = silent().await;
        let began = Instant::now();
        assert!(provider.published(|_| false).await.is_err());
        assert!(began.elapsed() > RETRY, "it was waited for {:?}", began.elapsed());
        let again = provider.published(|_| false).now_or_never();
        assert!(matches!(again, Some(Err(DirectoryError::Unexpected(_)))), "{again:?}");
    }

    #[tokio::test]
    async fn old_keys_are_used_at_once_while_somebody_asks_for_new_ones() {
        let (provider, _listener) = silent().await;
        let kept = published(&provider, FRESH);
        let _somebody = provider.fetching.lock().await;
        let used = provider.published(|_| false).now_or_never().unwrap().unwrap();
        assert!(Arc::ptr_eq(&used, &kept));
        assert!(provider.published(|_| true).now_or_never().is_none(), "who lacks a key waits for it");
    }

    #[test]
    fn credentials_are_encoded_before_they_are_joined() {
        let introspection = Introspection {
            url: None,
            client_id: "a:b".into(),
            client_secret: postern_core::policy::Secret::new("c d%"),
        };
        let value = basic(&introspection).unwrap();
        assert_eq!(value.to_str().unwrap(), format!("Basic {}", STANDARD.encode("a%3Ab:c%20d%25")));
        assert!(value.is_sensitive());
    }
}
