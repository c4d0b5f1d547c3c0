//! From a run's logits to probabilities that hold, category by category, from few known labels.
//!
//! Each category has a logistic curve p = σ(slope · z + offset). Where many of its labels are known, they fix it; where
//! few are, it stays near the curve that all categories share. How near is estimated too, from how much the
//! curves of well-known categories differ: a random-effects logistic regression, with Laplace's approximation for
//! each category and expectation-maximization for what they share (Gelman & Hill 2007, chapter 14).

use std::collections::BTreeMap;

/// Rounds of expectation and maximization; the shared curve moves by less than a percent after a dozen.
const ROUNDS: usize = 30;
/// Newton's steps for one category; a handful is enough.
const STEPS: usize = 50;
/// A category differs from the shared curve by at least this standard deviation, in logits: with no spread at all
/// the estimate could never leave it.
const LEAST_SPREAD: f64 = 0.05;
/// How sure the shared curve is before any label: a standard deviation of 5 for its slope and its offset.
const WIDE: f64 = 0.04;
/// A slope of 0 would turn a ranking around with the next rounding.
const LEAST_SLOPE: f64 = 1e-3;

/// `logit of the probability = slope · logit of the run + offset`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Curve {
    /// Above 0.
    pub slope: f64,
    /// The calibrated logit where the run's is 0.
    pub offset: f64,
}

impl Curve {
    /// The calibrated logit of a run's.
    pub fn logit(self, logit: f32) -> f64 {
        self.slope * f64::from(logit) + self.offset
    }

    /// The calibrated probability of a run's logit.
    pub fn probability(self, logit: f32) -> f64 {
        sigmoid(self.logit(logit))
    }
}

/// The curves of all categories, and the one that they share.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// One a category.
    pub categories: Vec<Curve>,
    /// What a category without known labels has.
    pub shared: Curve,
}

/// Known labels at one place of the curve's axis: where, whether they are positive, and how many.
#[derive(Debug, Clone, Copy)]
struct Labels {
    at: f64,
    positive: bool,
    count: f64,
}

/// Of more labels than this those that lie close together are taken as one, at the mean of their places.
const MANY: usize = 1 << 14;
/// How close, in standard deviations of the logits: what a curve changes over this length is lost, a millionth.
const CLOSE: f64 = 1.0 / 256.0;

/// Two numbers that belong together: slope and offset.
type Pair = [f64; 2];

/// Curves from scaled known labels of every category.
fn fitted(units: &Units, scaled: &[Vec<Labels>]) -> Curves {
    // Without any label the curve stays where it starts.
    let mut shared = Posterior::of(&scaled.concat(), [1.0, 0.0], [WIDE; 2]).mode;
    let mut spread = [1.0, 1.0];
    let informative = scaled.iter().filter(|cells| has_both(cells)).count();
    for _ in 0..if informative > 1 { ROUNDS } else { 0 } {
        let precision = spread.map(|variance: f64| variance.recip());
        let curves: Vec<Posterior> = scaled
            .iter()
            .filter(|cells| has_both(cells))
            .map(|cells| Posterior::of(cells, shared, precision))
            .collect();
        for part in 0..2 {
            let mean = curves.iter().map(|curve| curve.mode[part]).sum::<f64>() / curves.len() as f64;
            let around = curves.iter().map(|curve| (curve.mode[part] - mean).powi(2) + curve.variance[part]);
            shared[part] = mean;
            spread[part] = (around.sum::<f64>() / curves.len() as f64).max(LEAST_SPREAD.powi(2));
        }
    }
    let precision = spread.map(|variance| variance.recip());
    Curves {
        categories: scaled
            .iter()
            .map(|cells| units.curve(Posterior::of(cells, shared, precision).mode))
            .collect(),
        shared: units.curve(shared),
    }
}

fn has_both(cells: &[Labels]) -> bool {
    cells.iter().any(|labels| labels.positive) && cells.iter().any(|labels| !labels.positive)
}

