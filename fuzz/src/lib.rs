//! Feeds the readers of label files with bytes of any kind; `README.md` says how to run it.

mod limit;
mod targets;

pub use targets::*;
