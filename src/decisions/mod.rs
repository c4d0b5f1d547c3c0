//! What a run decides, and what its decisions are worth: probabilities that hold, thresholds, labels that are filled with
//! a promise of their precision, labels that look wrong, and labels to ask for. All of it is founded on
//! [`OutOfFold`](crate::OutOfFold) scores.

pub mod annotators;
pub mod chance;
mod choice;
mod corrections;
pub mod doubts;
pub mod evidence;
pub mod fill;
pub mod joined;
pub mod next;
pub mod probability;
pub mod promise;
pub mod selection;
mod sheet;
pub mod thresholds;
