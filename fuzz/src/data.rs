//! Stands in for `src/data/mod.rs`: those of its modules that the readers need.

use std::path::PathBuf;

use labels::LabelMatrix;

#[path = "../../src/data/array_file.rs"]
pub mod array_file;
#[path = "../../src/data/categories.rs"]
pub mod categories;
#[path = "../../src/data/cooccurrence.rs"]
pub mod cooccurrence;
#[path = "../../src/data/formats/mod.rs"]
pub mod formats;
#[path = "../../src/data/labels.rs"]
pub mod labels;
#[path = "../../src/data/score_csv.rs"]
mod score_csv;
#[path = "../../src/data/words.rs"]
pub mod words;

/// As in `src/data/mod.rs`, which splits them with a random generator of Burn's.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotations {
    pub images: Vec<PathBuf>,
    pub labels: LabelMatrix,
    pub categories: Vec<String>,
    pub source: PathBuf,
}
