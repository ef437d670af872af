//! From a name to a TCP connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Connects to the first of the host's addresses that takes the connection, each of them within its share of the
/// limit. A name is looked up each time, because what it stands for may move; that has a limit of its own.
///
/// # Errors
/// Why the last address did not take it, or that the name has none.
pub(crate) async fn dial(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let peers: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => timeout(limit, lookup_host((host, port))).await??.collect(),
    };
    // One address that swallows everything must not use up the time of the others.
    let share = limit / u32::try_from(peers.len().max(1)).unwrap_or(1);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for peer in peers {
        match timeout(share, TcpStream::connect(peer)).await.unwrap_or_else(|late| Err(late.into())) {
            Ok(stream) => {
                // Requests are written whole; waiting for more (Nagle) would only add the peer's delayed ACK.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
