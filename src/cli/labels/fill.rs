//! `sarb labels fill`: unknown labels become known ones, with a promise of their precision.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use sarb::decisions::evidence::Evidence;
use sarb::decisions::fill::{CategoryFill, Filled, Filling, Side, Wanted};
use sarb::labels::files::{folder_of, write_atomically};
use sarb::labels::formats::format::Format;
use sarb::labels::formats::image_names::image_names;
use sarb::labels::text::{aligned, listed, percent, share, thousands};
use sarb::{OutOfFold, Result, Run, Shard};

use super::pool::Pool;
use crate::cli::console::{print, say, warn};
use crate::cli::data::convert::{format_of, keep, make_folder_of, refuse_negatives_of_unknown};
use crate::cli::data::counts;
use crate::cli::decide::Audited;
use crate::cli::numbers::proportion;

/// The ending of Parquet tables.
const PARQUET: &str = "parquet";

/// Arguments of `sarb labels fill`.
#[derive(Debug, Args)]
pub struct Fill {
    /// Folder of a run with out-of-fold scores: one of linear, or one trained with --folds
    run: PathBuf,
    #[command(flatten)]
    pool: Pool,
    /// The share of the filled labels that is to be right, in each category, such as 0.95 or 95%
    #[arg(long, value_name = "P", value_parser = proportion)]
    precision: f64,
    #[command(flatten)]
    audited: Audited,
    /// How sure that is to be
    #[arg(long, value_name = "P", value_parser = proportion, default_value = "0.9")]
    confidence: f64,
    /// File to write: all images of the run's train.csv, or of --data, with known and filled labels; beside it, as NAME.filled.csv (of a
    /// Parquet table NAME.filled.parquet), each filled label with its probability
    #[arg(short, long)]
    out: PathBuf,
    /// Format to write; without it the name says: .csv, .parquet, .tar, .npy, .xml (CVAT)
    #[arg(long, value_name = "FORMAT")]
    to: Option<Format>,
    /// Write what stays unknown as negative in a format that has no unknown: COCO, VG-200
    #[arg(long)]
    unknown_as_negative: bool,
    /// Labels that a person found wrong, a CSV file image,category,label: they are taken over, and no longer listed as
    /// filled
    #[arg(long, value_name = "FILE")]
    corrections: Option<PathBuf>,
    /// HTML page to write with the filled labels that are least sure, to look through and mark what is wrong
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// How many labels that page shows
    #[arg(long, value_name = "N", default_value_t = 200, requires = "sheet")]
    sheet_labels: usize,
    /// Only the Ith stretch of N of the images, I counted from 0, into a file of its own, NAME-I-of-N; one that is there is
    /// not made again. In an array of Slurm, AWS Batch or Kubernetes: array, or N where it does not say how many
    #[arg(long, value_name = "I/N", conflicts_with_all = ["corrections", "sheet"])]
    shard: Option<String>,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    /// Print one JSON object: what was written, and what became of each category
    #[arg(long)]
    json: bool,
}

impl Fill {
    /// Fills, writes, and says what was filled and what was not.
    pub fn run(&self) -> Result<()> {
        let to = format_of(&self.out, self.to)?;
        let shard = Shard::asked_for(self.shard.as_deref())?;
        let out = shard.map_or(self.out.clone(), |shard| shard.part_of(&self.out));
        let list = list_beside(&self.out, shard);
        // The labels are written last.
        if shard.is_some() && out.exists() && !self.force {
            say(&format!("{}: done already", out.display()));
            return Ok(());
        }
        keep("--out", &out, self.force)?;
        // A list without its labels is what an attempt left that was killed between the two.
        let is_left = !out.exists() && Filled::is_list(&list);
        keep("--out", &list, self.force || shard.is_some() || is_left)?;
        self.sheet.as_ref().map_or(Ok(()), |sheet| keep("--sheet", sheet, self.force))?;
        let run = Run::open(&self.run)?;
        let mut filled = self.filled(&run, shard)?;
        if let (Some([likely, unlikely]), None) = (filled.known.differ(), &self.audited.audited) {
            warn(&format!(
                "labels are not known by chance: of those that are likely present {} % are known, of the others {} %; the \
                 promise is for unknown labels that are like the known ones, and these may not be; look up a few hundred \
                 that sarb labels next --by chance draws, and give them with --audited",
                percent(likely),
                percent(unlikely)
            ));
        }
        make_folder_of(&out)?;
        make_folder_of(&list)?;
        if let Some(corrections) = &self.corrections {
            let count = filled.correct(corrections, &out)?;
            say(&format!("{}: {} corrections are taken over", corrections.display(), thousands(count)));
        }
        refuse_negatives_of_unknown(to, &filled.annotations.labels, self.unknown_as_negative)?;
        match list.extension() {
            Some(extension) if extension == PARQUET => filled.write_table(&list)?,
            _ => filled.write_list(&list)?,
        }
        if let Some(sheet) = &self.sheet {
            let images = image_names(&filled.annotations, folder_of(&out))?;
            make_folder_of(sheet)?;
            let page = filled.sheet(&run, &images, self.sheet_labels);
            write_atomically(sheet, |file| file.write_all(page.as_bytes()))?;
        }
        let lost = to.write(&out, &filled.annotations)?;
        lost.iter().for_each(|lost| say(&format!("{}: lost: {lost}", out.display())));
        self.tell(&filled, &out, &list, &lost)
    }

