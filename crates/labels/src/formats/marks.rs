//! Labels of a source that lists them one by one, until every image and category is known.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Reading;
use super::names::Names;
use crate::annotations::Annotations;
use crate::files::tidy;
use crate::labels::{Label, LabelMatrix};
use crate::{Error, Result};

/// Most cells of a label matrix that a source may ask for: 2.5 GB of labels.
const MOST_CELLS: usize = 10_000_000_000;

/// What a source says of single cells; images and categories in order of appearance.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    images: Names<PathBuf>,
    categories: Names<String>,
    marks: Vec<(u32, u32, Label)>,
    /// Images that nobody looked at.
    unseen: Vec<u32>,
}

impl Marks {
    /// Starts with these categories, in this order.
    pub fn with_categories(names: impl IntoIterator<Item = String>) -> Self {
        let mut marks = Self::default();
        names.into_iter().for_each(|name| {
            marks.category(&name);
        });
        marks
    }

    /// The row of an image, which is new or there already.
    pub fn image(&mut self, path: &Path) -> usize {
        self.images.place(tidy(path).as_path())
    }

    /// The column of a category, which is new or there already.
    pub fn category(&mut self, name: &str) -> usize {
        self.categories.place(name)
    }

    /// The column of a category that is there already.
    pub fn find_category(&self, name: &str) -> Option<usize> {
        self.categories.find(name)
    }

    /// Names of the categories so far, in column order.
    pub fn categories(&self) -> &[String] {
        self.categories.all()
    }

    /// Images so far, in row order.
    pub fn images(&self) -> &[PathBuf] {
        self.images.all()
    }

    /// Notes what the source says of one cell. [`Label::Unknown`] says that the cell is unknown even where
    /// everything that is not listed is negative. The same cell may be marked again.
    pub fn mark(&mut self, image: usize, category: usize, label: Label) {
        self.marks.push((image as u32, category as u32, label));
    }

    /// Notes that nobody looked at an image: its cells without a mark are unknown, even where what is not
    /// listed is negative.
    pub fn leave_unknown(&mut self, image: usize) {
        self.unseen.push(image as u32);
    }

    /// The labels; a cell without a mark becomes `unlisted`.
    ///
    /// A cell that is marked positive and negative becomes unknown, and a note counts such cells; positive
    /// wins over unknown, and unknown over negative.
    ///
    /// # Errors
    /// If there is no image or no category, or more cells than memory should hold.
    pub fn finish(self, unlisted: Label, source: &Path) -> Result<Reading> {
        let Self { images, categories, mut marks, unseen } = self;
        let (rows, columns) = (images.all().len(), categories.all().len());
        let wrong = |what: String| Err(Error::Data(format!("{}: {what}", source.display())));
        if rows == 0 || columns == 0 {
            let what = if rows == 0 { "no images" } else { "no categories" };
            return wrong(format!("{what}; nothing to read"));
        }
        if rows.saturating_mul(columns.next_multiple_of(64)) > MOST_CELLS {
            let what = format!("{rows} images × {columns} categories are too many labels for memory");
            return wrong(format!("{what}; choose categories with --categories FILE"));
        }
        let mut labels = LabelMatrix::filled(rows, columns, unlisted);
        for image in unseen {
            (0..columns).for_each(|category| labels.set(image as usize, category, Label::Unknown));
        }
        let mut contradictions = 0;
        marks.sort_unstable_by_key(|&(image, category, _)| (image, category));
        for cell in marks.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (image, category, _) = cell[0];
            let says = |label| cell.iter().any(|mark| mark.2 == label);
            let label = match (says(Label::Positive), says(Label::Negative)) {
                (true, true) => {
                    contradictions += 1;
                    Label::Unknown
                }
                (true, false) => Label::Positive,
                (false, true) if !says(Label::Unknown) => Label::Negative,
                _ => Label::Unknown,
            };
            labels.set(image as usize, category as usize, label);
        }
        let notes = (contradictions > 0).then(|| {
            format!("{contradictions} labels are positive in one place and negative in another: unknown")
        });
        let annotations = Annotations {
            images: images.into_all(),
            labels,
            categories: categories.into_all(),
            source: source.into(),
        };
        Ok(Reading { annotations, notes: notes.into_iter().collect() })
    }
}

