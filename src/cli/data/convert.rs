//! `sarb data convert`: labels of any format into another.

use std::path::PathBuf;

use clap::Args;
use sarb::{Error, Result};
use sarb_labels::files::folder_of;
use sarb_labels::formats::{self, format::Format};
use sarb_labels::{Label, LabelMatrix, Split};

use super::counts;
use super::source::ReadArgs;
use crate::cli::console::{print, say};

/// Arguments of `sarb data convert`.
#[derive(Debug, Args)]
#[command(after_long_help = formats::page::options_by_format())]
pub struct Convert {
    /// Label file, or folder of a format that is one; of a data folder, --split
    source: PathBuf,
    /// File to write; a folder for Pascal VOC
    #[arg(short, long)]
    out: PathBuf,
    /// Format to write; without it the name says: .csv, .parquet, .tar, .npy, .xml (CVAT)
    #[arg(long, value_name = "FORMAT")]
    to: Option<Format>,
    /// Write unknown labels as negative ones in a format that has no unknown: COCO, VG-200
    #[arg(long)]
    unknown_as_negative: bool,
    /// Which label file of a data folder: train, val or test
    #[arg(long, default_value_t = Split::Train)]
    split: Split,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Print one JSON object: what was written, and what its format cannot hold
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    read: ReadArgs,
}

impl Convert {
    /// Reads, writes, and says what was lost.
    pub fn run(&self) -> Result<()> {
        let to = self.to.or_else(|| formats::of_extension(&self.out)).ok_or_else(|| {
            Error::Usage(format!("--out {}: the name does not say the format; add --to", self.out.display()))
        })?;
        self.keep_what_is_there()?;
        let annotations = self.read.read(&self.source, self.split)?;
        self.make_no_negatives(to, &annotations.labels)?;
        let folder = folder_of(&self.out);
        std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        let losses = to.write(&self.out, &annotations)?;
        losses.iter().for_each(|loss| say(&format!("{}: lost: {loss}", self.out.display())));
        if self.json {
            let report = serde_json::json!({
                "out": self.out.display().to_string(),
                "format": to.to_string(),
                "images": annotations.labels.images(),
                "categories": annotations.labels.categories(),
                "lost": losses,
            });
            return print(&report.to_string());
        }
        print(&format!("{}: {}", self.out.display(), counts(&annotations)))
    }

    /// Refuses a format in which what nobody looked at would be read as not there, unless that is wanted.
    fn make_no_negatives(&self, to: Format, labels: &LabelMatrix) -> Result<()> {
        let unknown = labels.count(Label::Unknown);
        if unknown == 0 || !to.unknown_becomes_negative() || self.unknown_as_negative {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "--to {to}: {unknown} labels are unknown and would be read as negative; --to lvis or another format \
             keeps them apart, --unknown-as-negative writes them anyway"
        )))
    }

    /// Refuses to write over a file, the source above all.
    fn keep_what_is_there(&self) -> Result<()> {
        let real = |path: &PathBuf| std::fs::canonicalize(path).ok();
        let out = self.out.display();
        if real(&self.out).is_some_and(|out| real(&self.source) == Some(out)) {
            return Err(Error::Usage(format!("--out {out}: is the source itself; choose another name")));
        }
        if self.out.exists() && !self.force {
            return Err(Error::Usage(format!(
                "--out {out}: is there already; choose another or add --force"
            )));
        }
        Ok(())
    }
}
