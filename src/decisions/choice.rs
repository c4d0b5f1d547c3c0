//! From which probability on labels are filled in, so that what is wanted of them can be promised.

use rayon::prelude::*;
use sarb_labels::Label;
use serde::Serialize;

use super::evidence::Evidence;
use super::probability::{Curves, sigmoid};
use super::promise::{Above, Judged};

/// How many thresholds are tried, a tenth of log-odds apart: probabilities from 0.5 to 0.9999.
const THRESHOLDS: usize = 93;
/// How much more labels must lie above a threshold than above the last one that was tried.
const GROWTH: f64 = 1.3;

/// What is wanted of filled labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wanted {
    /// The share of a category's filled labels that is to be right, in (0, 1).
    pub precision: f64,
    /// How sure that is to be, in (0, 1).
    pub confidence: f64,
}

/// What became of the positives, or of the negatives, of a category.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Side {
    /// From which probability on they are filled; none if the wanted precision cannot be promised.
    pub threshold: Option<f64>,
    /// How many are.
    pub filled: usize,
    /// Known labels above the threshold, on which the promise is founded together with the other categories.
    pub known: usize,
    /// Of these, those that are what is filled in.
    pub right: usize,
    /// The share of the filled labels that is expected to be right; 0 where nothing is filled.
    pub expected_precision: f64,
}

/// How many labels lie between each of the [`THRESHOLDS`] and the next, of all categories, on one side.
#[derive(Debug)]
pub(super) struct Between {
    positive: bool,
    /// See [`Measured::telling`](super::probability::Measured::telling); of the others nothing can be promised.
    telling: Vec<bool>,
    counts: Vec<Above>,
}

impl Between {
    /// None counted yet.
    pub fn new(telling: Vec<bool>, positive: bool) -> Self {
        let counts = vec![Above::default(); telling.len() * THRESHOLDS];
        Self { positive, telling, counts }
    }

    /// Counts those of some evidence. The scores lie row by row, and are read so.
    pub fn add(&mut self, evidence: &Evidence, curves: &Curves) {
        let scores = evidence.scores;
        for row in 0..scores.annotations.images.len() {
            for (category, label) in evidence.row(row, self.positive).enumerate() {
                let Some(label) = label.filter(|_| self.telling[category]) else { continue };
                let logit = curves.categories[category].logit(scores.logit(row, category));
                let Some(last) = last_reached(if self.positive { logit } else { -logit }) else { continue };
                let above = &mut self.counts[category * THRESHOLDS + last];
                match label {
                    Label::Unknown => above.unknown += 1,
                    known => {
                        above.known += 1;
                        above.right += usize::from((known == Label::Positive) == self.positive);
                    }
                }
            }
        }
    }

    fn columns(&self) -> Vec<Column> {
        self.counts.chunks_exact(THRESHOLDS).map(|between| Column::above(between.to_vec())).collect()
    }
}

/// The labels of a category that lie above each of the [`THRESHOLDS`].
struct Column {
    above: Vec<Above>,
}

impl Column {
    /// From what lies between a threshold and the next.
    fn above(mut above: Vec<Above>) -> Self {
        let mut sum = Above::default();
        for above in above.iter_mut().rev() {
            sum = Above {
                known: sum.known + above.known,
                right: sum.right + above.right,
                unknown: sum.unknown + above.unknown,
            };
            *above = sum;
        }
        Self { above }
    }

    /// Places of thresholds above which at least so many labels are known and unknown, the strictest one first.
    fn steps(&self, [known, unknown]: [usize; 2]) -> impl Iterator<Item = usize> {
        let has_enough =
            move |place: &usize| self.above[*place].known >= known && self.above[*place].unknown >= unknown;
        (0..self.above.len()).rev().filter(has_enough)
    }

    /// The place of the lowest threshold at which what is wanted can be promised, of those with so many labels.
    fn lowest(&self, least: [usize; 2], judged: &[Judged], wanted: Wanted) -> Option<usize> {
        let confidence = f64::midpoint(1.0, wanted.confidence);
        let (mut lowest, mut tried) = (None, 0.0);
        for place in self.steps(least) {
            let above = &self.above[place];
            let count = (above.known + above.unknown) as f64;
            if count < GROWTH * tried && place > 0 {
                continue;
            }
            tried = count;
            if judged[place].confidence(above, wanted.precision) >= confidence {
                lowest = Some(place);
            } else if lowest.is_some() {
                break;
            }
        }
        lowest
    }
}

/// The place of the highest threshold that these log-odds reach, if they reach one.
fn last_reached(sure: f64) -> Option<usize> {
    let tenths = (sure * 10.0).floor();
    (tenths >= 0.0).then_some((tenths as usize).min(THRESHOLDS - 1))
}

/// What is filled of a category on one side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    /// The place of its threshold.
    place: Option<usize>,
    /// What is told of it.
    pub side: Side,
}

impl Chosen {
    const NONE: Self = Self {
        place: None,
        side: Side { threshold: None, filled: 0, known: 0, right: 0, expected_precision: 0.0 },
    };

