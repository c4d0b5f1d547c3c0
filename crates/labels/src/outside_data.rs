//! Data that is not in this repository: photographs, masks and word vectors of others. Tests that read it
//! are called `outside_data_…` and ignored, unless somebody who has it asks for them; CONTRIBUTING.md says how.

use std::path::PathBuf;

/// A file below `SARB_TEST_DATA`, or below `shared` beside the repository.
pub fn outside_data(path: &str) -> PathBuf {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into();
    std::env::var_os("SARB_TEST_DATA").map_or_else(beside, PathBuf::from).join(path)
}
