//! Free estimates of the labels of every training example, Θ of ROLE (Cole et al., "Multi-Label Learning from
//! Single Positive Labels", CVPR 2021): one logit for each example and category, trained by an Adam of their own.
//!
//! The published code has Θ `[N, C]` in its optimizer, which moves all N rows in every step: those outside the
//! batch by the momentum of their last visit, ten times as far in all as by the visit itself. Here a step
//! touches the rows of its batch alone: each row keeps its moments, and what momentum would have moved it since
//! its last visit is made up for when it is next seen. The estimates that a batch sees are those of the dense
//! Adam, with two limits: after [`TAIL`] steps without a visit what is left of the momentum, 0.9¹⁶⁰, is
//! forgotten, and the steps between two visits have the learning rate of the first.

use std::collections::BTreeMap;

use rand::RngExt;
use sarb_labels::random::{Stream, rng};
use sarb_labels::{Label, LabelMatrix};

use crate::{Error, Result};

/// Steps after a visit in which momentum still moves a row.
pub const TAIL: u64 = 160;
/// Adam's β₁, β₂ and ε.
const ADAM: (f64, f64, f64) = (0.9, 0.999, 1e-8);
/// Unknown labels start between σ⁻¹(0.4) and σ⁻¹(0.6), known ones at σ⁻¹(0.995) or σ⁻¹(0.005).
const UNKNOWN: f64 = 0.6;
const KNOWN: f64 = 0.995;

/// The estimates of the examples that were seen; each begins when it is first asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelEstimates {
    categories: usize,
    rows: BTreeMap<usize, Row>,
    /// The step that is under way.
    begun: Option<Step>,
}

/// The gradients of some examples in a step, which is counted from 1 over the whole training.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    examples: Vec<usize>,
    number: u64,
    gradients: Vec<f32>,
}

/// The estimates of one example with the moments of their gradients, C values each.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    logits: Vec<f32>,
    mean: Vec<f32>,
    squares: Vec<f32>,
    /// The step, from 1, until which they have been moved.
    step: u64,
    /// The learning rate of the last visit.
    rate: f64,
}

impl LabelEstimates {
    /// None yet.
    pub fn none(categories: usize) -> Self {
        Self { categories, rows: BTreeMap::new(), begun: None }
    }

    /// Whether no example has any yet.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Logits of `examples`, whose known labels are `labels`, before step number `step` of the training, from 1;
    /// row by row, `B · C` values.
    pub fn before(&mut self, step: u64, examples: &[usize], labels: &LabelMatrix, seed: u64) -> Vec<f32> {
        let mut logits = Vec::with_capacity(examples.len() * self.categories);
        for (place, &example) in examples.iter().enumerate() {
            let row = self.rows.entry(example);
            let row = row.or_insert_with(|| Row::start(labels.row(place), example, step, seed));
            row.catch_up(step.saturating_sub(1));
            logits.extend_from_slice(&row.logits);
        }
        logits
    }

    /// Keeps the gradients of the logits that [`before`](Self::before) gave, for [`step`](Self::step).
    pub fn begin(&mut self, number: u64, examples: &[usize], gradients: Vec<f32>) {
        self.begun = Some(Step { examples: examples.to_vec(), number, gradients });
    }

    /// Moves the examples of the step that has begun, by Adam at this learning rate.
    pub fn step(&mut self, rate: f64) {
        let Some(Step { examples, number, gradients }) = self.begun.take() else { return };
        for (example, gradients) in examples.iter().zip(gradients.chunks_exact(self.categories)) {
            if let Some(row) = self.rows.get_mut(example) {
                row.rate = rate;
                row.advance(number, Some(gradients));
            }
        }
    }

    /// How many labels the mean example has by these estimates: Σ_c σ(θ_c); none before the first visit.
    pub fn expected(&self) -> Option<f64> {
        let logits = self.rows.values().flat_map(|row| &row.logits);
        let sum: f64 = logits.map(|&logit| 1.0 / (1.0 + (-f64::from(logit)).exp())).sum();
        (!self.is_empty()).then(|| sum / self.rows.len() as f64)
    }

    /// For the checkpoint: of every example its number, step and rate in 8 bytes each, then logits, means and
    /// squares.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.rows.len() * row_bytes(self.categories));
        for (&example, row) in &self.rows {
            bytes.extend((example as u64).to_le_bytes());
            bytes.extend(row.step.to_le_bytes());
            bytes.extend(row.rate.to_le_bytes());
            let values = row.logits.iter().chain(&row.mean).chain(&row.squares);
            bytes.extend(values.flat_map(|value| value.to_le_bytes()));
        }
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave, of so many categories.
    ///
    /// # Errors
    /// [`Error::Data`] if it is something else.
    pub fn from_bytes(categories: usize, bytes: &[u8]) -> Result<Self> {
        let wrong = || Error::Data("the label estimates of the checkpoint cannot be read".into());
        let parts = bytes.chunks_exact(row_bytes(categories));
        if !parts.remainder().is_empty() {
            return Err(wrong());
        }
        let rows = parts.map(|part| Row::from_bytes(categories, part)).collect::<Option<_>>();
        Ok(Self { rows: rows.ok_or_else(wrong)?, ..Self::none(categories) })
    }
}

