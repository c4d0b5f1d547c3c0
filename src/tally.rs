//! What the steps of an epoch computed, and its means; read from the device several steps at a time, because
//! reading waits for it.

use std::time::Duration;

use burn::tensor::Tensor;

use crate::batch::Progress;
use crate::step::Stepped;
use crate::{Error, Result};

/// The name of the gradients' norm among the scalars.
pub const GRADIENT_NORM: &str = "gradient_norm";

/// Numbers by name, in the order in which they first came.
pub type Named = Vec<(String, f64)>;

/// So many a second; 0, which nobody shows, where the clock stands still: infinity has no place in JSON.
pub fn per_second(count: usize, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

/// Means over some steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Means {
    /// Of each unweighted loss term.
    pub losses: Named,
    /// Of every other number of a step.
    pub scalars: Named,
}

/// A number of a step, on its device and without a graph, `[1]`.
struct Number {
    name: &'static str,
    is_loss: bool,
    value: Tensor<1>,
}

/// The steps of an epoch.
#[derive(Default)]
pub struct Tally {
    unread: Vec<(Progress, Vec<Number>)>,
    epoch: Sums,
    /// Since the last [`take_window`](Self::take_window).
    window: Sums,
    /// The sum of the loss terms in the very first step of the training, once that was read.
    pub first_loss: Option<f64>,
}

impl Tally {
    /// Of an epoch of which so many steps were done before a resume, with these means.
    pub fn resumed(steps: usize, means: &Means) -> Self {
        let sums = |means: &Named| {
            let sum =
                |(name, mean): &(String, f64)| Sum { name: name.clone(), sum: mean * steps as f64, steps };
            if steps == 0 { Vec::new() } else { means.iter().map(sum).collect() }
        };
        let epoch = Sums { losses: sums(&means.losses), scalars: sums(&means.scalars) };
        Self { epoch, ..Self::default() }
    }

    /// Adds a step, without waiting for the device.
    pub fn add(&mut self, at: Progress, Stepped { losses, gradient_norm }: Stepped) {
        let losses = losses.terms().map(|(name, value)| {
            let value = value.clone().inner();
            Number { name, is_loss: true, value }
        });
        let norm = gradient_norm.map(|value| Number { name: GRADIENT_NORM, is_loss: false, value });
        self.unread.push((at, losses.chain(norm).collect()));
    }

    /// Reads what was added since the last time.
    ///
    /// # Errors
    /// [`Error::Diverged`] at the first step with a number that is not finite.
    pub fn read(&mut self) -> Result<()> {
        for (at, numbers) in self.unread.drain(..) {
            let values = numbers.iter().map(|number| number.value.clone()).collect();
            let values = Tensor::cat(values, 0).into_data();
            let mut total = 0.0;
            for (Number { name, is_loss, .. }, value) in numbers.iter().zip(values.iter::<f32>()) {
                if !value.is_finite() {
                    let (epoch, step) = (at.epoch + 1, at.step + 1);
                    return Err(Error::Diverged { term: (*name).into(), value, epoch, step });
                }
                total += if *is_loss { f64::from(value) } else { 0.0 };
                for sums in [&mut self.epoch, &mut self.window] {
                    let sums = if *is_loss { &mut sums.losses } else { &mut sums.scalars };
                    add(sums, name, f64::from(value));
                }
            }
            if (at.epoch, at.step) == (0, 0) {
                self.first_loss = Some(total);
            }
        }
        Ok(())
    }

    /// The means over the epoch so far, of what was read.
    pub fn means(&self) -> Means {
        self.epoch.means()
    }

    /// The means since the last time this was asked, of what was read.
    pub fn take_window(&mut self) -> Means {
        std::mem::take(&mut self.window).means()
    }
}

#[derive(Default)]
struct Sums {
    losses: Vec<Sum>,
    scalars: Vec<Sum>,
}

/// A number may have begun later than the epoch: it has steps of its own.
struct Sum {
    name: String,
    sum: f64,
    steps: usize,
}

impl Sums {
    fn means(&self) -> Means {
        let mean = |sum: &Sum| (sum.name.clone(), sum.sum / sum.steps as f64);
        Means {
            losses: self.losses.iter().map(mean).collect(),
            scalars: self.scalars.iter().map(mean).collect(),
        }
    }
}

fn add(sums: &mut Vec<Sum>, name: &str, value: f64) {
    match sums.iter_mut().find(|sum| sum.name == name) {
        Some(sum) => (sum.sum, sum.steps) = (sum.sum + value, sum.steps + 1),
        None => sums.push(Sum { name: name.into(), sum: value, steps: 1 }),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::batch::Losses;

    fn at(step: usize) -> Progress {
        Progress { seed: 0, epoch: 2, step, steps: 4 }
    }

    fn stepped(loss: f32, norm: f32) -> Stepped {
        let device = Device::flex();
        let loss = Tensor::from_data([loss], &device.clone().autodiff());
        Stepped {
            losses: Losses::default().with("bce", 1.0, loss),
            gradient_norm: Some(Tensor::from_data([norm], &device)),
        }
    }

    fn named(name: &str, value: f64) -> Named {
        vec![(name.into(), value)]
    }

    #[test]
    fn a_rate_is_finite_whatever_the_clock_says() {
        assert_eq!(per_second(30, Duration::from_secs(15)), 2.0);
        assert_eq!(per_second(30, Duration::ZERO), 0.0);
        assert_eq!(per_second(0, Duration::ZERO), 0.0);
        assert!(per_second(usize::MAX, Duration::from_nanos(1)).is_finite());
    }

    #[test]
    fn an_epoch_has_its_means_and_a_window_has_those_since_the_last_look() {
        let mut tally = Tally::default();
        tally.add(at(0), stepped(1.0, 8.0));
        tally.add(at(1), stepped(2.0, 4.0));
        assert_eq!(tally.means(), Means::default(), "not read yet");
        tally.read().unwrap();
        assert_eq!(tally.take_window().losses, named("bce", 1.5));
        tally.add(at(2), stepped(6.0, 0.0));
        tally.read().unwrap();
        assert_eq!(
            tally.take_window(),
            Means { losses: named("bce", 6.0), scalars: named(GRADIENT_NORM, 0.0) }
        );
        assert_eq!(tally.means(), Means { losses: named("bce", 3.0), scalars: named(GRADIENT_NORM, 4.0) });
    }

    #[test]
    fn a_resumed_epoch_has_the_means_of_the_whole() {
        let before = Means { losses: named("bce", 1.5), scalars: Vec::new() };
        let mut tally = Tally::resumed(2, &before);
        tally.add(at(2), stepped(6.0, 5.0));
        tally.read().unwrap();
        assert_eq!(tally.means().losses, named("bce", 3.0));
        // The steps before, of an older version, did not say the norm.
        assert_eq!(tally.means().scalars, named(GRADIENT_NORM, 5.0));
    }

    #[test]
    fn the_step_that_diverged_is_named() {
        let mut tally = Tally::default();
        [stepped(1.0, 1.0), stepped(1.0, f32::INFINITY), stepped(f32::NAN, 1.0)]
            .into_iter()
            .enumerate()
            .for_each(|(step, stepped)| tally.add(at(step), stepped));
        let error = tally.read().unwrap_err().to_string();
        assert!(error.contains("gradient_norm is inf in epoch 3, step 2"), "{error}");
    }
}
