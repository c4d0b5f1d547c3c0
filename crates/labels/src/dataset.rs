//! A data folder: `train.csv` and, if wanted, `val.csv` and `test.csv`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::annotations::Annotations;
use crate::formats::csv;
use crate::{Error, Result};

/// One part of a data set; each is a label file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// For training; labels may be hidden here and nowhere else.
    Train,
    /// For choosing among checkpoints.
    Val,
    /// For the numbers that are reported.
    Test,
}

impl Split {
    /// All splits.
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    /// The name of its label file in a data folder.
    pub fn file_name(self) -> String {
        format!("{self}.csv")
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        })
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::Usage(format!("unknown split {text:?}; expected train, val or test"));
        Split::ALL.into_iter().find(|split| split.to_string() == text).ok_or_else(unknown)
    }
}

/// The splits of a data folder, all with the same categories in the same order.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The data folder.
    pub root: PathBuf,
    /// Names of the C categories, in the column order of `train.csv`.
    pub categories: Vec<String>,
    /// `train.csv`.
    pub train: Annotations,
    /// `val.csv`, if there.
    pub val: Option<Annotations>,
    /// `test.csv`, if there.
    pub test: Option<Annotations>,
}

/// Reads the label files of a data folder: `train.csv` and, if there, `val.csv` and `test.csv`, whose
/// columns are brought into the order of `train.csv`. Opens no image.
pub fn open(dir: &Path) -> Result<Dataset> {
    let train = open_split(dir, Split::Train)?;
    let other = |split: Split| {
        if !has_split(dir, split)? {
            return Ok(None);
        }
        open_split(dir, split)?.aligned(&train.categories, &train.source).map(Some)
    };
    let (val, test) = (other(Split::Val)?, other(Split::Test)?);
    Ok(Dataset { root: dir.to_path_buf(), categories: train.categories.clone(), train, val, test })
}

/// Whether a data folder has this label file.
///
/// # Errors
/// If the folder cannot be read.
pub fn has_split(dir: &Path, split: Split) -> Result<bool> {
    let path = dir.join(split.file_name());
    path.try_exists().map_err(|error| Error::io(&path, error))
}

/// Reads one label file of a data folder; needs no other. Opens no image.
pub fn open_split(dir: &Path, split: Split) -> Result<Annotations> {
    if !dir.is_dir() {
        let what = if dir.exists() { "not a folder" } else { "no such folder" };
        let expected = "a data folder holds train.csv and, if wanted, val.csv and test.csv";
        return Err(Error::Missing(format!("{}: {what}; {expected}", dir.display())));
    }
    csv::read(&dir.join(split.file_name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelMatrix;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn rows(count: usize) -> Annotations {
        Annotations {
            images: (0..count).map(|row| format!("{row}.jpg").into()).collect(),
            labels: LabelMatrix::unknown(count, 1),
            categories: vec!["cat".into()],
            source: "train.csv".into(),
        }
    }

    #[test]
    fn splits_with_other_column_order_are_brought_into_that_of_train() {
        let folder = folder(&[
            ("train.csv", "image,cat,dog\na.jpg,1,0\n"),
            ("test.csv", "image,dog,cat\nb.jpg,1,?\n"),
        ]);
        let dataset = open(folder.path()).unwrap();
        let test = dataset.test.unwrap();
        assert_eq!(test.categories, dataset.categories);
        assert_eq!(test.labels.to_floats(), [0.0, 1.0]);
        assert!(dataset.val.is_none());
    }

    #[test]
    fn splits_with_other_categories_are_an_error_that_names_them() {
        let folder = folder(&[
            ("train.csv", "image,cat,diningtable\na.jpg,1,0\n"),
            ("val.csv", "image,cat,difffing table\nb.jpg,1,0\n"),
        ]);
        let error = open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Data);
        let text = error.to_string();
        assert!(text.contains("val.csv:1: category \"difffing table\" is not in"), "{text}");
        assert!(text.contains("; did you mean \"diningtable\"?\n"), "{text}");
        assert!(text.contains("val.csv:1: no column for category \"diningtable\" of"), "{text}");
    }

    #[test]
    fn evaluating_needs_only_its_own_split() {
        let folder = folder(&[("test.csv", "image,cat\na.jpg,1\n")]);
        assert_eq!(open_split(folder.path(), Split::Test).unwrap().images.len(), 1);
        let error = open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Missing);
        assert!(error.to_string().ends_with("train.csv: no such file or folder"), "{error}");
        assert!(
            open(Path::new("/nowhere")).unwrap_err().to_string().contains("no such folder; a data folder")
        );
    }

    #[test]
    fn split_names_read_back_and_others_are_refused() {
        for split in Split::ALL {
            assert_eq!(split.to_string().parse::<Split>().unwrap(), split);
        }
        assert_eq!("valid".parse::<Split>().unwrap_err().kind(), crate::error::Kind::Usage);
    }

    #[test]
    fn validation_rows_are_a_seeded_share_and_the_rest_trains() {
        let (train, val) = rows(100).split_validation(0.1, 3);
        assert_eq!((train.len(), val.len()), (90, 10));
        let mut all = [train.clone(), val.clone()].concat();
        assert!(train.is_sorted() && val.is_sorted());
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(rows(100).split_validation(0.1, 3), (train, val.clone()));
        assert_ne!(rows(100).split_validation(0.1, 4).1, val);
        // Recorded here: a run repeated with a later version must validate on the same rows.
        assert_eq!(val, [10, 11, 44, 48, 58, 59, 67, 70, 72, 92]);
    }

    #[test]
    fn both_sides_of_a_small_split_have_a_row() {
        let sizes = |count: usize, proportion: f64| {
            let (train, val) = rows(count).split_validation(proportion, 0);
            (train.len(), val.len())
        };
        assert_eq!(sizes(2, 0.001), (1, 1));
        assert_eq!(sizes(2, 1.0), (1, 1));
        assert_eq!(sizes(1, 0.5), (1, 0));
        assert_eq!(sizes(0, 0.5), (0, 0));
        assert_eq!(sizes(10, 0.0), (10, 0));
    }
}
