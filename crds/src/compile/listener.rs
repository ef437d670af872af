//! `MtaListener`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_core::policy::Settings;
use postern_core::policy::listener::{Listener, ListenerTls, Protocol, SocketOptions, TlsVersion};

use super::context::{Compiler, Context};
use crate::kinds::listener::{ListenerProtocol, ListenerSpec, ListenerTlsSpec, TlsVersion as TlsVersionSpec};
use crate::load::Object;
use crate::node::Trail;

const SPEC: &Trail<'static> = &Trail::SPEC;

impl<'a> Compiler<'a> {
    /// Every listener beside the object it comes from.
    pub(super) fn listeners(&mut self, settings: &Settings) -> Vec<(&'a Object<ListenerSpec>, Listener)> {
        let mut listeners: Vec<(&Object<ListenerSpec>, Listener)> = Vec::new();
        let mut names: HashMap<Arc<str>, Arc<str>> = HashMap::new();
        let mut bound: HashMap<SocketAddr, Arc<str>> = HashMap::new();
        for object in &self.set.listeners {
            let mut context = self.at(object);
            let Some(listener) = context.listener(&object.spec, &object.name, settings) else { continue };
            if let Some(other) = names.insert(Arc::clone(&listener.name), Arc::clone(&object.name)) {
                context.conflict(
                    &SPEC.key("name"),
                    format!("MtaListener/{other} has the name `{}` too", listener.name),
                );
            }
            for address in &listener.bind {
                if let Some(other) = bound.insert(*address, Arc::clone(&object.name)) {
                    context.conflict(&SPEC.key("bind"), format!("MtaListener/{other} binds {address} too"));
                }
            }
            listeners.push((object, listener));
        }
        listeners
    }
}

impl Context<'_> {
    fn listener(&mut self, spec: &ListenerSpec, name: &Arc<str>, settings: &Settings) -> Option<Listener> {
        let bind_at = SPEC.key("bind");
        if spec.bind.is_empty() {
            self.fault(&bind_at, "needs at least one address to listen on");
        }
        let mut bind = Vec::new();
        for text in spec.bind.iter() {
            match self.source.index_of(&bind_at.path(), text) {
                Some(index) => bind.extend(self.socket_address(&bind_at.index(index), text)),
                None => bind.extend(self.socket_address(&bind_at, text)),
            }
        }
        let tls = spec.tls.as_ref().map(|tls| self.listener_tls(&SPEC.key("tls"), tls));
        let networks_at = SPEC.key("proxyTrustedNetworks");
        let proxy_trusted_networks = match &spec.proxy_trusted_networks {
            Some(networks) => self.networks(&networks_at, networks),
            None => settings.proxy_trusted_networks.clone(),
        };
        if let Some(port) = spec.public_port {
            self.number(&SPEC.key("publicPort"), port, 1, u16::MAX);
        }
        let handshake = Duration::from_secs(600);
        Some(Listener {
            name: spec.name.as_deref().map_or_else(|| Arc::clone(name), Arc::from),
            bind,
            protocol: protocol(spec.protocol),
            tls,
            max_connections: self.number(&SPEC.key("maxConnections"), spec.max_connections, 1, 1_000_000),
            proxy_trusted_networks,
            public_port: spec.public_port,
            relay_for_anyone: spec.relay_for_anyone,
            tls_timeout: self.span(
                &SPEC.key("tlsTimeout"),
                spec.tls_timeout,
                Duration::from_millis(1),
                handshake,
            ),
            socket: self.socket_options(spec),
        })
    }

    fn socket_options(&mut self, spec: &ListenerSpec) -> SocketOptions {
        const LARGEST_BUFFER: u32 = 1 << 30;
        let mut within = |field: &'static str, value: Option<u32>, least: u32, most: u32| {
            value.map(|value| self.number(&SPEC.key(field), value, least, most))
        };
        SocketOptions {
            backlog: within("socketBacklog", Some(spec.socket_backlog), 1, 65_535)
                .unwrap_or(spec.socket_backlog),
            no_delay: spec.socket_no_delay,
            reuse_address: spec.socket_reuse_address,
            reuse_port: spec.socket_reuse_port,
            ttl: within("socketTtl", spec.socket_ttl, 1, 255),
            tos_v4: within("socketTosV4", spec.socket_tos_v4, 0, 255),
            send_buffer_size: within("socketSendBufferSize", spec.socket_send_buffer_size, 1, LARGEST_BUFFER),
            receive_buffer_size: within(
                "socketReceiveBufferSize",
                spec.socket_receive_buffer_size,
                1,
                LARGEST_BUFFER,
            ),
        }
    }

    fn listener_tls(&mut self, at: &Trail<'_>, spec: &ListenerTlsSpec) -> ListenerTls {
        let names_at = at.key("secretNames");
        if spec.secret_names.is_empty() {
            self.fault(
                &names_at,
                "needs at least one Secret of type kubernetes.io/tls; leave `tls` out for clear text",
            );
        }
        let certificates = spec
            .secret_names
            .iter()
            .enumerate()
            .filter_map(|(index, name)| self.certificate(&names_at.index(index), name))
            .collect();
        ListenerTls {
            certificates,
            implicit: spec.implicit,
            min_version: match spec.min_version {
                TlsVersionSpec::Tls12 => TlsVersion::Tls12,
                TlsVersionSpec::Tls13 => TlsVersion::Tls13,
            },
            disabled_cipher_suites: spec
                .disabled_cipher_suites
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            ignore_client_order: spec.ignore_client_order,
        }
    }
}

pub(super) fn protocol(spec: ListenerProtocol) -> Protocol {
    match spec {
        ListenerProtocol::Smtp => Protocol::Smtp,
        ListenerProtocol::Lmtp => Protocol::Lmtp,
    }
}
