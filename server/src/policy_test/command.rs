//! The command: reads, runs, tells.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};

use clap::Args;
use postern_crds::{Fault, read_folder};

use super::coverage::Coverage;
use super::{Verdict, junit, run};
use crate::simulate::command::{PolicyOptions, print};
use crate::simulate::paint::{Paint, Tone, harmless};
use crate::simulate::{Network, PolicyError, Simulator};

/// Options of `test`.
#[derive(Debug, Clone, Args)]
pub struct Test {
    /// Folder of manifests, with MtaPolicyTest documents among them.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Another folder with MtaPolicyTest documents, besides those in DIR.
    #[arg(long, value_name = "DIR")]
    pub tests: Option<PathBuf>,
    /// Run only tests whose name contains this.
    #[arg(value_name = "NAME")]
    pub only: Option<String>,
    /// Write the results to this file as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Say which values of fields, scripts and filters no test has reached.
    #[arg(long)]
    pub coverage: bool,
    /// How the folder is read.
    #[command(flatten)]
    pub policy: PolicyOptions,
}

/// Why no test was run. All of it is bad input: the exit status is 2.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The tests.
    #[error("{} faults in tests", .0.len())]
    Tests(Vec<Fault>),
    /// There is nothing to run, which nobody means.
    #[error("there is no MtaPolicyTest {0}")]
    NoTest(String),
    /// A file or folder.
    #[error("{}: {cause}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The output.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// Runs the command: 0 when all tests pass, 1 when some do not.
///
/// # Errors
/// [`TestError`].
pub async fn test(options: &Test) -> Result<ExitCode, TestError> {
    let simulator = Simulator::load(&options.folder, &options.policy.load_options(), Network::Away)?;
    let mut verdicts = run_all(options, &simulator).await?;
    let filtered = match &options.only {
        Some(only) => {
            let all = verdicts.len();
            verdicts.retain(|verdict| verdict.name.contains(only.as_str()));
            all - verdicts.len()
        }
        None => 0,
    };
    if verdicts.is_empty() {
        let place = options.folder.display();
        return Err(TestError::NoTest(match &options.only {
            Some(only) => format!("whose name contains `{only}` in {place}"),
            None => format!("in {place}"),
        }));
    }
    if let Some(file) = &options.junit {
        let suite = options.folder.display().to_string();
        fs::write(file, junit::xml(&suite, &verdicts))
            .map_err(|cause| TestError::File { path: file.clone(), cause })?;
    }
    let mut text = told(&verdicts, filtered, Paint::for_stdout());
    if options.coverage {
        text += &Coverage::of(&simulator, &verdicts).text();
    }
    print(&text)?;
    let passed = verdicts.iter().all(Verdict::passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The tests of the folder, then those of the other one.
async fn run_all(options: &Test, simulator: &Simulator) -> Result<Vec<Verdict>, TestError> {
    let (tests, mut faults) = simulator.objects.policy_tests();
    let elsewhere = match &options.tests {
        Some(folder) => {
            let unreadable = |cause| TestError::File { path: folder.clone(), cause };
            let (set, others) = read_folder(folder).map_err(unreadable)?;
            faults.extend(others);
            let (tests, others) = set.policy_tests_of(&simulator.objects);
            faults.extend(others);
            Some((tests, folder))
        }
        None => None,
    };
    if !faults.is_empty() {
        return Err(TestError::Tests(faults));
    }
    let mut verdicts = run(simulator, &tests, &options.folder).await.map_err(TestError::Tests)?;
    if let Some((tests, folder)) = elsewhere {
        verdicts.extend(run(simulator, &tests, folder).await.map_err(TestError::Tests)?);
    }
    Ok(verdicts)
}

/// The verdicts as `cargo test` prints them.
fn told(verdicts: &[Verdict], filtered: usize, paint: Paint) -> String {
    let good = || paint.tone(Tone::Good, "ok");
    let bad = || paint.tone(Tone::Bad, "FAILED");
    let mut text = format!("\nrunning {} tests\n", verdicts.len());
    // Writing into a text cannot fail.
    for verdict in verdicts {
        let word = if verdict.passed() { good() } else { bad() };
        let _ = writeln!(text, "test {} ... {word}", verdict.name);
    }
    let failed: Vec<&Verdict> = verdicts.iter().filter(|verdict| !verdict.passed()).collect();
    if !failed.is_empty() {
        text.push_str("\nfailures:\n");
        for verdict in &failed {
            let _ = writeln!(text, "\n---- {} ({}) ----", verdict.name, verdict.place);
            for deviation in &verdict.deviations {
                let _ = writeln!(text, "{}", harmless(deviation));
            }
        }
        text.push_str("\nfailures:\n");
        failed.iter().for_each(|verdict| {
            let _ = writeln!(text, "    {}", verdict.name);
        });
    }
    let took: Duration = verdicts.iter().map(|verdict| verdict.took).sum();
    let _ = writeln!(
        text,
        "\ntest result: {}. {} passed; {} failed; 0 ignored; 0 measured; {filtered} filtered out; finished in {:.2}s",
        if failed.is_empty() { good() } else { bad() },
        verdicts.len() - failed.len(),
        failed.len(),
        took.as_secs_f64()
    );
    text
}
