//! `kubectl postern`: the policy that is in force in a namespace, simulated here or written to a folder.
//!
//! kubectl finds this program by its name, `kubectl-postern`, in `PATH`. It reads what the operator has accepted, with
//! the rights of whoever calls it, and changes nothing.

mod accepted;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use postern_server::simulate::PolicyError;
use postern_server::simulate::command::{BAD_INPUT, How, SimulateError, simulate};

use crate::accepted::Accepted;

/// The policy that is in force in a namespace, looked at from outside.
#[derive(Debug, Parser)]
#[command(name = "kubectl postern", version, about)]
struct Cli {
    #[command(flatten)]
    cluster: Cluster,
    #[command(subcommand)]
    command: Command,
}

/// Where the policy is.
#[derive(Debug, Args)]
struct Cluster {
    /// Namespace; by default that of the context.
    #[arg(long, short, global = true)]
    namespace: Option<String>,
    /// Context of the kubeconfig; by default the current one.
    #[arg(long, global = true)]
    context: Option<String>,
    /// Path of the kubeconfig; by default `KUBECONFIG`, else `~/.kube/config`.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Release of the chart, where a namespace has several.
    #[arg(long, global = true, value_name = "NAME")]
    release: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One session with that policy, told stage by stage, as `postern simulate` does it.
    Simulate(Box<How>),
    /// Writes that policy to a folder, for `postern simulate`, `test` and `diff`. Secrets are among it.
    Export {
        /// The folder, which must not be there or be empty.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            if let Some(SimulateError::Policy(PolicyError::Faults { faults, .. })) = error.downcast_ref() {
                faults.iter().for_each(|fault| complain(&format!("error: {fault}")));
            }
            complain(&format!("kubectl postern: {error:#}"));
            ExitCode::from(BAD_INPUT)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // Which library does the cryptography is said once for the process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = cli.cluster.config().await.context("no cluster to ask")?;
    let namespace = cli.cluster.namespace.unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)?;
    let accepted = Accepted::read(&client, &namespace, cli.cluster.release.as_deref()).await?;
    match cli.command {
        Command::Simulate(how) => {
            let folder = tempfile::TempDir::with_prefix("postern-policy-")?;
            accepted.write(folder.path())?;
            Ok(simulate(folder.path(), &how).await?)
        }
        Command::Export { folder } => {
            let is_new = fs::read_dir(&folder).map_or(true, |mut entries| entries.next().is_none());
            ensure!(is_new, "{} is there already and not empty", folder.display());
            accepted.write(&folder)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Cluster {
    async fn config(&self) -> anyhow::Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        Ok(match &self.kubeconfig {
            Some(file) => Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await?,
            None => Config::from_kubeconfig(&options).await?,
        })
    }
}

#[expect(clippy::print_stderr, reason = "where a command tells what is wrong")]
fn complain(line: &str) {
    eprintln!("{line}");
}
