//! Scores of any program and the labels to measure them with, brought together by the names that the files
//! hold: a column is measured with the labels of its category, a row with those of its image.

use std::collections::HashMap;
use std::path::Path;

use crate::annotations::Annotations;
use crate::arrays::{extension, read_matrix};
use crate::categories::did_you_mean;
use crate::error::Problems;
use crate::files::folder_of;
use crate::formats::options::Convention;
use crate::formats::{arrays, csv};
use crate::labels::LabelMatrix;
use crate::matrix::Matrix;
use crate::{Error, Result};

/// Scores with the labels of the same images and categories, in the order of the labels.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreFiles {
    /// `N × C` values, row by row.
    pub scores: Vec<f32>,
    /// Labels, `N × C`.
    pub labels: LabelMatrix,
    /// Names of the C categories.
    pub names: Vec<String>,
    /// What a person should know of how they were brought together.
    pub notes: Vec<String>,
}

/// Reads scores, as [`read_matrix`] does, and labels: our own CSV, or an array of numbers whose meaning
/// `convention` says.
///
/// # Errors
/// What is wrong with either file; names that the other file does not have; other numbers of rows or columns
/// where there are no names to go by.
pub fn read(scores: &Path, labels: &Path, convention: Option<Convention>) -> Result<ScoreFiles> {
    let matrix = read_matrix(scores)?;
    if extension(labels) != "csv" {
        let (labels_read, note) = arrays::read_labels(labels, convention)?;
        let columns = labels_read.categories();
        same_shape(&matrix, scores, (labels_read.images(), columns), labels)?;
        let numbered = || (1..=columns).map(|column| format!("category {column}")).collect();
        let names = matrix.column_names.unwrap_or_else(numbered);
        let note = note.map(|note| format!("{}: {note}", labels.display()));
        return Ok(ScoreFiles {
            scores: matrix.values,
            labels: labels_read,
            names,
            notes: Vec::from_iter(note),
        });
    }
    if convention.is_some() {
        let what = "a CSV of ours says itself what is unknown; --convention is for arrays of numbers";
        return Err(Error::Usage(format!("{}: {what}", labels.display())));
    }
    let annotations = csv::read(labels)?;
    let places = Places::of(&matrix, scores, &annotations)?;
    Ok(places.pick(&matrix, scores, annotations))
}

fn same_shape(matrix: &Matrix, scores: &Path, (rows, columns): (usize, usize), labels: &Path) -> Result<()> {
    if (matrix.rows, matrix.cols) == (rows, columns) {
        return Ok(());
    }
    Err(Error::Data(format!(
        "{} holds {} × {} scores, but {} holds {rows} × {columns} labels",
        scores.display(),
        matrix.rows,
        matrix.cols,
        labels.display()
    )))
}

/// Where the labels' images and categories are among the scores.
struct Places {
    rows: Vec<usize>,
    columns: Vec<usize>,
}

impl Places {
    fn of(matrix: &Matrix, scores: &Path, annotations: &Annotations) -> Result<Self> {
        let labels = &annotations.labels;
        let row_names = matrix.row_names.as_ref().filter(|names| !are_numbers(names));
        // Along an axis with names, the names decide.
        let expected = (
            if row_names.is_some() { matrix.rows } else { labels.images() },
            if matrix.column_names.is_some() { matrix.cols } else { labels.categories() },
        );
        same_shape(matrix, scores, expected, &annotations.source)?;
        let mut problems = Problems::default();
        let columns = match &matrix.column_names {
            None => (0..labels.categories()).collect(),
            Some(names) => place(names, &annotations.categories, "column", scores, &mut problems),
        };
        let rows = match row_names {
            None => (0..labels.images()).collect(),
            Some(names) => {
                let folder = folder_of(&annotations.source);
                let wanted: Vec<String> = annotations
                    .images
                    .iter()
                    .map(|image| image.strip_prefix(folder).unwrap_or(image).display().to_string())
                    .collect();
                place(names, &wanted, "row", scores, &mut problems)
            }
        };
        problems.or(Self { rows, columns })
    }

    fn pick(self, matrix: &Matrix, path: &Path, annotations: Annotations) -> ScoreFiles {
        let at = |row: usize, column: usize| matrix.values[row * matrix.cols + column];
        let scores =
            self.rows.iter().flat_map(|&row| self.columns.iter().map(move |&column| at(row, column)));
        let left_out = |all: usize, used: usize, what: &str| {
            let left = all - used;
            (left > 0).then(|| format!("{}: {left} {what} without labels are left out", path.display()))
        };
        let notes = [
            left_out(matrix.rows, self.rows.len(), "images"),
            left_out(matrix.cols, self.columns.len(), "categories"),
        ];
        ScoreFiles {
            scores: scores.collect(),
            labels: annotations.labels,
            names: annotations.categories,
            notes: notes.into_iter().flatten().collect(),
        }
    }
}

/// Whether names are only numbers, as those of rows that pandas counts.
fn are_numbers(names: &[String]) -> bool {
    names.iter().enumerate().all(|(row, name)| name.trim().parse() == Ok(row))
}

