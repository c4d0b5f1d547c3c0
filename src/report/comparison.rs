//! Means over seeds and proportions, and differences to the row that the others are compared with.

use sarb_labels::LabelMatrix;
use sarb_labels::metrics::Scores;

use crate::Result;
use crate::bootstrap::{self, LEVEL, Resamples};
use crate::report::results::{Measured, Results};
use crate::report::saved::saved_scores;
use crate::run::SCORES;

/// A mean over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Sample standard deviation, of at least two seeds.
    pub deviation: Option<f64>,
    /// Number of seeds.
    pub seeds: usize,
}

impl Mean {
    /// Of one value a seed; none of no seed.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mean = mean(values)?;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt());
        Some(Self { mean, deviation, seeds: values.len() })
    }
}

/// A difference to the row that the others are compared with: the other row minus that one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The mean over the seeds that both have.
    pub value: f64,
    /// Interval of the paired bootstrap, if it was asked for.
    pub interval: Option<(f64, f64)>,
    /// Number of seeds that both have; at a mean over proportions the smallest.
    pub seeds: usize,
}

impl Difference {
    /// Whether the interval leaves out 0.
    pub fn excludes_zero(&self) -> bool {
        self.interval.is_some_and(|(low, high)| low > 0.0 || high < 0.0)
    }
}

/// The mean over the plan's proportions of the mean over seeds; none while a cell is missing.
pub fn average(results: &Results, row: usize, value: impl Fn(&Scores) -> f64) -> Option<f64> {
    if results.missing(row).is_empty() { average_of_done(results, row, value) } else { None }
}

/// The same over the cells that are done; none while a proportion has none.
pub fn average_of_done(results: &Results, row: usize, value: impl Fn(&Scores) -> f64) -> Option<f64> {
    let at = |known| mean(&results.at(row, known).iter().map(|done| value(&done.scores)).collect::<Vec<_>>());
    let means: Option<Vec<f64>> = results.known().into_iter().map(at).collect();
    mean(&means?)
}

/// Sample standard deviation over seeds of the average over proportions, where every proportion has
/// the same seeds, at least two.
pub fn deviation_of_average(results: &Results, row: usize) -> Option<f64> {
    let by_known: Vec<Vec<&Measured>> =
        results.known().into_iter().map(|known| results.at(row, known)).collect();
    let seeds = |cells: &[&Measured]| cells.iter().map(|done| done.cell.seed).collect::<Vec<_>>();
    let first = seeds(by_known.first()?);
    if by_known.iter().any(|cells| seeds(cells) != first) {
        return None;
    }
    let of_seed =
        |seed: usize| mean(&by_known.iter().map(|cells| cells[seed].scores.map).collect::<Vec<_>>());
    let averages: Option<Vec<f64>> = (0..first.len()).map(of_seed).collect();
    Mean::of(&averages?)?.deviation
}

/// Differences of mAP to the row that the others are compared with.
#[derive(Debug)]
pub struct Comparison<'a> {
    results: &'a Results,
    reference: usize,
    /// The mAP of every cell on every resample, in the order of the cells; empty without a bootstrap.
    resampled: Vec<Vec<f64>>,
}

impl<'a> Comparison<'a> {
    /// Without intervals.
    pub fn without_intervals(results: &'a Results, reference: usize) -> Self {
        Self { results, reference, resampled: Vec::new() }
    }

    /// With intervals of `count` resamples of the test images, whose labels are `labels`.
    ///
    /// # Errors
    /// [`Error::Data`] if a cell's scores do not fit the labels or its mAP.
    pub fn resampled(
        results: &'a Results,
        reference: usize,
        labels: &LabelMatrix,
        count: usize,
        seed: u64,
    ) -> Result<Self> {
        let resamples = Resamples::draw(labels, count, seed);
        let maps = |cell: &Measured| {
            let path = cell.run.path(SCORES);
            Ok(resamples.maps(&saved_scores(&path, labels, cell.scores.map)?))
        };
        let resampled = results.cells.iter().map(maps).collect::<Result<_>>()?;
        Ok(Self { results, reference, resampled })
    }

    /// The difference of a row at one proportion; none for the reference, or if no seed is common.
    pub fn at(&self, row: usize, known: f64) -> Option<Difference> {
        self.over(row, &[known])
    }

    /// The difference of a row's mean over all proportions.
    pub fn average(&self, row: usize) -> Option<Difference> {
        self.over(row, &self.results.known())
    }

