//! Real milters behind the gate: OpenDKIM, rspamd, ClamAV, SpamAssassin, and one that writes down all it is told; and the same
//! message through Postfix.

#[path = "milters/beside_postfix.rs"]
mod beside_postfix;
#[path = "milters/peers.rs"]
mod peers;