/// The place of each wanted name; a problem for each that is missing or there twice.
fn place(
    names: &[String],
    wanted: &[String],
    what: &str,
    path: &Path,
    problems: &mut Problems,
) -> Vec<usize> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (place, name) in names.iter().enumerate() {
        if places.insert(name.trim(), place).is_some() {
            problems.push(format!("{}: {name:?} names two {what}s", path.display()));
        }
    }
    let found = wanted.iter().filter_map(|name| {
        let place = places.get(name.trim()).copied();
        if place.is_none() {
            let hint = did_you_mean(name, names.iter().map(String::as_str));
            problems.push(format!("{}: no {what} is called {name:?}{hint}", path.display()));
        }
        place
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(scores: &str, labels: &str) -> (tempfile::TempDir, Result<ScoreFiles>) {
        let folder = tempfile::tempdir().unwrap();
        let (s, l) = (folder.path().join("scores.csv"), folder.path().join("labels.csv"));
        std::fs::write(&s, scores).unwrap();
        std::fs::write(&l, labels).unwrap();
        let read = read(&s, &l, None);
        (folder, read)
    }

    const LABELS: &str = "image,cat,dog\na.jpg,1,0\nb.jpg,0,1\n";

    #[test]
    fn rows_and_columns_are_found_by_name() {
        let (_folder, read) = files("image,dog,bird,cat\nc.jpg,9,9,9\nb.jpg,4,0,3\na.jpg,2,0,1\n", LABELS);
        let read = read.unwrap();
        assert_eq!((read.scores, read.names), (vec![1.0, 2.0, 3.0, 4.0], vec!["cat".into(), "dog".into()]));
        assert_eq!(read.notes.len(), 2);
        assert!(read.notes[0].ends_with("1 images without labels are left out"), "{:?}", read.notes);
        assert!(read.notes[1].ends_with("1 categories without labels are left out"), "{:?}", read.notes);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let rows = "image,cat,dog\na.jpg,1,2\nb.jpg,3,4\nc.jpg,5,6\nd.jpg,7,8\ne.jpg,7,8\n";
        let (_folder, read) = files(rows, LABELS);
        let read = read.unwrap();
        assert_eq!(read.scores, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(read.notes.len(), 1);
        assert!(read.notes[0].ends_with("3 images without labels are left out"), "{:?}", read.notes);
    }

    #[test]
    fn without_names_the_order_counts_and_the_shape_must_fit() {
        let (_folder, read) = files("1,2\n3,4\n", LABELS);
        assert_eq!(read.unwrap().scores, [1.0, 2.0, 3.0, 4.0]);
        // The index that pandas writes names nothing.
        let (_folder, read) = files(",cat,dog\n0,1,2\n1,3,4\n", LABELS);
        assert_eq!(read.unwrap().scores, [1.0, 2.0, 3.0, 4.0]);
        let (_folder, read) = files("1,2\n", LABELS);
        assert!(read.unwrap_err().to_string().contains("1 × 2 scores"), "the shape is named");
    }

    #[test]
    fn names_that_do_not_match_are_refused_all_at_once() {
        let (_folder, read) = files("image,cat,dgo\na.jpg,1,2\nx.jpg,3,4\n", LABELS);
        let text = read.unwrap_err().to_string();
        assert!(text.contains("no column is called \"dog\"; did you mean \"dgo\"?"), "{text}");
        assert!(text.contains("no row is called \"b.jpg\""), "{text}");
        let (_folder, read) = files("image,cat,cat,dog\na.jpg,1,2,3\nb.jpg,3,4,5\n", LABELS);
        assert!(read.unwrap_err().to_string().contains("\"cat\" names two columns"));
    }

    #[test]
    fn an_array_of_0_and_1_needs_a_convention_and_nan_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let npy =
            |name: &str, values: &[f32]| crate::arrays::npy::write(&path(name), values, &[2, 2]).unwrap();
        npy("scores.npy", &[1.0, 2.0, 3.0, 4.0]);
        npy("labels.npy", &[1.0, 0.0, 0.0, 1.0]);
        let with = |convention| read(&path("scores.npy"), &path("labels.npy"), convention);
        let error = with(None).unwrap_err();
        assert!(error.to_string().contains("--convention"), "{error}");
        assert_eq!(with(Some(Convention::Complete)).unwrap().labels.to_floats(), [1.0, -1.0, -1.0, 1.0]);
        // Without 0, only -1 can mean not there, however few positives there are.
        npy("labels.npy", &[1.0, -1.0, -1.0, -1.0]);
        assert_eq!(with(None).unwrap().labels.to_floats(), [1.0, -1.0, -1.0, -1.0]);
        npy("labels.npy", &[1.0, f32::NAN, 0.0, 1.0]);
        let read = with(None).unwrap();
        assert_eq!(read.labels.to_floats(), [1.0, 0.0, -1.0, 1.0]);
        assert!(read.notes[0].contains("1 NaN read as unknown, 1 of 0 as not there"), "{:?}", read.notes);
        assert_eq!(with(Some(Convention::Csl)).unwrap().labels.to_floats(), [1.0, 0.0, -1.0, 1.0]);
    }
}
