//! What has been read of a file so far.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use super::content::{Kind, Line, Said};
use super::jobs::{Jobs, MOST_NAMED};
use crate::annotations::Annotations;
use crate::files::tidy;
use crate::formats::Reading;
use crate::formats::label_lists::{Columns, fill_unlisted};
use crate::formats::marks::Marks;
use crate::formats::options::{Choice, Options};
use crate::formats::report::shown;
use crate::formats::splits::Splits;
use crate::labels::Label;
use crate::{Error, Result};

pub(super) struct Table<'a> {
    path: &'a Path,
    options: &'a Options,
    /// The kind of the first line, which all have.
    kind: Option<Kind>,
    marks: Marks,
    columns: Columns,
    splits: Splits<'a>,
    jobs: Jobs,
    /// The line of each image, and whether its name is an address elsewhere.
    images: Vec<(usize, bool)>,
    /// Images whose labels are one list.
    listed: Vec<usize>,
    without_labels: usize,
    left_out: Vec<String>,
}

impl<'a> Table<'a> {
    pub fn new(path: &'a Path, options: &'a Options) -> Result<Self> {
        Ok(Self {
            path,
            options,
            kind: None,
            marks: Marks::default(),
            columns: Columns::new(options)?,
            splits: Splits::new(options.set.as_deref()),
            jobs: Jobs::default(),
            images: Vec::new(),
            listed: Vec::new(),
            without_labels: 0,
            left_out: Vec::new(),
        })
    }

    /// Takes a line.
    ///
    /// # Errors
    /// An image that is there already, or what is wrong with its labels.
    pub fn add(&mut self, line: Line, number: usize) -> std::result::Result<(), String> {
        let first = *self.kind.get_or_insert(line.kind);
        if first != line.kind {
            let [first, this] = [first, line.kind].map(Kind::image_key);
            return Err(format!("an object with {this} after those with {first}; expected one kind"));
        }
        if !self.splits.takes([line.set.as_deref()]) {
            return Ok(());
        }
        let remote = line.image.contains("://");
        let path = match remote {
            // The scheme, the bucket, and at least a name.
            true if Path::new(&line.image).components().count() < 3 => {
                return Err(format!("{} has no path behind the bucket", shown(&line.image)));
            }
            true => PathBuf::from(&line.image),
            false => self.options.image_folder(self.path).join(&line.image),
        };
        let row = self.marks.image(&path);
        if let Some((before, _)) = self.images.get(row) {
            return Err(format!("image {} already appears on line {before}", shown(&line.image)));
        }
        self.images.push((number, remote));
        for name in line.left_out {
            if self.left_out.len() <= MOST_NAMED && !self.left_out.contains(&name) {
                self.left_out.push(name);
            }
        }
        match line.said {
            Said::Nothing => self.without_labels += 1,
            Said::Answers(answers) => self.jobs.add(row, answers, &mut self.marks),
            Said::Lists(labels) => {
                let [positive, negative] = self.columns.of(&labels, &mut self.marks)?;
                for (columns, label) in [(positive, Label::Positive), (negative, Label::Negative)] {
                    columns.into_iter().for_each(|column| self.marks.mark(row, column, label));
                }
                if labels.negative.is_none() {
                    self.listed.push(row);
                }
            }
        }
        Ok(())
    }

    /// The labels.
    ///
    /// # Errors
    /// See [`super::read`].
    pub fn finish(self) -> Result<Reading> {
        let Self { path, options, marks, columns, splits, jobs, images, listed, without_labels, .. } = self;
        splits.check(path)?;
        if without_labels == images.len() && without_labels > 0 {
            return Err(Error::Data(format!("{}: no line has labels; expected {EXPECTED}", path.display())));
        }
        let unlisted = match (listed.is_empty(), jobs.is_empty()) {
            (true, true) if images.is_empty() => None,
            (true, true) => options.only("this JSON Lines file", &[Choice::Set]).map(|()| None)?,
            (false, _) => {
                Some(options.unlisted("the lines list the labels that are there, without negative_labels")?)
            }
            (_, false) => Some(options.unlisted("the lines list the labels that were chosen")?),
        };
        let mut reading = marks.finish(Label::Unknown, path)?;
        if let Some(unlisted) = unlisted {
            fill_unlisted(&mut reading.annotations.labels, &listed, unlisted);
            reading.notes.extend(jobs.finish(&mut reading.annotations.labels, unlisted));
        }
        localize(&mut reading.annotations, &images, options.image_folder(path))?;
        if without_labels > 0 {
            reading.notes.push(format!("{without_labels} images have no labels: all unknown"));
        }
        if !self.left_out.is_empty() {
            let more = if self.left_out.len() > MOST_NAMED { ", …" } else { "" };
            let names: Vec<String> = self.left_out.iter().take(MOST_NAMED).map(|name| shown(name)).collect();
            reading.notes.push(format!(
                "not read, since they are not labels of whole images: {}{more}",
                names.join(", ")
            ));
        }
        reading.notes.extend(columns.finish(path)?);
        Ok(reading)
    }
}

const EXPECTED: &str = "labels (with negative_labels), label, tags or objects.categories; \
                        classificationAnnotations; or the key of a labeling job and its metadata";

/// Puts paths in the place of addresses: what is below the folder that all of them share. Where the first image
/// is not there and its name alone is, and no two have the same, the names alone.
fn localize(annotations: &mut Annotations, images: &[(usize, bool)], folder: &Path) -> Result<()> {
    let rows: Vec<usize> = (0..images.len()).filter(|&row| images[row].1).collect();
    let Some(&first) = rows.first() else { return Ok(()) };
    // The scheme is the first part: `gs:/bucket/set/1.jpg`.
    let parts = |row: usize| -> Vec<Component<'_>> { annotations.images[row].components().skip(1).collect() };
    let mut shared = parts(first);
    shared.pop();
    for &row in &rows {
        let other = parts(row);
        let below = other.len().saturating_sub(1);
        let same = shared.iter().zip(&other[..below]).take_while(|(a, b)| a == b).count();
        shared.truncate(same);
    }
    let below: Vec<PathBuf> =
        rows.iter().map(|&row| folder.join(PathBuf::from_iter(&parts(row)[shared.len()..]))).collect();
    let name = |row: &usize| Some(folder.join(annotations.images[*row].file_name()?));
    let names: Option<Vec<PathBuf>> = rows.iter().map(name).collect();
    let distinct = |paths: &[PathBuf]| paths.iter().collect::<HashSet<_>>().len() == paths.len();
    let flat = names.filter(|names| distinct(names) && !below[0].is_file() && names[0].is_file());
    for (row, path) in rows.into_iter().zip(flat.unwrap_or(below)) {
        annotations.images[row] = tidy(&path);
    }
    let mut seen = HashSet::new();
    match annotations.images.iter().zip(images).find(|(image, _)| !seen.insert(*image)) {
        Some((image, (line, _))) => Err(Error::Data(format!(
            "{}:{line}: {} is also where another image of the file is looked for; expected images of one bucket",
            annotations.source.display(),
            shown(&image.display().to_string())
        ))),
        None => Ok(()),
    }
}
