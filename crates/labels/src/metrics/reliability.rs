//! Whether probabilities mean what they say: of the known labels that get 70 %, are 70 % positive?

use rayon::prelude::*;
use serde::Serialize;

use super::{ROWS_PER_TASK, Scale};
use crate::labels::{Label, LabelMatrix};

/// Bins of equal width over 0…1.
const BINS: usize = 10;

/// The known labels whose probability lies in one bin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Bin {
    /// How many they are.
    pub known: usize,
    /// How many of them are positive.
    pub positive: usize,
    /// Their mean probability; 0 of none.
    pub mean: f64,
}

/// The reliability of all known labels together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reliability {
    /// Ten bins of equal width, from 0 to 1.
    pub bins: Vec<Bin>,
    /// The expected calibration error, 0…1: the mean over the labels of how far the mean probability of their bin is
    /// from its share of positives (Naeini, Cooper, Hauskrecht 2015); 0 without a known label.
    pub error: f64,
}

/// The reliability of `scores`, `N × C` row by row, over the known labels of all categories.
///
/// # Panics
/// If there are not as many scores as labels.
pub fn reliability(scores: &[f32], labels: &LabelMatrix, scale: Scale) -> Reliability {
    let categories = labels.categories();
    assert_eq!(scores.len(), labels.images() * categories, "a score for every label");
    // Sums are added in the order of the rows, so that they do not depend on threads.
    let parts: Vec<[Bin; BINS]> = scores
        .par_chunks((categories * ROWS_PER_TASK).max(1))
        .enumerate()
        .map(|(task, rows)| {
            let mut bins = [Bin::default(); BINS];
            for (row, scores) in rows.chunks_exact(categories).enumerate() {
                let known = labels.row(task * ROWS_PER_TASK + row).zip(scores);
                for (label, &score) in known.filter(|(label, _)| *label != Label::Unknown) {
                    let probability = scale.probability(score);
                    let bin = &mut bins[((probability * BINS as f64) as usize).min(BINS - 1)];
                    bin.known += 1;
                    bin.positive += usize::from(label == Label::Positive);
                    bin.mean += probability;
                }
            }
            bins
        })
        .collect();
    let mut bins = vec![Bin::default(); BINS];
    for (bin, part) in parts.iter().flat_map(|part| part.iter().enumerate()) {
        bins[bin].known += part.known;
        bins[bin].positive += part.positive;
        bins[bin].mean += part.mean;
    }
    // So far `mean` is a sum.
    let known: usize = bins.iter().map(|bin| bin.known).sum();
    let off: f64 = bins.iter().map(|bin| (bin.mean - bin.positive as f64).abs()).sum();
    bins.iter_mut().filter(|bin| bin.known > 0).for_each(|bin| bin.mean /= bin.known as f64);
    Reliability { bins, error: if known == 0 { 0.0 } else { off / known as f64 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_the_weighted_distance_of_the_bins_by_hand() {
        // Bin 0: 0.05 (−), 0.05 (+): mean 0.05, share 1/2. Bin 8: 0.8, 0.8 (+ +): mean 0.8, share 1. One unknown.
        let labels = LabelMatrix::from_values(1, &[-1, 1, 1, 1, 0]);
        let found = reliability(&[0.05, 0.05, 0.8, 0.8, 0.4], &labels, Scale::Probabilities);
        assert_eq!((found.bins[0].known, found.bins[0].positive, found.bins[4].known), (2, 1, 0));
        assert!((found.bins[8].mean - 0.8).abs() < 1e-6 && found.bins[4].mean == 0.0);
        // (2 · 0.45 + 2 · 0.2) / 4
        assert!((found.error - 0.325).abs() < 1e-6, "{}", found.error);
    }

    #[test]
    fn certain_scores_are_in_the_outer_bins_and_nothing_known_is_no_error() {
        let labels = LabelMatrix::from_values(1, &[1, -1]);
        let found = reliability(&[f32::INFINITY, f32::NEG_INFINITY], &labels, Scale::Logits);
        assert_eq!((found.bins[9].known, found.bins[0].known, found.error), (1, 1, 0.0));
        let none = reliability(&[0.0; 2], &LabelMatrix::unknown(2, 1), Scale::Logits);
        assert_eq!(none.error, 0.0);
    }

    #[test]
    fn every_label_belongs_to_its_own_row_in_many_rows() {
        let values: Vec<i8> = (0..2 * 3000).map(|cell| if cell * 7 / 11 % 3 == 0 { 1 } else { -1 }).collect();
        let scores: Vec<f32> = values.iter().map(|&value| f32::from(value).max(0.0)).collect();
        let found = reliability(&scores, &LabelMatrix::from_values(2, &values), Scale::Probabilities);
        assert_eq!((found.bins[0].positive, found.bins[9].positive), (0, found.bins[9].known));
        assert_eq!((found.bins[0].known + found.bins[9].known, found.error), (6000, 0.0));
    }

    #[test]
    fn the_sums_do_not_depend_on_threads() {
        let scores: Vec<f32> = (0..9000).map(|cell| ((cell * 7919) % 1009) as f32 / 100.0 - 5.0).collect();
        let values: Vec<i8> = (0..9000).map(|cell| [1, -1, 0][cell % 3]).collect();
        let labels = LabelMatrix::from_values(2, &values);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| reliability(&scores, &labels, Scale::Logits))
        };
        assert_eq!(on(1), on(3));
    }
}
