//! `yardstick metrics`: seconds for all metrics of a data set.

use std::hint::black_box;

use clap::Args;
use rand::{Rng, RngExt};
use sarb::Result;
use sarb::labels::LabelMatrix;
use sarb::labels::metrics::evaluate;
use sarb::labels::random::{Stream, rng};
use serde_json::{Value, json};

use super::Common;
use super::network::positive;
use super::random::normal;

/// Arguments of `yardstick metrics`; the defaults are the size of COCO's test images.
#[derive(Debug, Clone, Args)]
pub struct Metrics {
    /// Number of images
    #[arg(long, default_value_t = 40_504, value_parser = positive)]
    images: usize,
    /// Number of categories
    #[arg(long, default_value_t = 80, value_parser = positive)]
    categories: usize,
    /// Leave no label unknown; without it a third is
    #[arg(long)]
    complete: bool,
    /// Seed of scores and labels
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    common: Common,
}

impl Metrics {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        self.common.run(|| self.measure())
    }

    /// Evaluates random logits against random labels.
    fn measure(&self) -> Result<Value> {
        let mut rng = rng(self.seed, Stream::Synthetic, 0, 0);
        let scores: Vec<f32> = (0..self.images * self.categories).map(|_| normal(&mut rng)).collect();
        let labels = LabelMatrix::from_values(self.categories, &self.labels(&mut rng));
        let names: Vec<String> = (0..self.categories).map(|category| category.to_string()).collect();
        let seconds = self.common.best(|| {
            black_box(evaluate(&scores, &labels, &names, 0.0)?);
            Ok(())
        })?;
        Ok(json!({
            "images": self.images,
            "categories": self.categories,
            "complete": self.complete,
            "metrics_s": seconds,
        }))
    }

    /// −1, 0 and +1, or −1 and +1 when complete, in equal shares.
    fn labels(&self, rng: &mut impl Rng) -> Vec<i8> {
        let values: &[i8] = if self.complete { &[-1, 1] } else { &[-1, 0, 1] };
        (0..self.images * self.categories).map(|_| values[rng.random_range(0..values.len())]).collect()
    }
}
