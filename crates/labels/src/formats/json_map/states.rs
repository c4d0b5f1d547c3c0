//! What an object says of the categories of an image: true and false, or 1, 0 and −1, on whose meaning programs
//! do not agree.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::entry::said;
use crate::Result;
use crate::formats::Reading;
use crate::formats::arrays::convention::{Counted, decide};
use crate::formats::json::Scalar;
use crate::formats::marks::Marks;
use crate::formats::options::Convention;
use crate::formats::report::shown;
use crate::labels::{Label, LabelMatrix};

/// What the objects of a file have said so far.
#[derive(Debug, Default)]
pub(super) struct States {
    convention: Option<Convention>,
    /// Images that have an object, and the categories in them.
    rows: Vec<u32>,
    categories: BTreeSet<usize>,
    /// Whether there was a number.
    pub numbers: bool,
    /// Cells of 0, as long as nobody has said what they mean.
    zeros: Vec<(u32, u32)>,
}

impl States {
    pub fn new(convention: Option<Convention>) -> Self {
        Self { convention, ..Self::default() }
    }

    /// Takes what is said of the categories of an image.
    ///
    /// # Errors
    /// A value that is none of true, false, 1, 0, −1 and null; a category twice.
    pub fn add(
        &mut self,
        row: usize,
        states: &[(String, Scalar)],
        marks: &mut Marks,
    ) -> std::result::Result<(), String> {
        self.rows.push(row as u32);
        let mut before = HashSet::new();
        for (name, state) in states {
            if name.is_empty() {
                return Err("a category without a name".into());
            }
            let category = marks.category(name);
            self.categories.insert(category);
            if !before.insert(category) {
                return Err(format!("category {} twice", shown(name)));
            }
            let number = match state {
                Scalar::Other("null") => continue,
                Scalar::Flag(flag) => {
                    let label = if *flag { Label::Positive } else { Label::Negative };
                    marks.mark(row, category, label);
                    continue;
                }
                Scalar::Number(1) => Label::Positive,
                Scalar::Number(0) => Label::Unknown,
                Scalar::Number(-1) => Label::Negative,
                other => {
                    let (name, other) = (shown(name), said(other));
                    return Err(format!("{name} is {other}; expected true, false, 1, 0, -1 or null"));
                }
            };
            self.number(row, category, number, marks)?;
        }
        Ok(())
    }

    /// A number, given as positive (1), negative (−1) and unknown (0).
    fn number(
        &mut self,
        row: usize,
        category: usize,
        number: Label,
        marks: &mut Marks,
    ) -> std::result::Result<(), String> {
        self.numbers = true;
        match self.convention {
            Some(convention) => {
                let label = convention.label(number);
                let label = label.ok_or("-1 with --convention complete; expected 1 and 0")?;
                marks.mark(row, category, label);
            }
            None if number == Label::Unknown => self.zeros.push((row as u32, category as u32)),
            None => marks.mark(row, category, number),
        }
        Ok(())
    }

    /// The labels, and in their notes what 0 was read as.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if numbers leave open what they mean.
    pub fn finish(self, marks: Marks, path: &Path) -> Result<Reading> {
        let mut reading = marks.finish(Label::Unknown, path)?;
        if !self.numbers || self.convention.is_some() {
            return Ok(reading);
        }
        let labels = &mut reading.annotations.labels;
        let values = self.stated(labels);
        let missing = values.count(Label::Unknown) - self.zeros.len();
        let counted = Counted { values: &values, missing, called: "missing or null" };
        let (convention, note) = decide(&counted, None, path)?;
        let zero = convention.label(Label::Unknown).unwrap_or(Label::Unknown);
        for &(row, category) in &self.zeros {
            labels.set(row as usize, category as usize, zero);
        }
        reading.notes.extend(note);
        Ok(reading)
    }

    /// The rows and columns that objects speak of.
    fn stated(&self, labels: &LabelMatrix) -> LabelMatrix {
        let mut values = LabelMatrix::unknown(0, self.categories.len());
        for &row in &self.rows {
            let cells = self.categories.iter().map(|&category| labels.get(row as usize, category));
            values.push(&cells.collect::<Vec<_>>());
        }
        values
    }
}
