//! Tables with one column per category, whatever their header: Kaggle's, Roboflow's `_classes.csv`, CelebA's
//! attributes, what pandas and spreadsheets save.
//!
//! There is no specification. The file shows what separates its fields, which column names the images and which
//! columns hold labels, in words or in numbers ([`cells`]); a note says what was found, and an option overrides
//! it. What 0 and −1 mean in a table of numbers is decided as for arrays.

mod cells;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use self::cells::{Cell, cell};
use super::arrays::convention::{Counted, decide};
use super::names::Names;
use super::options::{Choice, Convention, Options, Unlisted};
use super::report::{Report, shown};
use super::sheet::{
    Columns, Layout, for_each_row, head_text, image_column, never_labels, usage, wrong_count,
};
use super::splits::Splits;
use super::{Reading, specific, tags};
use crate::annotations::Annotations;
use crate::files::tidy;
use crate::formats::format::{Format, NotListed};
use crate::images::has_extension;
use crate::labels::{Label, LabelMatrix};
use crate::{Error, Result};

/// This format.
pub const FORMAT: Format = Format {
    name: "table",
    title: "a table",
    about: "Tables with one column per category: Kaggle, Roboflow, CelebA, spreadsheets",
    example: r#"file;Cat;Dog
a.jpg;yes;no
b.jpg;;yes"#,
    extensions: &[],
    takes: &[
        Choice::Unlisted,
        Choice::Convention,
        Choice::ImageColumn,
        Choice::LabelColumns,
        Choice::Extension,
        Choice::Words,
        Choice::Set,
    ],
    names_categories: false,
    unlisted: NotListed::Unknown,
    recognize,
    read,
    written: None,
};

/// Reads a table; image paths are relative to it. Blank cells are unknown, or with `--unlisted negative` not
/// there.
///
/// # Errors
/// All wrong lines at once; [`Error::Usage`] where the file leaves open what it means.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let mut header: Vec<String> = Vec::new();
    let mut table: Option<Table> = None;
    for_each_row(path, |fields, report| {
        if header.is_empty() {
            header = fields.iter().map(|name| name.trim().to_owned()).collect();
            return Ok(());
        }
        if fields.len() != header.len() {
            report.note(|| wrong_count(fields.len(), header.len()));
            return Ok(());
        }
        let table = match &mut table {
            Some(table) => table,
            None => {
                let columns = Columns::of(&header, Some(fields), options, report)?;
                table.insert(Table::new(columns, options.set.as_deref()))
            }
        };
        table.add(fields, options.image_folder(path), options, report);
        Ok(())
    })?;
    match table {
        Some(table) => table.finish(path, options),
        None => {
            let mut report = Report::new(path);
            report.note(|| "no images; expected a line for each image below the header".into());
            Err(Error::Problems(report.problems))
        }
    }
}

/// Whether a file begins with a header over names of images and labels, and is of no other format.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    let text = head_text(head);
    let layout = Layout::of(&text);
    let [header, row] = layout.rows(&text);
    if header.len() < 2 || header.len() != row.len() || has_extension(&header[0]) {
        return None;
    }
    let image = image_column(&header).or_else(|| row.iter().position(|field| has_extension(field)))?;
    let labels = |column: &usize| {
        let known = matches!(cell(&row[*column], &Default::default()), Some(cell) if cell != Cell::Blank);
        *column != image && known && !never_labels(&header[*column])
    };
    let found = (0..header.len()).find(labels)?;
    (tags::recognize(path, head).is_none() && !specific(path, head)).then(|| {
        let [image, category] = [image, found].map(|column| shown(&header[column]));
        format!("a table with images in column {image} and labels in {category} …")
    })
}

/// Why a file that looks like a table is not recognized as one.
pub(super) fn nearly(head: &[u8]) -> Option<String> {
    let text = head_text(head);
    let [header, row] = Layout::of(&text).rows(&text);
    let image = row.iter().position(|field| has_extension(field)).or_else(|| image_column(&header));
    (header.len() > 1 && header.len() == row.len() && image.is_some()).then(|| {
        let (header, row) = (shown(&header.join(",")), shown(&row.join(",")));
        format!(
            "looks like a table with the header {header}, but nothing in its first line {row} is a label; \
             --from table reads one column per category (--yes, --no and --unknown say what its words mean), \
             --from tags a column of names (--label-columns says which)"
        )
    })
}

