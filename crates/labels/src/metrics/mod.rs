//! Average precision, and overall and per-category precision, recall and F1, over the known labels only.
//!
//! The papers of this field report the *interpolated* average precision (HCP-MLR-PL,
//! `utils/metrics.py`, `Compute_mAP_VOC2012`), others the plain one; both stand side by side here.
//! Official code: the sort is unstable, ties and categories without a positive are undefined, and
//! `Np[Np == 0] = 1` is set before the sums. Here equal scores share one rank, that of the last of them, as
//! in scikit-learn's `average_precision_score`, so that no number depends on the order of the rows; where no
//! two scores are equal, the official numbers come out. Categories without a known positive are left out
//! and named, the sums are exact, and an undefined ratio is 0.

mod precision_recall;
mod reliability;
mod table;
mod thresholds;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::labels::{Label, LabelMatrix};
use crate::{Error, Result};

pub use precision_recall::{PrecisionRecall, precision_recall};
pub use reliability::{Bin, Reliability, reliability};
pub use thresholds::{Claims, Histogram, Scale, histograms, thresholds};

/// How many categories of an image the top-3 metrics look at.
const TOP: usize = 3;
/// Rows counted by one task.
const ROWS_PER_TASK: usize = 1024;

/// The scores of a model on one split; fractions in 0…1. Serializes to the object of `evaluate --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean over categories of the all-point interpolated average precision, the papers' number.
    pub map: f64,
    /// Mean over categories of the plain average precision.
    pub map_plain: f64,
    /// Precision, recall and F1 of all predictions at or above the threshold.
    #[serde(flatten)]
    pub all: Ratios,
    /// The same of the three highest scores of each image, if at or above the threshold.
    pub top3: Ratios,
    /// Number of images.
    pub images: usize,
    /// Number of categories, the skipped ones included.
    pub categories: usize,
    /// Categories without a known positive: left out of `map`, `map_plain`, `cp` and `cr`.
    pub skipped_categories: Vec<String>,
    /// Counted categories without a known negative: whatever is predicted there is right.
    #[serde(default)]
    pub without_negatives: Vec<String>,
    /// The share of the known labels, 0…1, whose score another of the same category has too.
    #[serde(default)]
    pub tied: f64,
    /// One entry per category, in the order of the categories.
    pub per_category: Vec<CategoryScores>,
}

/// Precision, recall and F1, overall (counts summed over categories) and per category (then averaged).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratios {
    /// Overall precision, Σ correct / Σ predicted.
    pub op: f64,
    /// Overall recall, Σ correct / Σ positive.
    pub or: f64,
    /// Harmonic mean of `op` and `or`.
    pub of1: f64,
    /// Mean over categories of correct / predicted.
    pub cp: f64,
    /// Mean over categories of correct / positive.
    pub cr: f64,
    /// Harmonic mean of `cp` and `cr` (not the mean of the categories' F1).
    pub cf1: f64,
}

/// The scores of one category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoryScores {
    /// The category.
    pub name: String,
    /// All-point interpolated average precision; 0 without a known positive.
    pub ap: f64,
    /// Plain average precision, the mean of the precision at each positive.
    pub ap_plain: f64,
    /// Correct / predicted at the threshold.
    pub precision: f64,
    /// Correct / positive at the threshold.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
    /// Known positives.
    pub positives: usize,
}

