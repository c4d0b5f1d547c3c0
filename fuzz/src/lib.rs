//! Feeds the readers of label files with bytes of any kind; `README.md` says how to run it.
//!
//! The sources of the readers are included here by path, so that fuzzing builds in a minute: as a dependency,
//! sarb would bring Burn, which takes ten, and no reader uses it.
#![allow(dead_code, reason = "the sources hold more than the readers")]

#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/files.rs"]
pub mod files;

/// Stands in for `src/data/mod.rs`: those of its modules that the readers need.
#[path = "../../src/data"]
pub mod data {
    use std::path::PathBuf;

    use labels::LabelMatrix;

    pub mod array_file;
    pub mod categories;
    pub mod cooccurrence;
    pub mod formats;
    pub mod image;
    pub mod labels;
    mod score_csv;
    mod tar_index;
    mod tar_member;
    pub mod words;

    /// As in `src/data/mod.rs`, which splits them with a random generator of Burn's.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Annotations {
        pub images: Vec<PathBuf>,
        pub labels: LabelMatrix,
        pub categories: Vec<String>,
        pub source: PathBuf,
    }
}
mod limit;
mod targets;

pub use error::{Error, Result};
pub use targets::*;
