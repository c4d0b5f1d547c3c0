//! `sarb data split`: training, validation and test images with equal shares of every category.

use std::path::{Path, PathBuf};

use clap::Args;
use sarb::{Error, Result};
use sarb_labels::Annotations;
use sarb_labels::dataset::{self, Split as Part};
use sarb_labels::files::folder_of;
use sarb_labels::formats::csv;
use sarb_labels::stratified::{shares, split};

use super::out_folder::{OutFolder, WordFiles};
use super::source::{ReadArgs, is_data_folder};
use super::{counts, counts_as_json};
use crate::cli::console::print;
use crate::cli::numbers::proportion;

/// Arguments of `sarb data split`.
#[derive(Debug, Args)]
pub struct Split {
    /// Data folder, whose train.csv is split, or label file of any format
    source: PathBuf,
    /// Proportion of the images for validation, such as 0.1 or 10%
    #[arg(long, value_name = "P", default_value = "0", value_parser = proportion)]
    val: f64,
    /// Proportion of the images for the test, such as 0.2 or 20%
    #[arg(long, value_name = "P", default_value = "0", value_parser = proportion)]
    test: f64,
    /// Seed of the split
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for the new label files; images stay where they are
    #[arg(short, long)]
    out: PathBuf,
    /// Write into a folder that is not empty
    #[arg(long)]
    force: bool,
    /// Print one JSON object: each part with its file and its labels
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    read: ReadArgs,
}

impl Split {
    /// Splits, writes a data folder, and counts each part.
    pub fn run(&self) -> Result<()> {
        let shares = shares(self.val, self.test)?;
        let train = self.read.read(&self.source, Part::Train)?;
        let (dir, others) = self.others(&train)?;
        let rows = split(&train.labels, &shares, self.seed);
        let parts = Part::ALL.into_iter().zip(rows).zip(shares).filter(|(_, share)| *share > 0.0);
        let parts = parts.map(|((part, rows), _)| (part, train.select(&rows)));
        // Training last, so that a folder that was left half-written is not a data folder.
        let parts: Vec<(Part, Annotations)> = parts.chain(others).collect();
        let words = WordFiles::of(dir)?;
        let written = parts.iter().map(|(part, _)| part.file_name()).chain(words.names());
        let out = OutFolder::prepare(dir, &self.out, self.force, &written.collect::<Vec<_>>())?;
        words.copy(out.path())?;
        for (part, annotations) in parts.iter().rev() {
            csv::write(&out.path().join(part.file_name()), annotations)?;
        }
        out.finish()?;
        if self.json {
            let part = |(part, annotations): &(Part, Annotations)| {
                let mut value = counts_as_json(annotations);
                value["file"] = self.out.join(part.file_name()).display().to_string().into();
                (part.to_string(), value)
            };
            return print(&serde_json::Value::Object(parts.iter().map(part).collect()).to_string());
        }
        for (part, annotations) in &parts {
            print(&format!("{}: {}", self.out.join(part.file_name()).display(), counts(annotations)))?;
        }
        Ok(())
    }

    /// The source's folder, and the splits of a data folder that stay as they are.
    fn others(&self, train: &Annotations) -> Result<(&Path, Vec<(Part, Annotations)>)> {
        if !is_data_folder(&self.source) {
            return Ok((folder_of(&self.source), Vec::new()));
        }
        let mut others = Vec::new();
        for (part, share) in [(Part::Val, self.val), (Part::Test, self.test)] {
            let path = self.source.join(part.file_name());
            if !path.exists() {
                continue;
            }
            if share > 0.0 {
                let what = format!("--{part}: {} is there already", path.display());
                return Err(Error::Usage(format!("{what}; leave --{part} out to keep it")));
            }
            let other = dataset::open_split(&self.source, part)?.aligned(&train.categories, &train.source)?;
            others.push((part, other));
        }
        Ok((&self.source, others))
    }
}
