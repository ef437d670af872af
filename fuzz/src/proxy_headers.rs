//! PROXY headers: only whole ones are taken, of the octets that came nothing more, and no octet behind them matters.

#[allow(dead_code, reason = "what reads them from a socket is not wanted here")]
#[path = "../../server/src/listener/proxy.rs"]
mod proxy;

/// Runs one input.
pub fn run(octets: &[u8]) {
    if let Ok(Some((proxied, length))) = proxy::parse(octets) {
        assert!(length <= octets.len());
        let alone = proxy::parse(&octets[..length]).expect("it was understood with more behind it");
        assert_eq!(alone, Some((proxied, length)));
        for end in 0..length {
            let beginning = proxy::parse(&octets[..end]);
            assert!(matches!(beginning, Ok(None)), "{end} of {length} octets were enough: {beginning:?}");
        }
    }
}
