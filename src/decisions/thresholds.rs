//! Thresholds of a run, category by category, for the best F1 or for a wanted precision or recall.
//!
//! A category with ten known positives cannot say by counting where its threshold should be. But its calibrated
//! probabilities can: over all images they add up to the positives that are expected above any threshold. So all images
//! speak, not only those whose label is known, and a category with few known labels leans on the shared curve as its
//! probabilities do.

use std::str::FromStr;

use rayon::prelude::*;
use serde::Serialize;

use super::evidence::Evidence;
use super::probability::{Curve, log_odds};
use crate::{Error, Result};

/// What thresholds are chosen for, in each category.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// The largest F1.
    F1,
    /// The lowest threshold above which this share of the decisions is right.
    Precision(f64),
    /// The highest threshold above which this share of what is there lies.
    Recall(f64),
}

impl FromStr for Goal {
    type Err = Error;

    /// `f1`, `precision=0.9` or `recall=80%`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Usage(format!("{text}: expected f1, precision=P or recall=P with P in (0, 1)"));
        if text == "f1" {
            return Ok(Self::F1);
        }
        let (what, share) = text.split_once('=').ok_or_else(wrong)?;
        let share: f64 = match share.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0,
            None => share.trim().parse().map_err(|_| wrong())?,
        };
        match what {
            _ if !(share > 0.0 && share < 1.0) => Err(wrong()),
            "precision" => Ok(Self::Precision(share)),
            "recall" => Ok(Self::Recall(share)),
            _ => Err(wrong()),
        }
    }
}

/// When a category is said to be there, and what that is expected to be worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Decision {
    /// From the run's logits to probabilities.
    pub curve: Curve,
    /// From which probability on it is said to be there; none where the wanted precision is never reached.
    pub threshold: Option<f64>,
    /// The share of these decisions that is expected to be right.
    pub precision: f64,
    /// The share of what is there that they are expected to find.
    pub recall: f64,
}

/// The decisions of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Decisions {
    /// One a category.
    pub categories: Vec<Decision>,
}

impl Decisions {
    /// Those of a run for a goal.
    pub fn new(evidence: &Evidence, goal: Goal) -> Self {
        let scores = evidence.scores;
        let curves = evidence.curves().categories;
        let decide = |(category, curve): (usize, Curve)| {
            let of = |row| curve.probability(scores.logit(row, category));
            Decision::choose(curve, (0..scores.annotations.images.len()).map(of).collect(), goal)
        };
        Self { categories: curves.into_par_iter().enumerate().map(decide).collect() }
    }

    /// Calibrated logits of the run's, `N × C` row by row.
    pub fn calibrated(&self, logits: &[f32]) -> Vec<f32> {
        self.each(logits, |decision, logit| decision.curve.logit(logit))
    }

    /// How far the run's logits lie above their category's threshold, `N × C` row by row: what is said to be there is at
    /// least 0.
    pub fn margins(&self, logits: &[f32]) -> Vec<f32> {
        self.each(logits, |decision, logit| {
            let threshold = decision.threshold.unwrap_or(1.0 - f64::EPSILON);
            decision.curve.logit(logit) - log_odds(threshold)
        })
    }

    fn each(&self, logits: &[f32], of: impl Fn(&Decision, f32) -> f64) -> Vec<f32> {
        let rows = logits.chunks_exact(self.categories.len());
        let cells = rows.flat_map(|row| self.categories.iter().zip(row));
        cells.map(|(decision, logit)| of(decision, *logit) as f32).collect()
    }
}

impl Decision {
    /// From the probabilities of all images.
    fn choose(curve: Curve, mut probabilities: Vec<f64>, goal: Goal) -> Self {
        probabilities.sort_by(|a, b| b.total_cmp(a));
        let all: f64 = probabilities.iter().sum();
        // Of the first 1, 2, … images: how many of them are expected to be positive.
        let mut found = 0.0;
        let expected: Vec<f64> = probabilities
            .iter()
            .map(|probability| {
                found += probability;
                found
            })
            .collect();
        let count = |at: usize| (at + 1) as f64;
        let places = 0..expected.len();
        let chosen = match goal {
            Goal::F1 => {
                let half_f1 = |at: &usize| expected[*at] / (count(*at) + all);
                places.max_by(|a, b| half_f1(a).total_cmp(&half_f1(b)))
            }
            Goal::Precision(least) => places.rev().find(|at| expected[*at] >= least * count(*at)),
            Goal::Recall(least) => places.into_iter().find(|at| expected[*at] >= least * all),
        };
        match chosen {
            Some(at) => Self {
                curve,
                threshold: Some(probabilities[at]),
                precision: expected[at] / count(at),
                recall: expected[at] / all,
            },
            None => Self { curve, threshold: None, precision: 0.0, recall: 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURVE: Curve = Curve { slope: 1.0, offset: 0.0 };

    fn chosen(goal: Goal) -> Decision {
        Decision::choose(CURVE, vec![0.1, 0.9, 0.2, 0.8, 0.5], goal)
    }

    #[test]
    fn thresholds_by_hand() {
        // Of 0.9, 0.8, 0.5, 0.2, 0.1 the first k hold 0.9, 1.7, 2.2, 2.4, 2.5 of the 2.5 positives.
        let f1 = chosen(Goal::F1);
        assert_eq!(f1.threshold, Some(0.5));
        assert!((f1.precision - 2.2 / 3.0).abs() < 1e-12 && (f1.recall - 2.2 / 2.5).abs() < 1e-12);
        assert_eq!(chosen(Goal::Precision(0.85)).threshold, Some(0.8));
        assert_eq!(chosen(Goal::Precision(0.95)).threshold, None);
        assert_eq!(chosen(Goal::Recall(0.6)).threshold, Some(0.8));
        assert_eq!(chosen(Goal::Recall(0.99)).threshold, Some(0.1));
        // 2 · 0.9 / (1 + 1.1), 2 · 1 / (2 + 1.1), 2 · 1.1 / (3 + 1.1).
        let first = Decision::choose(CURVE, vec![0.1, 0.9, 0.1], Goal::F1);
        assert_eq!(first.threshold, Some(0.9));
    }

    #[test]
    fn margins_are_at_least_0_just_where_the_threshold_is_reached() {
        let decisions = Decisions { categories: vec![chosen(Goal::F1), chosen(Goal::Precision(0.95))] };
        let logit = |probability: f64| (probability / (1.0 - probability)).ln() as f32;
        let margins = decisions.margins(&[logit(0.51), logit(0.999), logit(0.49), logit(0.5)]);
        assert!(margins[0] > 0.0 && margins[2] < 0.0, "{margins:?}");
        // A threshold that is never reached.
        assert!(margins[1] < 0.0 && margins[3] < 0.0, "{margins:?}");
        let calibrated = decisions.calibrated(&[1.0, -2.0]);
        assert_eq!(calibrated, [1.0, -2.0]);
    }

    #[test]
    fn goals_are_read_and_others_refused() {
        assert_eq!("f1".parse::<Goal>().unwrap(), Goal::F1);
        assert_eq!("precision=0.9".parse::<Goal>().unwrap(), Goal::Precision(0.9));
        assert_eq!("recall=80%".parse::<Goal>().unwrap(), Goal::Recall(0.8));
        for wrong in [
            "",
            "f2",
            "precision",
            "precision=",
            "precision=0",
            "precision=1",
            "recall=nan",
            "recall=120%",
            "f1=0.3",
        ] {
            let error = wrong.parse::<Goal>().unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("expected f1"), "{error}");
        }
    }
}
