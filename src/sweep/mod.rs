//! Sweeps: methods × known proportions × seeds, each cell a run folder.
//!
//! ```text
//! OUT/sweep.toml                             the plan as read, and where its inputs lie
//!     sweep.lock                             held while that file is read and written
//!     recipes/ROW/known-10-seed-0.toml       the resolved recipe of a cell that was begun
//!     runs/ROW/known-10/seed-0/              its run folder
//!     logs/ROW/known-10-seed-0.log           what its training and evaluation printed; also its lock
//!     failed/ROW/known-10-seed-0.json        why it failed, if it did
//! ```
//!
//! [`plan`] says what is to be done, [`state`] what has been done, [`runner`] does the rest. A cell is
//! computed by children of this program ([`child`]), under a lock that lives as long as any of them
//! (`claim`): a sweep may be killed at any point, and several may share one folder.

mod begin;
pub mod child;
mod claim;
pub mod plan;
pub mod runner;
pub mod shard;
pub mod state;
pub mod status;

pub use state::Sweep;
