//! How sure a wanted precision is, of labels that are still to be checked, from those that are known.
//!
//! Of a category, n known labels lie above a threshold, k of them are what would be filled in, and m unknown labels
//! lie above it too. If which labels are known was a matter of chance, the m are as good as the n. How good a category
//! is above this threshold is drawn from a Beta distribution that all categories share; so a category with few known
//! labels leans on the others, the more the more alike they are. Neither parameter of that distribution is taken for
//! known: the answer is an average over a grid of both, weighted with how well they explain what is known (Gelman et
//! al., Bayesian Data Analysis, section 5.3). The number of right ones among the m is then beta-binomial.

use libm::lgamma;

/// What lies above a threshold in one category.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Above {
    /// Known labels, n.
    pub known: usize,
    /// Of these, those that are what would be filled in, k.
    pub right: usize,
    /// Unknown labels, m.
    pub unknown: usize,
}

/// How good categories are above one threshold, judged from all of them.
#[derive(Debug)]
pub struct Judged {
    /// Parameters a and b of Beta distributions, and their weights, which sum to 1.
    grid: Vec<([f64; 2], f64)>,
}

/// Log-odds of the mean share that is right: from 12 % to 99.98 %.
const MEANS: std::ops::RangeInclusive<i32> = -4..=17;
/// Logarithms, in halves, of how many labels the others are worth: e¹ to e⁴. With fewer than two, a category would
/// sooner be all right or all wrong than anything between; with hundreds, one that is unlike the others would not be
/// believed (up to e⁹, on coco18 at 10 % known labels, promises of positives held in 85 to 87 % of the categories).
const STRENGTHS: std::ops::RangeInclusive<i32> = 2..=8;
/// Parameters with less weight than this share of the best ones' are left out.
const NEGLIGIBLE: f64 = 1e-3;
/// Unknown labels up to which the right ones are counted one by one; of more, the share is as good as continuous.
const COUNTED: usize = 4096;

impl Judged {
    /// From the known labels of all categories above one threshold.
    pub fn new(categories: &[Above]) -> Self {
        let judged: Vec<&Above> = categories.iter().filter(|above| above.known > 0).collect();
        let means = MEANS.map(|half| super::probability::sigmoid(f64::from(half) / 2.0));
        let parameters = means.flat_map(|mean| {
            STRENGTHS.map(move |half| {
                let strength = (f64::from(half) / 2.0).exp();
                [mean * strength, (1.0 - mean) * strength]
            })
        });
        let explained: Vec<([f64; 2], f64)> = parameters
            .map(|[a, b]| {
                // Any mean is as probable as any other beforehand; the grid is even in their log-odds.
                let even: f64 = (a * b / (a + b).powi(2)).ln();
                ([a, b], even + judged.iter().map(|above| log_marginal(above, [a, b])).sum::<f64>())
            })
            .collect();
        let best = explained.iter().map(|(_, log)| *log).fold(f64::NEG_INFINITY, f64::max);
        let mut grid: Vec<([f64; 2], f64)> = explained
            .into_iter()
            .map(|(parameters, log)| (parameters, (log - best).exp()))
            .filter(|(_, weight)| *weight > NEGLIGIBLE)
            .collect();
        let sum: f64 = grid.iter().map(|(_, weight)| weight).sum();
        grid.iter_mut().for_each(|(_, weight)| *weight /= sum);
        Self { grid }
    }

    /// The probability that of the unknown labels of a category at least the share `precision` is right.
    pub fn confidence(&self, category: &Above, precision: f64) -> f64 {
        self.mean(category, |posterior| at_least(posterior, category.unknown, precision))
    }

    /// The share of them that is expected to be right.
    pub fn expected(&self, category: &Above) -> f64 {
        self.mean(category, |[a, b]| a / (a + b))
    }

    /// Averages over the parameters, each with what is known of this very category added.
    fn mean(&self, category: &Above, of: impl Fn([f64; 2]) -> f64) -> f64 {
        let wrong = (category.known - category.right) as f64;
        self.grid.iter().map(|&([a, b], weight)| weight * of([a + category.right as f64, b + wrong])).sum()
    }
}

