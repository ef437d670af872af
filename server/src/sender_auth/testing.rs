//! Messages and keys for tests.

use std::sync::Arc;

use postern_core::message::header::Header;
use proptest::prelude::*;

use crate::message::{Allotment, Budget, Message, MessageStore};

/// Public key of RFC 8463 appendix A.2, and the seed it is made from.
pub(super) const ED25519_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
pub(super) const ED25519_SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

/// A text with the line ends of mail.
pub(super) fn text(lines: &str) -> String {
    lines.replace('\n', "\r\n")
}

/// A message as it is kept once it was received.
pub(super) async fn kept(message: &str) -> (Message, Arc<Header>) {
    let store = MessageStore::new(std::env::temp_dir(), Budget::new(64 << 20, 64 << 20));
    let mut writer = store.writer(Allotment::default());
    writer.write(message.as_bytes()).await;
    (writer.finish().await.unwrap(), Arc::new(Header::parse(message.as_bytes()).unwrap()))
}

/// Octets as they stand in lists of tags, more or less.
pub(super) fn tags() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("v=1".to_owned()),
        Just("v=DKIM1".to_owned()),
        Just("v=DMARC1".to_owned()),
        Just("v=spf1 ".to_owned()),
        Just("a=rsa-sha256".to_owned()),
        Just("i=1".to_owned()),
        Just("cv=none".to_owned()),
        Just("h=from".to_owned()),
        Just(format!("p={ED25519_KEY}")),
        Just("b=YWJj".to_owned()),
        Just("bh=YWJj".to_owned()),
        Just("d=e.org".to_owned()),
        Just("s=s".to_owned()),
        Just("p=reject".to_owned()),
        Just("include:%{d}".to_owned()),
        Just("a/24//64".to_owned()),
        Just("%{".to_owned()),
        Just("ip4:1.2.3.4/3".to_owned()),
        ".{0,8}".prop_map(|any| any),
        Just(" \t".to_owned()),
    ];
    let separator = prop_oneof![Just("; "), Just(";"), Just(" "), Just("="), Just("")];
    let pieces = proptest::collection::vec((word, separator, any::<u8>()), 0..12);
    pieces.prop_map(|pieces| {
        pieces.into_iter().fold(Vec::new(), |mut all, (word, separator, octet)| {
            all.extend_from_slice(word.as_bytes());
            all.extend_from_slice(separator.as_bytes());
            if octet < 16 {
                all.push(octet | 0x80);
            }
            all
        })
    })
}
