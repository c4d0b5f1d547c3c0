//! The command line: one command per file. Results go to stdout, everything else to stderr.

pub mod console;
pub mod data;
mod decide;
pub mod doctor;
pub mod evaluate;
pub mod export;
mod heartbeat;
mod import;
pub mod labels;
mod machine;
mod made;
pub mod manual;
pub mod numbers;
pub mod predict;
mod progress;
pub mod quickstart;
mod ranks;
pub mod recipes;
pub mod report;
mod run_page;
#[cfg(feature = "serve")]
pub mod serve;
pub mod signals;
pub mod sweep;
mod systems;
mod track;
pub mod train;
mod transfer;
pub mod tune;
pub mod weights;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use sarb::sweep::stop_with_parent;
use sarb::{Cache, Error, Result};

/// Multi-label image recognition from partial labels: SARB and the systems it is compared with.
#[derive(Debug, Parser)]
#[command(name = "sarb", version, long_version = machine::version(), about, max_term_width = 100)]
pub struct Cli {
    /// Threads to compute with [default: RAYON_NUM_THREADS, or all cores]; the numbers do not depend on it
    #[arg(long, value_name = "N", global = true)]
    threads: Option<NonZeroUsize>,
    /// Say only results, warnings and errors: no notes, no progress
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
enum Command {
    /// The whole job on a generated data set, in minutes: linear, SSGRL and SARB at 10 % known labels
    Quickstart(quickstart::Quickstart),
    /// Train a method on a data folder
    Train(train::Train),
    /// Measure a run, or the scores of another program
    Evaluate(evaluate::Evaluate),
    /// Name what is in images
    Predict(predict::Predict),
    /// Name what is in images that come over HTTP: JSON, Open Inference Protocol, Label Studio, a page
    #[cfg(feature = "serve")]
    Serve(serve::Serve),
    /// Look at labels, or hide some of them
    #[command(subcommand)]
    Data(data::DataCommand),
    /// What a run says of the labels that it was trained on: fill in unknown ones, list wrong ones
    #[command(subcommand)]
    Labels(labels::LabelsCommand),
    /// Recipes and plans that are in the program, and what their keys mean
    #[command(subcommand)]
    Recipes(recipes::RecipesCommand),
    /// Train and measure methods × known proportions × seeds
    Sweep(sweep::Sweep),
    /// Find better settings of a recipe on training images alone, within a time
    Tune(tune::Tune),
    /// Tables and figures of a sweep, or a page of runs
    Report(report::Report),
    /// Tell a tracking server, MLflow, what it does not know of runs yet
    Track(track::Track),
    /// Write a run in a form that other programs read: ONNX, or a folder for a model hub
    Export(export::Export),
    /// List, fetch, inspect and import pretrained weights
    #[command(subcommand)]
    Weights(weights::Weights),
    /// Show version, processor, memory, devices, disks and caches
    Doctor(doctor::Doctor),
    /// Print the completions of a shell: bash, elvish, fish, powershell or zsh
    Completions(manual::Completions),
    /// Write manual pages
    Man(manual::Man),
}

impl Command {
    /// Whether it listens for signals itself, because there is something to keep or to clean up.
    fn listens(&self) -> bool {
        match self {
            Command::Quickstart(_)
            | Command::Train(_)
            | Command::Evaluate(_)
            | Command::Predict(_)
            | Command::Sweep(_)
            | Command::Tune(_) => true,
            #[cfg(feature = "serve")]
            Command::Serve(_) => true,
            Command::Data(command) => matches!(command, data::DataCommand::Fetch(_)),
            Command::Weights(command) => matches!(command, weights::Weights::Fetch(_)),
            Command::Recipes(_)
            | Command::Labels(_)
            | Command::Report(_)
            | Command::Track(_)
            | Command::Export(_)
            | Command::Doctor(_)
            | Command::Completions(_)
            | Command::Man(_) => false,
        }
    }
}

/// Runs the command that was typed.
pub fn run(cli: Cli) -> Result<()> {
    if cli.quiet {
        console::be_quiet();
    }
    let threads = match &cli.command {
        Command::Train(command) => command.ranks.threads(cli.threads),
        _ => cli.threads,
    };
    if let Some(threads) = threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global();
        pool.map_err(|error| Error::Usage(format!("--threads {threads}: {error}")))?;
    }
    if !cli.command.listens() {
        signals::exit_at_once();
    }
    match cli.command {
        Command::Quickstart(command) => command.run(&signals::listen()),
        Command::Train(command) => command.run(&listen_as_child()),
        Command::Evaluate(command) => command.run(&listen_as_child()),
        Command::Predict(command) => command.run(&signals::listen()),
        #[cfg(feature = "serve")]
        Command::Serve(command) => command.run(&signals::listen()),
        Command::Data(command) => data::run(command),
        Command::Labels(command) => labels::run(command),
        Command::Recipes(command) => recipes::run(&command),
        Command::Sweep(command) => command.run(cli.threads),
        Command::Tune(command) => command.run(cli.threads, &signals::listen()),
        Command::Report(command) => command.run(),
        Command::Track(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Weights(command) => weights::run(command),
        Command::Doctor(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}

/// Listens for signals and, in a child of a sweep, for the sweep.
fn listen_as_child() -> sarb::Cancel {
    let cancel = signals::listen();
    stop_with_parent(&cancel);
    cancel
}

/// Where feature maps of a frozen backbone are cached.
#[derive(Debug, Clone, Args)]
pub struct CacheArgs {
    /// Where feature maps of a frozen backbone are cached [default: $XDG_CACHE_HOME/sarb]
    #[arg(long = "cache", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How much the cache may take, such as 20GB
    #[arg(long = "cache-limit", value_name = "SIZE", default_value = Self::LIMIT, value_parser = parse_size)]
    limit: u64,
}

impl CacheArgs {
    const LIMIT: &str = "20GB";

    /// Refuses them where nothing is cached; `why` says when that is.
    pub fn refuse(&self, why: &str) -> Result<()> {
        let given =
            [("--cache", self.dir.is_some()), ("--cache-limit", parse_size(Self::LIMIT) != Ok(self.limit))];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Error::Usage(format!("{name}: {why}; remove the option"))),
            None => Ok(()),
        }
    }

    /// The cache as the library takes it.
    pub fn cache(&self) -> Result<Cache> {
        let cache = self.dir.clone().map_or_else(Cache::default_folder, |dir| Ok(Cache::in_folder(dir)))?;
        Ok(Cache { limit_bytes: self.limit, ..cache })
    }

    /// The arguments that say the same to another process of this program.
    pub fn arguments(&self) -> Vec<OsString> {
        let dir = self.dir.iter().flat_map(|dir| ["--cache".into(), dir.into()]);
        dir.chain(["--cache-limit".into(), self.limit.to_string().into()]).collect()
    }
}

/// How sure a number is.
#[derive(Debug, Clone, Args)]
pub struct BootstrapArgs {
    /// Resamples of the test images behind each interval; 0 for no intervals
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = resamples)]
    pub bootstrap: usize,
    /// Seed of the resamples
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// More resamples change no digit that is printed, and hardly fit in memory on large test splits.
const MOST_RESAMPLES: usize = 10_000;

