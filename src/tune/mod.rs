//! Tuning: which settings of a recipe do best, judged on training images alone.
//!
//! ```text
//! OUT/tune.toml          recipe, space, seed, and where its inputs lie
//!     data/full/         what trials train on: train.csv with its hidden labels, less what is held out
//!     held-out/          what they are judged on
//!     trials/003/…       every trial on every rung, a run folder each (see `trial`)
//!     plan.json          what was decided once the recipe's own setting was timed
//!     trials.csv         every trial
//!     best.toml          the recipe of the best
//! ```
//!
//! A [`Space`](space::Space) says what is tried, [`halving`] how long, `search` does it, `table` shows it.

mod halving;
mod held_out;
mod search;
mod space;
mod state;
mod table;
mod trial;
mod values;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::cancel::Cancel;
use crate::inputs::Inputs;

pub use state::{MOST_SETTINGS, Origin};
pub use table::{Row, Tuned};

/// How a tuning is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Wall time of all trials.
    pub budget: Duration,
    /// Settings beside the recipe's own, at most.
    pub most_settings: usize,
    /// Share of the training images that trials are judged on, in (0, 1).
    pub held_out: f64,
    /// Seed of what is held out and what is drawn.
    pub seed: u64,
    /// Where trials are trained, as of `sarb train --device`.
    pub device: String,
    /// More arguments for the children: where feature maps are cached, how many threads each may use.
    pub arguments: Vec<OsString>,
}

/// Tunes a recipe in the folder `dir`, or continues what was begun there.
///
/// What is tried depends on the seed alone; how much of it, on the budget and on how long the recipe's own setting
/// takes. That is decided once and kept.
///
/// # Errors
/// What is wrong with recipe, space or inputs, before the first trial; [`crate::Error::Usage`] where the budget does
/// not suffice for two trials; [`crate::Error::Sweep`] with 75 once `cancel` asks for an end, after which the same
/// call continues, and with the exit code of the recipe's own setting where that fails.
pub fn tune(
    dir: &Path,
    origin: &Origin,
    inputs: &Inputs,
    options: &Options,
    say: &dyn Fn(&str),
    cancel: &Cancel,
) -> Result<Tuned> {
    let begun = state::begin(dir, origin, inputs, options.seed, options.held_out)?;
    begun.notes.iter().for_each(|note| say(note));
    let mut trials = trial::Trials::open(&begun, options)?;
    let found = search::run(&mut trials, say, cancel)?;
    table::finish(&trials, found)
}
