//! Which replica writes: the one that holds the Lease.
//!
//! As everywhere in Kubernetes, the holder writes the time of its renewal, and the others measure on their own
//! clocks for how long they have seen no new one. A holder that cannot renew stops by itself before the others
//! may take over. Should two write all the same, the older one fails at the resource versions of what it writes.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::api_error::Said;

/// Takes part in the election under a name.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    lease: String,
    identity: String,
    seen: Option<Seen>,
    leads: watch::Sender<bool>,
}

/// What was seen of the holder, and since when it is the same.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    holder: String,
    renewed: Option<MicroTime>,
    since: Instant,
}

/// What to do about a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is ours: write a new time.
    Renew,
    /// It is nobody's, or its holder has gone.
    Take,
    /// Somebody else has it.
    Wait,
}

impl Candidate {
    /// A candidate under a name that no other process has.
    #[must_use]
    pub fn new(client: Client, namespace: &str, lease: String, identity: String) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, lease, identity, seen: None, leads: watch::Sender::new(false) }
    }

    /// Whether this replica is the leader.
    #[must_use]
    pub fn leads(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }

    /// Takes part until `ended` is done, and gives the Lease back then, so that nobody waits for it to expire.
    pub async fn run(mut self, ended: impl Future<Output = ()>) {
        let mut renewed = Instant::now();
        let mut ended = std::pin::pin!(ended);
        loop {
            match timeout(RENEW_EVERY, self.attempt()).await {
                Ok(Ok(leads)) => {
                    renewed = Instant::now();
                    self.set(leads);
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = %Said(&error), "the Lease cannot be read or written")
                }
                Err(_) => tracing::warn!("the API server does not answer about the Lease"),
            }
            if renewed.elapsed() > GIVE_UP_AFTER {
                self.set(false);
            }
            tokio::select! {
                () = &mut ended => break,
                () = sleep(RENEW_EVERY) => {}
            }
        }
        if *self.leads.borrow() {
            self.set(false);
            if let Err(error) = self.give_back().await {
                tracing::warn!(error = %Said(&error), "the Lease could not be given back");
            }
        }
    }

    fn set(&self, leads: bool) {
        let is_new = self.leads.send_if_modified(|old| std::mem::replace(old, leads) != leads);
        if is_new {
            tracing::info!(leader = leads, identity = %self.identity, "election");
        }
    }

    /// One look at the Lease; whether it is ours afterwards.
    async fn attempt(&mut self) -> kube::Result<bool> {
        let Some(lease) = self.api.get_opt(&self.lease).await? else {
            return self.write(None).await;
        };
        match self.step(lease.spec.as_ref(), Instant::now()) {
            Step::Renew | Step::Take => self.write(Some(lease)).await,
            Step::Wait => Ok(false),
        }
    }

    fn step(&mut self, spec: Option<&LeaseSpec>, now: Instant) -> Step {
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder == self.identity {
            return Step::Renew;
        }
        let renewed = spec.and_then(|spec| spec.renew_time.clone());
        let since = match &self.seen {
            Some(seen) if seen.holder == holder && seen.renewed == renewed => seen.since,
            _ => now,
        };
        self.seen = Some(Seen { holder: holder.to_owned(), renewed, since });
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
        let valid_for =
            seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(DURATION, Duration::from_secs);
        if holder.is_empty() || now.duration_since(since) >= valid_for { Step::Take } else { Step::Wait }
    }

    /// Writes it as ours. Who was faster has changed its resource version, and wins.
    async fn write(&self, old: Option<Lease>) -> kube::Result<bool> {
        let now = MicroTime(Timestamp::now());
        let (metadata, old_spec) = match old {
            Some(lease) => (lease.metadata, lease.spec.unwrap_or_default()),
            None => {
                (ObjectMeta { name: Some(self.lease.clone()), ..ObjectMeta::default() }, LeaseSpec::default())
            }
        };
        let is_ours = old_spec.holder_identity.as_deref() == Some(self.identity.as_str());
        let exists = metadata.resource_version.is_some();
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if is_ours { old_spec.acquire_time } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(
                old_spec.lease_transitions.unwrap_or_default().saturating_add(i32::from(exists && !is_ours)),
            ),
            ..LeaseSpec::default()
        };
        let lease = Lease { metadata, spec: Some(spec) };
        let written = if exists {
            self.api.replace(&self.lease, &PostParams::default(), &lease).await
        } else {
            self.api.create(&PostParams::default(), &lease).await
        };
        match written {
            Ok(_) => Ok(true),
            // Conflict, or somebody else has created it.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn give_back(&self) -> kube::Result<()> {
        let Some(mut lease) = self.api.get_opt(&self.lease).await? else { return Ok(()) };
        let Some(spec) = lease.spec.as_mut() else { return Ok(()) };
        if spec.holder_identity.as_deref() == Some(self.identity.as_str()) {
            spec.holder_identity = Some(String::new());
            self.api.replace(&self.lease, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }
}

/// How long others wait for a holder that says nothing.
const DURATION: Duration = Duration::from_secs(10);
/// How often it is renewed, and how often others look.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// A holder without a renewal stops after this, which is before others may take over.
const GIVE_UP_AFTER: Duration = Duration::from_secs(7);

#[cfg(test)]
mod tests {
    use super::*;

    async fn candidate() -> Candidate {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
        Candidate::new(Client::try_from(config).unwrap(), "mail", "lease".into(), "me".into())
    }

    fn held_by(holder: &str, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(10),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        }
    }

    #[tokio::test]
    async fn a_lease_of_nobody_is_taken_and_our_own_is_renewed() {
        let mut me = candidate().await;
        let now = Instant::now();
        assert_eq!(me.step(None, now), Step::Take);
        assert_eq!(me.step(Some(&held_by("", 1)), now), Step::Take);
        assert_eq!(me.step(Some(&held_by("me", 1)), now), Step::Renew);
    }

    #[tokio::test]
    async fn a_holder_that_renews_keeps_it_whatever_its_clock_says() {
        let mut me = candidate().await;
        let start = Instant::now();
        for beat in 0..10 {
            let now = start + Duration::from_secs(8) * beat;
            assert_eq!(me.step(Some(&held_by("other", i64::from(beat))), now), Step::Wait);
        }
    }

    #[tokio::test]
    async fn a_holder_that_is_silent_for_the_whole_time_loses_it() {
        let mut me = candidate().await;
        let start = Instant::now();
        let silent = held_by("other", 1);
        assert_eq!(me.step(Some(&silent), start), Step::Wait);
        assert_eq!(me.step(Some(&silent), start + Duration::from_secs(9)), Step::Wait);
        assert_eq!(me.step(Some(&silent), start + Duration::from_secs(10)), Step::Take);
    }

    #[tokio::test]
    async fn a_new_holder_has_its_whole_time() {
        let mut me = candidate().await;
        let start = Instant::now();
        assert_eq!(me.step(Some(&held_by("other", 1)), start), Step::Wait);
        let later = start + Duration::from_secs(11);
        assert_eq!(me.step(Some(&held_by("third", 2)), later), Step::Wait);
    }

    #[test]
    fn a_holder_gives_up_before_others_take_over() {
        assert!(GIVE_UP_AFTER + RENEW_EVERY < DURATION);
    }
}