/// Evaluates `scores`, `N × C` row by row, against the known cells of `labels`.
///
/// A score predicts its category when it is at or above `threshold`: 0 for logits, 0.5 for
/// probabilities. Unknown cells are left out of every count; the top three of an image are taken
/// over all categories first, known or not.
///
/// # Errors
/// [`Error::Data`] when a score is NaN (named by row and category) or the number of scores is not
/// that of the labels.
///
/// # Panics
/// If `names` does not name every category.
pub fn evaluate(scores: &[f32], labels: &LabelMatrix, names: &[String], threshold: f32) -> Result<Scores> {
    let (images, categories) = (labels.images(), labels.categories());
    assert_eq!(names.len(), categories, "names of {} out of {categories} categories", names.len());
    if scores.len() != images * categories {
        return Err(Error::Data(format!(
            "{} scores do not fit labels of {images} images × {categories} categories; expected {}",
            scores.len(),
            images * categories
        )));
    }
    if let Some(cell) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::Data(format!(
            "the score of row {} (counted from 1) in category {:?} is not a number",
            cell / categories + 1,
            names[cell % categories]
        )));
    }

    let known = labels.counts();
    let positives: Vec<usize> = known.iter().map(|&(positives, _)| positives).collect();
    let (precisions, tied): (Vec<AveragePrecision>, Vec<usize>) = (0..categories)
        .into_par_iter()
        .map(|category| {
            let ranking = ranking(scores, labels, category);
            (average_precision(&ranking), ranking.tied())
        })
        .unzip();
    let counts = count(scores, labels, threshold);
    let counted: Vec<usize> = (0..categories).filter(|&category| positives[category] > 0).collect();
    let mean_of = |values: &dyn Fn(usize) -> f64| mean(counted.iter().map(|&category| values(category)));

    Ok(Scores {
        map: mean_of(&|category| precisions[category].interpolated),
        map_plain: mean_of(&|category| precisions[category].plain),
        all: ratios(&counts.all, &positives),
        top3: ratios(&counts.top, &positives),
        images,
        categories,
        skipped_categories: (0..categories)
            .filter(|&category| positives[category] == 0)
            .map(|category| names[category].clone())
            .collect(),
        without_negatives: counted
            .iter()
            .filter(|&&category| known[category].0 == known[category].1)
            .map(|&category| names[category].clone())
            .collect(),
        tied: ratio(tied.iter().sum(), known.iter().map(|(_, known)| known).sum()),
        per_category: names
            .iter()
            .enumerate()
            .map(|(category, name)| {
                let tally = counts.all[category];
                let precision = ratio(tally.correct, tally.predicted);
                let recall = ratio(tally.correct, positives[category]);
                CategoryScores {
                    name: name.clone(),
                    ap: precisions[category].interpolated,
                    ap_plain: precisions[category].plain,
                    precision,
                    recall,
                    f1: harmonic_mean(precision, recall),
                    positives: positives[category],
                }
            })
            .collect(),
    })
}

/// Average precision of one ranking, by both definitions.
#[derive(Debug, Clone, Copy, PartialEq)]
struct AveragePrecision {
    interpolated: f64,
    plain: f64,
}

/// The images whose label of a category is known, by descending score; within a tie, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranking {
    /// Twice the image, plus 1 where the label is positive.
    entries: Vec<u32>,
    /// Where each group of equal scores ends among the entries.
    ends: Vec<u32>,
}

impl Ranking {
    /// The groups of equal scores, highest first; an entry is twice the image, plus 1 where the label is
    /// positive.
    pub fn groups(&self) -> impl DoubleEndedIterator<Item = &[u32]> {
        let start = |group: usize| if group == 0 { 0 } else { self.ends[group - 1] as usize };
        (0..self.ends.len()).map(move |group| &self.entries[start(group)..self.ends[group] as usize])
    }

    /// Entries whose score another one has too.
    fn tied(&self) -> usize {
        self.groups().map(<[u32]>::len).filter(|&length| length > 1).sum()
    }
}

/// The ranking of one category by its scores; `scores` are `N × C`, row by row.
pub fn ranking(scores: &[f32], labels: &LabelMatrix, category: usize) -> Ranking {
    let categories = labels.categories();
    // Score, image and label in one integer: the image breaks ties, so an unstable sort is stable.
    let mut keys: Vec<u64> = labels
        .column(category)
        .zip(scores.iter().skip(category).step_by(categories))
        .enumerate()
        .filter(|(_, (label, _))| *label != Label::Unknown)
        .map(|(image, (label, &score))| {
            u64::from(descending(score)) << 32 | (image as u64) << 1 | u64::from(label == Label::Positive)
        })
        .collect();
    keys.sort_unstable();
    let mut ends = Vec::new();
    let mut end = 0;
    for group in keys.chunk_by(|a, b| a >> 32 == b >> 32) {
        end += group.len() as u32;
        ends.push(end);
    }
    Ranking { entries: keys.into_iter().map(|key| key as u32).collect(), ends }
}

/// An integer that is smaller the higher the score is; −0 and +0 are equal.
fn descending(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    !ascending
}

