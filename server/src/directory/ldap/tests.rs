//! Against a server that plays a script. The real one is asked by the black-box tests.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postern_core::ldap::message_length;
use postern_core::policy::directory::{LdapCache, LdapSecurity};
use postern_core::policy::route::ClientTls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What the server does with a request.
#[derive(Debug, Clone)]
enum Play {
    /// These messages; each is asked for the id of its request.
    Say(Vec<fn(u8) -> Vec<u8>>),
    /// The end of the connection.
    Close,
    /// Nothing, for ever.
    Hang,
}

struct Script {
    directory: LdapDirectory,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Script {
    async fn start(plays: Vec<Play>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = settings(listener.local_addr().unwrap().port());
        let directory = LdapDirectory::new("staff".into(), Arc::new(settings), DirectoryMetrics::default());
        let script = Self { directory, connections: Arc::default(), requests: Arc::default() };
        let (connections, requests) = (Arc::clone(&script.connections), Arc::clone(&script.requests));
        let plays = Arc::new(Mutex::new(plays.into_iter()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&plays), Arc::clone(&requests)));
            }
        });
        script
    }

    async fn find(&self, address: &str) -> Result<Found, DirectoryError> {
        self.directory.find(&Address::parse(address).unwrap()).await
    }

    async fn log_in(&self, password: &str) -> Result<LogIn, DirectoryError> {
        self.directory.log_in("ann@x.org", &Secret::new(password), &HashPool::default()).await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The operations of the requests so far, by their tags.
    fn operations(&self) -> Vec<u8> {
        self.requests.lock().unwrap().iter().map(|request| request[5]).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    plays: Arc<Mutex<std::vec::IntoIter<Play>>>,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
) {
    let mut received = Vec::new();
    loop {
        let Some(length) = message_length(&received, 1 << 20).unwrap() else {
            if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        let request: Vec<u8> = received.drain(..length).collect();
        let id = request[4];
        requests.lock().unwrap().push(request);
        let play = plays.lock().unwrap().next();
        match play.unwrap_or(Play::Hang) {
            Play::Say(messages) => {
                for message in messages {
                    stream.write_all(&message(id)).await.unwrap();
                }
            }
            Play::Close => return,
            Play::Hang => std::future::pending().await,
        }
    }
}

fn settings(port: u16) -> Ldap {
    Ldap {
        host: "127.0.0.1".into(),
        port,
        security: LdapSecurity::Clear,
        service: None,
        base_dn: "dc=x".into(),
        user_filter: Filter::parse("(mail={address})").unwrap(),
        login_filter: None,
        mail_attributes: vec!["mail".into()],
        lists: None,
        authentication: LdapAuthentication::Bind,
        pool: 2,
        timeout: Duration::from_secs(5),
        cache: LdapCache {
            positive: Duration::from_secs(300),
            negative: Duration::from_secs(60),
            entries: 10,
        },
        tls: ClientTls::default(),
    }
}

const BIND: u8 = 0x60;
const SEARCH: u8 = 0x63;

fn result(id: u8, tag: u8, code: u8) -> Vec<u8> {
    vec![0x30, 12, 2, 1, id, tag, 7, 10, 1, code, 4, 0, 4, 0]
}

fn done(id: u8) -> Vec<u8> {
    result(id, 0x65, 0)
}

fn no_such_object(id: u8) -> Vec<u8> {
    result(id, 0x65, 32)
}

fn busy(id: u8) -> Vec<u8> {
    result(id, 0x65, 51)
}

fn cut_short(id: u8) -> Vec<u8> {
    result(id, 0x65, 4)
}

fn bound(id: u8) -> Vec<u8> {
    result(id, 0x61, 0)
}

fn wrong(id: u8) -> Vec<u8> {
    result(id, 0x61, 49)
}

/// The entry `cn=a` with the address ann@x.org.
fn ann(id: u8) -> Vec<u8> {
    let values = b"\x31\x0b\x04\x09ann@x.org";
    let attribute = [&b"\x30\x13\x04\x04mail"[..], values].concat();
    let entry = [&b"\x04\x04cn=a\x30\x15"[..], &attribute].concat();
    [&[0x30, 34, 2, 1, id, 0x64, 29][..], &entry].concat()
}

/// An entry without a name.
fn nameless(id: u8) -> Vec<u8> {
    [&[0x30, 9, 2, 1, id, 0x64, 4][..], b"\x04\x00\x30\x00"].concat()
}

fn say(messages: &[fn(u8) -> Vec<u8>]) -> Play {
    Play::Say(messages.to_vec())
}

#[tokio::test]
async fn answers_are_remembered_and_the_connection_is_kept() {
    let script = Script::start(vec![say(&[ann, done]), say(&[done])]).await;
    for _ in 0..3 {
        assert_eq!(script.find("ann@x.org").await.unwrap(), Found::Mailbox);
        assert_eq!(script.find("joe@x.org").await.unwrap(), Found::Nobody);
    }
    assert_eq!((script.connections(), script.operations()), (1, vec![SEARCH, SEARCH]));
}

#[tokio::test]
async fn failures_are_not_remembered() {
    let script = Script::start(vec![say(&[busy]), say(&[no_such_object]), say(&[ann, done])]).await;
    for _ in 0..2 {
        assert!(matches!(script.find("ann@x.org").await, Err(DirectoryError::Refused { .. })));
    }
    assert_eq!(script.find("ann@x.org").await.unwrap(), Found::Mailbox);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_given_up_in_time() {
    let script = Script::start(vec![Play::Hang]).await;
    let began = Instant::now();
    assert!(matches!(script.find("ann@x.org").await, Err(DirectoryError::Timeout(_))));
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_turn_counts_as_well() {
    let script = Script::start(vec![Play::Hang, Play::Hang]).await;
    let began = Instant::now();
    let all = (0..20).map(|n| script.find(["a@x.org", "b@x.org", "c@x.org"][n % 3]));
    for outcome in futures::future::join_all(all).await {
        assert!(matches!(outcome, Err(DirectoryError::Timeout(_))), "{outcome:?}");
    }
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn a_kept_connection_that_has_ended_is_replaced() {
    let script = Script::start(vec![say(&[done]), Play::Close, say(&[ann, done])]).await;
    assert_eq!(script.find("joe@x.org").await.unwrap(), Found::Nobody);
    assert_eq!(script.find("ann@x.org").await.unwrap(), Found::Mailbox);
    assert_eq!(script.connections(), 2);
}

#[tokio::test]
async fn a_fresh_connection_that_ends_is_a_failure() {
    let script = Script::start(vec![Play::Close, say(&[ann, done])]).await;
    assert!(matches!(script.find("ann@x.org").await, Err(DirectoryError::Lost(_))));
    assert_eq!(script.find("ann@x.org").await.unwrap(), Found::Mailbox);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_waited_shows_first_that_it_is_alive() {
    let script = Script::start(vec![say(&[done]), Play::Hang, say(&[ann, done])]).await;
    script.find("joe@x.org").await.unwrap();
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(script.find("ann@x.org").await.unwrap(), Found::Mailbox);
    assert_eq!(script.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_one_connection_is_dead_those_that_waited_longer_are_not_asked() {
    let script = Script::start(vec![say(&[done]), say(&[done]), Play::Hang, say(&[ann, done])]).await;
    let (joe, bob) = tokio::join!(script.find("joe@x.org"), script.find("bob@x.org"));
    assert_eq!((joe.unwrap(), bob.unwrap(), script.connections()), (Found::Nobody, Found::Nobody, 2));
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(script.find("ann@x.org").await.unwrap(), Found::Mailbox);
    assert_eq!(script.connections(), 3);
}

#[tokio::test]
async fn the_right_password_opens_the_account_and_never_a_search() {
    let script =
        Script::start(vec![say(&[ann, done]), say(&[bound]), say(&[ann, done]), say(&[wrong])]).await;
    let LogIn::Account(account) = script.log_in("secret").await.unwrap() else { panic!("refused") };
    assert_eq!(account.address.as_str(), "ann@x.org");
    assert_eq!(script.log_in("Secret").await.unwrap(), LogIn::Wrong);
    assert_eq!(script.operations(), [SEARCH, BIND, SEARCH, BIND]);
    assert_eq!(script.connections(), 2, "a user's connection is not searched on");
}

#[tokio::test]
async fn an_empty_password_or_name_is_never_bound_with() {
    let script = Script::start(vec![say(&[ann, done]), say(&[nameless, done])]).await;
    assert_eq!(script.log_in("").await.unwrap(), LogIn::Wrong);
    assert_eq!(script.log_in("secret").await.unwrap(), LogIn::Wrong);
    assert_eq!(script.operations(), [SEARCH, SEARCH]);
}

#[tokio::test]
async fn nobody_costs_a_bind_as_well_and_with_another_password() {
    let script = Script::start(vec![say(&[done]), say(&[wrong])]).await;
    assert_eq!(script.log_in("secret").await.unwrap(), LogIn::Nobody);
    assert_eq!(script.operations(), [SEARCH, BIND]);
    let requests = script.requests.lock().unwrap();
    assert!(!String::from_utf8_lossy(&requests[1]).contains("secret"));
}

#[tokio::test]
async fn a_name_of_several_entries_is_nobodys() {
    let script = Script::start(vec![say(&[ann, ann, done]), say(&[wrong])]).await;
    assert_eq!(script.log_in("secret").await.unwrap(), LogIn::Nobody);
}

#[tokio::test]
async fn an_answer_that_the_server_cuts_short_is_none() {
    let script = Script::start(vec![say(&[ann, cut_short]), say(&[cut_short]), say(&[cut_short])]).await;
    assert!(matches!(script.log_in("secret").await, Err(DirectoryError::Refused { .. })));
    assert!(matches!(script.log_in("secret").await, Err(DirectoryError::Refused { .. })));
    assert!(matches!(script.find("ann@x.org").await, Err(DirectoryError::Refused { .. })));
    let script = Script::start(vec![say(&[ann, ann, cut_short]), say(&[wrong])]).await;
    assert_eq!(
        script.log_in("secret").await.unwrap(),
        LogIn::Nobody,
        "two were asked for, and two are there"
    );
}

#[tokio::test]
async fn more_entries_than_were_wanted_are_not_read() {
    let script = Script::start(vec![say(&[ann, ann, ann, ann, done])]).await;
    assert!(matches!(script.find("ann@x.org").await, Err(DirectoryError::Unexpected(_))));
}

#[tokio::test]
async fn what_is_no_ldap_is_a_failure() {
    for garbage in
        [|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), |_| vec![0x30, 0x84, 255, 255, 255, 255]]
    {
        let script = Script::start(vec![Play::Say(vec![garbage])]).await;
        assert!(matches!(script.find("ann@x.org").await, Err(DirectoryError::Malformed(_))));
    }
}

#[test]
fn addresses_stand_in_several_forms() {
    for (value, wanted) in [
        ("ann@x.org", Some("ann@x.org")),
        (" ann@x.org ", Some("ann@x.org")),
        ("SMTP:Ann@x.org", Some("Ann@x.org")),
        ("smtp:ann@x.org", Some("ann@x.org")),
        ("X500:/o=x", None),
        ("é", None),
        ("", None),
    ] {
        let address = address(value.as_bytes());
        assert_eq!(address.as_ref().map(Address::as_str), wanted, "{value}");
    }
}