    /// What is filled of all images, or of those of a shard.
    fn filled(&self, run: &Run, shard: Option<Shard>) -> Result<Filled> {
        let wanted = Wanted { precision: self.precision, confidence: self.confidence };
        // Of the run's own images a shard keeps no more in memory than its own.
        if let (Some(shard), None, true) = (shard, &self.audited.audited, self.pool.is_own()?) {
            let filling = Filling::of_run(run, wanted)?;
            let scores = OutOfFold::open_rows(run, shard.range(filling.images))?;
            let evidence = Evidence::known(&scores);
            return Ok(filling.fill(&evidence, 0..scores.asked));
        }
        let scores = self.pool.scores(run)?;
        let rows = shard.map_or(0..scores.asked, |shard| shard.range(scores.asked));
        let evidence = self.audited.evidence(&scores)?;
        Ok(Filling::of(&evidence, wanted)?.fill(&evidence, rows))
    }

    fn tell(&self, filled: &Filled, out: &Path, list: &Path, lost: &[String]) -> Result<()> {
        let of = |positive: bool| filled.cells.iter().filter(|cell| cell.positive == positive).count();
        let (positives, negatives) = (of(true), of(false));
        let unknown: usize = filled.categories.iter().map(|category| category.unknown).sum();
        if self.json {
            return print(
                &serde_json::json!({
                    "out": out.display().to_string(),
                    "list": list.display().to_string(),
                    "precision": self.precision,
                    "confidence": self.confidence,
                    "unknown": unknown,
                    "filled_positives": positives,
                    "filled_negatives": negatives,
                    "categories": filled.categories,
                    "known_by_chance": filled.known.differ().is_none(),
                    "lost": lost,
                })
                .to_string(),
            );
        }
        say(&table(filled));
        self.say_what_is_left(filled);
        say(&format!(
            "{} of {} unknown labels are filled ({} %): {} positive, {} negative; each with its probability in {}",
            thousands(positives + negatives),
            thousands(unknown),
            share(positives + negatives, unknown),
            thousands(positives),
            thousands(negatives),
            list.display()
        ));
        print(&format!("{}: {}", out.display(), counts(&filled.annotations)))
    }

    /// Names the categories for which the wanted precision cannot be promised.
    fn say_what_is_left(&self, filled: &Filled) {
        let left = || filled.categories.iter().filter(|it| it.unknown > 0);
        let one_sided: Vec<&String> = left().filter(|it| !it.negative_known).map(|it| &it.category).collect();
        if !one_sided.is_empty() {
            say(&format!(
                "nothing is filled of {}: no negative is known, so nothing says how often a label that looks probable is wrong; \
                 label some images without, or look up a few hundred labels that sarb labels next --by chance draws, and give them \
                 with --audited",
                listed(&one_sided)
            ));
        }
        let without = |side: fn(&CategoryFill) -> &Side| -> Vec<&String> {
            let left = left().filter(|it| it.negative_known && side(it).threshold.is_none());
            left.map(|it| &it.category).collect()
        };
        for (what, names) in
            [("positive", without(|it| &it.positives)), ("negative", without(|it| &it.negatives))]
        {
            if !names.is_empty() {
                say(&format!(
                    "no {what} is filled of {}: {} % cannot be promised; know more labels of these, or ask for less",
                    listed(&names),
                    percent(self.precision)
                ));
            }
        }
    }
}

/// Where the filled labels are listed: for a Parquet table in one, else in CSV. Those of shards have a folder of their
/// own, so that they are not taken for shards of the labels.
pub fn list_beside(out: &Path, shard: Option<Shard>) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    let is_parquet = out.extension().is_some_and(|extension| extension == PARQUET);
    let extension = if is_parquet { PARQUET } else { "csv" };
    match shard {
        None => out.with_file_name(format!("{stem}.filled.{extension}")),
        Some(shard) => {
            shard.part_of(&out.with_file_name(format!("{stem}.filled")).join(format!("filled.{extension}")))
        }
    }
}

/// A line for each category.
fn table(filled: &Filled) -> String {
    let header = ["category", "unknown", "positives", "from", "right", "negatives", "from", "right"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for category in &filled.categories {
        let mut row = vec![category.category.clone(), thousands(category.unknown)];
        for side in [&category.positives, &category.negatives] {
            row.push(thousands(side.filled));
            row.push(side.threshold.map_or("–".into(), |threshold| format!("{:.1} %", 100.0 * threshold)));
            row.push(match side.threshold {
                Some(_) => format!("{} %", percent(side.expected_precision)),
                None => "–".into(),
            });
        }
        rows.push(row);
    }
    aligned(&rows)
}
