//! `sarb labels issues`: known labels that look wrong.

use std::path::{Path, PathBuf};

use clap::Args;
use sarb::decisions::annotators::{Annotator, who};
use sarb::decisions::doubts::{self, Doubt, doubts};
use sarb::labels::formats::image_names::image_names;
use sarb::labels::text::{aligned, percent, thousands};
use sarb::{OutOfFold, Result, Run};

use super::pool::Pool;
use crate::cli::console::{print, say};
use crate::cli::data::convert::{keep, make_folder_of};
use crate::cli::data::source::ReadArgs;

/// Arguments of `sarb labels issues`.
#[derive(Debug, Args)]
pub struct Issues {
    /// Folder of a run with out-of-fold scores: one of linear, or one trained with --folds
    run: PathBuf,
    #[command(flatten)]
    pool: Pool,
    /// How many labels to list, the least probable first; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    top: usize,
    /// Who gave the labels: an export of Label Studio (completed_by) or Open Images (Source), or one file for each annotator.
    /// Names them beside their labels, and says how many of each one's are expected to be wrong
    #[arg(long, value_name = "FILE")]
    by: Vec<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    /// CSV file to write: image, category, label and the probability that it is right; without it they are printed
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Issues {
    /// Ranks, and prints or writes.
    pub fn run(&self) -> Result<()> {
        self.out.as_ref().map_or(Ok(()), |out| keep("--out", out, self.force))?;
        if self.by.is_empty() {
            self.read.refuse("--by")?;
        }
        let scores = self.pool.scores(&Run::open(&self.run)?)?;
        let annotators = self.annotators(&scores)?;
        let all = doubts(&scores);
        let listed = &all[..if self.top == 0 { all.len() } else { self.top.min(all.len()) }];
        if let Some(out) = &self.out {
            make_folder_of(out)?;
            let who = |doubt: &Doubt| who(&annotators, doubt);
            doubts::write(out, &scores, listed, if annotators.is_empty() { None } else { Some(&who) })?;
        }
        let images = image_names(&scores.annotations, Path::new("."))?;
        if self.json {
            return print(&self.as_json(&scores, &images, &all, listed, &annotators).to_string());
        }
        if !annotators.is_empty() {
            say(&records(&annotators, &all));
        }
        say(&format!(
            "{} of {} known labels, the least probable first",
            thousands(listed.len()),
            thousands(all.len())
        ));
        match &self.out {
            Some(out) => print(&out.display().to_string()),
            None => print(&table(&scores, &images, listed, &annotators)),
        }
    }

    /// Everyone whose labels were given.
    fn annotators(&self, scores: &OutOfFold) -> Result<Vec<Annotator>> {
        let mut annotators = Vec::new();
        for source in &self.by {
            for (name, labels) in self.read.read_by_annotator(source)? {
                annotators.push(Annotator::new(name, labels, scores)?);
            }
        }
        Ok(annotators)
    }

    fn as_json(
        &self,
        scores: &OutOfFold,
        images: &[String],
        all: &[Doubt],
        listed: &[Doubt],
        annotators: &[Annotator],
    ) -> serde_json::Value {
        let issue = |doubt: &Doubt| {
            serde_json::json!({
                "annotators": annotators.iter().filter(|it| it.gave(doubt)).map(|it| &it.name).collect::<Vec<_>>(),
                "image": images[doubt.row],
                "category": scores.annotations.categories[doubt.category],
                "label": u8::from(doubt.positive),
                "probability": doubt.probability,
            })
        };
        serde_json::json!({
            "out": self.out.as_ref().map(|out| out.display().to_string()),
            "known": all.len(),
            "annotators": annotators.iter().map(|annotator| annotator.record(all)).collect::<Vec<_>>(),
            "issues": listed.iter().map(issue).collect::<Vec<_>>(),
        })
    }
}

/// A line for each label.
fn table(scores: &OutOfFold, images: &[String], doubts: &[Doubt], annotators: &[Annotator]) -> String {
    let mut rows = vec![["image", "category", "labeled", "probable"].map(str::to_owned).to_vec()];
    if !annotators.is_empty() {
        rows[0].push("by".into());
    }
    rows.extend(doubts.iter().map(|doubt| {
        let mut row = vec![
            images[doubt.row].clone(),
            scores.annotations.categories[doubt.category].clone(),
            if doubt.positive { "there" } else { "not there" }.to_owned(),
            format!("{} %", percent(doubt.probability)),
        ];
        if !annotators.is_empty() {
            row.push(who(annotators, doubt));
        }
        row
    }));
    aligned(&rows)
}

/// A line for each annotator.
fn records(annotators: &[Annotator], doubts: &[Doubt]) -> String {
    let header = ["by", "labels", "expected wrong", "share", "overruled"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for annotator in annotators {
        let record = annotator.record(doubts);
        let share = record.expected_wrong / record.labels.max(1) as f64;
        rows.push(vec![
            record.name.clone(),
            thousands(record.labels),
            format!("{:.1}", record.expected_wrong),
            format!("{} %", percent(share)),
            thousands(record.overruled),
        ]);
    }
    aligned(&rows)
}
