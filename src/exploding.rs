//! Whether a training explodes: its numbers stay finite, and nothing is learned.
//!
//! What is compared is the validation loss, the BCE of known labels, with that before the first step; without
//! validation images the training loss, with that of the very first step.

use std::f64::consts::LN_2;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::model::Model;
use crate::run::{EpochRow, State};
use crate::tally::GRADIENT_NORM;
use crate::{Error, Result};

/// A loss so many times that of the start is worth a warning.
const FAR: f64 = 10.0;
/// With one so many times that of the start nothing that was learned is left.
const LOST: f64 = 1e4;
/// A norm of gradients so many times that of the first epoch is worth a warning.
const STEEP: f64 = 100.0;
/// How near to 0 or 1 a learned share is stuck.
const BOUND: f64 = 1e-3;

/// How many times the loss of the start that of an epoch is; none where there is nothing to compare.
fn times(state: &State, row: &EpochRow) -> Option<f64> {
    let validated = state.history.first().and_then(|first| first.validation_loss).zip(row.validation_loss);
    let trained = || state.first_loss.zip(total(row));
    // Chance has a loss of ln 2: a start that is better is no reason to be stricter.
    let (start, now) = validated.map(|(start, now)| (start.max(LN_2), now)).or_else(trained)?;
    (start > 0.0).then_some(now / start)
}

fn total(row: &EpochRow) -> Option<f64> {
    (!row.losses.is_empty()).then(|| row.losses.iter().map(|(_, loss)| loss).sum())
}

/// Ends a training whose loss has exploded in the epoch of `row`, before that is saved.
///
/// # Errors
/// [`Error::Exploded`].
pub fn check(state: &State, row: &EpochRow) -> Result<()> {
    match times(state, row) {
        Some(times) if times > LOST => Err(exploded(row, times)),
        _ => Ok(()),
    }
}

/// Ends a training that is over and has made nothing better than its beginning, but much worse.
///
/// # Errors
/// [`Error::Exploded`].
pub fn check_end(state: &State) -> Result<()> {
    let (Some((_, 0)), Some(row)) = (state.best, state.history.last()) else { return Ok(()) };
    match times(state, row) {
        Some(times) if times > FAR => Err(exploded(row, times)),
        _ => Ok(()),
    }
}

fn exploded(row: &EpochRow, times: f64) -> Error {
    let of = if row.validation_loss.is_some() { "validation" } else { "training" };
    Error::Exploded(format!(
        "training exploded: in epoch {} the {of} loss is {} times that of the start; an earlier checkpoint is kept: go on \
         from it with --resume --set train.learning_rate=RATE, smaller than {:e}",
        row.epoch,
        shown(times),
        row.learning_rate
    ))
}

/// What to know of an epoch in which something goes wrong for the first time; it is not yet in the history.
pub fn warnings(state: &State, row: &EpochRow) -> Vec<String> {
    let is_far = |row: &EpochRow| times(state, row).is_some_and(|times| times > FAR);
    let norm = |row: &EpochRow| scalar(row, GRADIENT_NORM);
    let first_norm = state.history.iter().find_map(norm);
    let is_steep = |row: &EpochRow| norm(row).zip(first_norm).is_some_and(|(now, first)| now > STEEP * first);
    let first_time = |is: &dyn Fn(&EpochRow) -> bool| is(row) && !state.history.iter().any(is);
    let mut warnings = Vec::new();
    if first_time(&is_far) {
        let times = shown(times(state, row).unwrap_or_default());
        warnings.push(format!(
            "epoch {}: the loss is {times} times that of the start; a smaller train.learning_rate may help: --resume \
             --set train.learning_rate=RATE goes on with one",
            row.epoch
        ));
    }
    if first_time(&is_steep) {
        warnings.push(format!(
            "epoch {}: the norm of the gradients is more than {STEEP} times that of the first epoch; a smaller \
             train.learning_rate may help",
            row.epoch
        ));
    }
    warnings
}

/// What to know of a training that is over: the shares α and β of SARB that have come to an end of their range.
pub fn stuck(state: &State) -> Vec<String> {
    let Some(row) = state.history.last().filter(|row| row.epoch > 0) else { return Vec::new() };
    let shares = ["alpha", "beta"].into_iter().filter_map(|name| Some((name, scalar(row, name)?)));
    shares
        .filter(|(_, value)| !(BOUND..=1.0 - BOUND).contains(value))
        .map(|(name, value)| {
            format!(
                "{name} has come to {value:.3}, an end of its range: what it blends is all of one representation and \
                 nothing of the other"
            )
        })
        .collect()
}

