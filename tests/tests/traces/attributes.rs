//! What spans say, octet by octet: a collector of ours sees what Jaeger would put right.

use anyhow::{Result, ensure};
use postern_tests::client::Client;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::http::{Answer, HttpServer};
use postern_tests::manifests::{object, relay};
use postern_tests::port::Port;
use postern_tests::wait::{self, PATIENCE};

use crate::bench::traced;

#[test]
fn a_span_has_its_reply_once_though_lmtp_has_several() -> Result<()> {
    let taken = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let collector = HttpServer::start(|_| Answer::Raw(taken.to_vec()))?;
    let (hop, lmtp) = (Hop::start(Protocol::Lmtp)?, Port::reserve()?);
    let listener = format!("{{bind: [\"{}\"], protocol: lmtp, publicPort: 25}}", lmtp.address());
    let objects = relay("hop", hop.address(), "protocol: lmtp") + &object("MtaListener", "lmtp", &listener);
    let _site = traced(&objects, collector.url("").trim_end_matches('/'), &[])?;
    let mut client = Client::connect(lmtp.address())?;
    client.expect("LHLO client.example.org", "250")?;
    client.envelope("bob@sender.example", &["anna@example.test", "emil@example.test"])?;
    client.send(b"Subject: twice\r\n\r\n.\r\n")?;
    for _ in 0..2 {
        let reply = client.reply()?;
        ensure!(reply.is("250"), "{reply}");
    }
    client.quit();
    let spans = wait::until("the span of the connection", PATIENCE, || {
        let requests = collector.requests();
        let sent: Vec<u8> = requests.into_iter().flat_map(|request| request.body).collect();
        Ok((count(&sent, "smtp.connection") == 1).then_some(sent))
    })?;
    let replied = ["smtp.ehlo", "smtp.transaction", "smtp.mail", "smtp.rcpt", "smtp.data"];
    let replied: usize = replied.iter().map(|name| count(&spans, name)).sum();
    // And the one of `smtp.connect`, which is also how `smtp.connection` begins.
    assert_eq!((replied, count(&spans, "postern.reply.code")), (6, 7));
    Ok(())
}

fn count(octets: &[u8], text: &str) -> usize {
    octets.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}