/// log of B(a + k, b + n − k) / B(a, b): how probable the known labels are.
fn log_marginal(above: &Above, [a, b]: [f64; 2]) -> f64 {
    let (right, wrong) = (above.right as f64, (above.known - above.right) as f64);
    log_beta(a + right, b + wrong) - log_beta(a, b)
}

fn log_beta(a: f64, b: f64) -> f64 {
    lgamma(a) + lgamma(b) - lgamma(a + b)
}

/// The probability that at least the share `precision` of m labels is right, if each is with a probability of
/// Beta(a, b).
fn at_least([a, b]: [f64; 2], unknown: usize, precision: f64) -> f64 {
    // Of so many that a single one does not matter, fewer in the same proportion.
    let count = unknown.min(COUNTED);
    // 95 of 100 are 95 %, whatever the rounding.
    let needed = (precision * count as f64 - 1e-9).ceil().max(0.0) as usize;
    let m = count as f64;
    let whole = log_beta(a, b);
    let of = |wrong: usize| {
        let (wrong, right) = (wrong as f64, m - wrong as f64);
        let choose = lgamma(m + 1.0) - lgamma(wrong + 1.0) - lgamma(right + 1.0);
        (choose + log_beta(a + right, b + wrong) - whole).exp()
    };
    (0..=count - needed.min(count)).map(of).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn above(known: usize, right: usize, unknown: usize) -> Above {
        Above { known, right, unknown }
    }

    #[test]
    fn a_beta_binomial_by_hand() {
        // Beta(1, 1) makes every number of right ones equally probable: of 4, at least 3 are 2 cases in 5.
        assert!((at_least([1.0, 1.0], 4, 0.75) - 0.4).abs() < 1e-9);
        assert!((at_least([1.0, 1.0], 4, 0.76) - 0.2).abs() < 1e-9);
        assert!((at_least([3.0, 2.0], 7, 0.0) - 1.0).abs() < 1e-9);
        // One label that is right with the mean of Beta(9, 1).
        assert!((at_least([9.0, 1.0], 1, 0.5) - 0.9).abs() < 1e-9);
        assert!((at_least([9.0, 1.0], 0, 0.9) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn more_known_labels_make_surer_and_wrong_ones_less_sure() {
        let sure = |known, right| {
            let category = above(known, right, 200);
            Judged::new(&[category]).confidence(&category, 0.95)
        };
        assert!(sure(20, 20) < sure(100, 100) && sure(100, 100) < sure(400, 400));
        let (all, just, fewer) = (sure(400, 400), sure(400, 380), sure(400, 360));
        assert!(all > 0.99 && (0.3..0.6).contains(&just) && fewer < 0.05, "{all} {just} {fewer}");
        assert!(sure(20, 20) < 0.9, "{}", sure(20, 20));
    }

    #[test]
    fn a_category_with_few_labels_leans_on_others_that_are_alike() {
        let (few, alike) = (above(5, 5, 50), vec![above(200, 198, 500); 15]);
        let alone = Judged::new(&[few]).confidence(&few, 0.95);
        let among = Judged::new(&[&alike[..], &[few]].concat()).confidence(&few, 0.95);
        let unlike: Vec<Above> = (0..15).map(|at| above(200, 200 - 12 * (at % 4), 500)).collect();
        let doubtful = Judged::new(&[&unlike[..], &[few]].concat()).confidence(&few, 0.95);
        assert!(alone < 0.7 && among > 0.9, "{alone} {among}");
        assert!(doubtful < 0.75, "{doubtful}");
    }

    #[test]
    fn many_unknown_labels_are_judged_by_their_share() {
        let category = |unknown| above(1000, 970, unknown);
        let judged = Judged::new(&[category(10)]);
        let gap = judged.confidence(&category(COUNTED), 0.96) - judged.confidence(&category(1 << 20), 0.96);
        assert!(gap.abs() < 1e-12, "{gap}");
        assert!((judged.expected(&category(5)) - 0.97).abs() < 0.005);
    }
}