impl BootstrapArgs {
    /// As the library takes it.
    pub fn options(&self) -> sarb::compare::Bootstrap {
        sarb::compare::Bootstrap { resamples: self.bootstrap, seed: self.seed }
    }
}

fn resamples(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(number) if number <= MOST_RESAMPLES => Ok(number),
        _ => Err(format!("`{text}` is not a number from 0 to {MOST_RESAMPLES}")),
    }
}

/// A size like `500MB`, `20GB` or a number of bytes.
fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 1_u64,
        "KB" | "K" => 1_000,
        "MB" | "M" => 1_000_000,
        "GB" | "G" => 1_000_000_000,
        "TB" | "T" => 1_000_000_000_000,
        unit => return Err(format!("unknown unit `{unit}`; one of B, KB, MB, GB, TB")),
    };
    let number: f64 = digits.trim().parse().map_err(|_| format!("`{text}` is not a size like 20GB"))?;
    if number.is_finite() && number > 0.0 {
        Ok((number * factor as f64) as u64)
    } else {
        Err(format!("`{text}` is not above 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("20GB"), Ok(20_000_000_000));
        assert_eq!(parse_size("1.5m"), Ok(1_500_000));
        assert_eq!(parse_size("12"), Ok(12));
        for bad in ["", "GB", "-1GB", "5 parsecs", "0"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
