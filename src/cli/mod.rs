//! The command line: one command a file. Results go to stdout, everything else to stderr.

pub mod data;
pub mod doctor;
pub mod evaluate;
pub mod heat_map;
pub mod predict;
pub mod quickstart;
pub mod train;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use burn::tensor::Device;
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::data::feature_cache::default_cache_dir;
use crate::prepare::Cache;
use crate::{Error, Result, interrupt};

/// Multi-label image recognition from partial labels: SARB and the systems it is compared with.
#[derive(Debug, Parser)]
#[command(name = "sarb", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole job on a generated data set, in minutes: linear, SSGRL and SARB at 10 % known labels
    Quickstart(quickstart::Quickstart),
    /// Train a method on a data folder
    Train(train::Train),
    /// Measure a run, or the scores of another program
    Evaluate(evaluate::Evaluate),
    /// Name what is in images
    Predict(predict::Predict),
    /// Look at labels, or hide some of them
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Show devices and caches
    Doctor(doctor::Doctor),
}

/// Runs the command that was typed.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Quickstart(command) => {
            interrupt::listen();
            command.run()
        }
        Command::Train(command) => {
            interrupt::listen();
            command.run()
        }
        Command::Evaluate(command) => {
            interrupt::listen();
            command.run()
        }
        Command::Predict(command) => command.run(),
        Command::Data(command) => data::run(command),
        Command::Doctor(command) => command.run(),
    }
}

/// Where feature maps of a frozen backbone are cached.
#[derive(Debug, Clone, Args)]
pub struct CacheArgs {
    /// Where feature maps of a frozen backbone are cached [default: $XDG_CACHE_HOME/sarb]
    #[arg(long = "cache", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How much the cache may take, such as 20GB
    #[arg(long = "cache-limit", value_name = "SIZE", default_value = "20GB", value_parser = parse_size)]
    limit: u64,
}

impl CacheArgs {
    /// The cache as the library takes it.
    pub fn cache(&self) -> Result<Cache> {
        let dir = self.dir.clone().map_or_else(default_cache_dir, Ok)?;
        Ok(Cache { dir, limit_bytes: self.limit })
    }

    /// A cache in a folder of its own, with the default limit.
    pub fn in_folder(dir: PathBuf) -> Self {
        Self { dir: Some(dir), limit: 20_000_000_000 }
    }
}

/// A size such as `500MB`, `20GB` or a number of bytes.
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
    let number: f64 = digits.trim().parse().map_err(|_| format!("`{text}` is no size such as 20GB"))?;
    if number.is_finite() && number > 0.0 {
        Ok((number * factor as f64) as u64)
    } else {
        Err(format!("`{text}` is not above 0"))
    }
}

/// The device that `--device` names.
///
/// # Errors
/// [`Error::Missing`] for a device that this program was built without, [`Error::Usage`] for an
/// unknown name.
pub fn device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        #[cfg(feature = "metal")]
        "metal" => Ok(Device::metal(burn::tensor::DeviceKind::DefaultDevice)),
        "vulkan" | "cuda" | "metal" => Err(Error::Missing(format!(
            "this program was built without {name}; build it with `cargo build --release --features {name}`"
        ))),
        _ => Err(Error::Usage(format!("unknown device `{name}`; one of cpu, vulkan, cuda, metal"))),
    }
}

/// A progress bar on stderr; nothing where stderr is no terminal.
pub fn progress_bar(what: &str) -> ProgressBar {
    let style = "{msg} {wide_bar} {pos}/{len}  {per_sec}  {eta} left";
    let bar = ProgressBar::new(0).with_message(what.to_string());
    bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
    bar
}

/// A line on stdout. A reader that closed it early, such as `head`, is no failure.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("standard output", error))
        }
        _ => Ok(()),
    }
}

/// A line on stderr; that nobody reads it any more is no reason to stop.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A warning on stderr.
pub fn warn(text: &str) {
    say(&format!("sarb: warning: {text}"));
}

/// Seconds as people say them: `48 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let s = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// Peak resident memory of this process in MiB; 0 where the system does not say.
pub fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.map_or(0.0, |kib| kib / 1024.0)
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
    fn durations_read_calmly() {
        assert_eq!([duration(48.4), duration(200.0), duration(7500.0)], ["48 s", "3 min 20 s", "2 h 5 min"]);
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
