//! Features that the user computed with a network of their own, used instead of images.

use std::path::Path;

use sarb_labels::arrays::ArrayFile;

use crate::loader::{ExampleKind, Examples, View};
use crate::{Error, Result};

/// Features of N examples, `[N, D]` (as D maps of 1 × 1) or `[N, D, H, W]`; every view is the same.
///
/// A `.npy` file, or a `.safetensors` file with one tensor or one called `features`. It is mapped,
/// not loaded: rows are read when they are wanted.
#[derive(Debug)]
pub struct Features {
    array: ArrayFile,
    shape: [usize; 3],
}

impl Features {
    /// Opens the features of `rows_expected` examples.
    ///
    /// # Errors
    /// [`crate::Error::Missing`] without the file and [`crate::Error::Data`] for another number of
    /// rows, of axes or another type of number than accepted.
    pub fn open(path: &Path, rows_expected: usize) -> Result<Self> {
        let features = Self::open_all(path)?;
        match features.rows() {
            rows if rows == rows_expected => Ok(features),
            rows => Err(Error::Data(format!(
                "{}: {rows} rows; expected {rows_expected}, one for each image, in the order of the label file",
                path.display()
            ))),
        }
    }

    /// Opens the features of however many examples there are.
    pub(crate) fn open_all(path: &Path) -> Result<Self> {
        let array = ArrayFile::open(path, "features")?;
        let shape = match *array.shape() {
            [_, channels] => [channels, 1, 1],
            [_, channels, height, width] => [channels, height, width],
            ref shape => {
                let what = format!("shape {shape:?}; expected [N, D] or [N, D, H, W]");
                return Err(array.refuse(what).into());
            }
        };
        Ok(Self { array, shape })
    }

    /// [`open`](Self::open) for a model that reads maps of so many `channels`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); [`crate::Error::Data`] for another number of channels.
    pub fn open_for(path: &Path, rows_expected: usize, channels: usize) -> Result<Self> {
        Self::open(path, rows_expected)?.of_channels(path, channels)
    }

    /// Opens the features of however many examples, for a model that reads maps of so many `channels`.
    ///
    /// # Errors
    /// Those of [`open_for`](Self::open_for), but for the number of rows.
    pub fn open_all_for(path: &Path, channels: usize) -> Result<Self> {
        Self::open_all(path)?.of_channels(path, channels)
    }

    fn of_channels(self, path: &Path, channels: usize) -> Result<Self> {
        match self.shape[0] {
            found if found == channels => Ok(self),
            found => Err(Error::Data(format!(
                "{}: features of {found} channels; the training features have {channels}",
                path.display()
            ))),
        }
    }

    /// Of how many examples these are.
    pub fn rows(&self) -> usize {
        self.array.shape()[0]
    }
}

impl Examples for Features {
    fn kind(&self) -> ExampleKind {
        ExampleKind::Map
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn read(&self, row: usize, _: View, into: &mut [f32]) -> Result<()> {
        Ok(self.array.read_row(row, into)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;
    use sarb_labels::arrays::npy;

    fn row(features: &Features, row: usize) -> Vec<f32> {
        let mut values = vec![0.0; features.shape().iter().product()];
        features.read(row, View::Augmented { seed: 1, epoch: 2 }, &mut values).unwrap();
        values
    }

    #[test]
    fn vectors_and_maps_are_read_by_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.npy");
        npy::write(&path, &[0.0, 1.0, 10.0, 11.0, 20.0, 21.0], &[3, 2]).unwrap();
        let vectors = Features::open(&path, 3).unwrap();
        assert_eq!(vectors.shape(), [2, 1, 1]);
        assert_eq!(row(&vectors, 2), [20.0, 21.0]);

        let maps: Vec<f32> = (0..24u8).map(f32::from).collect();
        npy::write(&path, &maps, &[2, 3, 2, 2]).unwrap();
        let maps = Features::open(&path, 2).unwrap();
        assert_eq!((maps.shape(), row(&maps, 1)), ([3, 2, 2], (12..24u8).map(f32::from).collect()));
    }

    #[test]
    fn safetensors_are_found_by_name_or_by_being_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.safetensors");
        let numbers: Vec<u8> = [0.5f32, 1.0, -2.0, 4.0]
            .iter()
            .flat_map(|&number| bf16::from_f32(number).to_le_bytes())
            .collect();
        let tensor = || TensorView::new(Dtype::BF16, vec![2, 2], &numbers).unwrap();
        let write = |names: &[&str]| {
            let tensors: Vec<_> = names.iter().map(|&name| (name, tensor())).collect();
            safetensors::serialize_to_file(tensors, None, &path).unwrap();
        };
        for names in [&["embedding"][..], &["features"], &["a", "features", "z"]] {
            write(names);
            assert_eq!(row(&Features::open(&path, 2).unwrap(), 1), [-2.0, 4.0], "{names:?}");
        }
        write(&["a", "b"]);
        let text = Features::open(&path, 2).unwrap_err().to_string();
        assert!(text.contains("2 tensors") && text.contains("\"features\""), "{text}");
    }

    #[test]
    fn what_does_not_fit_the_labels_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.npy");
        npy::write(&path, &[0.0, 1.0, f32::INFINITY, 3.0], &[2, 2]).unwrap();
        let text = Features::open(&path, 5).unwrap_err().to_string();
        assert!(text.contains("2 rows; expected 5"), "{text}");
        let mut values = [0.0; 2];
        let error = Features::open(&path, 2).unwrap().read(1, View::Clean, &mut values).unwrap_err();
        assert!(error.to_string().contains("row 1, value 0 (both from 0) is inf"), "{error}");
        npy::write(&path, &[0.0, 1.0], &[2, 1, 1]).unwrap();
        assert!(Features::open(&path, 2).unwrap_err().to_string().contains("[N, D, H, W]"));
        assert!(Features::open(&folder.path().join("g.npy"), 2).unwrap_err().is_missing());
    }
}