/// What the known labels of all categories are like, seen one by one: the first of two passes over them.
#[derive(Debug, Clone)]
pub struct Measured {
    /// How many there are of each category.
    counts: Vec<usize>,
    count: f64,
    mean: f64,
    /// Sum of squared differences to the mean (Welford's recurrence).
    squares: f64,
}

impl Measured {
    /// Of so many categories, none seen yet.
    pub fn new(categories: usize) -> Self {
        Self { counts: vec![0; categories], count: 0.0, mean: 0.0, squares: 0.0 }
    }

    /// One more label, by its logit.
    pub fn add(&mut self, category: usize, logit: f32) {
        self.counts[category] += 1;
        self.count += 1.0;
        let away = f64::from(logit) - self.mean;
        self.mean += away / self.count;
        self.squares += away * (f64::from(logit) - self.mean);
    }

    fn units(&self) -> Units {
        let variance = self.squares / self.count.max(1.0);
        Units { mean: self.mean, deviation: if variance > 0.0 { variance.sqrt() } else { 1.0 } }
    }
}

/// The known labels of all categories, in bounded memory however many there are: the second pass.
#[derive(Debug)]
pub struct Gathered {
    units: Units,
    categories: Vec<Cells>,
}

/// Those of a category.
#[derive(Debug)]
enum Cells {
    Few(Vec<Labels>),
    /// Sums of places and counts, by place and label.
    Many(BTreeMap<(i64, bool), [f64; 2]>),
}

impl Gathered {
    /// Of what was measured, none gathered yet.
    pub fn new(measured: &Measured) -> Self {
        let cells = |&count: &usize| {
            if count <= MANY { Cells::Few(Vec::new()) } else { Cells::Many(BTreeMap::new()) }
        };
        Self { units: measured.units(), categories: measured.counts.iter().map(cells).collect() }
    }

    /// One more label: its logit, whether it is positive, and for how many it stands.
    pub fn add(&mut self, category: usize, logit: f32, positive: bool, count: f64) {
        let at = (f64::from(logit) - self.units.mean) / self.units.deviation;
        match &mut self.categories[category] {
            Cells::Few(cells) => cells.push(Labels { at, positive, count }),
            Cells::Many(close) => {
                let sums = close.entry(((at / CLOSE).floor() as i64, positive)).or_default();
                *sums = [sums[0] + count * at, sums[1] + count];
            }
        }
    }

    /// The curves that they say.
    pub fn curves(self) -> Curves {
        let (units, scaled) = self.scaled();
        fitted(&units, &scaled)
    }

    fn scaled(self) -> (Units, Vec<Vec<Labels>>) {
        let mean = |((_, positive), [sum, count]): (_, [f64; 2])| Labels { at: sum / count, positive, count };
        let scaled = self.categories.into_iter().map(|cells| match cells {
            Cells::Few(cells) => cells,
            Cells::Many(close) => close.into_iter().map(mean).collect(),
        });
        let scaled = scaled.collect();
        (self.units, scaled)
    }
}

/// What logits are measured in while curves are fitted, so that one spread serves slopes and offsets.
#[derive(Debug)]
struct Units {
    mean: f64,
    deviation: f64,
}

impl Units {
    fn curve(&self, [slope, offset]: Pair) -> Curve {
        let slope = slope.max(LEAST_SLOPE) / self.deviation;
        Curve { slope, offset: offset - slope * self.mean }
    }
}

/// The most probable curve of a category given its labels and what all share, and how sure it is.
struct Posterior {
    mode: Pair,
    variance: Pair,
}

