//! Parquet tables: one file, or a folder whose `*.parquet` files are the shards of one table.
//!
//! A row is an image: a text column of paths (or the `path` of Hugging Face's structures `{bytes, path}`),
//! and its labels, either a column of 1 (positive), 0 (negative) and null (unknown) for each category, or a
//! list column `labels`, with or without a second one `negative_labels`. Numbers in lists are names by
//! Hugging Face's metadata. Format: <https://parquet.apache.org/docs/file-format/>; features:
//! <https://huggingface.co/docs/datasets/about_dataset_features>.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use self::cells::Value;
use self::schema::{EXTRACT, Layout, Plan};
use self::sets::{Sets, shards};
use self::shard::{Entry, Rows, Shard};
use super::marks::{Marks, clear};
use super::names::Names;
use super::options::{Choice, Options};
use super::report::{Report, shown};
use super::shards::shard_files;
use super::{Reading, name_list};
use crate::annotations::Annotations;
use crate::files::{folder_of, tidy};
use crate::labels::{Label, LabelMatrix};
use crate::{Error, Result};

mod cells;
mod codecs;
mod delta;
mod guard;
mod headers;
mod schema;
mod scores;
mod sets;
mod shard;
mod thrift;
mod writing;

use crate::formats::format::{Format, Keeps, NotListed, Written};

pub use self::scores::ScoreTable;
pub use self::writing::write;

/// This format.
pub const FORMAT: Format = Format {
    name: "parquet",
    title: "Parquet",
    about: "Parquet table, or a folder of its shards",
    example: r#"train-00000-of-00002.parquet
train-00001-of-00002.parquet"#,
    extensions: &["parquet"],
    takes: &[Choice::Unlisted, Choice::Set],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

/// Reads a table, one row group and one column at a time. Image paths are joined to `--images`, else to
/// the folder of the file or shards; of shards of several splits, or of those that a column such as `split` names,
/// `--set` chooses one.
///
/// # Errors
/// All problems of a file at once, each with its row: `table.parquet:12` is the twelfth.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let set = options.set.as_deref();
    let (folder, shards, set) = if path.is_dir() {
        let (files, set) = shards(path, set)?;
        (path, files, set)
    } else {
        (folder_of(path), vec![path.to_owned()], set)
    };
    let mut table = Table::new(options.images.as_deref().unwrap_or(folder), options, set);
    for shard in &shards {
        table.add(shard)?;
    }
    table.finish(path)
}

/// Why a file or folder is a Parquet table.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    if head.starts_with(b"PAR1") {
        return Some("a Parquet file".into());
    }
    let files = path.is_dir().then(|| shard_files(path, "parquet").ok()).flatten()?;
    (!files.is_empty()).then(|| format!("a folder with {} Parquet files", files.len()))
}

/// What has been read so far.
struct Table<'a> {
    folder: &'a Path,
    options: &'a Options,
    content: Option<Content>,
    sets: Sets<'a>,
    notes: Notes,
}

/// Images and labels, in the form in which the first shard has them.
enum Content {
    /// A column for each category.
    Columns { categories: Vec<String>, images: Names<PathBuf>, labels: LabelMatrix },
    /// Lists of labels.
    Lists(Lists),
}

struct Lists {
    marks: Marks,
    /// What a category is that is not in the lists.
    unlisted: Label,
    /// Rows that have no list at all, if there is but one list.
    without: Vec<usize>,
    /// Whether there are lists of negative labels too.
    negatives: bool,
    /// What the numbers of the lists mean, and where that is said.
    names: Option<(Vec<String>, &'static str)>,
    /// Whether a number had no name.
    numbers: bool,
}

/// How doubtful things were read.
#[derive(Default)]
struct Notes {
    left_out: Vec<String>,
    embedded: bool,
}

impl<'a> Table<'a> {
    fn new(folder: &'a Path, options: &'a Options, set: Option<&'a str>) -> Self {
        Self { folder, options, content: None, sets: Sets::new(set), notes: Notes::default() }
    }

    /// Reads one more file.
    fn add(&mut self, path: &Path) -> Result<()> {
        let shard = Shard::open(path)?;
        let plan = shard.plan()?;
        self.notes.add(&plan);
        if self.content.is_none() {
            self.content = Some(Content::start(&plan.layout, self.options)?);
        }
        let content = self.content.as_mut().expect("was just set");
        content.check(&plan.layout, path)?;
        let mut report = Report::new(path);
        let mut before = 0;
        for group in 0..shard.groups() {
            let start = content.count();
            let add = |image: &str| content.add(tidy(&self.folder.join(image)));
            let count = shard.images(group, before, plan.image, &mut report, add)?;
            // A row that was not added would shift the labels.
            if report.problems.is_empty() {
                let rows = Rows { group, before, count };
                content.add_labels(&shard, &plan.layout, rows, start, &mut report)?;
                self.sets.add(&shard, &plan.splits, rows)?;
            }
            before += count;
        }
        report.problems.or(())
    }

