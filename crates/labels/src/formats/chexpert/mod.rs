//! CheXpert's label files (`Path,Sex,Age,Frontal/Lateral,AP/PA`, then a column for each finding), and
//! others of their kind, as MIMIC-CXR's joined with a column of paths.
//!
//! A cell is `1` or `1.0` (positive), `0` (negative), `-1` (uncertain: unknown, or as `--uncertain` says) or
//! blank: not mentioned in the report. What blank means is the user's to say (`--unlisted`): the authors
//! of CheXpert take it for negative, others for unknown.
//! Specification: Irvin et al., CheXpert, AAAI 2019, <https://arxiv.org/abs/1901.07031>.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::Reading;
use super::lines::{Lines, fields};
use super::names::Names;
use super::options::{Choice, Options, Uncertain};
use super::report::{Report, shown};
use super::sheet::{describes, is_split_column, split_said};
use super::splits::Splits;
use crate::annotations::Annotations;
use crate::files::{folder_of, tidy};
use crate::labels::{Label, LabelMatrix};
use crate::text::letters;
use crate::{Error, Result};
use columns::{PATHS, is_finding};

mod columns;
mod writing;

use crate::formats::format::{Format, Keeps, NotListed, Written};

pub use writing::write;

/// This format.
pub const FORMAT: Format = Format {
    name: "chexpert",
    title: "CheXpert",
    about: "CheXpert's CSV and its like",
    example: r#"Path,Sex,Age,No Finding,Cardiomegaly,Edema
train/1.jpg,Female,68,1.0,,-1.0
train/2.jpg,Male,51,,0.0,1.0"#,
    extensions: &[],
    takes: &[Choice::Unlisted, Choice::Uncertain, Choice::Set],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

const ACCEPTED: &str = "expected 1 (positive), 0 (negative), -1 (uncertain) or blank";

/// Reads a label file. Image paths are joined to `--images`; without it to the folder of the file, or to
/// the folder above where the paths begin with the name of the file's folder, as CheXpert's do. Of the splits of
/// a column such as `split`, `--set` chooses one.
///
/// # Errors
/// All problems of the file at once, each with its line.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let blank = options
        .unlisted("a blank cell says that the report does not mention a finding, not that it is absent")?
        .label();
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut lines = Lines::new(path, BufReader::with_capacity(1 << 20, file));
    let uncertain = options.uncertain;
    let mut table = None;
    while lines.advance()? {
        let fields = fields(&lines.bytes, &mut lines.report);
        match (&mut table, fields) {
            (None, None) => break,
            (Some(_), None) => {}
            (Some(table), Some(fields)) => Table::add(table, &fields, &mut lines.report),
            (None, Some(fields)) => {
                let folders = Folders::new(path, options.images.as_deref());
                let doubtful = [blank, uncertain.unwrap_or_default().label()];
                let splits = Splits::new(options.set.as_deref());
                match Table::header(&fields, folders, doubtful, splits, &mut lines.report) {
                    Some(header) => table = Some(header),
                    None => break,
                }
            }
        }
    }
    let mut report = lines.report;
    let Some(table) = table else {
        if report.problems.is_empty() {
            report.note(|| "an empty file; expected a first line Path,…,<finding>,<finding>…".into());
        }
        return Err(Error::Problems(report.problems));
    };
    table.finish(path, report, uncertain)
}

/// Why a file is one of CheXpert's kind.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    if super::csv::recognize(path, head).is_some() {
        return None;
    }
    let text = String::from_utf8_lossy(head.split(|byte| *byte == b'\n').next()?);
    let header = text.trim_start_matches('\u{feff}').split(',').map(|name| name.trim().trim_matches('"'));
    let found = header.filter(|name| is_finding(name)).count();
    (found >= 3).then(|| format!("a CSV file with {found} of CheXpert's findings as columns"))
}

/// Where the images lie.
struct Folders {
    below: PathBuf,
    /// The folder above and the name by which paths lead from there to the folder of the label file.
    above: Option<(PathBuf, PathBuf)>,
}

impl Folders {
    fn new(path: &Path, images: Option<&Path>) -> Self {
        if let Some(images) = images {
            return Self { below: images.into(), above: None };
        }
        let folder = folder_of(path);
        let real = std::fs::canonicalize(folder).ok();
        let name = real.as_deref().and_then(Path::file_name).map(PathBuf::from);
        let parent = match (folder.file_name(), folder.parent()) {
            (Some(_), Some(parent)) => parent.to_owned(),
            _ => folder.join(".."),
        };
        Self { below: folder.into(), above: name.map(|name| (parent, name)) }
    }

