//! Writing NumPy's `.npy` format; [`array_file`](crate::data::array_file) reads it.

use std::path::Path;

use npyz::WriterBuilder;

use crate::Result;
use crate::files::write_atomically;

/// Writes `values` row by row as float32 of `shape`.
///
/// # Panics
/// If there are not as many values as `shape` says.
pub fn write(path: &Path, values: &[f32], shape: &[usize]) -> Result<()> {
    assert_eq!(values.len(), shape.iter().product::<usize>(), "values of an array of shape {shape:?}");
    let shape: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
    write_atomically(path, |writer| {
        let options = npyz::WriteOptions::new().default_dtype();
        let mut array = options.shape(&shape).writer(writer).begin_nd()?;
        array.extend(values.iter().copied())?;
        array.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::array_file::read_matrix;

    #[test]
    fn a_matrix_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let values = [0.1, f32::MIN_POSITIVE, 1.0 / 3.0, -0.0];
        write(&path, &values, &[2, 2]).unwrap();
        let back = read_matrix(&path).unwrap();
        assert!(back.values.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())));
    }
}