    fn finish(self, path: &Path) -> Result<Reading> {
        let Self { content, sets, notes, .. } = self;
        let chosen = sets.rows(path)?;
        let content = content.expect("a table has at least one shard");
        let (mut reading, without, numbers) = match content {
            Content::Columns { categories, images, labels, .. } => {
                let images = images.into_all();
                if images.is_empty() {
                    return Err(Error::Data(format!("{}: no rows; nothing to read", path.display())));
                }
                let annotations = Annotations { images, labels, categories, source: path.into() };
                (Reading { annotations, notes: Vec::new() }, 0, false)
            }
            Content::Lists(Lists { marks, unlisted, without, numbers, .. }) => {
                let mut reading = marks.finish(unlisted, path)?;
                let labels = &mut reading.annotations.labels;
                clear(labels, without.iter().copied().filter(|_| unlisted != Label::Unknown));
                (reading, without.len(), numbers)
            }
        };
        if let Some(rows) = chosen {
            reading.annotations = reading.annotations.select(&rows);
        }
        reading.notes.extend(notes.sentences(without, numbers));
        Ok(reading)
    }
}

impl Content {
    fn start(layout: &Layout, options: &Options) -> Result<Self> {
        let says_itself = || options.only("this Parquet table", &[Choice::Set]);
        let (negative, names) = match layout {
            Layout::Columns(columns) => {
                says_itself()?;
                let categories: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
                let labels = LabelMatrix::unknown(0, categories.len());
                return Ok(Self::Columns { categories, images: Names::default(), labels });
            }
            Layout::Lists { negative, names, .. } => (negative, names),
        };
        let unlisted = match negative {
            Some(_) => {
                says_itself()?;
                Label::Unknown
            }
            None => options.unlisted("the table has a list of labels, but none of negative_labels")?.label(),
        };
        let names = match (names, &options.categories) {
            (Some(names), _) => Some((names.clone(), "Hugging Face's metadata")),
            (None, Some(list)) => {
                let entries = name_list::read(list, "categories")?;
                Some((entries.into_iter().map(|entry| entry.name).collect(), "--categories"))
            }
            (None, None) => None,
        };
        let known = names.iter().flat_map(|(names, _): &(Vec<String>, _)| names.iter().cloned());
        Ok(Self::Lists(Lists {
            marks: Marks::with_categories(known),
            unlisted,
            without: Vec::new(),
            negatives: negative.is_some(),
            names,
            numbers: false,
        }))
    }

    /// Images so far.
    fn count(&self) -> usize {
        match self {
            Self::Columns { images, .. } => images.all().len(),
            Self::Lists(lists) => lists.marks.images().len(),
        }
    }

    /// Adds an image without labels; false if it is there already.
    fn add(&mut self, image: PathBuf) -> bool {
        match self {
            Self::Columns { images, labels, categories } => {
                let new = images.add(image).is_ok();
                if new {
                    labels.push(&vec![Label::Unknown; categories.len()]);
                }
                new
            }
            Self::Lists(lists) => {
                let before = lists.marks.images().len();
                lists.marks.image(&image) == before
            }
        }
    }

    /// Refuses a shard that is not a part of the same table.
    fn check(&self, layout: &Layout, path: &Path) -> Result<()> {
        match (self, layout) {
            (Self::Columns { categories, .. }, Layout::Columns(columns)) => {
                places(categories, columns, path).map(drop)
            }
            (Self::Lists(lists), Layout::Lists { negative, names, .. }) => {
                lists.check(negative.is_some(), names.as_deref(), path)
            }
            _ => {
                let what = "labels are lists in one shard and columns in another; expected one table";
                Err(Error::Data(format!("{}: {what}", path.display())))
            }
        }
    }