    fn join(&self, image: &str) -> PathBuf {
        tidy(&match &self.above {
            Some((parent, _)) if self.leads_from_above(image) => parent.join(image),
            _ => self.below.join(image),
        })
    }

    /// Whether a path begins with the name of the file's folder.
    fn leads_from_above(&self, image: &str) -> bool {
        self.above.as_ref().is_some_and(|(_, name)| Path::new(image).starts_with(name))
    }
}

/// A column that may hold a finding.
struct Candidate {
    name: String,
    /// Its place in a line.
    column: usize,
    /// Whether it is one of CheXpert's; the values of others tell.
    known: bool,
    labels: usize,
    uncertain: usize,
    blanks: usize,
    /// How many cells hold something else, and the first of them with its line.
    others: usize,
    other: Option<(usize, String)>,
}

/// What has been read so far.
struct Table<'a> {
    folders: Folders,
    /// The label of a blank and of an uncertain cell.
    doubtful: [Label; 2],
    path_column: usize,
    split_columns: Vec<usize>,
    splits: Splits<'a>,
    columns: Vec<String>,
    candidates: Vec<Candidate>,
    images: Names<PathBuf>,
    /// The line of each image.
    lines: Vec<usize>,
    labels: LabelMatrix,
    row: Vec<Label>,
}

/// What a cell says.
enum Cell {
    Blank,
    Known(Label),
    Uncertain,
    Other,
}

impl<'a> Table<'a> {
    fn header(
        fields: &[Cow<'_, str>],
        folders: Folders,
        doubtful: [Label; 2],
        splits: Splits<'a>,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        let columns: Vec<String> = fields.iter().map(|field| field.trim().to_owned()).collect();
        let place = |name: &&str| columns.iter().position(|column| letters(column) == *name);
        let Some(path_column) = PATHS.iter().find_map(place) else {
            report.note(|| no_path(&columns));
            return None;
        };
        let mut seen = HashMap::new();
        for (column, name) in columns.iter().enumerate() {
            if let Some(before) = seen.insert(name, column).filter(|_| !name.is_empty()) {
                let before = before + 1;
                report.note(|| format!("column {} is called {} as column {before}", column + 1, shown(name)));
            }
        }
        let split_columns: Vec<usize> =
            (0..columns.len()).filter(|&it| it != path_column && is_split_column(&columns[it])).collect();
        let candidates = columns.iter().enumerate();
        let candidates = candidates
            .filter(|(column, name)| {
                *column != path_column && !split_columns.contains(column) && !describes(name)
            })
            .map(|(column, name)| Candidate::new(name, column));
        let candidates: Vec<Candidate> = candidates.collect();
        let labels = LabelMatrix::unknown(0, candidates.len());
        let (images, lines, row) = (Names::default(), Vec::new(), Vec::new());
        Some(Self {
            folders,
            doubtful,
            path_column,
            split_columns,
            splits,
            columns,
            candidates,
            images,
            lines,
            labels,
            row,
        })
    }

    /// Takes one line below the header.
    fn add(&mut self, fields: &[Cow<'_, str>], report: &mut Report<'_>) {
        if fields.len() != self.columns.len() {
            return report.note(|| format!("{} fields; expected {}", fields.len(), self.columns.len()));
        }
        let said = self.split_columns.iter().map(|&it| split_said(&self.columns[it], &fields[it]));
        if !self.splits.takes(said) {
            return;
        }
        self.row.clear();
        for candidate in &mut self.candidates {
            let cell = candidate.take(&fields[candidate.column], report);
            self.row.push(match cell {
                Cell::Known(label) => label,
                Cell::Blank => self.doubtful[0],
                Cell::Uncertain => self.doubtful[1],
                Cell::Other => Label::Unknown,
            });
        }
        let image = fields[self.path_column].trim();
        if image.is_empty() {
            return report.note(|| format!("no path in column {}", shown(&self.columns[self.path_column])));
        }
        match self.images.add(self.folders.join(image)) {
            Err(before) => {
                let line = self.lines[before];
                report.note(|| format!("image {} already appears on line {line}", shown(image)));
            }
            Ok(()) => {
                self.lines.push(report.line);
                self.labels.push(&self.row);
            }
        }
    }

    /// Decides which candidates are findings, and leaves the others out.
    fn finish(self, path: &Path, mut report: Report<'_>, uncertain: Option<Uncertain>) -> Result<Reading> {
        self.splits.check(path)?;
        for candidate in self.candidates.iter().filter(|candidate| candidate.is_mixed()) {
            let (line, value) = candidate.other.as_ref().expect("a mixed column has another value");
            report.line = *line;
            report.note(|| candidate.why_mixed(value));
        }
        let kept: Vec<usize> =
            (0..self.candidates.len()).filter(|&place| self.candidates[place].is_finding()).collect();
        if report.problems.is_empty() && self.images.all().is_empty() {
            report.note(|| "no images; expected a line for each image below the header".into());
        } else if report.problems.is_empty() && kept.is_empty() {
            report.note(|| format!("no column of findings; {ACCEPTED} in each of its cells"));
        }
        report.problems.or(())?;
        let mut notes = vec![self.note(&kept)];
        let doubts: usize = kept.iter().map(|&place| self.candidates[place].uncertain).sum();
        let blanks: usize = kept.iter().map(|&place| self.candidates[place].blanks).sum();
        if doubts > 0 && blanks == 0 && uncertain.is_none() {
            return Err(Error::Usage(format!(
                "{}: {doubts} of -1 and no blank cell, so that -1 may mean not there; if it means uncertain, pass \
                 --uncertain; else write 0 for what is not there and nothing for what is unknown",
                path.display()
            )));
        }
        if doubts > 0 {
            let reading = match uncertain.unwrap_or_default() {
                Uncertain::Unknown => "unknown",
                Uncertain::Negative => "negative",
                Uncertain::Positive => "positive",
            };
            notes.push(format!("{doubts} uncertain labels (-1): {reading}"));
        }
        let categories = kept.iter().map(|&place| self.candidates[place].name.clone()).collect();
        let labels = self.labels.select_categories(&kept);
        Ok(Reading {
            annotations: Annotations {
                images: self.images.into_all(),
                labels,
                categories,
                source: path.into(),
            },
            notes,
        })
    }

    fn note(&self, kept: &[usize]) -> String {
        let kept: Vec<&Candidate> = kept.iter().map(|&place| &self.candidates[place]).collect();
        let names: Vec<&str> = kept.iter().map(|candidate| &*candidate.name).collect();
        let left_out: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(column, _)| *column != self.path_column)
            .filter(|(column, _)| kept.iter().all(|candidate| candidate.column != *column))
            .map(|(_, name)| if name.is_empty() { "\"\"".into() } else { name.clone() })
            .collect();
        let mut note = format!("{} columns are findings: {}", names.len(), names.join(", "));
        if !left_out.is_empty() {
            note += &format!("; not read: {}", left_out.join(", "));
        }
        note
    }
}

impl Candidate {
    fn new(name: &str, column: usize) -> Self {
        let known = is_finding(name);
        Self { name: name.into(), column, known, labels: 0, uncertain: 0, blanks: 0, others: 0, other: None }
    }

