//! Matrices in NumPy's `.npy` format.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use npyz::{NpyFile, Order, WriterBuilder};

use crate::files::write_atomically;
use crate::{Error, Result};

/// A matrix of floats, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// `rows · columns` values.
    pub values: Vec<f32>,
}

/// Reads a two-dimensional array of float32 or float64, in C or Fortran order.
///
/// # Errors
/// If it is no such array or ends too early.
pub fn read_matrix(path: &Path) -> Result<Matrix> {
    let invalid = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let file =
        NpyFile::new(BufReader::new(file)).map_err(|error| invalid(format!("no .npy file: {error}")))?;
    let shape = file.shape().to_vec();
    let &[rows, columns] = shape.as_slice() else {
        return Err(invalid(format!("an array of shape {shape:?}; expected two dimensions")));
    };
    let order = file.order();
    let values = values(file).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            invalid(format!("ends before the {rows} × {columns} values that its header announces"))
        }
        io::ErrorKind::InvalidData => invalid(error.to_string()),
        _ => Error::io(path, error),
    })?;
    // The values are in memory, so both numbers fit.
    let (rows, columns) = (rows as usize, columns as usize);
    let values = match order {
        Order::C => values,
        Order::Fortran => {
            (0..rows).flat_map(|row| (0..columns).map(move |c| c * rows + row)).map(|i| values[i]).collect()
        }
    };
    Ok(Matrix { rows, columns, values })
}

/// All values in the order of the file.
fn values(file: NpyFile<BufReader<File>>) -> io::Result<Vec<f32>> {
    let file = match file.try_data::<f32>() {
        Ok(values) => return values.collect(),
        Err(file) => file,
    };
    match file.try_data::<f64>() {
        Ok(values) => values.map(|value| value.map(|value| value as f32)).collect(),
        Err(file) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("an array of type {}; expected float32 or float64", file.dtype().descr()),
        )),
    }
}

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

    fn write<T: npyz::AutoSerialize + Copy>(path: &Path, shape: &[u64], order: Order, values: &[T]) {
        let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
        let mut array = options.writer(File::create(path).unwrap()).begin_nd().unwrap();
        array.extend(values.iter().copied()).unwrap();
        array.finish().unwrap();
    }

    #[test]
    fn both_orders_and_both_widths_give_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let expected = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        write(&path, &[2, 3], Order::C, &expected.map(f64::from));
        assert_eq!(read_matrix(&path).unwrap().values, expected);
        write(&path, &[2, 3], Order::Fortran, &[1.0f32, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(read_matrix(&path).unwrap(), Matrix { rows: 2, columns: 3, values: expected.to_vec() });
    }

    #[test]
    fn a_matrix_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let values = [0.1, f32::MIN_POSITIVE, 1.0 / 3.0, -0.0];
        super::write(&path, &values, &[2, 2]).unwrap();
        let back = read_matrix(&path).unwrap();
        assert!(back.values.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())));
    }

    #[test]
    fn what_is_no_matrix_of_floats_is_an_error_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let message = || read_matrix(&path).unwrap_err().to_string();
        assert!(message().ends_with("no such file or folder"));
        std::fs::write(&path, b"hello").unwrap();
        assert!(message().contains("no .npy file"), "{}", message());
        write(&path, &[2, 2], Order::C, &[1i64, 2, 3, 4]);
        assert!(message().contains("expected float32 or float64"), "{}", message());
        write(&path, &[4], Order::C, &[1.0f32; 4]);
        assert!(message().contains("[4]; expected two dimensions"), "{}", message());
        write(&path, &[2, 2], Order::C, &[1.0f32; 4]);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(message().contains("ends before the 2 × 2 values"), "{}", message());
    }
}