fn scalar(row: &EpochRow, name: &str) -> Option<f64> {
    row.scalars.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

/// `12` or `3.4e9`.
fn shown(times: f64) -> String {
    if times < 1e5 { format!("{times:.0}") } else { format!("{times:.1e}") }
}

/// The first parameter that holds NaN or infinity.
pub fn not_finite(model: &Model) -> Option<String> {
    #[derive(Default)]
    struct Finder {
        path: Vec<String>,
        found: Option<String>,
    }
    impl ModuleVisitor for Finder {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            // A sum is finite only if every value is, unless huge ones overflow: then it is as bad.
            if self.found.is_none() && !parameter.val().sum().into_scalar::<f32>().is_finite() {
                self.found = Some(format!("weight {}", self.path.join(".")));
            }
        }
    }
    let mut finder = Finder::default();
    model.visit(&mut finder);
    finder.found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: usize, validation: Option<f64>, loss: f64, scalars: &[(&str, f64)]) -> EpochRow {
        EpochRow {
            epoch,
            losses: if epoch == 0 { Vec::new() } else { vec![("bce".into(), loss)] },
            scalars: scalars.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            validation_loss: validation,
            validation_map: None,
            learning_rate: 0.1,
            images_per_second: 1.0,
            wall_time: 0.0,
        }
    }

    #[test]
    fn a_loss_far_above_its_start_is_warned_of_once_and_one_beyond_all_measure_ends_the_training() {
        let mut state = State { history: vec![row(0, Some(0.5), 0.0, &[])], ..State::default() };
        assert!(warnings(&state, &row(1, Some(6.0), 1.0, &[])).is_empty(), "8.7 times ln 2");
        let far = row(1, Some(8.0), 1.0, &[]);
        assert!(warnings(&state, &far)[0].starts_with("epoch 1: the loss is 12 times that of the start"));
        check(&state, &far).unwrap();
        state.history.push(far);
        assert!(warnings(&state, &row(2, Some(9.0), 1.0, &[])).is_empty());
        let error = check(&state, &row(2, Some(1e9), 1.0, &[])).unwrap_err();
        assert_eq!(error.exit_code(), 5);
        assert!(
            error.to_string().contains("1.4e9 times") && error.to_string().contains("--resume"),
            "{error}"
        );
    }

    #[test]
    fn without_validation_the_training_loss_is_compared() {
        let state =
            State { first_loss: Some(2.0), history: vec![row(0, None, 0.0, &[])], ..State::default() };
        assert!(warnings(&state, &row(1, None, 19.0, &[])).is_empty());
        assert_eq!(warnings(&state, &row(1, None, 21.0, &[])).len(), 1);
        assert!(check(&state, &row(1, None, 3e4, &[])).is_err());
        // A run that was resumed in its first epoch by an earlier version knows no start.
        assert!(check(&State::default(), &row(1, None, 3e4, &[])).is_ok());
    }

    #[test]
    fn a_training_that_ends_worse_than_it_began_is_not_done() {
        let history = vec![row(0, Some(0.5), 0.0, &[]), row(1, Some(50.0), 1.0, &[])];
        let state = State { best: Some((0.5, 0)), history, ..State::default() };
        assert_eq!(check_end(&state).unwrap_err().exit_code(), 5);
        check_end(&State { best: Some((-0.7, 1)), ..state.clone() }).unwrap();
        let history = vec![row(0, Some(0.5), 0.0, &[]), row(1, Some(0.6), 1.0, &[])];
        check_end(&State { history, ..state }).unwrap();
    }

    #[test]
    fn steep_gradients_and_stuck_shares_are_told() {
        let first = row(1, None, 1.0, &[(GRADIENT_NORM, 2.0), ("alpha", 0.5), ("beta", 0.999_5)]);
        let mut state = State { history: vec![row(0, None, 0.0, &[]), first], ..State::default() };
        let told = stuck(&state);
        assert!(told.len() == 1 && told[0].starts_with("beta has come to 1.000"), "{told:?}");
        let steep = row(2, None, 1.0, &[(GRADIENT_NORM, 201.0)]);
        assert!(warnings(&state, &steep)[0].contains("norm of the gradients"));
        state.history.push(steep.clone());
        assert!(warnings(&state, &steep).is_empty());
    }
}
