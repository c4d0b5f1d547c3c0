//! Sweeps: methods × known proportions × seeds, each cell a run folder.

mod claim;
pub mod plan;
pub mod state;

pub use state::Sweep;
