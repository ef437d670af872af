//! Several directories side by side.

use std::time::Duration;

use postern_core::policy::directory::{Directories, Directory, Introspection};
use postern_core::policy::route::ClientTls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A provider that says the same of every token; its address.
async fn provider(says: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut received = Vec::new();
            while !received.windows(6).any(|part| part == b"token=") {
                if stream.read_buf(&mut received).await.unwrap() == 0 {
                    break;
                }
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{says}",
                says.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}/")
}

fn directory(name: &str, provider: &str, username_claim: &str) -> Directory {
    let oidc = Oidc {
        issuer: provider.into(),
        audience: "mail".into(),
        username_claim: username_claim.into(),
        required_claims: Vec::new(),
        required_scopes: Vec::new(),
        introspection: Some(Introspection {
            url: Some(provider.into()),
            client_id: "gate".into(),
            client_secret: Secret::new("secret"),
        }),
        timeout: Duration::from_secs(5),
        tls: ClientTls::default(),
    };
    Directory { name: name.into(), source: DirectorySource::Oidc(Arc::new(oidc)) }
}

async fn token(directories: Vec<Directory>) -> Authentication {
    let policy = Policy { directories: Directories::new(directories), ..Policy::default() };
    DirectoryClients::default().token(&policy, &Secret::new("opaque"), None).await
}

#[tokio::test]
async fn a_token_without_an_address_in_one_claim_may_have_it_in_another() {
    let provider = provider(r#"{"active": true, "aud": "mail", "email": "ann@example.org"}"#).await;
    let by_name = || directory("a", &provider, "preferred_username");
    let Authentication::Account(account) = token(vec![by_name(), directory("b", &provider, "email")]).await
    else {
        panic!("refused")
    };
    assert_eq!(account.address.as_str(), "ann@example.org");
    assert_eq!(token(vec![by_name()]).await, Authentication::Forbidden);
    let silent = directory("b", "http://127.0.0.1:1/", "email");
    assert_eq!(token(vec![by_name(), silent]).await, Authentication::Unavailable);
}
