//! Listening sockets: where they are bound and with which options.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use postern_core::policy::listener::SocketOptions;
use postern_core::policy::{Listener, Policy};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;

/// One address to listen on. Two policies that name the same endpoint share its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    /// As the policy says it.
    pub(super) address: SocketAddr,
    /// Takes IPv6 only. The unspecified IPv6 address takes IPv4 as well, unless an IPv4 address with
    /// the same port is listened on beside it.
    pub(super) only_v6: bool,
}

/// A listener's address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("MtaListener/{listener}: {}", self.problem())]
pub struct BindError {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub cause: io::Error,
}

impl BindError {
    /// The address and what is wrong with it, without the listener's name.
    #[must_use]
    pub fn problem(&self) -> String {
        format!("{} cannot be bound: {}", self.address, reason(&self.cause))
    }
}

impl Endpoint {
    /// The endpoints of a policy, each with its listener.
    pub(super) fn all(policy: &Policy) -> Vec<(Self, Arc<Listener>)> {
        let bound = || policy.listeners.iter().flat_map(|listener| &listener.bind);
        let only_v6 = |address: &SocketAddr| {
            address.is_ipv6() && bound().any(|other| other.is_ipv4() && other.port() == address.port())
        };
        let endpoint = |address: &SocketAddr| Self { address: *address, only_v6: only_v6(address) };
        policy
            .listeners
            .iter()
            .flat_map(|listener| {
                listener.bind.iter().map(move |address| (endpoint(address), Arc::clone(listener)))
            })
            .collect()
    }

    /// Binds it and begins to listen; connections queue up until somebody accepts them.
    pub(super) fn bind(self, listener: &Listener) -> Result<TcpListener, BindError> {
        self.listen(&listener.socket).map_err(|cause| BindError {
            listener: Arc::clone(&listener.name),
            address: self.address,
            cause,
        })
    }

    fn listen(self, options: &SocketOptions) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(options.reuse_address)?;
        socket.set_reuse_port(options.reuse_port)?;
        if self.address.is_ipv6() {
            socket.set_only_v6(self.only_v6)?;
        }
        apply(SockRef::from(&socket), self.address, options)?;
        socket.bind(&self.address.into())?;
        socket.listen(backlog(options))?;
        TcpListener::from_std(socket.into())
    }
}

/// Gives a socket that stays the options of a new policy. Those of the bind itself stay as they were.
pub(super) fn adjust(socket: &TcpListener, address: SocketAddr, options: &SocketOptions) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.listen(backlog(options))?;
    apply(socket, address, options)
}

/// The options that accepted connections inherit.
fn apply(socket: SockRef<'_>, address: SocketAddr, options: &SocketOptions) -> io::Result<()> {
    if let Some(ttl) = options.ttl {
        match address {
            SocketAddr::V4(_) => socket.set_ttl_v4(ttl)?,
            SocketAddr::V6(_) => socket.set_unicast_hops_v6(ttl)?,
        }
    }
    if let (Some(tos), SocketAddr::V4(_)) = (options.tos_v4, address) {
        socket.set_tos_v4(tos)?;
    }
    if let Some(octets) = options.send_buffer_size {
        socket.set_send_buffer_size(size(octets))?;
    }
    if let Some(octets) = options.receive_buffer_size {
        socket.set_recv_buffer_size(size(octets))?;
    }
    Ok(())
}

fn backlog(options: &SocketOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

fn size(octets: u32) -> usize {
    usize::try_from(octets).unwrap_or(usize::MAX)
}

/// The reasons that people meet, in words that say what to do.
fn reason(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "the address is in use by another process".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no interface of this host has the address".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need a privilege".to_owned(),
        _ => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::listener;

    fn policy(binds: &[&str]) -> Policy {
        let listeners = binds.iter().map(|bind| Arc::new(listener(bind, bind))).collect();
        Policy { listeners, ..Policy::default() }
    }

    fn only_v6(binds: &[&str]) -> Vec<bool> {
        Endpoint::all(&policy(binds)).iter().map(|(endpoint, _)| endpoint.only_v6).collect()
    }

    #[test]
    fn ipv6_leaves_a_port_alone_that_ipv4_has_as_well() {
        assert_eq!(only_v6(&["[::]:25"]), [false]);
        assert_eq!(only_v6(&["[::]:25", "0.0.0.0:587"]), [false, false]);
        assert_eq!(only_v6(&["[::]:25", "0.0.0.0:25"]), [true, false]);
    }

    #[tokio::test]
    async fn a_port_in_use_names_the_listener_and_the_address() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let listener = listener("smtp", &address.to_string());
        let error = Endpoint { address, only_v6: false }.bind(&listener).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("MtaListener/smtp: {address} cannot be bound: the address is in use by another process")
        );
    }

    #[tokio::test]
    async fn options_reach_the_socket() {
        let mut listener = listener("smtp", "127.0.0.1:0");
        listener.socket.ttl = Some(33);
        listener.socket.tos_v4 = Some(0x10);
        let address = listener.bind[0];
        let socket = Endpoint { address, only_v6: false }.bind(&listener).unwrap();
        assert_eq!(SockRef::from(&socket).ttl_v4().unwrap(), 33);
        assert_eq!(SockRef::from(&socket).tos_v4().unwrap(), 0x10);
        listener.socket.ttl = Some(44);
        adjust(&socket, address, &listener.socket).unwrap();
        assert_eq!(SockRef::from(&socket).ttl_v4().unwrap(), 44);
    }
}
