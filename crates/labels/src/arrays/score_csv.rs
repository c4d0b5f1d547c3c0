//! Matrices of numbers in CSV files, as spreadsheets, pandas and this program write them.

use std::path::Path;

use crate::bounded::Bounded;
use crate::error::Problems;
use crate::matrix::Matrix;
use crate::{Error, Result};

/// See [`crate::arrays::read_matrix`].
pub(crate) fn read(path: &Path) -> Result<Matrix> {
    let lines = csv_lines(path)?;
    let refuse = |reason: &str| Error::Data(format!("{}: {reason}", path.display()));
    let is_number = |cell: &str| cell.trim().parse::<f32>().is_ok();
    let Some((_, first)) = lines.first() else {
        return Err(refuse("the file is empty; expected a line of numbers for each image"));
    };
    let header = match first.len() {
        1 => !is_number(&first[0]),
        _ => first.iter().skip(1).any(|cell| !is_number(cell) && !cell.trim().is_empty()),
    };
    let body = &lines[usize::from(header)..];
    let named = header && first.len() > 1 && ["", "image"].contains(&first[0].trim())
        || first.len() > 1
            && body.iter().any(|(_, cells)| !is_number(&cells[0]) && !cells[0].trim().is_empty());
    let skipped = usize::from(named);
    let cols = first.len() - skipped;
    let mut problems = Problems::default();
    let mut values = Vec::with_capacity(body.len() * cols);
    for (line, cells) in body {
        if cells.len() != first.len() {
            let found = cells.len();
            problems.push(format!("{}:{line}: {found} cells; expected {}", path.display(), first.len()));
        }
        for (column, cell) in cells.iter().enumerate().skip(skipped) {
            let value = cell.trim().parse().unwrap_or(f32::NAN);
            if !value.is_finite() {
                let column = column + 1;
                problems.push(format!(
                    "{}:{line}: column {column} is {cell:?}; expected a finite number",
                    path.display()
                ));
            }
            values.push(value);
        }
    }
    problems.or(())?;
    if body.is_empty() {
        return Err(refuse("only a header; expected a line of numbers for each image"));
    }
    let names = |cells: &csv::StringRecord| cells.iter().skip(skipped).map(str::to_owned).collect();
    Ok(Matrix {
        rows: body.len(),
        cols,
        values,
        column_names: header.then(|| names(first)),
        row_names: named.then(|| body.iter().map(|(_, cells)| cells[0].to_owned()).collect()),
    })
}

/// All lines that are not empty, with their numbers.
fn csv_lines(path: &Path) -> Result<Vec<(u64, csv::StringRecord)>> {
    let file = std::fs::File::open(path).map_err(|source| Error::io(path, source))?;
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(Bounded::lines(file));
    reader
        .records()
        .map(|record| match record {
            Ok(record) => Ok((record.position().map_or(0, csv::Position::line), record)),
            Err(error) => match error.into_kind() {
                csv::ErrorKind::Io(source) => Err(Error::io(path, source)),
                csv::ErrorKind::Utf8 { pos, .. } => {
                    let line = pos.map_or(0, |pos| pos.line());
                    Err(Error::Data(format!("{}:{line}: not UTF-8 text", path.display())))
                }
                other => Err(Error::Data(format!("{}: {other:?}", path.display()))),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Result<Matrix> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.csv");
        std::fs::write(&path, text).unwrap();
        crate::arrays::read_matrix(&path)
    }

    #[test]
    fn a_csv_is_read_with_and_without_names() {
        let plain = csv("0.5,-1\n2,3e1\n").unwrap();
        assert_eq!((plain.rows, plain.cols, plain.values), (2, 2, vec![0.5, -1.0, 2.0, 30.0]));
        assert_eq!((plain.column_names, plain.row_names), (None, None));

        let full = csv("image,dog,cat\na.jpg,0.5,-1\n7,2,3\n").unwrap();
        assert_eq!(full.values, [0.5, -1.0, 2.0, 3.0]);
        assert_eq!(full.column_names.unwrap(), ["dog", "cat"]);
        assert_eq!(full.row_names.unwrap(), ["a.jpg", "7"]);

        let numbered = csv("image,dog,cat\n17,0.5,-1\n18,2,3\n").unwrap();
        assert_eq!((numbered.cols, numbered.row_names.unwrap()), (2, vec!["17".into(), "18".into()]));
        assert_eq!(csv("dog,cat\n1,2\n").unwrap().cols, 2);
        assert_eq!(csv("dog\n1\n").unwrap().values, [1.0]);

        let unnamed = csv("a.jpg,0.5\nb.jpg,2\n").unwrap();
        assert_eq!((unnamed.values, unnamed.column_names), (vec![0.5, 2.0], None));
        assert_eq!(unnamed.row_names.unwrap(), ["a.jpg", "b.jpg"]);
        // A category may be called as the column of names is.
        let one = csv("image\n0.5\n").unwrap();
        assert_eq!(
            (one.values, one.row_names, one.column_names.unwrap()),
            (vec![0.5], None, vec!["image".into()])
        );
    }

    #[test]
    fn every_bad_cell_of_a_csv_is_listed_by_line() {
        let text = csv("image,dog,cat\na,1,nan\nb,,2\nc,1\n").unwrap_err().to_string();
        for part in [":2: column 3 is \"nan\"", ":3: column 2 is \"\"", ":4: 2 cells; expected 3"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        for text in ["0.5\nabc\n", ",0.5\n0.1,2\n"] {
            let message = csv(text).unwrap_err().to_string();
            assert!(
                message.contains("column 1 is") && message.contains("expected a finite number"),
                "{message}"
            );
        }
        assert!(csv("").unwrap_err().to_string().contains("empty"));
        assert!(csv("image,dog\n").unwrap_err().to_string().contains("only a header"));
    }
}
