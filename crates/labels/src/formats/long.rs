//! One label a line: `image,category,label`, as a table of answers or a database query gives them, and as
//! `sarb labels next` asks for them.
//!
//! A label is a cell of sarb's own CSV ([`super::csv`]) or a word such as yes, absent or unsure. Columns may stand in any
//! order; further ones, such as a reason or an annotator, are not read. What is not listed is unknown.

use std::borrow::Cow;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::csv::label;
use super::lines::{Lines, fields, split};
use super::marks::Marks;
use super::options::Options;
use super::report::{Report, shown};
use super::{Reading, answer_words};
use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::format::{Format, Keeps, NotListed, Written};
use crate::formats::image_names::image_names;
use crate::labels::Label;
use crate::text::listed;
use crate::{Error, Result};

/// This format.
pub const FORMAT: Format = Format {
    name: "long",
    title: "a long table",
    about: "One label a line: image,category,label",
    example: r#"image,category,label
a.jpg,cat,1
a.jpg,dog,0"#,
    extensions: &[],
    takes: &[],
    names_categories: false,
    unlisted: NotListed::Unknown,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

/// The columns that are read.
const COLUMNS: [&str; 3] = ["image", "category", "label"];

/// Reads a table of labels; image paths are relative to it, or to `--images`.
///
/// # Errors
/// All problems of the file at once, each with its line.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut lines = Lines::new(path, BufReader::with_capacity(1 << 20, file));
    let folder = options.image_folder(path);
    let mut marks = Marks::default();
    let mut columns: Option<Columns> = None;
    while lines.advance()? {
        let report = &mut lines.report;
        match (&columns, fields(&lines.bytes, report)) {
            (Some(columns), Some(fields)) => columns.mark(&mut marks, folder, &fields, report),
            (Some(_), None) => {}
            (None, Some(fields)) => match Columns::of(&fields) {
                Some(found) => columns = Some(found),
                None => {
                    let header = fields.join(",");
                    report
                        .note(|| format!("the header is {}; expected image,category,label", shown(&header)));
                    break;
                }
            },
            (None, None) => break,
        }
    }
    if columns.is_none() && lines.report.problems.is_empty() {
        lines.report.note(|| "an empty file; expected a first line image,category,label".into());
    }
    lines.report.problems.or(())?;
    let mut reading = marks.finish(Label::Unknown, path)?;
    let unread = columns.map(|columns| columns.unread).unwrap_or_default();
    if !unread.is_empty() {
        reading.notes.push(format!("columns that are not read: {}", listed(&unread)));
    }
    Ok(reading)
}

/// Why a file is such a table.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head.split(|byte| *byte == b'\n').next()?);
    let header = split(text.trim_start_matches('\u{feff}').trim_end(), ',').ok()?;
    let here = Columns::of(&header).is_some() && super::csv::recognize(path, head).is_none();
    here.then(|| "a CSV file with the columns image, category and label".into())
}

/// Where the header has which column.
struct Columns {
    places: [usize; 3],
    unread: Vec<String>,
}

