//! `sarb data convert`: labels of any format into another, and of several sources into one.

use std::path::{Path, PathBuf};

use clap::Args;
use sarb::{Error, Result};
use sarb_labels::files::{folder_of, tidy};
use sarb_labels::formats::{self, format::Format};
use sarb_labels::merging::{Merged, merge};
use sarb_labels::{Annotations, Label, LabelMatrix, Split};
use serde::{Serialize, Serializer};

use super::counts;
use super::source::{ReadArgs, label_file};
use crate::cli::console::{print, say};

/// Arguments of `sarb data convert`.
#[derive(Debug, Args)]
#[command(after_long_help = formats::page::options_by_format())]
pub struct Convert {
    /// Label file, or folder of a format that is one; of a data folder, --split. Several are merged: what they
    /// contradict each other in becomes unknown and is listed
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<PathBuf>,
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
    /// CSV file to write with every contradiction of several sources
    #[arg(long, value_name = "FILE")]
    contradictions: Option<PathBuf>,
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
        let to = format_of(&self.out, self.to)?;
        self.keep_what_is_there()?;
        match (&self.sources[..], &self.contradictions) {
            ([source], None) => {
                let annotations = self.read.read(source, self.split)?;
                let report = self.write(to, &annotations)?;
                self.tell(&annotations, &report)
            }
            ([_], Some(file)) => Err(Error::Usage(format!(
                "--contradictions {}: one source contradicts nothing; give several or remove the option",
                file.display()
            ))),
            (sources, file) => {
                let sources = self.read.read_several(sources, self.split)?;
                let merged = merge(&sources)?;
                self.say_what_differs(&merged);
                let written = self.write(to, &merged.annotations)?;
                if let Some(file) = file {
                    make_folder_of(file)?;
                    merged.write_contradictions(file)?;
                }
                let sources = sources.iter().map(|(name, _)| name.as_str()).collect();
                self.tell(
                    &merged.annotations,
                    &MergeReport { written, sources, contradictions: All(&merged) },
                )
            }
        }
    }

    /// Writes labels; returns what is reported of it.
    fn write(&self, to: Format, annotations: &Annotations) -> Result<serde_json::Value> {
        refuse_negatives_of_unknown(to, &annotations.labels, self.unknown_as_negative)?;
        make_folder_of(&self.out)?;
        let losses = to.write(&self.out, annotations)?;
        losses.iter().for_each(|loss| say(&format!("{}: lost: {loss}", self.out.display())));
        Ok(serde_json::json!({
            "out": self.out.display().to_string(),
            "format": to.to_string(),
            "images": annotations.labels.images(),
            "categories": annotations.labels.categories(),
            "lost": losses,
        }))
    }

    /// Prints what was written.
    fn tell(&self, annotations: &Annotations, report: &impl Serialize) -> Result<()> {
        if self.json {
            return print(&serde_json::to_string(report).expect("plain data"));
        }
        print(&format!("{}: {}", self.out.display(), counts(annotations)))
    }

    /// Notes on several sources, and the first of their contradictions.
    fn say_what_differs(&self, merged: &Merged<'_>) {
        const SHOWN: usize = 20;
        merged.notes.iter().for_each(|note| say(note));
        merged.contradictions().take(SHOWN).for_each(|one| say(&format!("contradiction: {one}")));
        let count = merged.contradicted();
        if count > SHOWN {
            say(&format!("… and {} more contradictions", count - SHOWN));
        }
        let all = match &self.contradictions {
            None if count > SHOWN => "; --contradictions FILE.csv writes them all".to_owned(),
            Some(file) => format!("; all of them go to {}", file.display()),
            None => String::new(),
        };
        match count {
            0 => say("no label is contradicted"),
            1 => say(&format!("1 label is contradicted and becomes unknown{all}")),
            _ => say(&format!("{count} labels are contradicted and become unknown{all}")),
        }
    }

    /// Refuses to write over a file, the sources above all.
    fn keep_what_is_there(&self) -> Result<()> {
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        let several = self.sources.len() > 1;
        let read: Vec<_> = match several {
            true => self.sources.iter().map(|source| real(&label_file(source, self.split))).collect(),
            false => self.sources.iter().map(|source| real(source)).collect(),
        };
        let written = [("--out", Some(&self.out)), ("--contradictions", self.contradictions.as_ref())];
        for (flag, path) in written.into_iter().filter_map(|(flag, path)| Some((flag, path?))) {
            let shown = path.display();
            if real(path).is_some_and(|path| read.contains(&Some(path))) {
                let which = if several { "one of the sources" } else { "the source itself" };
                return Err(Error::Usage(format!("{flag} {shown}: is {which}; choose another name")));
            }
            keep(flag, path, self.force)?;
        }
        match &self.contradictions {
            Some(file) if tidy(file) == tidy(&self.out) => Err(Error::Usage(format!(
                "--contradictions {}: is --out too; choose another name",
                file.display()
            ))),
            _ => Ok(()),
        }
    }
}

/// The format that `--to` names, or else the name of the file that is to be written.
pub fn format_of(out: &Path, to: Option<Format>) -> Result<Format> {
    to.or_else(|| formats::of_extension(out)).ok_or_else(|| {
        Error::Usage(format!("--out {}: the name does not say the format; add --to", out.display()))
    })
}

/// Refuses to write over a file without `--force`; `flag` is what names it.
pub fn keep(flag: &str, path: &Path, force: bool) -> Result<()> {
    if path.exists() && !force {
        let shown = path.display();
        return Err(Error::Usage(format!("{flag} {shown}: is there already; choose another or add --force")));
    }
    Ok(())
}

/// Refuses a format in which what nobody looked at would be read as not there, unless that is wanted.
pub fn refuse_negatives_of_unknown(to: Format, labels: &LabelMatrix, is_wanted: bool) -> Result<()> {
    let unknown = labels.count(Label::Unknown);
    if unknown == 0 || !to.unknown_becomes_negative() || is_wanted {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "--to {to}: {unknown} labels are unknown and would be read as negative; --to lvis or another format \
         keeps them apart, --unknown-as-negative writes them anyway"
    )))
}

/// Makes the folder of a file that is to be written.
pub fn make_folder_of(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))
}

/// What `--json` says of several sources.
#[derive(Serialize)]
struct MergeReport<'a> {
    #[serde(flatten)]
    written: serde_json::Value,
    sources: Vec<&'a str>,
    contradictions: All<'a>,
}

/// All contradictions, made one by one while they are written.
struct All<'a>(&'a Merged<'a>);

impl Serialize for All<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.contradictions())
    }
}