/// A column that may hold labels.
struct Candidate {
    column: usize,
    yes: usize,
    no: usize,
    /// How many cells hold something else, and the first of them with its line.
    others: usize,
    other: Option<(usize, String)>,
}

/// What has been read so far.
struct Table<'a> {
    columns: Columns,
    candidates: Vec<Candidate>,
    images: Names<PathBuf>,
    /// The line of each image.
    lines: Vec<usize>,
    splits: Splits<'a>,
    /// Yes and 1 as positive, no and 0 as unknown, −1 as negative.
    values: LabelMatrix,
    /// Positive where a cell is blank or a word says that nobody knows.
    blank: LabelMatrix,
    row: [Vec<Label>; 2],
    /// Whether a word says that something is not there, so that 0 can say nothing else.
    worded: bool,
}

impl<'a> Table<'a> {
    fn new(columns: Columns, set: Option<&'a str>) -> Self {
        let free = |&column: &usize| {
            column != columns.image
                && !columns.splits.contains(&column)
                && !never_labels(&columns.names[column])
        };
        let candidates = match &columns.chosen {
            Some(chosen) => chosen.clone(),
            None => (0..columns.names.len()).filter(free).collect(),
        };
        let candidates =
            candidates.into_iter().map(|column| Candidate { column, yes: 0, no: 0, others: 0, other: None });
        let candidates: Vec<Candidate> = candidates.collect();
        let [values, blank] = [(); 2].map(|()| LabelMatrix::unknown(0, candidates.len()));
        Self {
            columns,
            candidates,
            images: Names::default(),
            lines: Vec::new(),
            splits: Splits::new(set),
            values,
            blank,
            row: [Vec::new(), Vec::new()],
            worded: false,
        }
    }

