//! Some images of a data folder as a folder of their own, with their labels and the user's features of them.

use std::path::{Path, PathBuf};

use sarb_labels::arrays::npy;
use sarb_labels::formats::csv;
use sarb_labels::{Annotations, Split};

use crate::inputs::Inputs;
use crate::loader::features::Features;
use crate::loader::{Examples, View};
use crate::{Error, Result};

/// The features of a part, beside its labels.
const FEATURES: &str = "features.npy";

/// Writes the rows `rows` of `all` as a split of `folder`, and the rows of the file of `features` beside it. Images
/// stay where they are.
///
/// # Errors
/// What reading the features and writing the folder says.
pub fn save(
    folder: &Path,
    split: Split,
    all: &Annotations,
    rows: &[usize],
    features: Option<&Path>,
) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    csv::write(&folder.join(split.file_name()), &all.select(rows))?;
    let Some(path) = features else { return Ok(()) };
    let features = Features::open(path, all.images.len())?;
    let [channels, height, width] = features.shape();
    let size = channels * height * width;
    let mut values = vec![0.0; rows.len() * size];
    for (row, into) in rows.iter().zip(values.chunks_exact_mut(size)) {
        features.read(*row, View::Clean, into)?;
    }
    let shape = [rows.len(), channels, height, width];
    // Vectors, where there were vectors; maps of 1 × 1 are the same to every reader.
    let shape = if height * width == 1 { &shape[..2] } else { &shape[..] };
    Ok(npy::write(&folder.join(FEATURES), &values, shape)?)
}

/// Where [`save`] puts the features of the part in `folder`, of trainings on features.
pub fn features_of(folder: &Path, inputs: &Inputs) -> Option<PathBuf> {
    inputs.features.as_ref().map(|_| folder.join(FEATURES))
}
