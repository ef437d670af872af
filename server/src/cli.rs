//! The command line: `postern serve` and `postern check`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

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
    fn times_are_said_with_their_unit() {
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        for wrong in ["5", "-5s", "soon", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
