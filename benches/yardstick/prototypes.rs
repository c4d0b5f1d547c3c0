//! `yardstick prototypes`: seconds for the k-means of all categories, as training runs it.

use std::path::PathBuf;

use clap::Args;
use rand::RngExt;
use rayon::prelude::*;
use sarb::Result;
use sarb::internals::{Clusters, cluster};
use sarb::labels::arrays::npy;
use sarb::labels::random::{Stream, rng};
use serde_json::{Value, json};

use super::Common;
use super::network::positive;
use super::random::normal;

/// Gaussians that a category's points are drawn from; more than the usual number of clusters, so that
/// no clustering is perfect.
const GAUSSIANS: usize = 12;
/// Standard deviation of a coordinate of their centers, in that of the points around them. At 1024
/// coordinates Lloyd's iterations then number some tens, as with representations.
const SPREAD: f32 = 0.15;

/// Arguments of `yardstick prototypes`.
#[derive(Debug, Clone, Args)]
pub struct Prototypes {
    /// Number of categories
    #[arg(long, default_value_t = 80, value_parser = positive)]
    categories: usize,
    /// Points of each category
    #[arg(long, default_value_t = 2000, value_parser = positive)]
    points: usize,
    /// Width of the points
    #[arg(long, default_value_t = 1024, value_parser = positive)]
    dim: usize,
    /// Clusters of each category
    #[arg(long, default_value_t = 10, value_parser = positive)]
    clusters: usize,
    /// Seed of the points and of k-means
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the points as float32 [categories, points, dim], for other programs to read
    #[arg(long, value_name = "FILE.npy")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

impl Prototypes {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        self.common.run(|| self.measure())
    }

    fn measure(&self) -> Result<Value> {
        let Self { categories, points, dim, clusters: k, .. } = *self;
        let mut values = vec![0.0; categories * points * dim];
        let of_categories = values.par_chunks_exact_mut(points * dim).enumerate();
        of_categories.for_each(|(category, values)| self.fill(category as u64, values));
        if let Some(path) = &self.keep {
            npy::write(path, &values, &[categories, points, dim])?;
        }
        let of_categories: Vec<&[f32]> = values.chunks_exact(points * dim).collect();
        let mut clusters: Vec<Clusters> = Vec::new();
        let seconds = self.common.best(|| {
            clusters = cluster(&of_categories, dim, k, 1, self.seed, 0);
            Ok(())
        })?;
        Ok(json!({
            "categories": categories,
            "points": points,
            "dim": dim,
            "clusters": k,
            "prototypes_s": seconds,
            "inertia": clusters.iter().map(|clusters| clusters.inertia).sum::<f64>(),
            "iterations": clusters.iter().map(|clusters| clusters.iterations).sum::<usize>(),
        }))
    }

    /// The points of one category.
    fn fill(&self, category: u64, values: &mut [f32]) {
        let dim = self.dim;
        let mut rng = rng(self.seed, Stream::Synthetic, 0, category);
        let centers: Vec<f32> = (0..GAUSSIANS * dim).map(|_| SPREAD * normal(&mut rng)).collect();
        for point in values.chunks_exact_mut(dim) {
            let first = dim * rng.random_range(0..GAUSSIANS);
            for (value, center) in point.iter_mut().zip(&centers[first..first + dim]) {
                *value = center + normal(&mut rng);
            }
        }
    }
}
