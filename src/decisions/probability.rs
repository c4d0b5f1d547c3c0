//! From a run's logits to probabilities that hold, category by category, from few known labels.
//!
//! Each category has a logistic curve p = σ(slope · z + offset). Where many of its labels are known, they fix it; where
//! few are, it stays near the curve that all categories share. How near is estimated too, from how much the
//! curves of well-known categories differ: a random-effects logistic regression, with Laplace's approximation for
//! each category and expectation-maximization for what they share (Gelman & Hill 2007, chapter 14).
//!
//! A category of which positives are known and no negative, as a tag has it, has the shared curve: such labels say who labels
//! and not how often a high score is wrong.

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
pub struct Measured(Vec<Moments>);

/// The known labels of a category, and the mean of their logits.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: usize,
    negatives: usize,
    mean: f64,
    /// Sum of squared differences to the mean (Welford's recurrence).
    squares: f64,
}

impl Measured {
    /// Of so many categories, none seen yet.
    pub fn new(categories: usize) -> Self {
        Self(vec![Moments::default(); categories])
    }

    /// One more label: its logit, and whether it is positive.
    pub fn add(&mut self, category: usize, logit: f32, positive: bool) {
        let of = &mut self.0[category];
        of.count += 1;
        of.negatives += usize::from(!positive);
        let away = f64::from(logit) - of.mean;
        of.mean += away / of.count as f64;
        of.squares += away * (f64::from(logit) - of.mean);
    }

    /// Of each category whether its labels tell what is not there: whether any is negative.
    pub fn telling(&self) -> Vec<bool> {
        self.0.iter().map(|of| of.negatives > 0).collect()
    }

    /// Mean and standard deviation of all labels that tell.
    fn units(&self) -> Units {
        let telling = || self.0.iter().filter(|of| of.negatives > 0);
        let count = telling().map(|of| of.count).sum::<usize>().max(1) as f64;
        let mean = telling().map(|of| of.count as f64 * of.mean).sum::<f64>() / count;
        let squares = telling().map(|of| of.squares + of.count as f64 * (of.mean - mean).powi(2));
        let variance = squares.sum::<f64>() / count;
        Units { mean, deviation: if variance > 0.0 { variance.sqrt() } else { 1.0 } }
    }
}

/// The known labels of all categories, in bounded memory however many there are: the second pass.
#[derive(Debug)]
pub struct Gathered {
    units: Units,
    /// See [`Measured::telling`]; of the others nothing is gathered.
    telling: Vec<bool>,
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
        let cells = |of: &Moments| {
            if of.count <= MANY { Cells::Few(Vec::new()) } else { Cells::Many(BTreeMap::new()) }
        };
        let categories = measured.0.iter().map(cells).collect();
        Self { units: measured.units(), telling: measured.telling(), categories }
    }

    /// One more label: its logit, whether it is positive, and for how many it stands.
    pub fn add(&mut self, category: usize, logit: f32, positive: bool, count: f64) {
        if !self.telling[category] {
            return;
        }
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
mod tests;
