//! Images and their labels: what every label format gives.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::Result;
use crate::categories::did_you_mean;
use crate::error::Problems;
use crate::labels::LabelMatrix;
use crate::random::{Stream, rng};

/// The images of one split and their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotations {
    /// Paths of the N images, joined to the folder of the label file.
    pub images: Vec<PathBuf>,
    /// Labels, `N × C`, rows as `images`.
    pub labels: LabelMatrix,
    /// Names of the C categories, in column order.
    pub categories: Vec<String>,
    /// The file that the labels were read from.
    pub source: PathBuf,
}

impl Annotations {
    /// Rows for training and for validation, each ascending; together all rows.
    ///
    /// A random `proportion` of the rows validates; at least one row is on either side when
    /// `proportion > 0` and there are two. Hide labels first, so that both sides are partially known.
    ///
    /// # Panics
    /// If `proportion` is not in [0, 1].
    pub fn split_validation(&self, proportion: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
        assert!((0.0..=1.0).contains(&proportion), "{proportion} is not a proportion in [0, 1]");
        let rows = self.images.len();
        let wanted = (proportion * rows as f64).round() as usize;
        let count = if proportion == 0.0 || rows < 2 { 0 } else { wanted.clamp(1, rows - 1) };
        let mut validates = vec![false; rows];
        let drawn = rand::seq::index::sample(&mut rng(seed, Stream::Validation, 0, 0), rows, count);
        drawn.into_iter().for_each(|row| validates[row] = true);
        (0..rows).partition(|&row| !validates[row])
    }

    /// The rows `rows`, in that order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let images = rows.iter().map(|&row| self.images[row].clone()).collect();
        let labels = self.labels.select(rows);
        Self { images, labels, categories: self.categories.clone(), source: self.source.clone() }
    }

    /// The columns in the order of `categories`, which `reference` has.
    ///
    /// # Errors
    /// If the two sets of categories differ: every category that is too many or missing.
    pub fn aligned(self, categories: &[String], reference: &Path) -> Result<Self> {
        if self.categories == categories {
            return Ok(self);
        }
        let columns: HashMap<&String, usize> = self.categories.iter().zip(0..).collect();
        let expected: HashSet<&String> = categories.iter().collect();
        let (file, reference) = (self.source.display(), reference.display());
        let mut problems = Problems::default();
        for name in self.categories.iter().filter(|name| !expected.contains(name)) {
            let candidates = categories.iter().map(String::as_str);
            let hint = did_you_mean(name, candidates);
            problems.push(format!("{file}:1: category {name:?} is not in {reference}{hint}"));
        }
        for name in categories.iter().filter(|name| !columns.contains_key(name)) {
            problems.push(format!("{file}:1: no column for category {name:?} of {reference}"));
        }
        problems.or(())?;
        let order: Vec<usize> = categories.iter().map(|name| columns[name]).collect();
        Ok(Self { labels: self.labels.select_categories(&order), categories: categories.to_vec(), ..self })
    }
}
