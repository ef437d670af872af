//! A next hop for the end-to-end tests in a cluster: takes mail on port 2525, and tells whoever connects to port 2526 the
//! subjects of everything it has taken.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};
use postern_tests::hop::{Hop, Protocol};

fn main() -> Result<()> {
    let mail = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 2525)).context("the mail port")?;
    let roster = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 2526)).context("the roster's port")?;
    let hop = Hop::on(mail, Protocol::Smtp)?;
    for mut stream in roster.incoming().flatten() {
        let subjects: String = hop.stored().iter().filter_map(|stored| subject(&stored.message)).collect();
        // Whoever only looks whether somebody is there does not wait for the answer.
        let _ = stream.write_all(subjects.as_bytes());
    }
    Ok(())
}

/// The subject and a line end.
fn subject(message: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "))?;
    Some(format!("{subject}\n"))
}