    fn take(&mut self, value: &str, report: &mut Report<'_>) -> Cell {
        let value = value.trim();
        let cell = cell(value);
        match cell {
            Cell::Blank => self.blanks += 1,
            Cell::Known(_) => self.labels += 1,
            Cell::Uncertain => {
                self.labels += 1;
                self.uncertain += 1;
            }
            Cell::Other if self.known => {
                report.note(|| format!("{} for finding {}; {ACCEPTED}", shown(value), shown(&self.name)));
            }
            Cell::Other => {
                self.others += 1;
                self.other.get_or_insert_with(|| (report.line, value.to_owned()));
            }
        }
        cell
    }

    fn is_finding(&self) -> bool {
        self.known || (self.labels > 0 && self.others == 0)
    }

    /// Whether most cells are labels and some are not, so that nobody can say what the column is.
    fn is_mixed(&self) -> bool {
        !self.known && self.others > 0 && self.labels > self.others
    }

    fn why_mixed(&self, value: &str) -> String {
        format!(
            "{} in column {}, where {} cells are labels; {ACCEPTED}; take the column out if it is not a finding",
            shown(value),
            shown(&self.name),
            self.labels
        )
    }
}

fn cell(value: &str) -> Cell {
    match value {
        "" | "NA" | "nan" | "NaN" => Cell::Blank,
        _ => match value.parse::<f64>() {
            Ok(1.0) => Cell::Known(Label::Positive),
            Ok(0.0) => Cell::Known(Label::Negative),
            Ok(-1.0) => Cell::Uncertain,
            _ => Cell::Other,
        },
    }
}

fn no_path(columns: &[String]) -> String {
    let study = columns.iter().any(|column| letters(column) == "studyid");
    let hint = match study {
        true => "; MIMIC-CXR's table has one line for each study: join it with the table of its images",
        false => "",
    };
    let header = shown(&columns.join(","));
    let expected = "expected one called Path, image_path, filename, file or image";
    format!("no column of image paths in {header}; {expected}{hint}")
}

#[cfg(test)]
mod tests;
