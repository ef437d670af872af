//! The resolver library, set up as the policy says.

use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::read_system_conf;
use postern_core::policy::settings::{Dns, DnsProtocol, DnsServer};
use rustls::{ClientConfig, RootCertStore};

/// Most answers kept. An answer takes well under 1 KiB as a rule, so this is some 10 MiB.
const CACHED_ANSWERS: u64 = 16_384;

/// Most questions under way on one TCP or TLS connection; more are refused as busy.
const OPEN_QUESTIONS: usize = 1024;

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    /// The settings of the system cannot be read, or the library does not take the ones it is given.
    #[error("the resolver cannot be set up: {0}")]
    Resolver(#[from] NetError),
    /// TLS cannot be set up.
    #[error("TLS towards name servers cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Makes a resolver.
///
/// # Errors
///
/// [`SetupError`].
pub(super) fn build(settings: &Dns) -> Result<TokioResolver, SetupError> {
    let (config, mut options) = if settings.servers.is_empty() {
        read_system_conf()?
    } else {
        let servers = settings.servers.iter().map(name_server).collect();
        (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
    };
    // The search list is left out; names are complete anyway.
    let config = ResolverConfig::from_parts(None, Vec::new(), config.into_parts().2);
    options.timeout = settings.timeout;
    // The library counts what comes after the first try.
    options.attempts = settings.attempts.saturating_sub(1) as usize;
    options.cache_size = CACHED_ANSWERS;
    options.max_active_requests = OPEN_QUESTIONS;
    options.use_hosts_file = ResolveHosts::Never;
    let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .with_tls_config(tls(settings)?)
        .build()?;
    Ok(resolver)
}

fn name_server(server: &DnsServer) -> NameServerConfig {
    let ip = server.address.ip();
    let mut connections = match server.protocol {
        // An answer that is cut is asked for again over TCP (RFC 7766 section 5).
        DnsProtocol::Udp => vec![ConnectionConfig::udp(), ConnectionConfig::tcp()],
        DnsProtocol::Tcp => vec![ConnectionConfig::tcp()],
        // No name is known but the address, which the certificate has to hold.
        DnsProtocol::Tls => vec![ConnectionConfig::tls(Arc::from(ip.to_string()))],
    };
    for connection in &mut connections {
        connection.port = server.address.port();
    }
    NameServerConfig::new(ip, true, connections)
}

/// Certificates are verified against the roots of the system, which are read only when a server needs them.
fn tls(settings: &Dns) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    if settings.servers.iter().any(|server| server.protocol == DnsProtocol::Tls) {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some root certificates of the system cannot be read");
        }
        roots.add_parsable_certificates(found.certs);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