    /// Takes one line below the header.
    fn add(&mut self, fields: &[Cow<'_, str>], folder: &Path, options: &Options, report: &mut Report<'_>) {
        if !self.splits.takes(self.columns.splits_of(fields)) {
            return;
        }
        self.row.iter_mut().for_each(Vec::clear);
        for candidate in &mut self.candidates {
            let field = fields[candidate.column].trim();
            let cell = cell(field, &options.words);
            candidate.count(cell, field, report.line);
            self.worded |= cell == Some(Cell::NoWord);
            let [values, blank] = &mut self.row;
            values.push(cell.map_or(Label::Unknown, Cell::value));
            blank.push(if cell == Some(Cell::Blank) { Label::Positive } else { Label::Unknown });
        }
        let image = fields[self.columns.image].trim();
        if image.is_empty() {
            return report
                .note(|| format!("no image in column {}", shown(&self.columns.names[self.columns.image])));
        }
        match self.images.add(tidy(&folder.join(&*options.image_name(image)))) {
            Err(before) => {
                let line = self.lines[before];
                report.note(|| format!("image {} already appears on line {line}", shown(image)));
            }
            Ok(()) => {
                self.lines.push(report.line);
                self.values.push(&self.row[0]);
                self.blank.push(&self.row[1]);
            }
        }
    }

    /// Decides which candidates are labels and what their numbers mean.
    fn finish(self, path: &Path, options: &Options) -> Result<Reading> {
        self.splits.check(path)?;
        self.refuse_doubtful(path)?;
        let kept: Vec<usize> =
            (0..self.candidates.len()).filter(|&place| self.candidates[place].is_labels()).collect();
        if kept.is_empty() || self.images.all().is_empty() {
            let what = if kept.is_empty() { "no column of labels" } else { "no images" };
            return Err(Error::Data(format!("{}: {what}; {}", path.display(), cells::ACCEPTED)));
        }
        let mut notes = vec![self.note(&kept)];
        let [values, blank] = [&self.values, &self.blank].map(|matrix| matrix.select_categories(&kept));
        let (convention, note) = match (options.convention, self.worded) {
            (Some(_), true) => {
                return usage(path, "--convention: for numbers; this table says yes and no in words");
            }
            (None, true) => (Convention::Complete, None),
            (convention, false) => {
                let missing = blank.count(Label::Positive);
                decide(&Counted { values: &values, missing, called: "blank cells" }, convention, path)?
            }
        };
        notes.extend(note.filter(|_| options.unlisted.is_none()));
        let mut labels = LabelMatrix::unknown(values.images(), kept.len());
        let blanks = options.unlisted.unwrap_or(Unlisted::Unknown).label();
        for image in 0..values.images() {
            for (category, (value, blank)) in values.row(image).zip(blank.row(image)).enumerate() {
                labels.set(
                    image,
                    category,
                    match (blank, convention.label(value)) {
                        (Label::Positive, _) => blanks,
                        (_, Some(label)) => label,
                        (_, None) => return self.minus_one(path, image, kept[category]),
                    },
                );
            }
        }
        if labels.count(Label::Negative) == 0 && options.unlisted.is_none() {
            let what = "no cell says that something is not there; pass --unlisted negative if blank cells do";
            notes.push(what.into());
        }
        let names = kept.iter().map(|&place| self.columns.names[self.candidates[place].column].clone());
        let categories = names.collect();
        let annotations =
            Annotations { images: self.images.into_all(), labels, categories, source: path.into() };
        Ok(Reading { annotations, notes })
    }

    /// Refuses columns of which nobody can say whether they hold labels, and other values in those that the user
    /// chose.
    fn refuse_doubtful(&self, path: &Path) -> Result<()> {
        let mut report = Report::new(path);
        let chosen = self.columns.chosen.is_some();
        for candidate in self.candidates.iter().filter(|it| it.is_mixed() || (chosen && it.others > 0)) {
            let (line, value) = candidate.other.as_ref().expect("another value was counted");
            report.line = *line;
            report.note(|| {
                let name = shown(&self.columns.names[candidate.column]);
                let (value, labels, others) = (shown(value), candidate.yes + candidate.no, candidate.others);
                format!(
                    "{value} in column {name}, where {labels} cells are labels and {others} are not; {}; \
                     --yes, --no and --unknown say what other words mean, --label-columns which columns are read",
                    cells::ACCEPTED
                )
            });
        }
        report.problems.or(())
    }

    /// The error for a −1 where numbers cannot be negative.
    fn minus_one(&self, path: &Path, image: usize, place: usize) -> Result<Reading> {
        let mut report = Report::new(path);
        report.line = self.lines[image];
        let name = &self.columns.names[self.candidates[place].column];
        report.note(|| {
            let expected = "expected 1 and 0 with --convention complete, and beside words";
            format!("-1 in column {}; {expected}", shown(name))
        });
        Err(Error::Problems(report.problems))
    }

    /// What was taken for what.
    fn note(&self, kept: &[usize]) -> String {
        let kept: Vec<usize> = kept.iter().map(|&place| self.candidates[place].column).collect();
        let names = |columns: &mut dyn Iterator<Item = usize>| {
            columns.map(|column| shown(&self.columns.names[column])).collect::<Vec<_>>().join(", ")
        };
        let image = shown(&self.columns.names[self.columns.image]);
        let count = kept.len();
        let mut note = format!("images in column {image}; {count} columns of labels: ");
        note += &names(&mut kept.iter().copied());
        let unread = |column: &usize| *column != self.columns.image && !kept.contains(column);
        let left_out = names(&mut (0..self.columns.names.len()).filter(unread));
        if !left_out.is_empty() {
            note += &format!("; not read: {left_out}");
        }
        note
    }
}

impl Candidate {
    fn count(&mut self, cell: Option<Cell>, field: &str, line: usize) {
        match cell {
            Some(Cell::Yes) => self.yes += 1,
            Some(Cell::NoWord | Cell::Zero | Cell::MinusOne) => self.no += 1,
            Some(Cell::Blank) => {}
            None => {
                self.others += 1;
                self.other.get_or_insert_with(|| (line, field.to_owned()));
            }
        }
    }

    fn is_labels(&self) -> bool {
        self.yes + self.no > 0 && self.others == 0
    }

    /// Whether most cells are labels, and some are not.
    fn is_mixed(&self) -> bool {
        self.others > 0 && self.yes > 0 && self.no > 0 && self.yes + self.no > self.others
    }
}

#[cfg(test)]
mod tests;