/// Both average precisions of a ranking; 0 without a positive. All positives of a tie have the precision at
/// its end.
fn average_precision(ranking: &Ranking) -> AveragePrecision {
    let (mut rank, mut hits) = (0, 0);
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for group in ranking.groups() {
        let positives = group.iter().filter(|&&entry| entry & 1 == 1).count();
        (rank, hits) = (rank + group.len(), hits + positives);
        // Precision falls at every negative, so its envelope from the right is reached at positives.
        if positives > 0 {
            steps.push((positives as f64, hits as f64 / rank as f64));
        }
    }
    let mut envelope = 0.0;
    let interpolated: f64 = steps
        .iter()
        .rev()
        .map(|&(positives, precision)| {
            envelope = f64::max(envelope, precision);
            positives * envelope
        })
        .sum();
    let plain: f64 = steps.iter().map(|(positives, precision)| positives * precision).sum();
    let of_all = |sum: f64| if hits == 0 { 0.0 } else { sum / hits as f64 };
    AveragePrecision { interpolated: of_all(interpolated), plain: of_all(plain) }
}

/// Predictions of one category among its known labels.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    predicted: usize,
    correct: usize,
}

/// Predictions of every category, at the threshold and among the top three.
struct Counts {
    all: Vec<Tally>,
    top: Vec<Tally>,
}

fn count(scores: &[f32], labels: &LabelMatrix, threshold: f32) -> Counts {
    let categories = labels.categories();
    let none = || Counts { all: vec![Tally::default(); categories], top: vec![Tally::default(); categories] };
    let add = |tally: &mut Tally, label: Label| {
        tally.predicted += usize::from(label != Label::Unknown);
        tally.correct += usize::from(label == Label::Positive);
    };
    scores
        .par_chunks((categories * ROWS_PER_TASK).max(1))
        .enumerate()
        .map(|(task, rows)| {
            let mut counts = none();
            for (row, scores) in rows.chunks_exact(categories).enumerate() {
                let image = task * ROWS_PER_TASK + row;
                for (category, _) in scores.iter().enumerate().filter(|(_, score)| **score >= threshold) {
                    add(&mut counts.all[category], labels.get(image, category));
                }
                for category in highest(scores).into_iter().flatten() {
                    if scores[category] >= threshold {
                        add(&mut counts.top[category], labels.get(image, category));
                    }
                }
            }
            counts
        })
        .reduce(none, |a, b| Counts { all: sum(a.all, &b.all), top: sum(a.top, &b.top) })
}

/// The categories of the three highest scores, highest first; ties keep the order of the categories.
fn highest(scores: &[f32]) -> [Option<usize>; TOP] {
    let mut top: [Option<usize>; TOP] = [None; TOP];
    for (category, &score) in scores.iter().enumerate() {
        let below = |other: &Option<usize>| other.is_none_or(|other| score > scores[other]);
        if below(&top[TOP - 1])
            && let Some(place) = top.iter().position(below)
        {
            top[place..].rotate_right(1);
            top[place] = Some(category);
        }
    }
    top
}

fn sum(mut tallies: Vec<Tally>, others: &[Tally]) -> Vec<Tally> {
    for (tally, other) in tallies.iter_mut().zip(others) {
        tally.predicted += other.predicted;
        tally.correct += other.correct;
    }
    tallies
}

/// Overall and mean ratios; categories without a known positive count in the sums only.
fn ratios(tallies: &[Tally], positives: &[usize]) -> Ratios {
    let predicted = tallies.iter().map(|tally| tally.predicted).sum();
    let correct = tallies.iter().map(|tally| tally.correct).sum();
    let counted = || tallies.iter().zip(positives).filter(|(_, positives)| **positives > 0);
    let (op, or) = (ratio(correct, predicted), ratio(correct, positives.iter().sum()));
    let cp = mean(counted().map(|(tally, _)| ratio(tally.correct, tally.predicted)));
    let cr = mean(counted().map(|(tally, &positives)| ratio(tally.correct, positives)));
    Ratios { op, or, of1: harmonic_mean(op, or), cp, cr, cf1: harmonic_mean(cp, cr) }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn harmonic_mean(a: f64, b: f64) -> f64 {
    if a + b == 0.0 { 0.0 } else { 2.0 * a * b / (a + b) }
}

/// The mean, 0 of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests;
