//! What a run decides, and what its decisions are worth: probabilities that hold, thresholds, and labels that are
//! filled with a promise of their precision. All of it is founded on [`OutOfFold`](crate::OutOfFold) scores.

pub mod chance;
mod choice;
mod corrections;
pub mod doubts;
pub mod fill;
pub mod probability;
pub mod promise;
mod sheet;
pub mod thresholds;