    /// The mean over `known` of the mean over common seeds of row − reference.
    fn over(&self, row: usize, known: &[f64]) -> Option<Difference> {
        let by_known: Vec<Vec<(usize, usize)>> = known.iter().map(|&known| self.pairs(row, known)).collect();
        let seeds = by_known.iter().map(Vec::len).min()?;
        if seeds == 0 || row == self.reference {
            return None;
        }
        let difference = |map: &dyn Fn(usize) -> f64| {
            let at = |pairs: &Vec<(usize, usize)>| {
                pairs.iter().map(|&(cell, reference)| map(cell) - map(reference)).sum::<f64>()
                    / pairs.len() as f64
            };
            by_known.iter().map(at).sum::<f64>() / by_known.len() as f64
        };
        let resamples = self.resampled.first().map_or(0, Vec::len);
        let values: Vec<f64> =
            (0..resamples).map(|resample| difference(&|cell| self.resampled[cell][resample])).collect();
        Some(Difference {
            value: difference(&|cell| self.results.cells[cell].scores.map),
            interval: (!values.is_empty()).then(|| bootstrap::interval(values, LEVEL)),
            seeds,
        })
    }

    /// Indices of the cells of a row and of the reference at a proportion, for each seed of both.
    fn pairs(&self, row: usize, known: f64) -> Vec<(usize, usize)> {
        let cells = &self.results.cells;
        let of = |row: usize| {
            (0..cells.len()).filter(move |&at| cells[at].cell.row == row && cells[at].cell.known == known)
        };
        of(row)
            .filter_map(|cell| {
                let same_seed = |&other: &usize| cells[other].cell.seed == cells[cell].cell.seed;
                Some((cell, of(self.reference).find(same_seed)?))
            })
            .collect()
    }
}

/// The mean; none of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{Fixture, PLAN};

    #[test]
    fn a_standard_deviation_needs_two_seeds() {
        assert_eq!(Mean::of(&[]), None);
        assert_eq!(Mean::of(&[0.5]).unwrap().deviation, None);
        // By hand: mean 2, squares 1 + 0 + 1 over 2.
        let three = Mean::of(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((three.mean, three.deviation, three.seeds), (2.0, Some(1.0), 3));
    }

    #[test]
    fn an_average_is_that_of_proportions_not_of_cells() {
        let fixture = Fixture::new(PLAN);
        let results = fixture.results();
        let map = |known, seed: usize| results.at(0, known)[seed].scores.map;
        let expected = ((map(0.1, 0) + map(0.1, 1)) / 2.0 + map(0.5, 0)) / 2.0;
        assert!((average(&results, 0, |scores| scores.map).unwrap() - expected).abs() < 1e-12);
        // Two seeds at one proportion and one at the other: no deviation of the average.
        assert_eq!(deviation_of_average(&results, 0), None);
    }

    #[test]
    fn a_difference_uses_the_seeds_that_both_have() {
        let fixture = Fixture::new(PLAN);
        let results = fixture.results();
        let reference = results.reference().unwrap();
        assert_eq!(results.name(reference), "SARB");
        let comparison = Comparison::resampled(&results, reference, &fixture.labels(), 200, 0).unwrap();
        let other = 1;
        let difference = comparison.at(other, 0.1).unwrap();
        let expected = results.at(other, 0.1)[0].scores.map - results.at(reference, 0.1)[0].scores.map;
        assert_eq!((results.at(reference, 0.1).len(), difference.seeds), (2, 1));
        assert!((difference.value - expected).abs() < 1e-12);
        let (low, high) = difference.interval.unwrap();
        assert!(low < difference.value && difference.value < high);
        // The fixture's other systems are plainly worse.
        assert!(difference.excludes_zero() && difference.value < 0.0, "{difference:?}");
        let average = comparison.average(other).unwrap();
        let at_half = comparison.at(other, 0.5).unwrap();
        assert!((average.value - (difference.value + at_half.value) / 2.0).abs() < 1e-12);
        assert_eq!(comparison.at(reference, 0.1), None);
    }

    #[test]
    fn labels_of_another_split_are_refused() {
        let fixture = Fixture::new(PLAN);
        let results = fixture.results();
        let other =
            |labels: &LabelMatrix| Comparison::resampled(&results, 0, labels, 2, 0).unwrap_err().to_string();
        let mut labels = fixture.labels();
        labels.set(0, 0, sarb_labels::Label::Unknown);
        labels.set(1, 0, sarb_labels::Label::Unknown);
        labels.set(2, 0, sarb_labels::Label::Unknown);
        assert!(other(&labels).contains("the evaluation of the run says"), "{}", other(&labels));
        assert!(other(&labels.select(&[0, 1])).contains("but the labels are of 2 images × 3 categories"));
    }
}
