//! Arrays of numbers in files of other programs: `.npy` and `.safetensors`.
//!
//! An [`ArrayFile`] is memory-mapped: a row is converted when it is read, so that features larger
//! than memory can be used.

pub mod npy;
mod score_csv;

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use crate::formats::report::shown;
use crate::matrix::Matrix;
use crate::{Error, Result};

const NUMBERS: &str =
    "float16, float32, float64, int8, uint8, int32 or int64 (in safetensors bfloat16 as well)";

/// Reads a matrix, such as scores `[N, C]`, from `.npy`, `.safetensors` or `.csv`.
///
/// A CSV may begin with a header line and a first column of names. The first line is a header when
/// any cell after the first is not a number; the first column holds names when any of its cells is not a
/// number, or when the header calls it `image`, or nothing as pandas does.
///
/// # Errors
/// [`Error::Missing`], [`Error::Io`], or [`Error::Data`] naming the cell that is not a finite number.
pub fn read_matrix(path: &Path) -> Result<Matrix> {
    if extension(path) == "csv" {
        return score_csv::read(path);
    }
    let array = ArrayFile::open(path, "scores")?;
    let [rows, cols] = array.shape[..] else {
        return Err(array.refuse(format!("shape {:?}; expected two axes, [rows, columns]", array.shape)));
    };
    let mut values = vec![0.0; rows * cols];
    for (row, into) in values.chunks_exact_mut(cols).enumerate() {
        array.read_row(row, into)?;
    }
    Ok(Matrix { rows, cols, values, column_names: None, row_names: None })
}

/// How the name of a file ends, in small letters.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// How one number is stored.
#[derive(Debug, Clone, Copy)]
enum Element {
    F16,
    Bf16,
    F32,
    F64,
    /// Whole numbers, as arrays of labels often are.
    I8,
    U8,
    I32,
    I64,
}

impl Element {
    fn bytes(self) -> usize {
        match self {
            Element::I8 | Element::U8 => 1,
            Element::F16 | Element::Bf16 => 2,
            Element::F32 | Element::I32 => 4,
            Element::F64 | Element::I64 => 8,
        }
    }

    /// Converts as many stored numbers as `into` has room for; each is reversed if `big_endian`.
    fn convert(self, bytes: &[u8], big_endian: bool, into: &mut [f32]) {
        match self {
            Element::F16 => convert(bytes, big_endian, into, |number| f16::from_le_bytes(number).to_f32()),
            Element::Bf16 => convert(bytes, big_endian, into, |number| bf16::from_le_bytes(number).to_f32()),
            Element::F32 => convert(bytes, big_endian, into, f32::from_le_bytes),
            Element::F64 => convert(bytes, big_endian, into, |number| f64::from_le_bytes(number) as f32),
            Element::I8 => convert(bytes, big_endian, into, |number| f32::from(i8::from_le_bytes(number))),
            Element::U8 => convert(bytes, big_endian, into, |number| f32::from(u8::from_le_bytes(number))),
            Element::I32 => convert(bytes, big_endian, into, |number| i32::from_le_bytes(number) as f32),
            Element::I64 => convert(bytes, big_endian, into, |number| i64::from_le_bytes(number) as f32),
        }
    }
}

fn convert<const N: usize>(bytes: &[u8], big_endian: bool, into: &mut [f32], value: impl Fn([u8; N]) -> f32) {
    for (into, &(mut number)) in into.iter_mut().zip(bytes.as_chunks::<N>().0) {
        if big_endian {
            number.reverse();
        }
        *into = value(number);
    }
}

/// An array of floating-point numbers in a file, whose first axis counts rows. Rows are read from the file when they
/// are wanted; one that is cut short meanwhile is an error and, unlike with a mapped file, nothing worse.
#[derive(Debug)]
pub struct ArrayFile {
    path: PathBuf,
    file: File,
    /// Bytes of the file when it was opened.
    length: usize,
    /// Where the numbers begin.
    start: usize,
    shape: Vec<usize>,
    element: Element,
    big_endian: bool,
    fortran_order: bool,
}

/// Where the numbers of a file lie, as its header says.
struct Layout {
    start: usize,
    shape: Vec<usize>,
    element: Element,
    big_endian: bool,
    fortran_order: bool,
}

