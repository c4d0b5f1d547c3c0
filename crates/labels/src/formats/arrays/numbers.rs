//! Numbers of a NumPy array, one after another, as 1, 0 and −1.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::arrays::npy;
use crate::error::Problems;
use crate::labels::{Label, LabelMatrix};
use crate::{Error, Result};

/// Most cells of an array, rows rounded up to 64: 2.5 GB of labels.
pub(super) const MOST_CELLS: u64 = 10_000_000_000;
/// Most cells of a compressed array, whose size does not show in the file: 125 MB of labels.
pub(super) const MOST_COMPRESSED_CELLS: u64 = 500_000_000;
/// How many bytes are read at once, whole numbers of each kind.
const CHUNK_BYTES: usize = 1 << 16;

const KINDS: &str = "bool, int8 … int64, uint8 … uint64, float32 or float64";

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Signed,
    Unsigned,
    Float,
}

/// What the header says.
#[derive(Debug, PartialEq)]
struct Header {
    kind: Kind,
    bytes: usize,
    big_endian: bool,
    fortran_order: bool,
    rows: u64,
    columns: u64,
}

/// The label that 1, 0 or −1 is written with, whatever it means: positive, unknown, negative.
pub(super) fn label(number: f64) -> Option<Label> {
    match number {
        1.0 => Some(Label::Positive),
        0.0 => Some(Label::Unknown),
        -1.0 => Some(Label::Negative),
        _ => None,
    }
}

/// Numbers as they are written, whatever they mean.
#[derive(Debug, PartialEq)]
pub(super) struct Numbers {
    /// 1 as positive, −1 as negative, 0 and NaN as unknown.
    pub values: LabelMatrix,
    /// Rows and columns of the cells that are NaN, as pandas writes what is missing.
    pub missing: Vec<(usize, usize)>,
}

/// Reads an array of two axes; other numbers are noted with their place.
pub(super) fn read(
    mut source: impl Read,
    path: &Path,
    most_cells: u64,
    problems: &mut Problems,
) -> Result<Numbers> {
    let refuse = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let failed = |error: io::Error, what: &str| match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
            refuse(format!("{what}; is it cut short or damaged?"))
        }
        // Not the system but the archive says so, of a compression that it does not know.
        _ if error.raw_os_error().is_none() => refuse(format!("{what}: {error}")),
        _ => Error::io(path, error),
    };
    let header = npy::Header::read(&mut source, KINDS).map_err(|error| failed(error, "no NumPy array"))?;
    let header = header.and_then(Header::of).map_err(refuse)?;
    let Header { rows, columns, .. } = header;
    let fits = columns.checked_next_multiple_of(64).and_then(|padded| padded.checked_mul(rows));
    if rows == 0 || columns == 0 || fits.is_none_or(|cells| cells > most_cells) {
        let what = if rows == 0 || columns == 0 { "no labels" } else { "too many labels for memory" };
        return Err(refuse(format!("shape ({rows}, {columns}): {what}")));
    }
    let [outer, inner] = if header.fortran_order { [columns, rows] } else { [rows, columns] };
    let mut reader =
        Lines { inner: inner as usize, lines: LabelMatrix::unknown(0, inner as usize), line: vec![] };
    let mut missing = Vec::new();
    let mut left = outer * inner;
    let mut chunk = vec![0; CHUNK_BYTES];
    while left > 0 {
        let count = left.min((CHUNK_BYTES / header.bytes) as u64);
        let bytes = &mut chunk[..count as usize * header.bytes];
        let short = format!("ends before its shape ({rows}, {columns}) is full");
        source.read_exact(bytes).map_err(|error| failed(error, &short))?;
        for number in bytes.chunks_exact(header.bytes) {
            let value = header.value(number);
            reader.push(label(value).unwrap_or_else(|| {
                if value.is_nan() {
                    let (outer, inner) = reader.place();
                    missing.push(if header.fortran_order { (inner, outer) } else { (outer, inner) });
                    return Label::Unknown;
                }
                problems.push(wrong_value(path, &header, value, reader.place()));
                Label::Unknown
            }));
        }
        left -= count;
    }
    // An archive compares its checksum at the end.
    source.read(&mut [0]).map_err(|error| failed(error, "damaged"))?;
    let values = if header.fortran_order { transposed(&reader.lines) } else { reader.lines };
    Ok(Numbers { values, missing })
}

fn wrong_value(path: &Path, header: &Header, value: f64, (outer, inner): (usize, usize)) -> String {
    let (row, column) = if header.fortran_order { (inner, outer) } else { (outer, inner) };
    let hint = match value {
        255.0 if header.kind == Kind::Unsigned => "; 255 is -1 that lost its sign: save the array as int8",
        _ => "",
    };
    format!(
        "{}: row {row}, column {column} (both from 0) is {value}; expected 1, 0 or -1{hint}",
        path.display()
    )
}

/// Rows or columns, in the order of the file.
struct Lines {
    inner: usize,
    lines: LabelMatrix,
    line: Vec<Label>,
}

impl Lines {
    /// Where the next number stands.
    fn place(&self) -> (usize, usize) {
        (self.lines.images(), self.line.len())
    }

    fn push(&mut self, label: Label) {
        self.line.push(label);
        if self.line.len() == self.inner {
            self.lines.push(&self.line);
            self.line.clear();
        }
    }
}

fn transposed(columns: &LabelMatrix) -> LabelMatrix {
    let mut rows = LabelMatrix::unknown(0, columns.images());
    let mut row = Vec::with_capacity(columns.images());
    for image in 0..columns.categories() {
        row.clear();
        row.extend(columns.column(image));
        rows.push(&row);
    }
    rows
}

