//! Scores that a run has kept, checked against the labels that they are measured with.

use std::path::Path;

use sarb_labels::LabelMatrix;
use sarb_labels::arrays::read_matrix;

use crate::{Error, Result, bootstrap};

/// The scores in a file, `N × C` row by row, whose mAP is known to be `map`.
///
/// # Errors
/// [`Error::Data`] if they do not fit the labels, or have another mAP with these.
pub fn saved_scores(path: &Path, labels: &LabelMatrix, map: f64) -> Result<Vec<f32>> {
    let matrix = read_matrix(path)?;
    if (matrix.rows, matrix.cols) != (labels.images(), labels.categories()) {
        return Err(Error::Data(format!(
            "{}: {} × {} scores, but the labels are of {} images × {} categories; give the data folder with --data, or evaluate the run again",
            path.display(),
            matrix.rows,
            matrix.cols,
            labels.images(),
            labels.categories()
        )));
    }
    let found = bootstrap::map_of(&matrix.values, labels);
    if (found - map).abs() > 1e-6 {
        return Err(Error::Data(format!(
            "{}: mAP {found:.4} with these labels, but the evaluation of the run says {map:.4}; give the data folder with --data, or evaluate the run again",
            path.display(),
        )));
    }
    Ok(matrix.values)
}
