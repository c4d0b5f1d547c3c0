//! NumPy's `.npy` format: writing arrays, and the header of one that is read.
//!
//! The format is NEP 1 (<https://numpy.org/neps/nep-0001-npy-format.html>). Headers are read here and not
//! by a crate: they come from outside, and must not make us allocate or recurse as they like.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::files::write_atomically;

/// Writes `values` row by row as float32 of `shape`.
///
/// # Panics
/// If there are not as many values as `shape` says.
pub fn write(path: &Path, values: &[f32], shape: &[usize]) -> crate::Result<()> {
    assert_eq!(values.len(), shape.iter().product::<usize>(), "values of an array of shape {shape:?}");
    write_atomically(path, |writer| {
        write_header(writer, "<f4", shape)?;
        values.iter().try_for_each(|value| writer.write_all(&value.to_le_bytes()))
    })
}

/// Writes the header (format 1.0) of an array in C order; the numbers follow it. The numbers begin at a
/// multiple of 64 bytes, as NumPy has them.
pub(crate) fn write_header(writer: &mut impl Write, descr: &str, shape: &[usize]) -> io::Result<()> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let before = MAGIC.len() + 2;
    let length = (before + text.len() + 1).next_multiple_of(64) - before;
    writer.write_all(MAGIC)?;
    writer.write_all(&(length as u16).to_le_bytes())?;
    writeln!(writer, "{text:<width$}", width = length - 1)
}

/// A matrix of float32 whose rows come one after the other, and whose header is written when their number is known.
#[derive(Debug)]
pub struct RowWriter<W> {
    writer: W,
    columns: usize,
    rows: usize,
}

impl<W: Write + Seek> RowWriter<W> {
    /// Begins a matrix.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(mut writer: W, columns: usize) -> io::Result<Self> {
        write_header(&mut writer, "<f4", &[0, columns])?;
        Ok(Self { writer, columns, rows: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If it cannot be written.
    ///
    /// # Panics
    /// If it has not as many values as there are columns.
    pub fn push(&mut self, values: &[f32]) -> io::Result<()> {
        assert_eq!(values.len(), self.columns, "values of a row");
        self.rows += 1;
        values.iter().try_for_each(|value| self.writer.write_all(&value.to_le_bytes()))
    }

    /// Writes how many rows there are, and gives the writer back.
    ///
    /// # Errors
    /// If it cannot be written, or not at its beginning, as a pipe.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.rewind()?;
        // As long as the first one: the two numbers never fill it.
        write_header(&mut self.writer, "<f4", &[self.rows, self.columns])?;
        self.writer.seek(SeekFrom::End(0))?;
        Ok(self.writer)
    }
}

/// The first bytes of an array of format 1.0.
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// Longest header; NumPy itself takes 10,000 bytes.
const LONGEST_HEADER: usize = 1 << 16;

/// What the header of an array says.
#[derive(Debug, PartialEq)]
pub(crate) struct Header {
    /// The type of its numbers, such as `<f4`.
    pub descr: String,
    /// Whether the first axis changes fastest.
    pub fortran_order: bool,
    /// The shape as it is written, without brackets.
    pub shape: String,
    /// Its sizes, if they are whole numbers.
    pub sizes: Option<Vec<u64>>,
}

impl Header {
    /// Reads a header and leaves `source` at the first number; what is wrong with its text is the inner error,
    /// which says for records what is `accepted`.
    ///
    /// # Errors
    /// Of the source, or [`ErrorKind::InvalidData`] for what is not a NumPy array.
    pub fn read(source: &mut impl Read, accepted: &str) -> io::Result<Result<Self, String>> {
        let damaged = || io::Error::from(ErrorKind::InvalidData);
        let mut start = [0; 8];
        source.read_exact(&mut start)?;
        let length = match (&start[..6], start[6]) {
            (b"\x93NUMPY", 1) => {
                let mut length = [0; 2];
                source.read_exact(&mut length)?;
                usize::from(u16::from_le_bytes(length))
            }
            (b"\x93NUMPY", 2 | 3) => {
                let mut length = [0; 4];
                source.read_exact(&mut length)?;
                u32::from_le_bytes(length) as usize
            }
            _ => return Err(damaged()),
        };
        if length > LONGEST_HEADER {
            return Err(damaged());
        }
        let mut text = vec![0; length];
        source.read_exact(&mut text)?;
        let text = String::from_utf8(text).map_err(|_| damaged())?;
        Ok(Self::parse(&text, accepted))
    }