impl Header {
    fn value(&self, bytes: &[u8]) -> f64 {
        let mut number = [0; 8];
        for (place, &byte) in bytes.iter().enumerate() {
            number[if self.big_endian { self.bytes - 1 - place } else { place }] = byte;
        }
        let bits = u64::from_le_bytes(number);
        match (self.kind, self.bytes) {
            (Kind::Unsigned, _) => bits as f64,
            (Kind::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Kind::Float, _) => f64::from_bits(bits),
            (Kind::Signed, bytes) => {
                // The sign is the highest of the bits that were read.
                let unread = 64 - 8 * bytes as u32;
                ((bits << unread) as i64 >> unread) as f64
            }
        }
    }
}

impl Header {
    /// Of an array of two axes with numbers of a kind that labels may have.
    fn of(header: npy::Header) -> std::result::Result<Self, String> {
        let Some([rows, columns]) = header.sizes.as_deref() else {
            return Err(format!("shape ({}); expected two axes, images and categories", header.shape));
        };
        let (kind, bytes, big_endian) = parse_kind(&header.descr)?;
        let (fortran_order, rows, columns) = (header.fortran_order, *rows, *columns);
        Ok(Self { kind, bytes, big_endian, fortran_order, rows, columns })
    }
}

fn parse_kind(text: &str) -> std::result::Result<(Kind, usize, bool), String> {
    let number = text.trim_start_matches(['<', '>', '|', '=']);
    let (kind, bytes) = match number {
        "b1" => (Kind::Unsigned, 1),
        "i1" => (Kind::Signed, 1),
        "i2" => (Kind::Signed, 2),
        "i4" => (Kind::Signed, 4),
        "i8" => (Kind::Signed, 8),
        "u1" => (Kind::Unsigned, 1),
        "u2" => (Kind::Unsigned, 2),
        "u4" => (Kind::Unsigned, 4),
        "u8" => (Kind::Unsigned, 8),
        "f4" => (Kind::Float, 4),
        "f8" => (Kind::Float, 8),
        _ => {
            let text: String = text.chars().take(20).collect();
            return Err(format!("holds numbers of type {text:?}; expected {KINDS}"));
        }
    };
    Ok((kind, bytes, text.starts_with('>')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> std::result::Result<Header, String> {
        npy::Header::parse(text, KINDS).and_then(Header::of)
    }

    #[test]
    fn headers_of_all_versions_of_numpy_are_understood() {
        let header = parsed("{'descr': '>i8', 'fortran_order': True, 'shape': (3L, 4L), }  \n").unwrap();
        let expected = Header {
            kind: Kind::Signed,
            bytes: 8,
            big_endian: true,
            fortran_order: true,
            rows: 3,
            columns: 4,
        };
        assert_eq!(header, expected);
        assert!(parsed(r#"{"shape":(2,1),"descr":"|b1","fortran_order":False}"#).is_ok());
    }

    #[test]
    fn headers_that_do_not_fit_say_what_is_accepted() {
        for (header, expected) in [
            (
                "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (2, 1), }",
                "holds records; expected bool",
            ),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (2, 1), }", "holds numbers of type \"|O\""),
            ("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }", "shape (2,); expected two axes"),
            ("{'descr': '<i4', 'fortran_order': False, 'shape': (2, -1), }", "expected two axes"),
            ("{'descr': '<i4', 'shape': (2, 1), }", "does not say fortran_order"),
            ("((((((((", "does not say descr"),
            ("{'descr': é", "holds records"),
        ] {
            let error = parsed(header).unwrap_err();
            assert!(error.contains(expected), "{error} for {header}");
        }
    }

    #[test]
    fn every_accepted_type_has_its_kind_and_its_bytes() {
        use Kind::{Float, Signed, Unsigned};
        for (text, kind, bytes) in [
            ("|b1", Unsigned, 1),
            ("|i1", Signed, 1),
            ("<i2", Signed, 2),
            ("<i4", Signed, 4),
            ("<i8", Signed, 8),
            ("|u1", Unsigned, 1),
            ("<u2", Unsigned, 2),
            ("<u4", Unsigned, 4),
            ("<u8", Unsigned, 8),
            ("<f4", Float, 4),
            ("<f8", Float, 8),
        ] {
            assert_eq!(parse_kind(text), Ok((kind, bytes, false)), "{text}");
            assert_eq!(parse_kind(&text.replace(['|', '<'], ">")), Ok((kind, bytes, true)), "{text}");
        }
        assert!(parse_kind("<f2").is_err() && parse_kind("<i16").is_err());
    }

    #[test]
    fn numbers_of_every_kind_and_order_of_bytes_are_understood() {
        let header = |kind, bytes, big_endian| Header {
            kind,
            bytes,
            big_endian,
            fortran_order: false,
            rows: 1,
            columns: 1,
        };
        assert_eq!(header(Kind::Signed, 1, false).value(&[255]), -1.0);
        assert_eq!(header(Kind::Signed, 1, false).value(&[128]), -128.0);
        assert_eq!(header(Kind::Signed, 2, true).value(&[255, 255]), -1.0);
        assert_eq!(header(Kind::Signed, 2, false).value(&[0, 128]), -32768.0);
        assert_eq!(header(Kind::Signed, 4, true).value(&[0, 0, 0, 1]), 1.0);
        assert_eq!(header(Kind::Signed, 8, false).value(&(-1i64).to_le_bytes()), -1.0);
        assert_eq!(header(Kind::Unsigned, 1, false).value(&[255]), 255.0);
        assert_eq!(header(Kind::Float, 4, false).value(&(-1f32).to_le_bytes()), -1.0);
        assert_eq!(header(Kind::Float, 8, true).value(&1f64.to_be_bytes()), 1.0);
    }
}