/// Makes all labels of some images unknown: nobody looked at them, whatever is said of unlisted categories.
pub(crate) fn clear(labels: &mut LabelMatrix, images: impl IntoIterator<Item = usize>) {
    for image in images {
        (0..labels.categories()).for_each(|category| labels.set(image, category, Label::Unknown));
    }
}

/// How many of these images are negative in every category, each counted once.
pub(crate) fn all_negative(labels: &LabelMatrix, images: impl IntoIterator<Item = usize>) -> usize {
    let images: BTreeSet<usize> = images.into_iter().collect();
    images.into_iter().filter(|&image| labels.row(image).all(|label| label == Label::Negative)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Negative, Positive, Unknown};

    fn labels(marks: &[(&str, &str, Label)], unlisted: Label) -> Reading {
        let mut table = Marks::with_categories(["cat", "dog"].map(str::to_owned));
        for (image, category, label) in marks {
            let (image, category) = (table.image(Path::new(image)), table.category(category));
            table.mark(image, category, *label);
        }
        table.finish(unlisted, Path::new("labels.json")).unwrap()
    }

    #[test]
    fn what_is_not_listed_is_what_the_policy_says() {
        let marks = [("b.jpg", "dog", Positive), ("./a.jpg", "owl", Positive), ("b.jpg", "cat", Unknown)];
        let reading = labels(&marks, Negative);
        let Annotations { images, categories, labels: matrix, .. } = reading.annotations;
        assert_eq!(categories, ["cat", "dog", "owl"]);
        assert_eq!(images, [Path::new("b.jpg"), Path::new("a.jpg")]);
        assert_eq!(matrix.to_floats(), [0.0, 1.0, -1.0, -1.0, -1.0, 1.0]);
        let unknown = labels(&marks, Unknown).annotations.labels;
        assert_eq!(unknown.to_floats(), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn an_image_that_nobody_looked_at_is_unknown_but_for_its_marks() {
        let mut table = Marks::with_categories(["cat", "dog"].map(str::to_owned));
        let images = ["a.jpg", "b.jpg"].map(|image| table.image(Path::new(image)));
        table.leave_unknown(images[1]);
        table.mark(images[1], 0, Positive);
        let reading = table.finish(Negative, Path::new("labels.json")).unwrap();
        assert_eq!(reading.annotations.labels.to_floats(), [-1.0, -1.0, 1.0, 0.0]);
    }

    #[test]
    fn images_that_nobody_looked_at_are_unknown_throughout() {
        let mut reading = labels(&[("a.jpg", "dog", Positive), ("b.jpg", "cat", Positive)], Negative);
        clear(&mut reading.annotations.labels, [1]);
        assert_eq!(reading.annotations.labels.to_floats(), [-1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn contradictions_are_unknown_and_counted_however_often_they_are_repeated() {
        let marks = [Positive, Negative, Positive, Unknown].map(|label| ("a.jpg", "cat", label));
        let reading = labels(&marks, Negative);
        assert_eq!(reading.annotations.labels.to_floats(), [0.0, -1.0]);
        assert_eq!(reading.notes, ["1 labels are positive in one place and negative in another: unknown"]);
        let weaker = [("a.jpg", "cat", Unknown), ("a.jpg", "cat", Positive), ("a.jpg", "dog", Unknown)];
        let reading = labels(&weaker, Negative);
        assert_eq!(reading.annotations.labels.to_floats(), [1.0, 0.0]);
        assert!(reading.notes.is_empty());
    }

    #[test]
    fn sources_without_images_and_beyond_memory_are_errors() {
        let empty = Marks::with_categories(["cat".to_owned()]).finish(Unknown, Path::new("a.json"));
        assert_eq!(empty.unwrap_err().to_string(), "a.json: no images; nothing to read");
        let mut many = Marks::default();
        for i in 0..110_000 {
            many.image(Path::new(&i.to_string()));
            many.category(&i.to_string());
        }
        let error = many.finish(Unknown, Path::new("a.json")).unwrap_err();
        assert!(error.to_string().contains("too many labels for memory; choose categories"), "{error}");
    }
}
