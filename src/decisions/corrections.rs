//! What a person found wrong among filled or known labels: a table `image,category,label` with 1, 0, or nothing where
//! nobody can tell.

use std::collections::HashMap;
use std::path::Path;

use sarb_labels::Label;
use sarb_labels::files::folder_of;
use sarb_labels::formats::image_names::image_names;

use super::fill::Filled;
use crate::{Error, Result};

impl Filled {
    /// Takes over the corrections of a file, whose images are named as in the file of labels `out`. Corrected labels are
    /// the person's: they are no longer among the filled ones. Returns how many there are.
    ///
    /// # Errors
    /// [`Error::Data`] with the line of an unknown image, category or label, or of a second correction of one label.
    pub fn correct(&mut self, corrections: &Path, out: &Path) -> Result<usize> {
        let wrong =
            |line: u64, what: String| Error::Data(format!("{}: line {line}: {what}", corrections.display()));
        let images = image_names(&self.annotations, folder_of(out))?;
        let rows: HashMap<&str, usize> = images.iter().map(String::as_str).zip(0..).collect();
        let columns: HashMap<&str, usize> =
            self.annotations.categories.iter().map(String::as_str).zip(0..).collect();
        let unreadable = |error: csv::Error| Error::Data(format!("{}: {error}", corrections.display()));
        if !corrections.is_file() {
            return Err(Error::Missing(format!("{}: no such file", corrections.display())));
        }
        let mut reader = csv::Reader::from_path(corrections).map_err(unreadable)?;
        let header = reader.headers().map_err(unreadable)?;
        // What follows, such as a reason, is for people.
        if header.iter().take(3).ne(["image", "category", "label"]) {
            return Err(wrong(1, "expected image,category,label".into()));
        }
        let mut corrected: HashMap<(usize, usize), Label> = HashMap::new();
        for record in reader.into_records() {
            let record = record.map_err(unreadable)?;
            let line = record.position().map_or(0, csv::Position::line);
            let [image, category, label] = [0, 1, 2].map(|at| &record[at]);
            let row = *rows.get(image).ok_or_else(|| {
                wrong(line, format!("{image:?} is no image of the run, as it is named in {}", out.display()))
            })?;
            let column = *columns
                .get(category)
                .ok_or_else(|| wrong(line, format!("{category:?} is no category of the run")))?;
            let label = match label.trim() {
                "1" => Label::Positive,
                "0" => Label::Negative,
                "" | "?" => Label::Unknown,
                other => return Err(wrong(line, format!("label {other:?}; expected 1, 0 or nothing"))),
            };
            if corrected.insert((row, column), label).is_some() {
                return Err(wrong(line, format!("{category} of {image} is corrected a second time")));
            }
        }
        for (&(row, category), &label) in &corrected {
            self.annotations.labels.set(row, category, label);
        }
        self.cells.retain(|cell| !corrected.contains_key(&(cell.row, cell.category)));
        Ok(corrected.len())
    }
}
