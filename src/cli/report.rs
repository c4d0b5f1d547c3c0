//! `sarb report`: tables and figures of a sweep.

use std::path::PathBuf;

use clap::Args;
use sarb::Result;
use sarb::report::{Options, Report as Tables, Results};

use crate::cli::console::{print, say, warn};

/// Arguments of `sarb report`.
#[derive(Debug, Clone, Args)]
pub struct Report {
    /// Folders of a sweep; several are shards of one plan
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// A folder for tables, figures and page, or one page if it ends in .html [default: DIR/report]
    #[arg(short, long, value_name = "OUT")]
    pub out: Option<PathBuf>,
    /// Data folder with the test labels [default: the one of the sweep]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Resamples of the test images behind each interval; 0 for no intervals
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = resamples)]
    pub bootstrap: usize,
    /// Seed of the resamples
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// More resamples change no digit that is printed, and hardly fit in memory on large test splits.
const MOST_RESAMPLES: usize = 10_000;

impl Report {
    /// Reads the sweep, prints the tables, writes the files.
    pub fn run(&self) -> Result<()> {
        let results = Results::open(&self.dirs)?;
        let options = Options { data: self.data.clone(), bootstrap: self.bootstrap, seed: self.seed };
        let report = Tables::of(&results, &options)?;
        let out = self.out.clone().unwrap_or_else(|| self.dirs[0].join("report"));
        let files = report.save(&out)?;
        print(&report.to_text())?;
        report.notes.iter().for_each(|note| warn(note));
        files.iter().for_each(|file| say(&file.display().to_string()));
        Ok(())
    }
}

fn resamples(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(number) if number <= MOST_RESAMPLES => Ok(number),
        _ => Err(format!("`{text}` is not a number from 0 to {MOST_RESAMPLES}")),
    }
}
