//! Tests of the reload with a source that understands three words.

use super::*;
use crate::accepted::Accepted;
use crate::drain::Times;
use crate::message::Budget;
use crate::testing::listener;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Reads lines of `listener NAME ADDRESS`, `tls NAME ADDRESS` (without a certificate) and `fault TEXT`.
struct Words {
    folder: PathBuf,
    /// How often it was read.
    reads: Arc<AtomicU32>,
    /// Written into the folder in the middle of the first read.
    interruption: Option<&'static str>,
}

impl Source for Words {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn load(&self) -> io::Result<Loaded> {
        let text = read_all(&self.folder)?;
        let first = self.reads.fetch_add(1, Ordering::Relaxed) == 0;
        if let (true, Some(interruption)) = (first, self.interruption) {
            fs::write(self.folder.join("a.yaml"), interruption)?;
        }
        if text.contains("incomplete") {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "a part is missing"));
        }
        let (mut listeners, mut faults) = (Vec::new(), Vec::new());
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["listener", name, address] => listeners.push(Arc::new(listener(name, address))),
                ["tls", name, address] => {
                    let mut tls = listener(name, address);
                    tls.tls = Some(postern_core::policy::listener::ListenerTls {
                        certificates: Vec::new(),
                        implicit: false,
                        min_version: Default::default(),
                        disabled_cipher_suites: Vec::new(),
                        ignore_client_order: true,
                    });
                    listeners.push(Arc::new(tls));
                }
                _ => faults.push(fault(None, String::new(), line.to_owned())),
            }
        }
        let policy = Policy { revision: text.into(), listeners, ..Policy::default() };
        Ok(Loaded { policy: faults.is_empty().then_some(policy), faults, ..Loaded::default() })
    }
}

fn read_all(folder: &Path) -> io::Result<String> {
    let mut files: Vec<_> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "yaml"))
        .map(fs::read_to_string)
        .collect()
}

async fn ignore(_: Accepted, _: Arc<Gate>) {}

type Reloading = Reloader<Words, fn(Accepted, Arc<Gate>) -> Ignored>;
type Ignored = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn boxed(accepted: Accepted, gate: Arc<Gate>) -> Ignored {
    Box::pin(ignore(accepted, gate))
}

async fn start_with(folder: &Path, interruption: Option<&'static str>) -> Result<Reloading, StartError> {
    let source = Words { folder: folder.to_owned(), reads: Arc::default(), interruption };
    let messages = MessageStore::new(std::env::temp_dir(), Budget::new(0, 0));
    let metrics = Metrics::default();
    let handler = boxed as fn(Accepted, Arc<Gate>) -> Ignored;
    Reloader::start(Arc::new(source), handler, messages, metrics, Arc::default()).await
}

async fn started(text: &str) -> (TempDir, Reloading) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, text);
    let reloader = start_with(folder.path(), None).await.unwrap();
    (folder, reloader)
}

fn write(folder: &TempDir, text: &str) {
    fs::write(folder.path().join("a.yaml"), text).unwrap();
}

fn revision(reloader: &Reloading) -> String {
    reloader.gate.snapshot().policy.revision.to_string()
}

fn bound(reloader: &Reloading) -> Vec<SocketAddr> {
    let report = reloader.status.report();
    report.listeners.iter().map(|socket| socket.address.parse().unwrap()).collect()
}

fn faults(reloader: &Reloading) -> Vec<String> {
    let attempt = reloader.status.report().last_reload.unwrap();
    assert!(!attempt.applied);
    attempt.faults.iter().map(ToString::to_string).collect()
}

const ONE: &str = "listener smtp 127.0.0.1:0\n";