    /// Adds the labels of the rows from `start` on, of a shard that was checked.
    fn add_labels(
        &mut self,
        shard: &Shard<'_>,
        layout: &Layout,
        rows: Rows,
        start: usize,
        report: &mut Report<'_>,
    ) -> Result<()> {
        match (self, layout) {
            (Self::Columns { categories, labels, .. }, Layout::Columns(columns)) => {
                let places = places(categories, columns, report.path)?;
                for (place, &(_, leaf)) in places.into_iter().zip(columns) {
                    shard.column(rows, leaf, report, |row, label| labels.set(start + row, place, label))?;
                }
                Ok(())
            }
            (Self::Lists(lists), &Layout::Lists { positive, negative, .. }) => {
                shard.list(rows, positive, report, |row, entry| {
                    lists.add(start + row, entry, Label::Positive)
                })?;
                negative.map_or(Ok(()), |leaf| {
                    shard
                        .list(rows, leaf, report, |row, entry| lists.add(start + row, entry, Label::Negative))
                })
            }
            _ => unreachable!("the form of the shard was checked"),
        }
    }
}

impl Lists {
    /// Refuses a shard whose lists mean something else than those of the first.
    fn check(&self, negatives: bool, names: Option<&[String]>, path: &Path) -> Result<()> {
        let before = self.names.as_ref().map(|(names, _)| names.as_slice());
        let what = match (negatives == self.negatives, names) {
            (false, _) => "negative_labels in some shards alone",
            (true, Some(names)) if before != Some(names) => "other names of labels than in the first shard",
            _ => return Ok(()),
        };
        Err(Error::Data(format!("{}: {what}; expected one table", path.display())))
    }

    /// Adds what a list says of a row; `label` is what an entry of it means.
    fn add(&mut self, row: usize, entry: Entry<'_>, label: Label) -> std::result::Result<(), String> {
        match (entry, label) {
            (Entry::Label(value), _) => {
                let category = self.category(&value)?;
                self.marks.mark(row, category, label);
            }
            (Entry::NoList, _) if !self.negatives => self.without.push(row),
            (Entry::NoList, _) => {}
        }
        Ok(())
    }

    /// The category that an entry of a list names.
    fn category(&mut self, value: &Value<'_>) -> std::result::Result<usize, String> {
        match (value, &self.names) {
            (Value::Text(text), _) => match std::str::from_utf8(text) {
                Ok("") => Err("an empty label".into()),
                Ok(name) => Ok(self.marks.category(name)),
                Err(_) => Err("a label that is not UTF-8 text".into()),
            },
            (Value::Whole(number), Some((names, source))) => {
                let name = usize::try_from(*number).ok().and_then(|number| names.get(number));
                match name {
                    Some(name) => Ok(self.marks.category(name)),
                    None => Err(format!("label {number}; {source} names {} labels, from 0", names.len())),
                }
            }
            (Value::Whole(number), None) if *number >= 0 => {
                self.numbers = true;
                Ok(self.marks.category(&number.to_string()))
            }
            (value, _) => Err(format!("label {value}; expected a name or a number from 0")),
        }
    }
}

impl Notes {
    fn add(&mut self, plan: &Plan) {
        self.embedded |= plan.embedded;
        for name in &plan.left_out {
            if !self.left_out.contains(name) {
                self.left_out.push(name.clone());
            }
        }
    }

    fn sentences(self, without: usize, numbers: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.left_out.is_empty() {
            notes.push(format!("columns that were not read: {}", self.left_out.join(", ")));
        }
        if without > 0 {
            notes.push(format!("{without} rows have null instead of a list of labels: all unknown"));
        }
        if numbers {
            notes.push(
                "labels are numbers without names; name them with --categories FILE, the name of 0 first"
                    .into(),
            );
        }
        if self.embedded {
            notes.push(format!(
                "the table holds images, which are not read; if their paths lead to no file, {EXTRACT}"
            ));
        }
        notes
    }
}

/// The columns of the first shard in which the columns of another one stand.
fn places(categories: &[String], columns: &[(String, usize)], path: &Path) -> Result<Vec<usize>> {
    let first: HashMap<&str, usize> = categories.iter().enumerate().map(|(at, name)| (&**name, at)).collect();
    let wrong = |what: String| {
        Error::Data(format!("{}: {what}; expected the columns of the first shard", path.display()))
    };
    if let Some(missing) = categories.iter().find(|name| columns.iter().all(|(column, _)| column != *name)) {
        return Err(wrong(format!("no column {}", shown(missing))));
    }
    let place = |(name, _): &(String, usize)| {
        first.get(&**name).copied().ok_or_else(|| wrong(format!("a further column {}", shown(name))))
    };
    columns.iter().map(place).collect()
}

#[cfg(test)]
mod column_tests;
#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod tests;
