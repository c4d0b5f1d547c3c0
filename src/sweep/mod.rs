//! Sweeps: methods × known proportions × seeds, each cell a run folder.

pub mod plan;
