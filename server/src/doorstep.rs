//! Ports on which there is nobody yet: whoever comes hears that it is worth to come again.
//!
//! A sender that is refused a connection tries again too, but sooner gives up, and its logs blame the network.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Listening sockets that answer 421.
pub(crate) struct Doorstep {
    ports: JoinSet<()>,
}

impl Doorstep {
    /// Listens at these addresses. One that cannot be bound is left out: here it is no fault.
    pub(crate) async fn open(addresses: &[SocketAddr]) -> Self {
        let visitors = Arc::new(Semaphore::new(VISITORS));
        let mut ports = JoinSet::new();
        for address in addresses {
            match TcpListener::bind(address).await {
                Ok(port) => {
                    ports.spawn(answer(port, Arc::clone(&visitors)));
                }
                Err(error) => tracing::warn!(%address, %error, "nobody can be told to come later"),
            }
        }
        Self { ports }
    }

    /// Closes them; when this returns, others may bind them.
    pub(crate) async fn close(mut self) {
        self.ports.shutdown().await;
    }
}

async fn answer(port: TcpListener, visitors: Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(&visitors).acquire_owned().await else { return };
        match port.accept().await {
            Ok((visitor, _)) => {
                tokio::spawn(async move {
                    let _place = place;
                    // Whoever does not even take the answer has had one.
                    let _ = timeout(PATIENCE, send_away(visitor)).await;
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn send_away(mut visitor: TcpStream) -> io::Result<()> {
    visitor.write_all(COME_LATER).await?;
    visitor.shutdown().await?;
    // A close with octets unread is a reset, which may overtake the answer.
    let mut ignored = [0; 512];
    while visitor.read(&mut ignored).await? > 0 {}
    Ok(())
}

const COME_LATER: &[u8] = b"421 4.3.2 No policy is in force yet, try again later\r\n";
/// At a time; others wait in the backlog.
const VISITORS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    async fn free_address() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn who_comes_is_told_to_come_later() {
        let address = free_address().await;
        let _doorstep = Doorstep::open(&[address]).await;
        let mut visitor = TcpStream::connect(address).await.unwrap();
        visitor.write_all(b"EHLO too.early.example\r\n").await.unwrap();
        let mut answer = Vec::new();
        visitor.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, COME_LATER);
    }

    #[tokio::test]
    async fn its_ports_are_free_when_it_has_gone() {
        let address = free_address().await;
        Doorstep::open(&[address]).await.close().await;
        assert!(TcpListener::bind(address).await.is_ok());
    }
}
