//! The function `hash`.

use std::fmt::Write as _;

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::Function;
use crate::expr::facts::Failure;
use crate::expr::kinds::Kinds;
use crate::expr::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[Function::two("hash", Kinds::TEXT, hash)];

/// The digest of a text in lower-case hex; empty for an unknown algorithm.
fn hash<'a>(text: Value<'a>, algorithm: Value<'a>) -> Result<Value<'a>, Failure> {
    let text = text.into_text();
    Ok(match &*algorithm.into_text() {
        "md5" => hex(&Md5::digest(text.as_bytes())),
        "sha1" => hex(&Sha1::digest(text.as_bytes())),
        "sha256" => hex(&Sha256::digest(text.as_bytes())),
        "sha512" => hex(&Sha512::digest(text.as_bytes())),
        _ => Value::EMPTY,
    })
}

fn hex(digest: &[u8]) -> Value<'static> {
    let mut text = String::with_capacity(digest.len() * 2);
    for octet in digest {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
    }
    Value::from(text)
}
