//! `sarb labels issues`: known labels that look wrong.

use std::path::{Path, PathBuf};

use clap::Args;
use sarb::decisions::doubts::{self, Doubt, doubts};
use sarb::labels::formats::image_names::image_names;
use sarb::labels::text::{aligned, percent, thousands};
use sarb::{OutOfFold, Result, Run};

use super::pool::Pool;
use crate::cli::console::{print, say};
use crate::cli::data::convert::{keep, make_folder_of};

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
        let scores = self.pool.scores(&Run::open(&self.run)?)?;
        let all = doubts(&scores);
        let listed = &all[..if self.top == 0 { all.len() } else { self.top.min(all.len()) }];
        if let Some(out) = &self.out {
            make_folder_of(out)?;
            doubts::write(out, &scores, listed)?;
        }
        let images = image_names(&scores.annotations, Path::new("."))?;
        if self.json {
            return print(&self.as_json(&scores, &images, all.len(), listed).to_string());
        }
        say(&format!(
            "{} of {} known labels, the least probable first",
            thousands(listed.len()),
            thousands(all.len())
        ));
        match &self.out {
            Some(out) => print(&out.display().to_string()),
            None => print(&table(&scores, &images, listed)),
        }
    }

    fn as_json(
        &self,
        scores: &OutOfFold,
        images: &[String],
        known: usize,
        listed: &[Doubt],
    ) -> serde_json::Value {
        let issue = |doubt: &Doubt| {
            serde_json::json!({
                "image": images[doubt.row],
                "category": scores.annotations.categories[doubt.category],
                "label": u8::from(doubt.positive),
                "probability": doubt.probability,
            })
        };
        serde_json::json!({
            "out": self.out.as_ref().map(|out| out.display().to_string()),
            "known": known,
            "issues": listed.iter().map(issue).collect::<Vec<_>>(),
        })
    }
}

/// A line for each label.
fn table(scores: &OutOfFold, images: &[String], doubts: &[Doubt]) -> String {
    let mut rows = vec![["image", "category", "labeled", "probable"].map(str::to_owned).to_vec()];
    rows.extend(doubts.iter().map(|doubt| {
        vec![
            images[doubt.row].clone(),
            scores.annotations.categories[doubt.category].clone(),
            if doubt.positive { "there" } else { "not there" }.to_owned(),
            format!("{} %", percent(doubt.probability)),
        ]
    }));
    aligned(&rows)
}
