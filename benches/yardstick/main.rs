//! `sarb bench`: how long the parts of the work take on this machine, next to
//! PyTorch's `peer_step.py` and the `tools/peers.py` of this repository, which do the same work.

mod annotations;
mod labels;
mod loader;
mod metrics;
mod network;
pub mod photograph;
mod predict;
mod prototypes;
mod random;
mod scratch;
mod step;

use std::time::Instant;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::cli::console::print;
use sarb::{Error, Result};

/// Arguments of `sarb bench`.
#[derive(Debug, Clone, Subcommand)]
pub enum Bench {
    /// A training step of SARB, and inference of its batch
    Step(step::Step),
    /// Inference, images to scores
    Predict(predict::Predict),
    /// Decoding and augmenting JPEG files
    Loader(loader::Loader),
    /// All metrics of a score matrix
    Metrics(metrics::Metrics),
    /// Prototypes of all categories by k-means
    Prototypes(prototypes::Prototypes),
    /// Hiding, counting, splitting labels in memory
    Labels(labels::Labels),
    /// Opening a COCO file of many annotations
    Annotations(annotations::Annotations),
}

impl Bench {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        match self {
            Bench::Step(command) => command.run(),
            Bench::Predict(command) => command.run(),
            Bench::Loader(command) => command.run(),
            Bench::Metrics(command) => command.run(),
            Bench::Prototypes(command) => command.run(),
            Bench::Labels(command) => command.run(),
            Bench::Annotations(command) => command.run(),
        }
    }
}

/// What every measurement takes.
#[derive(Debug, Clone, Args)]
struct Common {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// How often it is done; the best counts
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
        found["peak_rss_mb"] = (sarb::memory::peak_rss_mb().round() as u64).into();
        if self.json {
            return print(&found.to_string());
        }
        let entries = found.as_object().into_iter().flatten();
        entries.into_iter().try_for_each(|(key, value)| print(&format!("{key:24} {value}")))
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