impl Columns {
    fn of(header: &[Cow<'_, str>]) -> Option<Self> {
        let place = |name: &str| header.iter().position(|field| field.trim() == name);
        let [image, category, label] = COLUMNS.map(place);
        let unread = header.iter().map(|field| field.trim()).filter(|name| !COLUMNS.contains(name));
        let unread = unread.map(str::to_owned).collect();
        Some(Self { places: [image?, category?, label?], unread })
    }

    /// Takes one line below the header.
    fn mark(&self, marks: &mut Marks, folder: &Path, fields: &[Cow<'_, str>], report: &mut Report<'_>) {
        let expected = COLUMNS.len() + self.unread.len();
        if fields.len() != expected {
            return report.note(|| format!("{} fields; expected {expected}", fields.len()));
        }
        let [image, category, said] = self.places.map(|place| fields[place].trim());
        for (name, value) in [("image", image), ("category", category)] {
            if value.is_empty() {
                return report.note(|| format!("no {name}"));
            }
        }
        let Some(label) = label(said).or_else(|| answer_words::said(said)) else {
            let accepted = "expected 1 (positive), 0 (negative), or empty, ? or NA (unknown)";
            return report.note(|| format!("label {}; {accepted}", shown(said)));
        };
        let (row, column) = (marks.image(&folder.join(image)), marks.category(category));
        // Nothing is no answer: another line may have one.
        if label != Label::Unknown {
            marks.mark(row, column, label);
        }
    }
}

/// Writes a line for each known label, and one without a label for an image or a category of which nothing is known,
/// so that none is lost and they keep their order.
///
/// # Errors
/// If the file cannot be written or a path is not UTF-8.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let images = image_names(annotations, folder_of(path))?;
    write_atomically(path, |file| {
        let mut lines = csv::Writer::from_writer(file);
        lines.write_record(COLUMNS)?;
        for (row, image) in images.iter().enumerate() {
            for (label, category) in annotations.labels.row(row).zip(&annotations.categories) {
                let label = match label {
                    Label::Positive => "1",
                    Label::Negative => "0",
                    Label::Unknown if row == 0 => "",
                    Label::Unknown => continue,
                };
                lines.write_record([image, category, label])?;
            }
            let nothing = annotations.labels.row(row).all(|label| label == Label::Unknown);
            if let (true, 1.., Some(category)) = (nothing, row, annotations.categories.first()) {
                lines.write_record([image, category.as_str(), ""])?;
            }
        }
        lines.flush()
    })?;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::detect;
    use crate::labels::LabelMatrix;

    fn reading(text: &str) -> Result<Reading> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("answers.csv");
        std::fs::write(&path, text).unwrap();
        assert_eq!(detect(&path).unwrap().0, FORMAT, "{text}");
        read(&path, &Options::default())
    }

    #[test]
    fn answers_in_numbers_and_words_with_further_columns_in_any_order() {
        let text = "reason,label,image,category\n\"rare, likely\",1,a.jpg,cat\n,no,a.jpg,dog\n,,b.jpg,cat\n,Unsure,b.jpg,owl\n";
        let Reading { annotations, notes } = reading(text).unwrap();
        assert_eq!(annotations.categories, ["cat", "dog", "owl"]);
        assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(notes, ["columns that are not read: reason"]);
    }

    #[test]
    fn answers_that_contradict_each_other_are_unknown_and_no_answer_contradicts_nothing() {
        let text = "image,category,label\na.jpg,cat,1\na.jpg,cat,0\na.jpg,dog,\na.jpg,dog,0\n";
        let Reading { annotations, notes } = reading(text).unwrap();
        assert_eq!(annotations.labels.to_floats(), [0.0, -1.0]);
        assert_eq!(notes, ["1 labels are positive in one place and negative in another: unknown"]);
    }

    #[test]
    fn wrong_lines_are_named() {
        let text = "image,category,label\na.jpg,cat,2\n,cat,1\na.jpg,,1\na.jpg,cat\n";
        let error = reading(text).unwrap_err().to_string();
        for expected in
            ["2: label \"2\"; expected 1", "3: no image", "4: no category", "5: 2 fields; expected 3"]
        {
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn what_is_written_comes_back_with_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let annotations = Annotations {
            images: ["a.jpg", "b.jpg", "c.jpg"].map(|name| dir.path().join(name)).to_vec(),
            categories: ["x", "y, z"].map(str::to_owned).to_vec(),
            labels: LabelMatrix::from_values(2, &[0, -1, 0, 0, 1, 0]),
            source: dir.path().join("train.csv"),
        };
        let path = dir.path().join("long.csv");
        write(&path, &annotations).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "image,category,label\na.jpg,x,\na.jpg,\"y, z\",0\nb.jpg,x,\nc.jpg,x,1\n");
        let back = read(&path, &Options::default()).unwrap().annotations;
        assert_eq!((&back.images, &back.categories), (&annotations.images, &annotations.categories));
        assert_eq!(back.labels.to_floats(), annotations.labels.to_floats());
    }

    #[test]
    fn our_own_table_with_such_categories_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.csv");
        std::fs::write(&path, "image,category,label\na.jpg,1,0\n").unwrap();
        assert_eq!(detect(&path).unwrap().0, crate::formats::csv::FORMAT);
    }
}
