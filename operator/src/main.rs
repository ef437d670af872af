//! `postern-operator`, the control plane.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use postern_operator::cli::{Cli, LogFormat};
use postern_operator::run::run;
use postern_trace::lines::{self, Form, Log};

fn main() -> anyhow::Result<ExitCode> {
    // Before anything else: which provider clients of TLS find must not depend on who is first.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    let cli = Cli::parse();
    let _log = log_to_stderr(cli.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(run(cli))?;
    Ok(ExitCode::SUCCESS)
}

fn log_to_stderr(format: LogFormat) -> anyhow::Result<Log> {
    let form = match format {
        LogFormat::Text => Form::Text,
        LogFormat::Json => Form::Json,
    };
    lines::to_stderr(form, LOGGED).context("no thread for the log")
}

/// The client logs every refusal of the API server as an error; whoever made the request says it better.
const LOGGED: &str = "info,kube_client=off";
