//! Platt scaling: scores to calibrated logits, one slope and offset a category.
//!
//! Platt, "Probabilistic outputs for support vector machines" (1999), with his smoothed targets
//! (n⁺ + 1) / (n⁺ + 2) and 1 / (n⁻ + 2), fitted by Newton's method. Here the slope stays positive,
//! because calibration must not turn a ranking around.

/// Newton's iterations at most; a handful is enough when a minimum exists.
const MAX_ITERATIONS: usize = 50;
/// The smallest slope, in logits per standard deviation of the scores.
const MIN_SLOPE: f64 = 1e-3;
/// The gradient, per example, at which the minimum is reached.
const GRADIENT: f64 = 1e-10;

/// `logit = slope · score + offset`: the category is as likely as not at logit 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Platt {
    /// Logits per unit of score, above 0.
    pub slope: f64,
    /// The logit of score 0.
    pub offset: f64,
}

impl Platt {
    /// Fits `scores`, finite, to whether each is of a known positive.
    ///
    /// Without positives, without negatives or with equal scores there is nothing to fit: then the
    /// mean score gets the [`prior_log_odds`], and the slope is 1.
    ///
    /// # Panics
    /// If there are not as many scores as labels.
    pub fn fit(scores: &[f32], positive: &[bool]) -> Self {
        assert_eq!(scores.len(), positive.len(), "scores and labels of different length");
        let n = scores.len();
        let positives = positive.iter().filter(|positive| **positive).count();
        let mean = scores.iter().map(|&score| f64::from(score)).sum::<f64>() / n.max(1) as f64;
        let variance = scores.iter().map(|&score| (f64::from(score) - mean).powi(2)).sum::<f64>();
        let deviation = (variance / n.max(1) as f64).sqrt();
        let prior = prior_log_odds(positives, n - positives);
        if positives == 0 || positives == n || deviation <= f64::from(f32::EPSILON) * mean.abs() {
            return Self { slope: 1.0, offset: prior - mean };
        }

        // Standardized scores keep Newton's two equations well conditioned.
        let standardized = scores.iter().map(|&score| (f64::from(score) - mean) / deviation).collect();
        let line = Likelihood::new(standardized, positive).maximum(prior);
        Self { slope: line.slope / deviation, offset: line.offset - line.slope * mean / deviation }
    }

    /// The calibrated logit of a score.
    pub fn logit(&self, score: f64) -> f64 {
        self.slope * score + self.offset
    }
}

/// Log-odds of the smoothed prevalence (n⁺ + 1) / (n + 2); 0 when nothing is known.
pub fn prior_log_odds(positives: usize, negatives: usize) -> f64 {
    ((positives + 1) as f64 / (negatives + 1) as f64).ln()
}

/// The likelihood of Platt's targets under a line through standardized scores.
struct Likelihood {
    scores: Vec<f64>,
    targets: Vec<f64>,
}

impl Likelihood {
    fn new(scores: Vec<f64>, positive: &[bool]) -> Self {
        let positives = positive.iter().filter(|positive| **positive).count() as f64;
        let negatives = positive.len() as f64 - positives;
        let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
        let targets = positive.iter().map(|&positive| if positive { high } else { low }).collect();
        Self { scores, targets }
    }

    /// The best line with a slope of at least [`MIN_SLOPE`]. The loss is convex: when the free
    /// minimum has a smaller slope, the constrained one lies on the border.
    fn maximum(&self, prior: f64) -> Platt {
        let start = Platt { slope: MIN_SLOPE, offset: prior };
        let free = self.newton(start, true);
        if free.slope > MIN_SLOPE { free } else { self.newton(start, false) }
    }