fn row_bytes(categories: usize) -> usize {
    24 + 12 * categories
}

impl Row {
    /// As it is before `step`, its first; a place of its own for each example's random numbers.
    fn start(labels: impl Iterator<Item = Label>, example: usize, step: u64, seed: u64) -> Self {
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let mut rng = rng(seed, Stream::LabelEstimates, example as u64, 0);
        let logits: Vec<f32> = labels
            .map(|label| {
                let random = rng.random_range(-1.0..=1.0);
                let start = match label {
                    Label::Positive => logit(KNOWN),
                    Label::Negative => -logit(KNOWN),
                    Label::Unknown => random * logit(UNKNOWN),
                };
                start as f32
            })
            .collect();
        let zeros = vec![0.0; logits.len()];
        Self { logits, mean: zeros.clone(), squares: zeros, step: step.saturating_sub(1), rate: 0.0 }
    }

    /// Moves it by momentum until `step` is done.
    fn catch_up(&mut self, step: u64) {
        let last = self.step.saturating_add(TAIL).min(step);
        (self.step.saturating_add(1)..=last).for_each(|step| self.advance(step, None));
        let forgotten = step.saturating_sub(self.step).min(i32::MAX as u64) as i32;
        let (keep_mean, keep_squares, _) = ADAM;
        self.mean.iter_mut().for_each(|mean| *mean *= keep_mean.powi(forgotten) as f32);
        self.squares.iter_mut().for_each(|square| *square *= keep_squares.powi(forgotten) as f32);
        self.step = self.step.max(step);
    }

    /// Step number `step` of Adam; without gradients they are 0.
    fn advance(&mut self, step: u64, gradients: Option<&[f32]>) {
        let (keep_mean, keep_squares, epsilon) = ADAM;
        let steps = step.min(i32::MAX as u64) as i32;
        let rate = self.rate / (1.0 - keep_mean.powi(steps));
        let root = (1.0 - keep_squares.powi(steps)).sqrt();
        let moments = self.mean.iter_mut().zip(&mut self.squares);
        for (place, (logit, (mean, square))) in self.logits.iter_mut().zip(moments).enumerate() {
            let gradient = gradients.map_or(0.0, |gradients| f64::from(gradients[place]));
            let new_mean = keep_mean * f64::from(*mean) + (1.0 - keep_mean) * gradient;
            let new_square = keep_squares * f64::from(*square) + (1.0 - keep_squares) * gradient * gradient;
            *logit = (f64::from(*logit) - rate * new_mean / (new_square.sqrt() / root + epsilon)) as f32;
            (*mean, *square) = (new_mean as f32, new_square as f32);
        }
        self.step = step;
    }

