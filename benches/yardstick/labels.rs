//! `yardstick labels`: seconds for what is done with the labels of a data set in memory.

use std::hint::black_box;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rand::RngExt;
use sarb::internals::epoch_batches;
use sarb::labels::hiding::{Scheme, hide};
use sarb::labels::inspect::Inspection;
use sarb::labels::random::{Stream, rng};
use sarb::labels::{Annotations, Label, LabelMatrix, stratified};
use sarb::{Error, Result};
use serde_json::{Value, json};

use super::Common;
use super::network::positive;

/// Shares of the parts of a split.
const SHARES: [f64; 2] = [0.9, 0.1];

/// Images in a batch.
const BATCH: usize = 32;

/// Arguments of `yardstick labels`.
#[derive(Debug, Clone, Args)]
pub struct Labels {
    /// Number of images
    #[arg(long, default_value_t = 1_000_000, value_parser = positive)]
    images: usize,
    /// Number of categories
    #[arg(long, default_value_t = 500, value_parser = positive)]
    categories: usize,
    /// Positives of an image at most, drawn with repetition; its other labels are negative
    #[arg(long, default_value_t = 5)]
    positives: usize,
    /// Proportion of labels that stays known when they are hidden
    #[arg(long, default_value_t = 0.1)]
    known: f64,
    /// Seed of labels, masks, split and order
    #[arg(long, default_value_t = 0)]
    seed: u32,
    #[command(flatten)]
    common: Common,
}

impl Labels {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.known) {
            return Err(Error::Usage(format!("--known {}: expected a proportion in 0…1", self.known)));
        }
        self.common.run(|| self.measure())
    }

    fn measure(&self) -> Result<Value> {
        let annotations = self.annotations();
        let labels = &annotations.labels;
        let seed = u64::from(self.seed);
        let mut found = json!({
            "images": self.images,
            "categories": self.categories,
            "matrix_mb": labels.to_bytes().len() as f64 / 1e6,
            // What reading and writing the matrix once takes: the rest is to be seen against it.
            "copy_s": self.seconds(|| labels.clone())?,
        });
        for scheme in &Scheme::ALL {
            let name = scheme.to_possible_value().expect("no scheme is hidden");
            let name = format!("hide_{}_s", name.get_name().replace('-', "_"));
            found[name] = self.seconds(|| hide(labels, *scheme, self.known, seed))?.into();
        }
        let reversed: Vec<usize> = (0..self.categories).rev().collect();
        let rows: Vec<usize> = (0..self.images).collect();
        found["counts_s"] = self.seconds(|| labels.counts())?.into();
        found["inspect_s"] = self.seconds(|| Inspection::of(&annotations))?.into();
        found["select_categories_s"] = self.seconds(|| labels.select_categories(&reversed))?.into();
        found["split_s"] = self.seconds(|| stratified::split(labels, &SHARES, seed))?.into();
        found["epoch_order_s"] = self.seconds(|| epoch_batches(&rows, BATCH, seed, 0, false))?.into();
        Ok(found)
    }

    fn seconds<T>(&self, work: impl Fn() -> T) -> Result<f64> {
        self.common.best(|| {
            black_box(work());
            Ok(())
        })
    }

    /// Every label known.
    fn annotations(&self) -> Annotations {
        let mut labels = LabelMatrix::filled(self.images, self.categories, Label::Negative);
        let mut rng = rng(self.seed.into(), Stream::Synthetic, 0, 0);
        for image in 0..self.images {
            for _ in 0..self.positives {
                labels.set(image, rng.random_range(0..self.categories), Label::Positive);
            }
        }
        Annotations {
            images: (0..self.images).map(|image| PathBuf::from(format!("{image:08}.jpg"))).collect(),
            labels,
            categories: (0..self.categories).map(|category| format!("category {category}")).collect(),
            source: PathBuf::from("made up"),
        }
    }
}