impl Posterior {
    /// Newton's method with step halving on Σ log-loss + ½ Σ precision · (curve − shared)².
    fn of(cells: &[Labels], shared: Pair, precision: Pair) -> Self {
        let loss = |[slope, offset]: Pair| {
            let loss_of = |it: &Labels| it.count * log_loss(slope * it.at + offset, it.positive);
            let fit: f64 = cells.iter().map(loss_of).sum();
            let away = [slope - shared[0], offset - shared[1]];
            fit + 0.5 * (precision[0] * away[0].powi(2) + precision[1] * away[1].powi(2))
        };
        let mut at = shared;
        let mut value = loss(at);
        for _ in 0..STEPS {
            let (gradient, hessian) = derivatives(cells, at, shared, precision);
            let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
            let step = [
                (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant,
                (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant,
            ];
            let next = (0..30).map(|halvings| 0.5f64.powi(halvings)).find_map(|share| {
                let next = [at[0] - share * step[0], at[1] - share * step[1]];
                let lower = loss(next);
                (lower < value).then_some((next, lower))
            });
            let Some((next, lower)) = next else { break };
            let gained = value - lower;
            (at, value) = (next, lower);
            if gained < 1e-12 * (1.0 + value.abs()) {
                break;
            }
        }
        let (_, hessian) = derivatives(cells, at, shared, precision);
        let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
        Self { mode: at, variance: [hessian[2] / determinant, hessian[0] / determinant] }
    }
}

/// Gradient, and the Hessian as [∂²slope, ∂slope∂offset, ∂²offset].
fn derivatives(cells: &[Labels], at: Pair, shared: Pair, precision: Pair) -> (Pair, [f64; 3]) {
    let mut gradient = [precision[0] * (at[0] - shared[0]), precision[1] * (at[1] - shared[1])];
    let mut hessian = [precision[0], 0.0, precision[1]];
    for &Labels { at: x, positive, count } in cells {
        let p = sigmoid(at[0] * x + at[1]);
        let residual = count * (p - f64::from(u8::from(positive)));
        let weight = count * p * (1.0 - p);
        gradient[0] += residual * x;
        gradient[1] += residual;
        hessian[0] += weight * x * x;
        hessian[1] += weight * x;
        hessian[2] += weight;
    }
    (gradient, hessian)
}

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// [`sigmoid`] backwards.
pub(super) fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

/// −log p of what is there; stable for large logits.
fn log_loss(logit: f64, positive: bool) -> f64 {
    let against = if positive { -logit } else { logit };
    against.max(0.0) + (-against.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use sarb_labels::random::{Stream, rng};

    use super::*;

    /// The logits of a category's known labels, whether each is positive, and for how many it stands.
    type Known = Vec<(f32, bool, f64)>;

    /// Curves from the known labels of every category.
    fn fit(known: &[Known]) -> Curves {
        let cells = || {
            known.iter().enumerate().flat_map(|(category, cells)| cells.iter().map(move |it| (category, *it)))
        };
        let mut measured = Measured::new(known.len());
        cells().for_each(|(category, (logit, ..))| measured.add(category, logit));
        let mut gathered = Gathered::new(&measured);
        cells()
            .for_each(|(category, (logit, positive, count))| gathered.add(category, logit, positive, count));
        gathered.curves()
    }

    /// Known labels drawn from a curve at standard normal logits.
    fn drawn(curve: Curve, count: usize, seed: u64) -> Known {
        let mut rng = rng(seed, Stream::Synthetic, 0, 0);
        let mut normal = || (0..12).map(|_| rng.random_range(0.0..1.0f64)).sum::<f64>() - 6.0;
        let logits: Vec<f32> = (0..count).map(|_| normal() as f32).collect();
        let mut rng = self::rng(seed, Stream::Synthetic, 1, 0);
        logits.into_iter().map(|z| (z, rng.random_range(0.0..1.0) < curve.probability(z), 1.0)).collect()
    }

    fn of(slope: f64, offset: f64) -> Curve {
        Curve { slope, offset }
    }

    #[test]
    fn many_labels_fix_the_curve_of_their_category() {
        let truth = [of(2.0, -1.0), of(0.7, 1.5)];
        let known = [drawn(truth[0], 40_000, 1), drawn(truth[1], 40_000, 2)];
        for (found, truth) in fit(&known).categories.iter().zip(truth) {
            assert!((found.slope - truth.slope).abs() < 0.06, "{found:?} {truth:?}");
            assert!((found.offset - truth.offset).abs() < 0.06, "{found:?} {truth:?}");
        }
    }

    #[test]
    fn many_labels_taken_together_give_the_curves_that_each_by_itself_gives() {
        let known = [drawn(of(2.0, -3.0), MANY + 1000, 5), drawn(of(1.4, -1.0), 300, 6)];
        let mut measured = Measured::new(2);
        let cells = || known.iter().enumerate().flat_map(|(c, cells)| cells.iter().map(move |it| (c, *it)));
        cells().for_each(|(category, (logit, ..))| measured.add(category, logit));
        let scaled = |mut gathered: Gathered| {
            cells().for_each(|(c, (logit, positive, count))| gathered.add(c, logit, positive, count));
            gathered.scaled().1.remove(0)
        };
        let together = scaled(Gathered::new(&measured));
        assert!(
            together.len() < 3000 && together.iter().map(|it| it.count).sum::<f64>() == known[0].len() as f64
        );
        let few = (0..2).map(|_| Cells::Few(Vec::new())).collect();
        let each = scaled(Gathered { units: measured.units(), categories: few });
        assert_eq!(each.len(), known[0].len());
        let [some, all] = [together, each].map(|cells| Posterior::of(&cells, [1.0, 0.0], [WIDE; 2]).mode);
        assert!((some[0] - all[0]).abs() < 1e-4 && (some[1] - all[1]).abs() < 1e-4, "{some:?} {all:?}");
    }

    #[test]
    fn few_labels_stay_near_what_the_categories_share() {
        // Twenty categories alike, and one with two labels that deny it.
        let alike = of(1.5, -2.0);
        let mut known: Vec<Known> = (0..20).map(|seed| drawn(alike, 500, seed)).collect();
        known.push(vec![(3.0, false, 1.0), (-3.0, true, 1.0)]);
        let curves = fit(&known);
        let last = curves.categories[20];
        assert!((last.slope - 1.5).abs() < 0.5 && (last.offset + 2.0).abs() < 0.7, "{last:?}");
        // Unlike ones give it more freedom.
        let unlike = |seed: u64| drawn(of(0.3 + 0.2 * seed as f64, seed as f64 / 2.0 - 4.0), 500, seed);
        let mut known: Vec<Known> = (0..20).map(unlike).collect();
        known.push(vec![(0.0, true, 1.0); 12]);
        let free = fit(&known).categories[20];
        let mut known: Vec<Known> = (0..20).map(|seed| drawn(alike, 500, seed)).collect();
        known.push(vec![(0.0, true, 1.0); 12]);
        let held = fit(&known).categories[20];
        assert!(free.probability(0.0) > held.probability(0.0) + 0.1, "{free:?} {held:?}");
    }

    #[test]
    fn a_category_without_labels_has_the_shared_curve_and_none_at_all_gives_the_logits_back() {
        let known = [drawn(of(1.0, 0.5), 2000, 3), drawn(of(1.2, 0.3), 2000, 4), Vec::new()];
        let curves = fit(&known);
        assert_eq!(curves.categories[2], curves.shared);
        let none = fit(&[Vec::new(), Vec::new()]);
        assert_eq!(none.categories[0], of(1.0, 0.0));
    }

    #[test]
    fn extreme_logits_stay_finite_and_no_ranking_is_turned_around() {
        for scale in [1e-12f32, 1e12] {
            let cells =
                vec![(scale, false, 1.0), (-scale, true, 1.0), (scale, false, 1.0), (-scale, true, 1.0)];
            let curve = fit(&[cells.clone(), cells]).categories[0];
            assert!(curve.slope > 0.0 && curve.slope.is_finite() && curve.offset.is_finite(), "{curve:?}");
        }
        let curve = of(2.0, -1.0);
        let logit = (log_odds(0.8) - curve.offset) / curve.slope;
        assert!((curve.probability(logit as f32) - 0.8).abs() < 1e-6);
    }
}