    /// Number of an example and its row; none if it is something else.
    fn from_bytes(categories: usize, bytes: &[u8]) -> Option<(usize, Self)> {
        let (numbers, values) = bytes.split_at_checked(24)?;
        let &[example, step, rate] = numbers.as_chunks::<8>().0 else { return None };
        let values = values.as_chunks::<4>().0.iter();
        let values: Vec<f32> = values.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let rate = f64::from_le_bytes(rate);
        let (logits, moments) = values.split_at(categories);
        let (mean, squares) = moments.split_at(categories);
        let finite = values.iter().all(|value| value.is_finite()) && rate.is_finite();
        let row = Self {
            logits: logits.to_vec(),
            mean: mean.to_vec(),
            squares: squares.to_vec(),
            step: u64::from_le_bytes(step),
            rate,
        };
        let example = usize::try_from(u64::from_le_bytes(example)).ok()?;
        (finite && squares.iter().all(|&square| square >= 0.0)).then_some((example, row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, assert_close};

    fn row(logits: &[f32]) -> Row {
        let zeros = vec![0.0; logits.len()];
        Row { logits: logits.to_vec(), mean: zeros.clone(), squares: zeros, step: 0, rate: 0.0 }
    }

    #[test]
    fn rows_that_are_seen_now_and_then_move_as_in_pytorchs_dense_adam() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/role.safetensors"));
        let ([examples, categories], [steps, seen]) =
            (fixture.shape("adam.start"), fixture.shape("adam.visits"));
        let (start, visits) = (fixture.values("adam.start"), fixture.values("adam.visits"));
        let rate = f64::from(fixture.values("adam.rate")[0]);
        let mut estimates = LabelEstimates::none(categories);
        estimates.rows = start.chunks_exact(categories).map(row).enumerate().collect();
        let gradients = fixture.values("adam.gradients");
        let labels = LabelMatrix::unknown(seen, categories);
        for (step, gradients) in gradients.chunks_exact(seen * categories).enumerate() {
            let visited: Vec<usize> = visits[step * seen..][..seen].iter().map(|&row| row as usize).collect();
            let number = step as u64 + 1;
            estimates.before(number, &visited, &labels, 0);
            estimates.begin(number, &visited, gradients.to_vec());
            estimates.step(rate);
            // A checkpoint between two steps changes nothing.
            estimates = LabelEstimates::from_bytes(categories, &estimates.to_bytes()).unwrap();
        }
        let all: Vec<usize> = (0..examples).collect();
        let unknown = LabelMatrix::unknown(examples, categories);
        let end = estimates.before(steps as u64 + 1, &all, &unknown, 0);
        // 40 steps in f32, which PyTorch adds up in another order.
        assert_close("adam.end", &end, &fixture.values("adam.end"), 1e-5);
        assert_ne!(end[..categories], start[..categories], "moved by momentum");
    }

    #[test]
    fn momentum_is_forgotten_after_the_tail_and_what_is_left_is_small() {
        let mut moved = row(&[0.0]);
        moved.rate = 0.1;
        moved.advance(1, Some(&[1.0]));
        let mut all = moved.clone();
        (2..=TAIL + 400).for_each(|step| all.advance(step, None));
        let tail_alone = {
            moved.catch_up(TAIL + 400);
            moved
        };
        assert_eq!((tail_alone.step, all.step), (TAIL + 400, TAIL + 400));
        let gap = (tail_alone.logits[0] - all.logits[0]).abs();
        assert!(gap < 1e-6 && all.logits[0] < -0.5, "{gap} of {}", all.logits[0]);
        assert!((tail_alone.squares[0] / all.squares[0] - 1.0).abs() < 1e-4);
    }

    #[test]
    fn estimates_start_at_the_known_labels_and_at_random_else_the_same_in_every_batch() {
        let labels = LabelMatrix::from_values(3, &[1, -1, 0, 0, 0, 0]);
        let logits = LabelEstimates::none(3).before(1, &[4, 9], &labels, 0);
        // ln(0.995 / 0.005), and at most ln(0.6 / 0.4).
        assert!((logits[0] - 5.293305).abs() < 1e-5 && (logits[1] + 5.293305).abs() < 1e-5, "{logits:?}");
        assert!(logits[2..].iter().all(|logit| logit.abs() <= 0.40547), "{logits:?}");
        assert!(logits[3] != logits[4] && logits[2] != logits[5], "{logits:?}");
        let later = LabelEstimates::none(3).before(7, &[9], &labels.select(&[1]), 0);
        assert_eq!(later, logits[3..]);
        let other_seed = LabelEstimates::none(3).before(7, &[9], &labels.select(&[1]), 1);
        assert_ne!(later, other_seed);
    }

    #[test]
    fn the_expected_number_of_labels_is_that_of_the_mean_example() {
        let mut estimates = LabelEstimates::none(2);
        assert_eq!(estimates.expected(), None);
        estimates.rows = [(0, row(&[0.0, 0.0])), (5, row(&[3f32.ln(), 0.0]))].into();
        let expected = estimates.expected().expect("two examples");
        assert!((expected - (1.0 + 1.25) / 2.0).abs() < 1e-6, "{expected}");
    }

    #[test]
    fn bytes_read_back_equal_and_others_are_refused() {
        let mut estimates = LabelEstimates::none(2);
        estimates.before(3, &[1, 8], &LabelMatrix::unknown(2, 2), 0);
        estimates.begin(3, &[1, 8], vec![0.5, -1.0, 0.0, 2.0]);
        estimates.step(0.1);
        let bytes = estimates.to_bytes();
        assert_eq!(LabelEstimates::from_bytes(2, &bytes).unwrap(), estimates);
        let mut infinite = bytes.clone();
        infinite[24..28].copy_from_slice(&f32::INFINITY.to_le_bytes());
        let mut below = bytes.clone();
        below[40..44].copy_from_slice(&(-1f32).to_le_bytes());
        for damaged in [&bytes[..7], &bytes[..bytes.len() - 1], &infinite, &below] {
            assert!(LabelEstimates::from_bytes(2, damaged).is_err(), "{damaged:?}");
        }
        assert!(LabelEstimates::from_bytes(3, &bytes).is_err(), "of other categories");
    }
}
