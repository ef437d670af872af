//! The command line: `postern serve` and `postern check`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use postern_core::policy::route::HopAddress;
use postern_core::smtp::address::{Address, ReversePath};

use crate::policy_diff::command::Diff;
use crate::policy_test::command::Test;
use crate::simulate::command::Simulate;

/// The mail gate of a Kubernetes cluster.
#[derive(Debug, Parser)]
#[command(name = "postern", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take mail, with the policy of a folder of manifests.
    Serve(Serve),
    /// Show everything that is wrong with a folder of manifests.
    Check(Check),
    /// Run one session with the policy of a folder, without a network, and tell why it went as it did.
    Simulate(Box<Simulate>),
    /// Run the tests that stand beside the policy of a folder.
    Test(Test),
    /// Show which recorded sessions two policies would treat differently.
    Diff(Diff),
    /// Send one small message to a server, and show what it says.
    Probe(Probe),
}

/// Options of `serve`. Each can be given as an environment variable.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Folder of manifests; changes in it are picked up within a second.
    #[arg(long, env = "POSTERN_CONFIG", value_name = "DIR")]
    pub config: PathBuf,
    /// Where probes, status and metrics are answered.
    #[arg(long, env = "POSTERN_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub admin: SocketAddr,
    /// Folder with the programs that an MtaPipe may run; without it every MtaPipe is a fault.
    #[arg(long, env = "POSTERN_PIPE_DIR", value_name = "DIR")]
    pub pipe_dir: Option<PathBuf>,
    /// Where the manifests come from. `cluster` is a folder that the operator fills: it is waited for, and secrets
    /// are in Secrets only.
    #[arg(long, env = "POSTERN_ORIGIN", value_enum, default_value_t)]
    pub origin: ManifestOrigin,
    /// Where connections hear 421 for as long as there is no policy to put in force; again for each address. A policy
    /// that cannot be served is then waited out as well, instead of ending the process.
    #[arg(long, env = "POSTERN_WAIT_AT", value_name = "ADDRESS", value_delimiter = ',')]
    pub wait_at: Vec<SocketAddr>,
    /// Folder for large messages in hand; by default the system's folder for temporary files.
    #[arg(long, env = "POSTERN_SPOOL_DIR", value_name = "DIR")]
    pub spool_dir: Option<PathBuf>,
    /// Form of the log on standard error; `RUST_LOG` chooses what is in it.
    #[arg(long, env = "POSTERN_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// After SIGTERM: how long connections are still accepted, while load balancers look elsewhere.
    #[arg(long, env = "POSTERN_DRAIN_DELAY", value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub drain_delay: Duration,
    /// After SIGTERM: how long transactions in hand may take to end.
    #[arg(long, env = "POSTERN_DRAIN_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub drain_timeout: Duration,
}

/// Options of `check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// Folder of manifests.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// How faults are shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
    /// Folder with the programs that an MtaPipe may run, as for `serve`.
    #[arg(long, env = "POSTERN_PIPE_DIR", value_name = "DIR")]
    pub pipe_dir: Option<PathBuf>,
}

/// Options of `probe`.
#[derive(Debug, Clone, Args)]
pub struct Probe {
    /// The server: a name or an address, and a port.
    #[arg(value_name = "HOST:PORT", value_parser = host_and_port)]
    pub server: HopAddress,
    /// Sender of the envelope; empty for the null sender.
    #[arg(long, value_name = "ADDRESS", default_value = "", value_parser = sender)]
    pub from: ReversePath,
    /// Recipient of the envelope.
    #[arg(long, value_name = "ADDRESS", value_parser = recipient)]
    pub to: Address,
    /// When to give up.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
}

/// Where manifests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ManifestOrigin {
    /// Somebody keeps the folder. It is there, or the server does not start.
    #[default]
    Folder,
    /// The operator fills the folder, perhaps after the server has started.
    Cluster,
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

/// Form of the faults that `check` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CheckFormat {
    /// One line each.
    #[default]
    Text,
    /// One JSON object with all of them.
    Json,
    /// Annotations of GitHub Actions.
    Github,
}

/// `30s`, `5m`, `1h 30m`; never negative.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|_| "expected a time such as 30s or 5m".to_owned())?;
    Duration::try_from(parsed).map_err(|_| "a time cannot be negative".to_owned())
}

/// `mx.example.org:25`, `[2001:db8::1]:25`
fn host_and_port(text: &str) -> Result<HopAddress, String> {
    let parsed = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parsed.filter(|(host, _)| !host.is_empty()).ok_or("expected HOST:PORT")?;
    Ok(HopAddress { host: host.into(), port })
}

fn sender(text: &str) -> Result<ReversePath, String> {
    if text.is_empty() { Ok(ReversePath::Null) } else { recipient(text).map(ReversePath::from) }
}

fn recipient(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_needs_only_a_folder() {
        let cli = Cli::try_parse_from(["postern", "serve", "--config", "examples"]).unwrap();
        let Command::Serve(serve) = cli.command else { panic!() };
        assert_eq!(serve.admin, "127.0.0.1:9090".parse().unwrap());
        assert_eq!((serve.drain_delay, serve.drain_timeout), (Duration::ZERO, Duration::from_secs(30)));
        assert_eq!(serve.log_format, LogFormat::Text);
        assert!(Cli::try_parse_from(["postern", "serve"]).is_err());
    }

    #[test]
    fn a_probe_needs_a_server_and_a_recipient() {
        let probe = |arguments: &[&str]| {
            Cli::try_parse_from(["postern", "probe"].iter().chain(arguments)).map(|cli| cli.command)
        };
        let Command::Probe(found) = probe(&["--to", "a@example.org", "[2001:db8::1]:25"]).unwrap() else {
            panic!()
        };
        assert_eq!((&*found.server.host, found.server.port), ("[2001:db8::1]", 25));
        for wrong in [&["mx.example.org:25"][..], &["--to", "a@b", "mx.example.org"], &["--to", "a", "mx:25"]]
        {
            assert!(probe(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_are_said_with_their_unit() {
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        for wrong in ["5", "-5s", "soon", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
