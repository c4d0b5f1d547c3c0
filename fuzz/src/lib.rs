//! Feeds the readers of label files with bytes of any kind; `README.md` says how to run it.
//!
//! The sources of the readers are included here by path, so that fuzzing builds in a minute: as a dependency,
//! sarb would bring Burn, which takes ten, and no reader uses it.
#![allow(dead_code, reason = "the sources hold more than the readers")]

#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/files.rs"]
pub mod files;

pub mod data;
mod limit;
mod targets;

pub use error::{Error, Result};
pub use targets::*;
