//! Which categories of an image are said to be there: the most probable ones, those above a threshold, or those that
//! the run decides.

use super::thresholds::Decisions;
use crate::Recognition;
use crate::recognizer::{probability, ranking};

/// Which categories are named.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'a> {
    /// At most so many.
    pub top: Option<usize>,
    /// Those of at least this probability; of no meaning beside decisions.
    pub threshold: Option<f32>,
    /// Those that the run decides are there.
    pub decisions: Option<&'a Decisions>,
}

impl Selection<'_> {
    /// With the calibrated logits of the run's decisions, where it makes them.
    pub fn calibrated<'r>(&self, mut recognition: Recognition<'r>) -> Recognition<'r> {
        if let Some(decisions) = self.decisions {
            recognition.logits = decisions.calibrated(&recognition.logits);
        }
        recognition
    }

    /// The categories that are named, most probable first; the logits are [`calibrated`](Self::calibrated) ones.
    pub fn shown(&self, logits: &[f32]) -> Vec<usize> {
        let is_shown = |&c: &usize| self.least(c).is_none_or(|least| probability(logits[c]) >= least);
        ranking(logits).into_iter().filter(is_shown).take(self.top.unwrap_or(usize::MAX)).collect()
    }

    /// The probability from which on a category is named; infinite where no threshold gives what was wanted.
    pub fn least(&self, category: usize) -> Option<f32> {
        match self.decisions {
            Some(decisions) => {
                Some(decisions.categories[category].threshold.map_or(f32::INFINITY, |it| it as f32))
            }
            None => self.threshold,
        }
    }
}

/// How sure a model is of an image: the mean over its categories of the probability of what is likelier, there or not.
pub fn sureness(logits: &[f32]) -> f32 {
    let sure = logits.iter().map(|&logit| probability(logit)).map(|p| p.max(1.0 - p));
    sure.sum::<f32>() / logits.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decisions::probability::Curve;
    use crate::decisions::thresholds::Decision;

    #[test]
    fn a_model_is_as_sure_of_what_is_not_there_as_of_what_is() {
        // σ(1) = 0.7310586, σ(−1) = 1 − σ(1).
        assert!((sureness(&[1.0, -1.0, 0.0]) - (2.0 * 0.731_058_6 + 0.5) / 3.0).abs() < 1e-6);
    }

    #[test]
    fn decisions_go_before_a_threshold_and_both_before_the_count() {
        // Probabilities 0.5, 0.88, 0.12, 0.73.
        let logits = [0.0, 2.0, -2.0, 1.0];
        let all = Selection::default();
        assert_eq!(all.shown(&logits), [1, 3, 0, 2]);
        assert_eq!(Selection { top: Some(2), ..all }.shown(&logits), [1, 3]);
        assert_eq!(Selection { threshold: Some(0.5), ..all }.shown(&logits), [1, 3, 0]);
        let decision = |threshold| Decision {
            curve: Curve { slope: 1.0, offset: 0.0 },
            threshold,
            precision: 0.9,
            recall: 0.9,
        };
        let thresholds = [Some(0.4), None, Some(0.1), Some(0.8)];
        let decisions = Decisions { categories: thresholds.map(decision).to_vec() };
        let decided = Selection { threshold: Some(0.99), decisions: Some(&decisions), ..all };
        assert_eq!(decided.shown(&logits), [0, 2]);
        assert_eq!(Selection { top: Some(1), ..decided }.shown(&logits), [0]);
    }
}
