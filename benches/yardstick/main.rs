//! The yardstick: how long the parts of the work take on this machine, next to PyTorch's
//! `tools/peer_step.py` and `tools/peers.py`, which do the same work and print the same keys.
//!
//! ```text
//! cargo run --release -p sarb-benches --bin yardstick -- step --categories 80 --batch 8 --json
//! ```

mod annotations;
mod extraction;
mod labels;
mod loader;
mod metrics;
mod network;
mod predict;
mod prototypes;
mod random;
mod scratch;
mod step;

use std::time::Instant;

use clap::{Args, Parser};
use sarb::{Error, Result};
use serde_json::Value;

/// How long the parts of sarb's work take on this machine.
#[derive(Debug, Parser)]
#[command(name = "yardstick", max_term_width = 100)]
enum Yardstick {
    /// A training step of SARB, and inference of its batch
    Step(step::Step),
    /// Inference, images to scores
    Predict(predict::Predict),
    /// Decoding and augmenting JPEG files
    Loader(loader::Loader),
    /// Feature maps of JPEG files by a frozen backbone
    Extraction(extraction::Extraction),
    /// All metrics of a score matrix
    Metrics(metrics::Metrics),
    /// Prototypes of all categories by k-means
    Prototypes(prototypes::Prototypes),
    /// Hiding, counting, splitting labels in memory
    Labels(labels::Labels),
    /// Opening a COCO file of many annotations
    Annotations(annotations::Annotations),
}

impl Yardstick {
    /// Measures and prints.
    fn run(&self) -> Result<()> {
        match self {
            Yardstick::Step(command) => command.run(),
            Yardstick::Predict(command) => command.run(),
            Yardstick::Loader(command) => command.run(),
            Yardstick::Extraction(command) => command.run(),
            Yardstick::Metrics(command) => command.run(),
            Yardstick::Prototypes(command) => command.run(),
            Yardstick::Labels(command) => command.run(),
            Yardstick::Annotations(command) => command.run(),
        }
    }
}

/// What every measurement takes.
#[derive(Debug, Clone, Args)]
struct Common {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Repetitions; the best is reported
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// Threads [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

impl Common {
    /// Runs `measure` on as many threads as were asked for, and prints what it found with the machine.
    fn run(&self, measure: impl FnOnce() -> Result<Value>) -> Result<()> {
        let threads = self.threads.map_or(0, usize::from);
        // The global pool, because Burn computes on it.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        pool.map_err(|e| Error::Usage(format!("cannot start {threads} threads: {e}")))?;
        let mut found = measure()?;
        found["threads"] = rayon::current_num_threads().into();
        found["peak_rss_mb"] = (sarb::internals::peak_rss_mb().round() as u64).into();
        if self.json {
            println!("{found}");
            return Ok(());
        }
        let entries = found.as_object().into_iter().flatten();
        entries.into_iter().for_each(|(key, value)| println!("{key:24} {value}"));
        Ok(())
    }

    /// Seconds of the best of several runs after one to warm up.
    fn best(&self, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
        work()?;
        let mut best = f64::INFINITY;
        for _ in 0..self.repeat {
            let start = Instant::now();
            work()?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best)
    }
}

fn main() {
    if let Err(error) = Yardstick::parse().run() {
        eprintln!("yardstick: {error}");
        std::process::exit(error.exit_code());
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Yardstick::command().debug_assert();
    }
}
