//! Keeps the certificate that the operator makes for itself: makes it, renews it, and tells the API server.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::authority::{AuthorityError, is_fresh, make};
use super::identity::text;
use crate::api_error::Said;
use crate::apply::{Applier, core};
use crate::json::at;
use crate::world::World;

/// What is needed to keep it.
pub struct Keeper {
    /// For the configuration of the webhook, which is not in the namespace.
    pub client: Client,
    /// For the Secret.
    pub applier: Applier,
    /// Where the Secret is seen.
    pub world: Arc<World>,
    /// Name of the Secret.
    pub secret: String,
    /// Name of the ValidatingWebhookConfiguration.
    pub configuration: String,
    /// Names under which the API server calls.
    pub hosts: Vec<String>,
    /// Whether this replica writes.
    pub leads: watch::Receiver<bool>,
}

/// Why it was not kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("{}", Said(.0))]
    Api(#[from] kube::Error),
}

impl Keeper {
    /// Keeps it for as long as it runs.
    pub async fn run(mut self) {
        let mut changes = self.world.subscribe();
        let mut last = None;
        loop {
            changes.mark_unchanged();
            let now = self.world.get("Secret", &self.secret);
            let leads = *self.leads.borrow_and_update();
            let mut pause = EVERY;
            if leads && self.world.is_complete() {
                match self.keep(now.as_deref().map(|secret| at(secret, &["data"]))).await {
                    Ok(()) => last = self.world.get("Secret", &self.secret),
                    Err(error) => {
                        tracing::warn!(%error, "the certificate of the webhook could not be kept");
                        pause = AGAIN;
                    }
                }
            }
            let mut pause = std::pin::pin!(sleep(pause));
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    _ = self.leads.changed() => break,
                    _ = changes.changed() => {
                        // Most changes are none of ours.
                        let is_first = last.is_none() && self.world.is_complete();
                        if is_first || self.world.get("Secret", &self.secret) != last {
                            sleep(SETTLE).await;
                            break;
                        }
                    }
                }
            }
        }
    }

    /// One look. The API server hears of a new authority before anybody shows its certificate, and goes on
    /// trusting the one before it, because replicas change at different moments.
    async fn keep(&self, data: Option<&Value>) -> Result<(), KeepError> {
        let now = Timestamp::now();
        let old = data
            .and_then(|data| Some((text(data, "ca.crt")?, text(data, "tls.crt")?, text(data, "tls.key")?)));
        if let Some((authorities, certificate, _)) = &old
            && is_fresh(certificate, now)
        {
            return Ok(self.tell(authorities).await?);
        }
        let made = make(&self.hosts, now)?;
        let previous =
            old.as_ref().and_then(|(authorities, ..)| first_block(authorities)).unwrap_or_default();
        let authorities = format!("{}{previous}", made.authority);
        self.tell(&authorities).await?;
        let body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.secret, "labels": self.applier.labels("webhook")},
            "data": {
                "ca.crt": STANDARD.encode(&authorities),
                "tls.crt": STANDARD.encode(&made.certificate),
                "tls.key": STANDARD.encode(&made.key),
            },
        });
        self.applier.write(&core("Secret", "secrets"), &self.secret, body).await?;
        tracing::info!(secret = self.secret, "made a certificate for the webhook");
        Ok(())
    }

    /// Tells the API server which authorities to trust, unless it knows.
    async fn tell(&self, authorities: &str) -> kube::Result<()> {
        let api: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let configuration = api.get(&self.configuration).await?;
        let webhooks: Vec<Value> = configuration
            .webhooks
            .unwrap_or_default()
            .into_iter()
            .filter(|webhook| {
                webhook.client_config.ca_bundle.as_ref().is_none_or(|known| known.0 != authorities.as_bytes())
            })
            .map(|webhook| {
                json!({"name": webhook.name, "clientConfig": {"caBundle": STANDARD.encode(authorities)}})
            })
            .collect();
        if webhooks.is_empty() {
            return Ok(());
        }
        let patch = Patch::Strategic(json!({"webhooks": webhooks}));
        api.patch(&self.configuration, &PatchParams::default(), &patch).await.map(drop)
    }
}

/// The first certificate of several.
fn first_block(pem: &str) -> Option<&str> {
    const END: &str = "-----END CERTIFICATE-----\n";
    pem.split_inclusive(END).next().filter(|block| block.ends_with(END))
}

/// How often it is looked at without a change; somebody may have written the configuration anew.
const EVERY: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(2);
const SETTLE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_authorities_the_newest_is_first() {
        let one = make(&["a".to_owned()], Timestamp::now()).unwrap().authority;
        let two = make(&["a".to_owned()], Timestamp::now()).unwrap().authority;
        assert_eq!(first_block(&format!("{one}{two}")).map(str::trim), Some(one.trim()));
        assert_eq!(first_block("nonsense"), None);
    }
}