impl ArrayFile {
    /// Opens a `.npy` file, or a `.safetensors` file with one tensor or one called `name`.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`], or [`Error::Data`] saying what is accepted.
    pub fn open(path: &Path, name: &str) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let file = File::open(path).map_err(io)?;
        // SAFETY: the map is read-only, and gone when the header is read. A file cut short by somebody else at this
        // very moment ends the program, as for every program that maps files.
        let bytes = unsafe { Mmap::map(&file) }.map_err(io)?;
        let layout = match extension(path).as_str() {
            "npy" => npy_layout(&bytes),
            "safetensors" => safetensors_layout(&bytes, name),
            _ => Err("expected a file called .npy or .safetensors".into()),
        };
        let Layout { start, shape, element, big_endian, fortran_order } =
            layout.map_err(|reason| Error::Data(format!("{}: {reason}", path.display())))?;
        let (path, length) = (path.to_path_buf(), bytes.len());
        let array = Self { path, file, length, start, shape, element, big_endian, fortran_order };
        array.check_length()?;
        Ok(array)
    }

    /// Sizes of the axes, none of them 0.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills `into` with row `row`, later axes in C order.
    ///
    /// # Errors
    /// [`Error::Data`] for a value that is not a finite `f32`, [`Error::Io`] if the file can no longer be read.
    ///
    /// # Panics
    /// If there is no such row or `into` has not a row's length.
    pub fn read_row(&self, row: usize, into: &mut [f32]) -> Result<()> {
        let row_len: usize = self.shape[1..].iter().product();
        assert!(row < self.shape[0] && into.len() == row_len, "row {row} of {:?}", self.shape);
        let size = self.element.bytes();
        let read = |place: usize, bytes: &mut [u8]| {
            let read = read_exact_at(&self.file, bytes, (self.start + place * size) as u64);
            read.map_err(|source| Error::io(&self.path, source))
        };
        let mut bytes = vec![0; if self.fortran_order { size } else { row_len * size }];
        if self.fortran_order {
            for (index, value) in into.iter_mut().enumerate() {
                read(self.fortran_place(row, index), &mut bytes)?;
                self.element.convert(&bytes, self.big_endian, std::slice::from_mut(value));
            }
        } else {
            read(row * row_len, &mut bytes)?;
            self.element.convert(&bytes, self.big_endian, into);
        }
        match into.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(index) => Err(self.refuse(format!(
                "row {row}, value {index} (both from 0) is {}; expected finite numbers of 32 bits",
                into[index]
            ))),
        }
    }

    /// An error about this file.
    pub fn refuse(&self, reason: String) -> Error {
        Error::Data(format!("{}: {reason}", self.path.display()))
    }

    /// Where value `index` of `row` lies when the first axis is the fastest.
    fn fortran_place(&self, row: usize, mut index: usize) -> usize {
        let mut place = row;
        let mut stride: usize = self.shape.iter().product();
        for &size in self.shape[1..].iter().rev() {
            stride /= size;
            place += index % size * stride;
            index /= size;
        }
        place
    }

    fn check_length(&self) -> Result<()> {
        if self.shape.is_empty() || self.shape.contains(&0) {
            return Err(
                self.refuse(format!("shape {:?}; expected at least one row and one value", self.shape))
            );
        }
        let count = self.shape.iter().try_fold(self.element.bytes(), |all, &size| all.checked_mul(size));
        match count.and_then(|count| count.checked_add(self.start)) {
            Some(end) if end <= self.length => Ok(()),
            _ => Err(self.refuse(format!(
                "shape {:?} needs more than the {} bytes of the file; is it cut short?",
                self.shape, self.length
            ))),
        }
    }
}

/// Fills `bytes` from a place of a file, wherever its cursor is.
#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// As on Unix; the cursor moves, and nothing here depends on it.
#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        (bytes, offset) = (&mut bytes[read..], offset + read as u64);
    }
    Ok(())
}

fn npy_layout(bytes: &[u8]) -> Result<Layout, String> {
    let mut reader = Cursor::new(bytes);
    let header = npy::Header::read(&mut reader, NUMBERS).map_err(|_| "no NumPy array".to_owned())??;
    let descr = &header.descr;
    let element = match descr.trim_start_matches(['<', '>', '|', '=']) {
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        "i1" => Element::I8,
        "u1" => Element::U8,
        "i4" => Element::I32,
        "i8" => Element::I64,
        _ => return Err(format!("holds numbers of type {}; expected {NUMBERS}", shown(descr))),
    };
    let sizes =
        header.sizes.and_then(|sizes| sizes.into_iter().map(|size| usize::try_from(size).ok()).collect());
    Ok(Layout {
        start: reader.position() as usize,
        shape: sizes.ok_or_else(|| format!("shape ({}) does not fit this machine", header.shape))?,
        element,
        big_endian: descr.starts_with('>'),
        fortran_order: header.fortran_order,
    })
}

fn safetensors_layout(bytes: &[u8], name: &str) -> Result<Layout, String> {
    let (header_len, metadata) =
        SafeTensors::read_metadata(bytes).map_err(|error| format!("no safetensors file: {error}"))?;
    let tensors = metadata.tensors();
    let tensor = match tensors.get(name) {
        Some(tensor) => tensor,
        None if tensors.len() == 1 => tensors.values().next().expect("there is one"),
        None => {
            let mut names: Vec<&String> = tensors.keys().collect();
            names.sort();
            names.truncate(5);
            return Err(format!(
                "holds {} tensors, such as {names:?}; expected one, or one called {name:?}",
                tensors.len()
            ));
        }
    };
    let element = match tensor.dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::I8 => Element::I8,
        Dtype::U8 => Element::U8,
        Dtype::I32 => Element::I32,
        Dtype::I64 => Element::I64,
        other => return Err(format!("holds numbers of type {other:?}; expected {NUMBERS}")),
    };
    // 8 bytes of length before the header.
    let start = 8 + header_len + tensor.data_offsets.0;
    Ok(Layout { start, shape: tensor.shape.clone(), element, big_endian: false, fortran_order: false })
}

#[cfg(test)]
mod tests;
