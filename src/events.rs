//! What happens while an experiment runs.

use crate::batch::Progress;
use crate::run::{EpochRow, Validated};

/// What happens while an experiment runs, for people and logs.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Something that a person should know.
    Note(&'a str),
    /// Something that makes the result worth little.
    Warning(&'a str),
    /// So many feature maps of so many are there.
    Maps {
        /// How many are there.
        done: usize,
        /// How many are wanted.
        total: usize,
    },
    /// Every few steps.
    Step {
        /// Where, and of how many steps.
        at: Progress,
        /// The mean of each unweighted loss term so far in this epoch.
        losses: &'a [(String, f64)],
        /// The mean of the gradients' norm so far in this epoch, and what the method reports, such as α.
        scalars: &'a [(String, f64)],
        /// Training throughput in this epoch.
        images_per_second: f64,
    },
    /// Something begins that may take long and tells nothing until it ends.
    Phase(&'a str),
    /// What the validation images say of the anchor, `linear` on the same maps.
    Anchor(&'a Validated),
    /// After every epoch, and once before the first.
    Epoch(&'a EpochRow),
}
