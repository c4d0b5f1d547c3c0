//! Who gave which label, and how many of theirs look wrong.

use std::collections::HashMap;

use sarb_labels::same_files::rows_among;
use sarb_labels::{Annotations, Label};
use serde::Serialize;

use super::doubts::Doubt;
use crate::out_of_fold::OutOfFold;
use crate::{Error, Result};

/// Somebody's labels, found among those that a run is asked about.
#[derive(Debug)]
pub struct Annotator {
    /// What they are called.
    pub name: String,
    labels: Annotations,
    /// Of each image that is asked about, the row among theirs.
    rows: Vec<Option<usize>>,
    /// Of each category, the column among theirs.
    columns: Vec<Option<usize>>,
}

/// What somebody's labels are worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// What they are called.
    pub name: String,
    /// Labels of theirs that are the known ones.
    pub labels: usize,
    /// How many of these are expected to be wrong: the sum of the probabilities that they are.
    pub expected_wrong: f64,
    /// Labels of theirs that are not the known ones: others said otherwise, or they were changed.
    pub overruled: usize,
}

impl Annotator {
    /// Finds somebody's labels among those that a run is asked about.
    ///
    /// # Errors
    /// [`Error::Data`] if none of their images or categories is.
    pub fn new(name: String, labels: Annotations, scores: &OutOfFold) -> Result<Self> {
        let asked = &scores.annotations.images[..scores.asked];
        let rows = rows_among(&labels.images, asked);
        let places: HashMap<&str, usize> = labels.categories.iter().map(String::as_str).zip(0..).collect();
        let categories = &scores.annotations.categories;
        let columns: Vec<Option<usize>> =
            categories.iter().map(|name| places.get(name.as_str()).copied()).collect();
        for (what, found) in [
            ("images", rows.iter().any(Option::is_some)),
            ("categories", columns.iter().any(Option::is_some)),
        ] {
            if !found {
                let source = labels.source.display();
                return Err(Error::Data(format!(
                    "{source}: none of its {what} is among those of {}",
                    scores.annotations.source.display()
                )));
            }
        }
        Ok(Self { name, labels, rows, columns })
    }

    /// What they said of a category of an image.
    pub fn said(&self, row: usize, category: usize) -> Label {
        match (self.rows[row], self.columns[category]) {
            (Some(row), Some(column)) => self.labels.labels.get(row, column),
            _ => Label::Unknown,
        }
    }

    /// Whether a doubtful label is theirs.
    pub fn gave(&self, doubt: &Doubt) -> bool {
        self.said(doubt.row, doubt.category) == if doubt.positive { Label::Positive } else { Label::Negative }
    }

    /// What their labels are worth, by the doubts about all known labels.
    pub fn record(&self, doubts: &[Doubt]) -> Record {
        let mut record = Record { name: self.name.clone(), labels: 0, expected_wrong: 0.0, overruled: 0 };
        for doubt in doubts {
            if self.gave(doubt) {
                record.labels += 1;
                record.expected_wrong += 1.0 - doubt.probability;
            } else {
                record.overruled += usize::from(self.said(doubt.row, doubt.category) != Label::Unknown);
            }
        }
        record
    }
}

/// The names of those who gave a label, with `; ` between; nothing where nobody is known to have.
pub fn who(annotators: &[Annotator], doubt: &Doubt) -> String {
    let names: Vec<&str> = annotators.iter().filter(|it| it.gave(doubt)).map(|it| it.name.as_str()).collect();
    names.join("; ")
}
