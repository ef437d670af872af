//! `postern`, the data plane.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use postern_server::check::Findings;
use postern_server::cli::{Check, Cli, Command, LogFormat, ManifestOrigin, Probe, Serve};
use postern_server::folder::Folder;
use postern_server::policy_diff::command::{Diff, DiffError};
use postern_server::policy_test::command::{Test, TestError};
use postern_server::reload::StartError;
use postern_server::serve::ServeError;
use postern_server::simulate::PolicyError;
use postern_server::simulate::command::{BAD_INPUT, Simulate, SimulateError};
use postern_server::{connection, policy_diff, policy_test, probe, serve, simulate};
use postern_trace::lines::{self, Form, Log};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: a TLS client that finds no provider panics.
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    let done = match &cli.command {
        _ if installed.is_err() => Err(anyhow::anyhow!("another TLS provider is installed already")),
        Command::Serve(options) => run(options),
        Command::Check(options) => check(options),
        Command::Simulate(options) => simulate(options),
        Command::Test(options) => test(options),
        Command::Diff(options) => diff(options),
        Command::Probe(options) => send_probe(options),
    };
    done.unwrap_or_else(|error| {
        complain(&format!("postern: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run(options: &Serve) -> anyhow::Result<ExitCode> {
    let log = log_to_stderr(options.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let source = Folder::new(options.config.clone(), options.pipe_dir.clone());
    let source = match options.origin {
        ManifestOrigin::Folder => source,
        ManifestOrigin::Cluster => source.from_cluster(),
    };
    let served = runtime.block_on(serve::serve(options, source, connection::serve));
    // Tasks that are left hold nothing that anybody waits for.
    runtime.shutdown_background();
    drop(log);
    match served {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            if let ServeError::Start(StartError::Faults { faults, warnings, .. }) = &error {
                faults.iter().for_each(|fault| complain(&format!("error: {fault}")));
                warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
            }
            Err(error.into())
        }
    }
}

fn check(options: &Check) -> anyhow::Result<ExitCode> {
    let source = Folder::new(options.folder.clone(), options.pipe_dir.clone());
    let findings = Findings::of(&source)?;
    match findings.write(&options.folder, options.format, &mut io::stdout().lock()) {
        // Whoever reads may stop early; what was found counts all the same.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(error).context("standard output");
        }
        _ => {}
    }
    Ok(if findings.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn simulate(options: &Simulate) -> anyhow::Result<ExitCode> {
    Ok(alone()?.block_on(simulate::command::simulate(&options.folder, &options.how)).unwrap_or_else(
        |error| {
            if let SimulateError::Policy(error) = &error {
                complain_of_policy(error);
            }
            bad_input(&error)
        },
    ))
}

fn test(options: &Test) -> anyhow::Result<ExitCode> {
    Ok(alone()?.block_on(policy_test::command::test(options)).unwrap_or_else(|error| {
        match &error {
            TestError::Policy(error) => complain_of_policy(error),
            TestError::Tests(faults) => faults.iter().for_each(|fault| complain(&format!("error: {fault}"))),
            _ => {}
        }
        bad_input(&error)
    }))
}

fn diff(options: &Diff) -> anyhow::Result<ExitCode> {
    Ok(alone()?.block_on(policy_diff::command::diff(options)).unwrap_or_else(|error| {
        if let DiffError::Policy(error) = &error {
            complain_of_policy(error);
        }
        bad_input(&error)
    }))
}

/// A runtime for a command: scripts wait for their answers on threads of their own, so one thread is enough.
fn alone() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")
}

fn complain_of_policy(error: &PolicyError) {
    if let PolicyError::Faults { faults, .. } = error {
        faults.iter().for_each(|fault| complain(&format!("error: {fault}")));
    }
}

fn bad_input(error: &dyn std::error::Error) -> ExitCode {
    complain(&format!("postern: {error}"));
    ExitCode::from(BAD_INPUT)
}

fn send_probe(options: &Probe) -> anyhow::Result<ExitCode> {
    let _log = log_to_stderr(LogFormat::Text)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let reply = runtime.block_on(probe::send(options))?;
    writeln!(io::stdout(), "{reply}").context("standard output")?;
    Ok(if reply.is_positive() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn log_to_stderr(format: LogFormat) -> anyhow::Result<Log> {
    let form = match format {
        LogFormat::Text => Form::Text,
        LogFormat::Json => Form::Json,
    };
    lines::to_stderr(form, "info").context("no thread for the log")
}

/// A line on standard error; when even that fails there is nobody to tell.
fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
