//! On which line of a label file an image stands.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::formats::lines::Lines;

/// The line of every row, from 1, of a CSV file with a header and a line per image; `None` for other
/// sources and where the lines do not fit the `rows`.
///
/// Blank lines are not rows, as when the file is read.
pub(super) fn of_rows(source: &Path, rows: usize) -> Option<Vec<u32>> {
    let extension = source.extension()?;
    if !extension.eq_ignore_ascii_case("csv") {
        return None;
    }
    let mut lines = Lines::new(source, BufReader::with_capacity(1 << 20, File::open(source).ok()?));
    let mut numbers = Vec::new();
    while lines.advance().ok()? {
        numbers.push(lines.report.line as u32);
    }
    // The first is the header.
    (numbers.len() == rows + 1).then(|| numbers.split_off(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_counted_and_are_no_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        std::fs::write(&path, "\u{feff}image,cat\n\na.jpg,1\n  \r\nb.jpg,0").unwrap();
        assert_eq!(crate::formats::csv::read(&path).unwrap().images.len(), 2);
        assert_eq!(of_rows(&path, 2), Some(vec![3, 5]));
        assert_eq!(of_rows(&path, 3), None);
        assert_eq!(of_rows(&folder.path().join("val.csv"), 2), None);
        assert_eq!(of_rows(&folder.path().join("train.json"), 2), None);
    }
}
