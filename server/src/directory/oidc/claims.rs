//! What a token has to say before it opens an account.

use postern_core::policy::directory::{Account, Oidc};
use postern_core::smtp::address::Address;
use serde_json::{Map, Value};

use super::Token;

/// Where claims come from, which decides what they must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A token that the provider has signed.
    Signed,
    /// The provider's own answer about a token just now (RFC 7662).
    Introspection,
}

/// Judges claims; `now` is in seconds of the epoch, `user` whom the client says to be.
pub(super) fn judge(
    claims: &Map<String, Value>,
    source: Source,
    oidc: &Oidc,
    user: Option<&str>,
    now: i64,
) -> Token {
    if !is_ours(claims, source, oidc) || !has_scopes(claims, oidc) || !has_claims(claims, oidc) {
        return Token::Wrong;
    }
    match when(claims, source, now) {
        Validity::Now => {}
        Validity::Over => return Token::Expired,
        Validity::Unknown | Validity::Later => return Token::Wrong,
    }
    // An address that somebody has merely typed in at the provider is not theirs.
    if &*oidc.username_claim == "email" && claims.get("email_verified").is_some_and(|said| !is(said, "true"))
    {
        return Token::Wrong;
    }
    let address = claims.get(&*oidc.username_claim).and_then(Value::as_str);
    let Some(address) = address.and_then(|text| Address::parse(text).ok()) else { return Token::Forbidden };
    let is_meant = |user: &str| Address::parse(user).is_ok_and(|user| user.key() == address.key());
    if !user.is_none_or(is_meant) {
        return Token::Wrong;
    }
    Token::Account(Account { address, aliases: Vec::new(), passwords: Vec::new() })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    Now,
    Over,
    Later,
    Unknown,
}

/// Made by the right issuer, for us, and as a key to something: what a client renews its tokens with is none.
fn is_ours(claims: &Map<String, Value>, source: Source, oidc: &Oidc) -> bool {
    let issuer = claims.get("iss").and_then(Value::as_str);
    let from_issuer = match (source, issuer) {
        (_, Some(issuer)) => issuer == &*oidc.issuer,
        (Source::Signed, None) => false,
        (Source::Introspection, None) => true,
    };
    let audience = match claims.get("aud") {
        // An answer about a token may leave its audience out; then it must have been made for us as a client.
        None if source == Source::Introspection => claims.get("client_id"),
        audience => audience,
    };
    let is_access =
        claims.get("token_use").is_none_or(|usage| is(usage, "access_token") || is(usage, "access"))
            && claims.get("typ").is_none_or(|kind| !is(kind, "Refresh") && !is(kind, "Offline"));
    from_issuer && audience.is_some_and(|audience| is_or_holds(audience, &oidc.audience)) && is_access
}

fn has_scopes(claims: &Map<String, Value>, oidc: &Oidc) -> bool {
    let holds = |value: &Value, wanted: &str| match value {
        Value::String(scopes) => scopes.split(' ').any(|scope| scope == wanted),
        other => is_or_holds(other, wanted),
    };
    let given: Vec<&Value> = ["scope", "scp"].iter().filter_map(|name| claims.get(*name)).collect();
    oidc.required_scopes.iter().all(|wanted| given.iter().any(|value| holds(value, wanted)))
}

fn has_claims(claims: &Map<String, Value>, oidc: &Oidc) -> bool {
    let has = |name: &str, wanted: &str| claims.get(name).is_some_and(|value| is_or_holds(value, wanted));
    oidc.required_claims.iter().all(|(name, wanted)| has(name, wanted))
}

fn when(claims: &Map<String, Value>, source: Source, now: i64) -> Validity {
    // RFC 7519 section 2: a NumericDate may have a fraction, of which nothing depends here.
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64)) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(()),
        },
    };
    let (Ok(expires), Ok(begins)) = (time("exp"), time("nbf")) else { return Validity::Unknown };
    match (expires, source) {
        (Some(expires), _) if now >= expires.saturating_add(LEEWAY) => return Validity::Over,
        (None, Source::Signed) => return Validity::Unknown,
        (Some(_), _) | (None, Source::Introspection) => {}
    }
    match begins {
        Some(begins) if now.saturating_add(LEEWAY) < begins => Validity::Later,
        _ => Validity::Now,
    }
}

fn is_or_holds(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Array(values) => values.iter().any(|value| is(value, wanted)),
        value => is(value, wanted),
    }
}

/// Numbers and booleans are compared as they are written.
fn is(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Bool(said) => wanted == if *said { "true" } else { "false" },
        Value::Number(number) => number.to_string() == wanted,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// How far clocks may be apart, seconds.
const LEEWAY: i64 = 30;
