//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// The control plane of Postern: makes the policy of one release from the custom resources of its namespace.
#[derive(Debug, Clone, Parser)]
#[command(name = "postern-operator", version, about)]
pub struct Cli {
    /// Namespace of the release. By default that of the pod, or of the kubeconfig.
    #[arg(long, env = "POSTERN_NAMESPACE")]
    pub namespace: Option<String>,
    /// Name of the release, which the names of everything it makes begin with.
    #[arg(long, env = "POSTERN_RELEASE", default_value = "postern")]
    pub release: String,
    /// ConfigMap with the baseline. By default RELEASE-baseline.
    #[arg(long, env = "POSTERN_BASELINE", value_name = "NAME")]
    pub baseline: Option<String>,
    /// Labels of the pods that run the policy. By default the server of the release.
    #[arg(long, env = "POSTERN_PODS", value_name = "SELECTOR")]
    pub pods: Option<String>,
    /// Admin port of those pods.
    #[arg(long, env = "POSTERN_POD_ADMIN_PORT", value_name = "PORT", default_value_t = 9090)]
    pub pod_admin_port: u16,
    /// ServiceAccount that owns what is made, so that it goes together with the release.
    #[arg(long, env = "POSTERN_OWNER", value_name = "NAME")]
    pub owner: Option<String>,
    /// Name of this replica, which no other has. By default the host name.
    #[arg(long, env = "POSTERN_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,
    /// Folder with the programs that an MtaPipe may run in the pods; without it every MtaPipe is a fault.
    #[arg(long, env = "POSTERN_PIPE_DIR", value_name = "DIR")]
    pub pipe_dir: Option<PathBuf>,
    /// Where probes and metrics are answered.
    #[arg(long, env = "POSTERN_ADMIN", value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    pub admin: SocketAddr,
    /// Where the API server finds the webhook; without it there is none.
    #[arg(long, env = "POSTERN_WEBHOOK", value_name = "ADDRESS")]
    pub webhook: Option<SocketAddr>,
    /// Service and ValidatingWebhookConfiguration of the webhook. By default RELEASE-webhook, and the same with
    /// the namespace behind it.
    #[arg(long, env = "POSTERN_WEBHOOK_SERVICE", value_name = "NAME")]
    pub webhook_service: Option<String>,
    /// ValidatingWebhookConfiguration that is told whom to trust. By default RELEASE-webhook-NAMESPACE.
    #[arg(long, env = "POSTERN_WEBHOOK_CONFIGURATION", value_name = "NAME")]
    pub webhook_configuration: Option<String>,
    /// Secret with the certificate of the webhook. By default RELEASE-webhook-tls.
    #[arg(long, env = "POSTERN_WEBHOOK_SECRET", value_name = "NAME")]
    pub webhook_secret: Option<String>,
    /// Who makes that certificate.
    #[arg(long, env = "POSTERN_WEBHOOK_CERTIFICATE", value_enum, default_value_t)]
    pub webhook_certificate: Certificate,
    /// Form of the log on standard error; `RUST_LOG` chooses what is in it.
    #[arg(long, env = "POSTERN_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Who makes the certificate of the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Certificate {
    /// The operator, with an authority of its own.
    #[default]
    SelfSigned,
    /// Somebody else, such as cert-manager, who also tells the API server whom to trust.
    Given,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound_and_nothing_is_required() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["postern-operator"]).unwrap();
        assert_eq!(cli.release, "postern");
        assert_eq!(cli.webhook_certificate, Certificate::SelfSigned);
    }
}
