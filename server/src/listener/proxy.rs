//! The PROXY header in front of a connection, versions 1 and 2.
//!
//! Read without taking a single octet of what follows: the socket is peeked at, and only what belongs
//! to the header is taken.

use std::io;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What a header says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxied {
    /// The proxy speaks for itself, such as in a health check, or does not know: the addresses of the
    /// socket hold.
    Local,
    /// On behalf of a client.
    Client {
        /// The client.
        source: SocketAddr,
        /// Where the client connected to.
        destination: SocketAddr,
    },
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// The connection ended or broke first.
    #[error("connection lost within the PROXY header")]
    Lost(#[source] io::Error),
    /// What came is no PROXY header.
    #[error("no valid PROXY header")]
    Invalid,
}

/// Reads the header that the connection begins with.
pub(super) async fn read_header(stream: &mut TcpStream) -> Result<Proxied, ProxyError> {
    let mut header = Vec::with_capacity(CHUNK);
    let mut chunk = [0; CHUNK];
    loop {
        let peeked = stream.peek(&mut chunk).await.map_err(ProxyError::Lost)?;
        let Some(fresh) = chunk.get(..peeked).filter(|fresh| !fresh.is_empty()) else {
            return Err(ProxyError::Lost(io::ErrorKind::UnexpectedEof.into()));
        };
        let taken = header.len();
        header.extend_from_slice(fresh);
        let parsed = parse(&header)?;
        // Without its end in sight, all that came belongs to the header.
        let belongs = parsed.as_ref().map_or(header.len(), |(_, length)| *length);
        header.truncate(belongs);
        let rest = header.get_mut(taken..).unwrap_or_default();
        stream.read_exact(rest).await.map_err(ProxyError::Lost)?;
        if let Some((proxied, _)) = parsed {
            return Ok(proxied);
        }
    }
}

/// The header at the beginning of `octets` and its length; nothing while its end is not there.
pub(super) fn parse(octets: &[u8]) -> Result<Option<(Proxied, usize)>, ProxyError> {
    if common_start(octets, V2_SIGNATURE) {
        parse_v2(octets)
    } else if common_start(octets, V1_START) {
        match octets.iter().take(V1_MAX).position(|octet| *octet == b'\n') {
            Some(end) => decode(octets, end + 1).map(Some),
            None if octets.len() < V1_MAX => Ok(None),
            None => Err(ProxyError::Invalid),
        }
    } else {
        Err(ProxyError::Invalid)
    }
}

fn parse_v2(octets: &[u8]) -> Result<Option<(Proxied, usize)>, ProxyError> {
    let Some([command, _family, high, low]) =
        octets.get(V2_SIGNATURE.len()..).and_then(|fields| fields.first_chunk::<4>())
    else {
        return Ok(None);
    };
    let length = V2_SIGNATURE.len() + 4 + usize::from(u16::from_be_bytes([*high, *low]));
    if octets.len() < length {
        return Ok(None);
    }
    // The specification wants everything after LOCAL ignored, even a family that makes no sense.
    if *command == V2_LOCAL {
        return Ok(Some((Proxied::Local, length)));
    }
    decode(octets, length).map(Some)
}

/// Decodes a header that is complete, and nothing beyond its end: a field that is missing must not be
/// looked for in what the client says next.
fn decode(octets: &[u8], length: usize) -> Result<(Proxied, usize), ProxyError> {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let complete = octets.get(..length).ok_or(ProxyError::Invalid)?;
    let (header, decoded) = ProxyHeader::parse(complete, config).map_err(|_| ProxyError::Invalid)?;
    let proxied = match header.proxied_address() {
        _ if decoded != length => return Err(ProxyError::Invalid),
        None => Proxied::Local,
        Some(address) if address.protocol == Protocol::Stream => {
            Proxied::Client { source: canonical(address.source), destination: canonical(address.destination) }
        }
        Some(_) => return Err(ProxyError::Invalid),
    };
    Ok((proxied, length))
}

/// An IPv4 address that was written as IPv6 is the IPv4 address.
pub(super) const fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether one of the two begins with the other.
fn common_start(octets: &[u8], start: &[u8]) -> bool {
    octets.iter().zip(start).all(|(octet, expected)| octet == expected)
}

const V1_START: &[u8] = b"PROXY ";
/// The longest header of version 1, its line end included.
const V1_MAX: usize = 107;
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_LOCAL: u8 = 0x20;
/// More than any header without certificates in it.
const CHUNK: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    fn client(source: &str, destination: &str) -> Proxied {
        Proxied::Client { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [V2_SIGNATURE, &[command, family], &length, payload].concat()
    }

    fn headers() -> Vec<(Vec<u8>, Proxied)> {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0xc0, 0, 0, 25];
        let mut with_tlvs = v4.to_vec();
        with_tlvs.extend([&[0x04, 0x03, 0xe8][..], &[0; 1000]].concat());
        let seen = client("192.0.2.1:49152", "198.51.100.2:25");
        vec![
            (b"PROXY TCP4 192.0.2.1 198.51.100.2 49152 25\r\n".to_vec(), seen),
            (
                b"PROXY TCP6 2001:db8::1 2001:db8::2 49152 587\r\n".to_vec(),
                client("[2001:db8::1]:49152", "[2001:db8::2]:587"),
            ),
            (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 49152 25\r\n".to_vec(), seen),
            (b"PROXY UNKNOWN\r\n".to_vec(), Proxied::Local),
            (b"PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n".to_vec(), Proxied::Local),
            (v2(0x21, 0x11, &v4), seen),
            (v2(0x21, 0x11, &with_tlvs), seen),
            (v2(0x20, 0x00, &[]), Proxied::Local),
            (v2(0x20, 0x11, &[1, 2, 3]), Proxied::Local),
            (v2(0x21, 0x00, &[]), Proxied::Local),
            (v2(0x21, 0x31, &[0; 216]), Proxied::Local),
        ]
    }

    #[test]
    fn a_header_cut_at_any_octet_is_waited_for() {
        for (header, proxied) in headers() {
            for cut in 0..header.len() {
                assert_eq!(parse(&header[..cut]).unwrap(), None, "{cut} of {}", header.escape_ascii());
            }
            let followed = [&header[..], b"EHLO client\r\nPROXY "].concat();
            assert_eq!(parse(&followed).unwrap(), Some((proxied, header.len())));
        }
    }

    #[test]
    fn anything_else_is_refused_at_its_first_wrong_octet() {
        let datagram = v2(0x21, 0x12, &[192, 0, 2, 1, 198, 51, 100, 2, 0xc0, 0, 0, 25]);
        let short = v2(0x21, 0x11, &[192, 0, 2, 1]);
        let endless = [V1_START, &[b'x'; 120]].concat();
        let unknown = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 120]].concat();
        let bad: [&[u8]; 11] = [
            b"PROXY TCP4 192.0.2.1\r\nEHLO client",
            b"PROXY UNKNOWN\rx\r\n",
            b"E",
            b"PROXY\r",
            b"\r\n\r\n\0\r\nQUIX",
            b"PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.999 198.51.100.2 1 2\r\n",
            &datagram,
            &short,
            &endless,
            &unknown,
        ];
        for octets in bad {
            assert!(parse(octets).is_err(), "{}", octets.escape_ascii());
        }
    }

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn what_follows_the_header_stays_in_the_socket() {
        for (header, proxied) in headers() {
            let (mut client, mut server) = connected().await;
            client.write_all(&[&header[..], b"EHLO"].concat()).await.unwrap();
            assert_eq!(read_header(&mut server).await.unwrap(), proxied);
            let mut rest = [0; 4];
            server.read_exact(&mut rest).await.unwrap();
            assert_eq!(&rest, b"EHLO");
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_within_its_header_is_lost() {
        let (mut client, mut server) = connected().await;
        client.write_all(b"PROXY TCP4 192.0").await.unwrap();
        drop(client);
        assert!(matches!(read_header(&mut server).await, Err(ProxyError::Lost(_))));
    }
}