#[tokio::test(start_paused = true)]
async fn a_change_is_in_force_and_old_connections_keep_what_they_had() {
    let (folder, mut reloader) = started(ONE).await;
    let (held, before) = (reloader.gate.snapshot(), bound(&reloader));
    let both = "listener smtp 127.0.0.1:0\nlistener more 127.0.0.2:0\n";
    write(&folder, both);
    reloader.look().await;
    assert_eq!(revision(&reloader), both);
    assert_eq!(&*held.policy.revision, ONE);
    let after = bound(&reloader);
    assert_eq!(after[..1], before, "a listener that stays keeps its socket");
    TcpStream::connect(after[1]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_folder_with_a_fault_changes_nothing_and_is_reported() {
    let (folder, mut reloader) = started(ONE).await;
    let before = bound(&reloader);
    write(&folder, "listener other 127.0.0.2:0\nnonsense\nmore nonsense\n");
    reloader.look().await;
    assert_eq!((revision(&reloader).as_str(), bound(&reloader)), (ONE, before));
    assert_eq!(faults(&reloader), ["nonsense", "more nonsense"]);
    assert!(
        reloader.gate.metrics.encode().unwrap().contains("postern_reloads_total{outcome=\"Faulty\"} 1\n")
    );
}

#[tokio::test(start_paused = true)]
async fn tls_that_cannot_be_made_is_a_fault_of_the_policy() {
    let (folder, mut reloader) = started(ONE).await;
    write(&folder, "tls smtp 127.0.0.1:0\n");
    reloader.look().await;
    assert_eq!(revision(&reloader), ONE);
    assert_eq!(faults(&reloader), ["MtaListener/smtp spec.tls: TLS is on and there is no certificate"]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_without_a_listener_is_refused() {
    let (folder, mut reloader) = started(ONE).await;
    write(&folder, "");
    reloader.look().await;
    assert_eq!(revision(&reloader), ONE);
    assert_eq!(faults(&reloader), ["there is no MtaListener, so nobody could connect"]);
}

#[tokio::test(start_paused = true)]
async fn a_port_in_use_changes_nothing_and_is_tried_again() {
    let (folder, mut reloader) = started(ONE).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let clash = format!("{ONE}listener clash {}\n", taken.local_addr().unwrap());
    write(&folder, &clash);
    reloader.look().await;
    assert_eq!(revision(&reloader), ONE);
    assert!(faults(&reloader)[0].starts_with("MtaListener/clash spec.bind: "));
    drop(taken);
    reloader.look().await;
    assert_eq!(revision(&reloader), ONE, "not at every look");
    tokio::time::advance(RETRY).await;
    reloader.look().await;
    assert_eq!(revision(&reloader), clash);
}

#[tokio::test(start_paused = true)]
async fn the_switch_of_a_mounted_volume_is_one_change() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, more) in [("..1", ""), ("..2", "listener more 127.0.0.2:0\n")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("a.yaml"), ONE).unwrap();
        fs::write(at(version).join("b.yaml"), more).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/a.yaml", at("a.yaml")).unwrap();
    symlink("..data/b.yaml", at("b.yaml")).unwrap();
    let mut reloader = start_with(folder.path(), None).await.unwrap();
    assert_eq!(revision(&reloader), ONE);
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    reloader.look().await;
    assert_eq!(bound(&reloader).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_changes_while_it_is_read_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, ONE);
    let reloader = start_with(folder.path(), Some("listener new 127.0.0.1:0\n")).await.unwrap();
    assert_eq!(revision(&reloader), "listener new 127.0.0.1:0\n");
    assert_eq!(reloader.source.reads.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_folder_at_rest_is_not_read_again() {
    let (_folder, mut reloader) = started(ONE).await;
    reloader.look().await;
    reloader.look().await;
    assert_eq!(reloader.source.reads.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_goes_is_reported_and_one_that_comes_back_is_read() {
    let (folder, mut reloader) = started(ONE).await;
    let elsewhere = folder.path().with_extension("moved");
    fs::rename(folder.path(), &elsewhere).unwrap();
    reloader.look().await;
    assert!(faults(&reloader)[0].contains("No such file"));
    fs::rename(&elsewhere, folder.path()).unwrap();
    reloader.look().await;
    assert!(reloader.status.report().last_reload.unwrap().applied);
}

#[tokio::test(start_paused = true)]
async fn a_set_on_its_way_is_no_fault_unless_it_stays_incomplete() {
    let (folder, mut reloader) = started(ONE).await;
    write(&folder, "incomplete");
    reloader.look().await;
    assert!(reloader.status.report().last_reload.unwrap().applied);
    tokio::time::advance(RETRY).await;
    reloader.look().await;
    assert!(faults(&reloader)[0].ends_with("a part is missing"));
    let whole = "listener whole 127.0.0.1:0\n";
    write(&folder, whole);
    reloader.look().await;
    assert_eq!(revision(&reloader), whole);
}

#[tokio::test(start_paused = true)]
async fn a_start_without_a_sound_policy_fails_with_every_fault() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "one\ntwo\n");
    let Err(StartError::Faults { faults, .. }) = start_with(folder.path(), None).await else { panic!() };
    assert_eq!(faults.len(), 2);
    let missing = folder.path().join("nowhere");
    let Err(error) = start_with(&missing, None).await else { panic!() };
    assert!(error.to_string().starts_with(&missing.display().to_string()));
}

#[tokio::test(start_paused = true)]
async fn the_folder_is_followed_until_the_listeners_close() {
    let (folder, reloader) = started(ONE).await;
    let (gate, address) = (Arc::clone(&reloader.gate), bound(&reloader)[0]);
    let running = tokio::spawn(reloader.run());
    let other = "listener other 127.0.0.1:0\n";
    write(&folder, other);
    while &*gate.snapshot().policy.revision != other {
        sleep(POLL).await;
    }
    let times = Times { delay: Duration::ZERO, timeout: Duration::ZERO };
    gate.drain.run(times, async { running.await.unwrap().wait().await }, std::future::pending()).await;
    assert!(TcpStream::connect(address).await.is_err());
}
