//! How many known labels would be claimed at each of many thresholds, so that a reader may move the threshold.
//!
//! A claim is what [`evaluate`](super::evaluate) counts: a score at or above the threshold whose label is known.

use rayon::prelude::*;

use super::{ROWS_PER_TASK, harmonic_mean, ratio};
use crate::labels::{Label, LabelMatrix};

/// What scores are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Log-odds: 0 is as likely as not.
    Logits,
    /// 0…1.
    Probabilities,
}

impl Scale {
    /// The score of a probability in (0, 1).
    pub fn score(self, probability: f64) -> f32 {
        match self {
            Scale::Logits => (probability / (1.0 - probability)).ln() as f32,
            Scale::Probabilities => probability as f32,
        }
    }

    /// The probability of a score, 0…1.
    pub fn probability(self, score: f32) -> f64 {
        match self {
            Scale::Logits => 1.0 / (1.0 + (-f64::from(score)).exp()),
            Scale::Probabilities => f64::from(score),
        }
    }
}

/// The thresholds: every percent, and some closer to 0 and 1, ascending.
pub fn thresholds() -> Vec<f64> {
    const LOW: [f64; 3] = [0.001, 0.002, 0.005];
    const HIGH: [f64; 3] = [0.995, 0.998, 0.999];
    let percents = (1..100).map(|percent| f64::from(percent) / 100.0);
    LOW.into_iter().chain(percents).chain(HIGH).collect()
}

/// Known labels of one category by score: bin 0 is below the first of the [`thresholds`], the last one at or above
/// the last of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Known positives of each bin.
    pub positives: Vec<u32>,
    /// Known negatives of each bin.
    pub negatives: Vec<u32>,
}

/// What is claimed at one threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claims {
    /// Known labels that are claimed.
    pub claimed: usize,
    /// Those of them that are positive.
    pub correct: usize,
    /// Correct / claimed.
    pub precision: f64,
    /// Correct / known positives.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
}

impl Histogram {
    fn empty() -> Self {
        let bins = thresholds().len() + 1;
        Self { positives: vec![0; bins], negatives: vec![0; bins] }
    }

    /// Adds the labels of another.
    pub fn add(&mut self, other: &Histogram) {
        let add = |own: &mut [u32], other: &[u32]| own.iter_mut().zip(other).for_each(|(a, b)| *a += b);
        add(&mut self.positives, &other.positives);
        add(&mut self.negatives, &other.negatives);
    }

    /// The labels of several together.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Histogram>) -> Histogram {
        all.into_iter().fold(Self::empty(), |mut sum, one| {
            sum.add(one);
            sum
        })
    }

    /// What is claimed at the threshold of a place in [`thresholds`].
    pub fn at(&self, place: usize) -> Claims {
        let count = |bins: &[u32]| bins.iter().map(|&count| count as usize).sum::<usize>();
        let correct = count(&self.positives[place + 1..]);
        let claimed = correct + count(&self.negatives[place + 1..]);
        let (precision, recall) = (ratio(correct, claimed), ratio(correct, count(&self.positives)));
        Claims { claimed, correct, precision, recall, f1: harmonic_mean(precision, recall) }
    }
}

/// One histogram a category of `scores`, `N × C` row by row; none of them may be NaN.
///
/// # Panics
/// If there are not as many scores as labels.
pub fn histograms(scores: &[f32], labels: &LabelMatrix, scale: Scale) -> Vec<Histogram> {
    let categories = labels.categories();
    assert_eq!(scores.len(), labels.images() * categories, "a score for every label");
    let edges: Vec<f32> = thresholds().into_iter().map(|threshold| scale.score(threshold)).collect();
    let none = || vec![Histogram::empty(); categories];
    scores
        .par_chunks((categories * ROWS_PER_TASK).max(1))
        .enumerate()
        .fold(none, |mut counts, (task, rows)| {
            for (row, scores) in rows.chunks_exact(categories).enumerate() {
                let labels = labels.row(task * ROWS_PER_TASK + row);
                for ((label, &score), counts) in labels.zip(scores).zip(&mut counts) {
                    let bin = || edges.partition_point(|&edge| score >= edge);
                    match label {
                        Label::Positive => counts.positives[bin()] += 1,
                        Label::Negative => counts.negatives[bin()] += 1,
                        Label::Unknown => {}
                    }
                }
            }
            counts
        })
        .reduce(none, |mut a, b| {
            a.iter_mut().zip(&b).for_each(|(a, b)| a.add(b));
            a
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::evaluate;
    use crate::metrics::tests::random_case;

    #[test]
    fn every_threshold_counts_what_evaluate_counts() {
        let (logits, labels, names) = random_case(7, 2100, 5);
        let probabilities: Vec<f32> =
            logits.iter().map(|&logit| Scale::Logits.probability(logit) as f32).collect();
        for (scale, scores) in [(Scale::Logits, logits), (Scale::Probabilities, probabilities)] {
            let histograms = histograms(&scores, &labels, scale);
            for (place, &threshold) in thresholds().iter().enumerate() {
                let expected = evaluate(&scores, &labels, &names, scale.score(threshold)).unwrap();
                for (histogram, expected) in histograms.iter().zip(&expected.per_category) {
                    let Claims { precision, recall, f1, .. } = histogram.at(place);
                    assert_eq!((precision, recall, f1), (expected.precision, expected.recall, expected.f1));
                }
                let all = Histogram::sum(&histograms).at(place);
                let expected = expected.all;
                assert_eq!((all.precision, all.recall, all.f1), (expected.op, expected.or, expected.of1));
            }
        }
    }

    #[test]
    fn one_half_is_logit_0_and_thresholds_ascend() {
        let thresholds = thresholds();
        assert!(thresholds.is_sorted() && thresholds.contains(&0.5));
        assert_eq!((Scale::Logits.score(0.5), Scale::Probabilities.score(0.5)), (0.0, 0.5));
        assert_eq!(
            (Scale::Logits.probability(0.0), Scale::Logits.probability(f32::NEG_INFINITY)),
            (0.5, 0.0)
        );
    }

    #[test]
    fn unknown_labels_are_in_no_bin_and_infinite_scores_in_the_outer_ones() {
        let labels = LabelMatrix::from_values(1, &[1, 0, -1, -1]);
        let scores = [f32::INFINITY, 0.0, f32::NEG_INFINITY, -9.0];
        let [histogram] = &histograms(&scores, &labels, Scale::Logits)[..] else { panic!("one category") };
        assert_eq!((histogram.positives.last(), histogram.negatives[0]), (Some(&1), 2));
        assert_eq!(histogram.positives.iter().chain(&histogram.negatives).sum::<u32>(), 3);
    }
}