    /// Newton's method with step halving over the offset and, if `slope_free`, the slope.
    fn newton(&self, mut line: Platt, slope_free: bool) -> Platt {
        let mut loss = self.loss(&line);
        for _ in 0..MAX_ITERATIONS {
            let (gradient, hessian) = self.derivatives(&line);
            let (slope_step, offset_step) = if slope_free {
                let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
                (
                    (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant,
                    (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant,
                )
            } else {
                (0.0, gradient[1] / hessian[2])
            };
            let decrease = slope_step * gradient[0] + offset_step * gradient[1];
            let better = (0..40).map(|halvings| 0.5f64.powi(halvings)).find_map(|share| {
                let next = Platt {
                    slope: line.slope - share * slope_step,
                    offset: line.offset - share * offset_step,
                };
                let next_loss = self.loss(&next);
                (next_loss < loss - 1e-4 * share * decrease).then_some((next, next_loss))
            });
            // No shorter step is better: the minimum, to the accuracy of the sums.
            let Some((next, next_loss)) = better else { break };
            (line, loss) = (next, next_loss);
            if decrease < GRADIENT * self.scores.len() as f64 {
                break;
            }
        }
        line
    }

    /// Σ softplus(z) − t z, the negative log-likelihood.
    fn loss(&self, line: &Platt) -> f64 {
        let terms = self.scores.iter().zip(&self.targets).map(|(&score, target)| {
            let logit = line.logit(score);
            logit.max(0.0) + (-logit.abs()).exp().ln_1p() - target * logit
        });
        terms.sum()
    }

    /// The gradient by (slope, offset) and the Hessian's entries (slope², both, offset²).
    fn derivatives(&self, line: &Platt) -> ([f64; 2], [f64; 3]) {
        // A little added to the diagonal keeps the step finite where all probabilities saturate.
        let mut derivatives = ([0.0; 2], [1e-12, 0.0, 1e-12]);
        for (&score, target) in self.scores.iter().zip(&self.targets) {
            let probability = 1.0 / (1.0 + (-line.logit(score)).exp());
            let error = probability - target;
            let curvature = probability * (1.0 - probability);
            derivatives.0[0] += error * score;
            derivatives.0[1] += error;
            derivatives.1[0] += curvature * score * score;
            derivatives.1[1] += curvature * score;
            derivatives.1[2] += curvature;
        }
        derivatives
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use sarb_labels::random::{Stream, rng};

    #[test]
    fn recovers_the_line_that_made_the_labels() {
        let mut rng = rng(0, Stream::Synthetic, 0, 0);
        let scores: Vec<f32> = (0..40_000).map(|_| rng.random_range(-1.0..0.5)).collect();
        let positive: Vec<bool> = scores
            .iter()
            .map(|&score| rng.random::<f64>() < 1.0 / (1.0 + (-(4.0 * f64::from(score) - 1.0)).exp()))
            .collect();
        let platt = Platt::fit(&scores, &positive);
        // Four standard errors of 40,000 draws.
        assert!((platt.slope - 4.0).abs() < 0.2, "{platt:?}");
        assert!((platt.offset + 1.0).abs() < 0.1, "{platt:?}");
    }

    #[test]
    fn the_mean_probability_is_the_mean_target() {
        // A property of every logistic fit with an offset.
        let scores = [-1.0, -0.8, -0.9, -0.3, 0.1, 0.4, 0.7, -0.6];
        let positive = [false, false, true, false, true, true, true, false];
        let platt = Platt::fit(&scores, &positive);
        let mean =
            scores.iter().map(|&s| 1.0 / (1.0 + (-platt.logit(f64::from(s))).exp())).sum::<f64>() / 8.0;
        // Targets 5/6 and 1/6, four each.
        assert!((mean - 0.5).abs() < 1e-6, "{mean}");
        assert!(platt.slope > 0.0);
    }

    #[test]
    fn separated_scores_give_the_smoothed_probabilities() {
        // With two distinct scores the fit is exact: 3/4 = (2 + 1) / (2 + 2) and 1/5 = 1 / (3 + 2).
        let platt = Platt::fit(&[1.0, 1.0, -1.0, -1.0, -1.0], &[true, true, false, false, false]);
        assert!((platt.logit(1.0) - 3f64.ln()).abs() < 1e-4, "{platt:?}");
        assert!((platt.logit(-1.0) - 0.25f64.ln()).abs() < 1e-4, "{platt:?}");
    }

    #[test]
    fn a_ranking_is_never_turned_around() {
        let platt = Platt::fit(&[-1.0, -2.0, 1.0, 2.0], &[true, true, false, false]);
        // The deviation of ±1 and ±2 is √2.5.
        assert!((platt.slope - MIN_SLOPE / 2.5f64.sqrt()).abs() < 1e-12, "{platt:?}");
        assert!(platt.logit(0.0).abs() < 0.01, "{platt:?}");
    }

    #[test]
    fn where_scores_begin_changes_nothing() {
        let positive = [true, true, false, false, false];
        let platt = Platt::fit(&[1001.0, 1001.0, 999.0, 999.0, 999.0], &positive);
        assert!((platt.logit(1001.0) - 3f64.ln()).abs() < 1e-4, "{platt:?}");
        assert!((platt.logit(999.0) - 0.25f64.ln()).abs() < 1e-4, "{platt:?}");
    }

    #[test]
    fn at_the_end_the_gradient_is_zero_also_where_slope_and_offset_depend_on_each_other() {
        // Nearly all scores lie on one side, so both derivatives have much in common; Newton's method ends all the
        // same with the accuracy of the sums, as a step that is only roughly right does not.
        let scores: Vec<f64> = (0..40).map(|i| f64::from(i * i * i) / 9000.0 - 1.0).collect();
        let positive: Vec<bool> = (0..40).map(|i| i > 30 || i % 9 == 4).collect();
        let likelihood = Likelihood::new(scores, &positive);
        let (gradient, _) = likelihood.derivatives(&likelihood.maximum(0.0));
        assert!(gradient.iter().all(|part| part.abs() < 1e-8), "{gradient:?}");

        // With the ranking turned around the slope is held, and the offset alone is at its best.
        let turned: Vec<bool> = positive.iter().map(|positive| !positive).collect();
        let likelihood = Likelihood { targets: Likelihood::new(Vec::new(), &turned).targets, ..likelihood };
        let line = likelihood.maximum(2.0);
        let (gradient, _) = likelihood.derivatives(&line);
        assert!(line.slope == MIN_SLOPE && gradient[1].abs() < 3e-7, "{line:?} {gradient:?}");
    }

    #[test]
    fn without_evidence_the_mean_score_gets_the_prior() {
        for (scores, positive, prior) in [
            (vec![], vec![], 0.0),
            (vec![0.3], vec![true], 2f64.ln()),
            (vec![-0.4, -0.6], vec![false, false], (1.0f64 / 3.0).ln()),
            (vec![0.25, 0.25, 0.25], vec![false, true, false], (2.0f64 / 3.0).ln()),
            (vec![0.0, 0.0], vec![true, false], 0.0),
        ] {
            let mean = scores.iter().map(|&s| f64::from(s)).sum::<f64>() / scores.len().max(1) as f64;
            let platt = Platt::fit(&scores, &positive);
            assert!((platt.logit(mean) - prior).abs() < 1e-9, "{scores:?}: {platt:?}");
            assert_eq!(platt.slope, 1.0);
        }
    }

    #[test]
    fn extreme_scores_stay_finite() {
        for scale in [1e-30f32, 1e30] {
            let scores: Vec<f32> = [-1.0, -0.5, 0.5, 1.0].iter().map(|score| score * scale).collect();
            let platt = Platt::fit(&scores, &[false, true, false, true]);
            assert!(platt.slope.is_finite() && platt.slope > 0.0 && platt.offset.is_finite(), "{platt:?}");
        }
    }
}