    fn at(place: usize, above: &Above, judged: &Judged) -> Self {
        let side = Side {
            threshold: Some(sigmoid(place as f64 / 10.0)),
            filled: above.unknown,
            known: above.known,
            right: above.right,
            expected_precision: judged.expected(above),
        };
        Self { place: Some(place), side }
    }

    /// Whether a label with these log-odds is filled in.
    pub fn takes(&self, sure: f64) -> bool {
        self.place.is_some_and(|place| last_reached(sure).is_some_and(|last| last >= place))
    }
}

/// The threshold of each category, as low as what is wanted of positives, or of negatives, can be promised.
///
/// From the strictest one on, down to the first at which it cannot, or to the last of all. Trying many and taking the
/// lowest that passes would find one that passes by chance; so there are few steps, none back, and half of the doubt is
/// kept for choosing.
pub(super) fn choose(between: &Between, wanted: Wanted) -> Vec<Chosen> {
    let columns = between.columns();
    let judged: Vec<Judged> = (0..THRESHOLDS)
        .into_par_iter()
        .map(|place| Judged::new(&columns.iter().map(|column| column.above[place]).collect::<Vec<_>>()))
        .collect();
    let enough = [one_may_be_wrong(wanted.precision); 2];
    let choice = |column: &Column| {
        // Where a category has fewer, whatever there is.
        let place = column.lowest(enough, &judged, wanted).or_else(|| column.lowest([0, 1], &judged, wanted));
        place.map_or(Chosen::NONE, |place| Chosen::at(place, &column.above[place], &judged[place]))
    };
    columns.par_iter().map(choice).collect()
}

/// So many labels that one wrong one is allowed.
fn one_may_be_wrong(precision: f64) -> usize {
    (1.0 / (1.0 - precision)).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { precision: 0.9, confidence: 0.9 };

    /// The place that a column chooses of thresholds with (known, right, unknown) labels above them, the lowest first.
    fn lowest(above: &[(usize, usize, usize)], least: [usize; 2]) -> Option<usize> {
        let above = above.iter().map(|&(known, right, unknown)| Above { known, right, unknown });
        let column = Column { above: above.collect() };
        let judged: Vec<Judged> = column.above.iter().map(|above| Judged::new(&[*above])).collect();
        column.lowest(least, &judged, WANTED)
    }

    #[test]
    fn only_thresholds_with_many_more_labels_above_them_are_tried_and_the_last_of_all() {
        let wrong = (300, 150, 300);
        // 240 labels are 1.2 times as many as 200: not tried, though the promise would hold.
        assert_eq!(lowest(&[wrong, (120, 120, 120), (100, 100, 100)], [1, 1]), Some(2));
        assert_eq!(lowest(&[wrong, (130, 130, 130), (100, 100, 100)], [1, 1]), Some(1));
        assert_eq!(lowest(&[(101, 101, 101), (100, 100, 100)], [1, 1]), Some(0), "below it nothing is left");
    }

    #[test]
    fn the_search_ends_at_the_first_threshold_that_cannot_be_promised() {
        let (fine, wrong) = ((100, 100, 100), (300, 150, 300));
        // Far below it the others are right again.
        assert_eq!(lowest(&[(9000, 8950, 9000), wrong, fine], [1, 1]), Some(2));
        // Before the first that can, any number of failures is passed.
        assert_eq!(lowest(&[(9000, 8950, 9000), wrong], [1, 1]), Some(0));
        assert_eq!(lowest(&[wrong], [1, 1]), None);
    }

    #[test]
    fn thresholds_with_too_few_labels_are_passed_over() {
        let strict = [(300, 150, 300), (100, 100, 9)];
        assert_eq!(lowest(&strict, [100, 9]), Some(1));
        assert_eq!((lowest(&strict, [101, 9]), lowest(&strict, [100, 10])), (None, None));
    }

    #[test]
    fn of_twenty_labels_one_may_be_wrong_at_95_percent() {
        assert_eq!([0.5, 0.75, 0.95, 0.96].map(one_may_be_wrong), [2, 4, 20, 25]);
    }

    #[test]
    fn log_odds_reach_thresholds_a_tenth_apart() {
        assert_eq!([-0.01, 0.0, 0.19, 0.2].map(last_reached), [None, Some(0), Some(1), Some(2)]);
        assert_eq!(last_reached(f64::INFINITY), Some(THRESHOLDS - 1));
        let above = Above { known: 20, right: 19, unknown: 7 };
        let chosen = Chosen::at(3, &above, &Judged::new(&[above]));
        assert_eq!([0.29, 0.3, 5.0].map(|sure| chosen.takes(sure)), [false, true, true]);
        assert!((chosen.side.threshold.unwrap() - 1.0 / (1.0 + (-0.3f64).exp())).abs() < 1e-12);
        assert!(!Chosen::NONE.takes(5.0));
    }

    #[test]
    fn above_a_threshold_lies_what_is_between_it_and_all_higher_ones() {
        let of = |known, right, unknown| Above { known, right, unknown };
        let column = Column::above(vec![of(1, 1, 0), of(10, 5, 3), of(100, 0, 20)]);
        assert_eq!(column.above, [of(111, 6, 23), of(110, 5, 23), of(100, 0, 20)]);
    }
}
