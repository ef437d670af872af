//! Messages and keys for tests.

use std::sync::Arc;

use postern_core::message::header::Header;

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
