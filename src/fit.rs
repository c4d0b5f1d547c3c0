//! Whether an experiment fits its input: how many weights are trained on how few labels, and how long it takes.

use std::time::Instant;

use burn::module::Module;
use sarb_labels::Label;
use sarb_labels::text::{duration, thousands};

use crate::methods::Method;
use crate::model::Model;
use crate::prepare::Prepared;
use crate::recipe::Recipe;

/// So many weights for each known label are many: on 8,000 photographs a head with 90 was worse than ridge
/// regression, and with 18 better (docs/results).
const MANY_WEIGHTS: usize = 50;
/// A training that takes longer than this says so at its beginning.
const LONG_SECONDS: f64 = 600.0;
/// So many steps, after the very first, say how fast the others will be.
const FIRST_STEPS: usize = 10;

/// What to know before a head with many weights is trained on few labels.
pub fn few_labels(recipe: &Recipe, prepared: &Prepared, model: &Model) -> Option<String> {
    if model.head.closed_form() || recipe.train.epochs == 0 {
        return None;
    }
    let labels = prepared.annotations.labels.select(&prepared.rows);
    let known = labels.count(Label::Positive) + labels.count(Label::Negative);
    let weights = model.head.num_params();
    let message = || {
        format!(
            "{} weights of {} are trained on {} known labels, {} for each; with so few labels `--method linear` is often better and takes seconds{}",
            thousands(weights),
            recipe.method.name(),
            thousands(known),
            thousands(weights / known.max(1)),
            narrower(recipe)
        )
    };
    (weights > MANY_WEIGHTS * known).then(message)
}

/// What makes the head smaller, where it is wider than that.
fn narrower(recipe: &Recipe) -> &'static str {
    let recipe = toml::Table::try_from(recipe).expect("a recipe is a plain table");
    let dim = recipe.get("method").and_then(|method| method.get("network")?.get("dim")?.as_integer());
    match dim {
        Some(129..) => ", and `--set method.network.dim=128 --set method.network.joint=64` is narrower",
        _ => "",
    }
}

/// How fast the first steps of a training are. The very first is not counted: it is slower than the others.
pub struct Speed {
    since: Option<Instant>,
    steps: usize,
}

impl Speed {
    /// Of an epoch with so many steps to come.
    pub fn new(steps: usize) -> Self {
        Self { since: None, steps: steps.min(1 + FIRST_STEPS) }
    }

    /// After so many `steps`, with so many `left` in all `epochs`: what to know of a training that will be long.
    pub fn after(&mut self, steps: usize, left: usize, epochs: usize) -> Option<String> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if steps != self.steps || steps < 2 {
            return None;
        }
        announcement(since.elapsed().as_secs_f64() / (steps - 1) as f64, left, epochs)
    }
}

fn announcement(seconds_a_step: f64, left: usize, epochs: usize) -> Option<String> {
    let seconds = seconds_a_step * left as f64;
    (seconds > LONG_SECONDS).then(|| {
        format!(
            "at the speed of the first steps, the {epochs} epochs take about {}, or more where blends or prototypes begin later; Ctrl-C keeps a checkpoint",
            duration(seconds)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_training_of_more_than_ten_minutes_is_announced() {
        assert_eq!(announcement(1.0, 600, 3), None);
        let text = announcement(1.0, 3060, 20).unwrap();
        assert!(text.contains("the 20 epochs take about 51 min 0 s"), "{text}");
    }

    #[test]
    fn the_first_step_is_not_counted_and_the_announcement_comes_once() {
        let mut speed = Speed::new(3);
        let left = usize::MAX / 2;
        let said: Vec<bool> = (1..5).map(|step| speed.after(step, left, 9).is_some()).collect();
        assert_eq!(said, [false, false, true, false]);
        assert_eq!(Speed::new(1).after(1, left, 9), None, "one step says nothing");
    }
}
