//! `sarb data inspect`: what is known of each category, as tables, JSON or a page.

use std::path::PathBuf;

use clap::Args;
use sarb::Result;
use sarb_labels::Split;
use sarb_labels::inspect::{Inspection, page};

use super::source::ReadArgs;
use crate::cli::console::{print, say};

/// Arguments of `sarb data inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Data folder, or label file of any format
    source: PathBuf,
    /// Which label file of a data folder: train, val or test
    #[arg(long, default_value_t = Split::Train)]
    split: Split,
    /// Print one JSON object, proportions as fractions
    #[arg(long)]
    json: bool,
    /// Write a page with drawings and what a network sees of some images
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Open no image for the page
    #[arg(long, requires = "html")]
    no_images: bool,
    /// Images on the page
    #[arg(long, value_name = "N", requires = "html", default_value_t = page::Settings::default().sheet)]
    sheet: usize,
    /// Side in pixels of what the network sees
    #[arg(long, value_name = "PX", requires = "html", default_value_t = page::Settings::default().size_px,
        value_parser = size)]
    size: usize,
    /// Seed of the choice of images and their augmentation
    #[arg(long, requires = "html", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    read: ReadArgs,
}

/// A side in pixels.
fn size(text: &str) -> std::result::Result<usize, String> {
    let size = text.parse().ok().filter(|size| (8..=2048).contains(size));
    size.ok_or_else(|| "expected 8 to 2048 pixels".into())
}

impl Inspect {
    /// Counts and prints.
    pub fn run(&self) -> Result<()> {
        let annotations = self.read.read(&self.source, self.split)?;
        if let Some(path) = &self.html {
            let images = !self.no_images;
            let (sheet, size_px, seed) = (self.sheet, self.size, self.seed);
            page::write(path, &annotations, &page::Settings { images, sheet, size_px, seed })?;
            say(&format!("page in {}", path.display()));
        }
        let inspection = Inspection::of(&annotations);
        if self.json {
            print(&serde_json::to_string_pretty(&inspection).expect("counts and names are plain JSON"))
        } else {
            print(inspection.to_string().trim_end())
        }
    }
}
