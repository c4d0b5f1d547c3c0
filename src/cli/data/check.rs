//! `sarb data check`: what is wrong with labels and images.

use std::path::PathBuf;

use clap::Args;
use sarb::Result;
use sarb_labels::Annotations;
use sarb_labels::check::{Settings, check};

use super::source::ReadArgs;
use crate::cli::console::{print, progress_bar};

/// Arguments of `sarb data check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Data folders (all their splits), or label files of any format, checked together
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// Look at the labels only and open no image
    #[arg(long)]
    no_images: bool,
    /// In how many of 64 bits of their hashes pictures that look alike may differ, at most 11
    #[arg(long, value_name = "BITS", default_value_t = Settings::default().distance)]
    distance: u32,
    /// Print one JSON object with every finding
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    read: ReadArgs,
}

impl Check {
    /// Checks and prints.
    ///
    /// # Errors
    /// [`crate::Error::Data`] if something is wrong, after it was printed.
    pub fn run(&self) -> Result<()> {
        let splits = self.read.read_all(&self.sources)?;
        let splits: Vec<(String, &Annotations)> =
            splits.iter().map(|(name, annotations)| (name.clone(), annotations)).collect();
        let bar = progress_bar("images");
        let progress = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let settings = Settings { images: !self.no_images, distance: self.distance };
        let checkup = check(&splits, &settings, &progress)?;
        bar.finish_and_clear();
        if self.json {
            print(&serde_json::to_string_pretty(&checkup).expect("findings are plain JSON"))?;
        } else {
            print(checkup.to_string().trim_end())?;
        }
        Ok(checkup.verdict()?)
    }
}