    /// From its text, a Python dictionary.
    pub fn parse(text: &str, accepted: &str) -> Result<Self, String> {
        let value = |key: &str| {
            let (_, after) =
                ["'", "\""].iter().find_map(|quote| text.split_once(&format!("{quote}{key}{quote}")))?;
            after.trim_start().strip_prefix(':').map(str::trim_start)
        };
        let missing = |key: &str| format!("no NumPy array: its header does not say {key}");
        let descr = value("descr").ok_or_else(|| missing("descr"))?;
        let quote = descr.chars().next().filter(|quote| ['\'', '"'].contains(quote));
        let descr = quote.and_then(|quote| descr[1..].split_once(quote)).map(|(descr, _)| descr.to_owned());
        let descr = descr.ok_or_else(|| format!("holds records; expected {accepted}"))?;
        let fortran_order = match value("fortran_order") {
            Some(it) if it.starts_with("True") => true,
            Some(it) if it.starts_with("False") => false,
            _ => return Err(missing("fortran_order")),
        };
        let shape = value("shape").and_then(|it| it.strip_prefix('(')).and_then(|it| it.split_once(')'));
        let (shape, _) = shape.ok_or_else(|| missing("shape"))?;
        // Python 2 wrote long integers as 3L.
        let sizes = shape.split(',').map(|size| size.trim().trim_end_matches('L'));
        let sizes: Result<Vec<u64>, _> = sizes.filter(|size| !size.is_empty()).map(str::parse).collect();
        Ok(Self { descr, fortran_order, shape: shape.to_owned(), sizes: sizes.ok() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrays::read_matrix;

    #[test]
    fn a_matrix_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let values = [0.1, f32::MIN_POSITIVE, 1.0 / 3.0, -0.0];
        write(&path, &values, &[2, 2]).unwrap();
        let back = read_matrix(&path).unwrap();
        assert!((std::fs::read(&path).unwrap().len() - 4 * 4).is_multiple_of(64), "as NumPy aligns them");
        assert!(back.values.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())));
    }

    #[test]
    fn rows_that_came_one_by_one_are_the_matrix_that_is_written_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        for rows in [0, 1, 12_345] {
            let values: Vec<f32> = (0..rows * 3).map(|value| value as f32).collect();
            write(&path, &values, &[rows, 3]).unwrap();
            let mut writer = RowWriter::new(io::Cursor::new(Vec::new()), 3).unwrap();
            values.chunks_exact(3).for_each(|row| writer.push(row).unwrap());
            assert_eq!(writer.finish().unwrap().into_inner(), std::fs::read(&path).unwrap());
        }
        let mut longest = Vec::new();
        write_header(&mut longest, "<f4", &[usize::MAX, usize::MAX]).unwrap();
        assert_eq!(longest.len(), 128, "as long as the header of no rows");
    }

    #[test]
    fn numbers_begin_at_the_next_multiple_of_64_whatever_the_header_holds() {
        for axes in 1..60 {
            let mut bytes = Vec::new();
            write_header(&mut bytes, "<f4", &vec![1; axes]).unwrap();
            let text = bytes.trim_ascii_end();
            assert!(bytes.len().is_multiple_of(64) && bytes.ends_with(b"\n"), "{axes}: {}", bytes.len());
            assert!(bytes.len() - text.len() <= 64 && text.ends_with(b"}"), "{axes}: {}", text.len());
            let header = Header::read(&mut &bytes[..], "").unwrap().unwrap();
            assert_eq!(header.sizes, Some(vec![1; axes]));
        }
    }

    #[test]
    fn headers_of_later_versions_are_read_up_to_the_longest() {
        let read = |version: u8, length: usize| {
            let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3L), }";
            let blanks = " ".repeat(length - text.len());
            let start = [&b"\x93NUMPY"[..], &[version, 0], &(length as u32).to_le_bytes()].concat();
            Header::read(&mut &[start, text.into(), blanks.into()].concat()[..], "")
        };
        for version in [2, 3] {
            assert_eq!(read(version, LONGEST_HEADER).unwrap().unwrap().sizes, Some(vec![2, 3]));
            assert_eq!(read(version, LONGEST_HEADER + 1).unwrap_err().kind(), ErrorKind::InvalidData);
        }
        assert_eq!(read(4, 100).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn an_order_is_true_or_false() {
        let error = Header::parse("{'descr': '<f4', 'fortran_order': None, 'shape': (2,)}", "").unwrap_err();
        assert!(error.ends_with("does not say fortran_order"), "{error}");
    }
}
