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
//! A [`Plan`] says what is to be done, a [`Sweep`] what has been done, [`run`] does the rest. A cell is
//! computed by children of this program (`child`), under a lock that lives as long as any of them
//! (`claim`): a sweep may be killed at any point, and several may share one folder.

mod begin;
pub(crate) mod child;
pub(crate) mod claim;
mod dry_run;
mod evaluation;
mod features;
mod files;
mod labels;
mod plan;
mod plan_keys;
mod runner;
mod state;
mod status;

pub(crate) use plan::{Cell, Table};
pub(crate) use plan_keys::{MORE_SEEDS, PLAN, ROW};
pub(crate) use runner::how_to_begin;
pub(crate) use state::{Failure, same_file, write_with_folder};

pub use child::stop_with_parent;
pub use dry_run::{Planned, Total, dry_run, planned_to_table};
pub use plan::Plan;
pub use runner::{Options, run};
pub use state::{CellState, CellStatus, Sweep};
pub use status::{to_json, to_table};
