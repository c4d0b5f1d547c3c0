//! What has been read of a file so far.

use std::path::{Path, PathBuf};

use super::entry::{Entry, said};
use super::states::States;
use crate::Result;
use crate::formats::Reading;
use crate::formats::json::Scalar;
use crate::formats::label_lists::{Columns, Labels, Name, fill_unlisted, no_multi_hot, one};
use crate::formats::marks::Marks;
use crate::formats::options::{Choice, Options};
use crate::formats::report::{Report, shown};
use crate::formats::shards::is_split_name;
use crate::images::has_extension;
use crate::labels::Label;

/// What the keys of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Images,
    Categories,
}

/// Names of sets of images beside those of splits, whose lists are no labels.
const SETS: [&str; 2] = ["trainval", "images"];

fn is_set(key: &str) -> bool {
    is_split_name(key) || SETS.contains(&&*key.to_lowercase())
}

/// What a key is by its name and value; nothing if the value is empty and the key could be both.
///
/// # Errors
/// If it could be neither, or both.
pub(super) fn direction(key: &str, entry: &Entry) -> std::result::Result<Option<Direction>, String> {
    let is_image = |value: &Scalar| matches!(value, Scalar::Text(name) if has_extension(name));
    let images = match entry {
        Entry::List(list) => !list.is_empty() && list.iter().all(is_image),
        Entry::One(value) => is_image(value),
        // Their names are categories.
        Entry::States(_) => false,
    };
    let key_name = shown(key);
    match (has_extension(key), images, entry) {
        (true, false, _) => Ok(Some(Direction::Images)),
        (true, true, _) => Err(format!("{key_name} and all that it lists look like images; expected labels")),
        (false, true, Entry::List(_)) if is_set(key) => {
            Err(format!("{key_name} is a set of images; expected a category, or images with their labels"))
        }
        (false, true, Entry::List(_)) => Ok(Some(Direction::Categories)),
        _ if entry.is_empty() => Ok(None),
        _ => Err(format!(
            "neither {key_name} nor what it lists look like images; expected names that end as .jpg or .png do"
        )),
    }
}

pub(super) struct Table {
    path: PathBuf,
    options: Options,
    direction: Option<Direction>,
    marks: Marks,
    columns: Columns,
    states: States,
    /// The line of each image or category that was a key.
    lines: Vec<usize>,
    /// Images whose labels are a list.
    listed: Vec<usize>,
    without_labels: usize,
    /// Keys without a value that could be images or categories, with their lines.
    empty: Vec<(String, usize)>,
}

impl Table {
    pub fn new(path: &Path, options: &Options) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            options: options.clone(),
            direction: None,
            marks: Marks::default(),
            columns: Columns::new(options)?,
            states: States::new(options.convention),
            lines: Vec::new(),
            listed: Vec::new(),
            without_labels: 0,
            empty: Vec::new(),
        })
    }

    /// Takes a member.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add(&mut self, key: &str, entry: Entry, line: usize) -> std::result::Result<(), String> {
        let Some(found) = direction(key, &entry)? else {
            self.empty.push((key.to_owned(), line));
            return Ok(());
        };
        let with_key = |what: String| format!("{}: {what}", shown(key));
        match (*self.direction.get_or_insert(found), found) {
            (Direction::Images, Direction::Images) => self.image(key, &entry, line).map_err(with_key),
            (Direction::Categories, Direction::Categories) => {
                self.category(key, &entry, line).map_err(with_key)
            }
            (Direction::Images, _) => Err(format!("{} has images, where keys before are images", shown(key))),
            (Direction::Categories, _) => {
                Err(format!("{} looks like an image, where keys before are categories", shown(key)))
            }
        }
    }

    fn image(&mut self, key: &str, entry: &Entry, line: usize) -> std::result::Result<(), String> {
        let row = self.marks.image(&self.options.image_folder(&self.path).join(key));
        self.once(row, line)?;
        let name = |value: &Scalar| match value {
            Scalar::Text(name) if !name.is_empty() => Ok(Name::Text(name.clone())),
            Scalar::Number(number) if *number >= 0 => Ok(Name::Number(*number as u64)),
            other => Err(format!("{} among the labels; expected names or numbers from 0", said(other))),
        };
        let (positive, single) = match entry {
            Entry::States(states) => return self.states.add(row, states, &mut self.marks),
            Entry::One(Scalar::Other("null")) => {
                self.without_labels += 1;
                return Ok(());
            }
            Entry::One(Scalar::Text(text)) => (vec![one(text)?], true),
            Entry::One(value) => (vec![name(value)?], true),
            Entry::List(list) => (
                no_multi_hot(list.iter().map(name).collect::<std::result::Result<_, _>>()?, "the list")?,
                false,
            ),
        };
        let labels = Labels { positive, single, ..Labels::default() };
        let [columns, _] = self.columns.of(&labels, &mut self.marks)?;
        columns.into_iter().for_each(|column| self.marks.mark(row, column, Label::Positive));
        self.listed.push(row);
        Ok(())
    }

    fn category(&mut self, key: &str, entry: &Entry, line: usize) -> std::result::Result<(), String> {
        if key.is_empty() {
            return Err("a category without a name".into());
        }
        let column = self.marks.category(key);
        self.once(column, line)?;
        let Entry::List(images) = entry else { return Ok(()) };
        for image in images {
            if let Scalar::Text(image) = image {
                let row = self.marks.image(&self.options.image_folder(&self.path).join(image));
                self.marks.mark(row, column, Label::Positive);
            }
        }
        Ok(())
    }

    /// Notes the line of a key's row or column.
    fn once(&mut self, place: usize, line: usize) -> std::result::Result<(), String> {
        match self.lines.get(place) {
            Some(before) => Err(format!("already appears on line {before}")),
            None => {
                self.lines.push(line);
                Ok(())
            }
        }
    }

    /// Takes the keys without a value, once it is known what keys are.
    pub fn settle(&mut self, report: &mut Report<'_>) {
        for (key, line) in std::mem::take(&mut self.empty) {
            report.line = line;
            let said = match self.direction {
                Some(Direction::Categories) => self
                    .category(&key, &Entry::List(Vec::new()), line)
                    .map_err(|what| format!("{}: {what}", shown(&key))),
                _ => Err(format!(
                    "{} has no labels and does not look like an image; expected a name that ends as .jpg does",
                    shown(&key)
                )),
            };
            if let Err(what) = said {
                report.note(|| what);
            }
        }
    }

    /// The labels.
    ///
    /// # Errors
    /// See [`super::read`].
    pub fn finish(self) -> Result<Reading> {
        let Self { path, options, direction, marks, columns, states, mut listed, without_labels, .. } = self;
        if direction == Some(Direction::Categories) {
            listed = (0..marks.images().len()).collect();
        }
        let mut taken = Vec::new();
        taken.extend((!listed.is_empty()).then_some(Choice::Unlisted));
        taken.extend(states.numbers.then_some(Choice::Convention));
        if !marks.images().is_empty() {
            options.only("this JSON map", &taken)?;
        }
        let unlisted = match (listed.is_empty(), direction) {
            (true, _) => None,
            (_, Some(Direction::Categories)) => {
                Some(options.unlisted("the map lists the images in which a category is there")?)
            }
            _ => Some(options.unlisted("the map lists the labels that are there")?),
        };
        let mut reading = states.finish(marks, &path)?;
        if let Some(unlisted) = unlisted {
            fill_unlisted(&mut reading.annotations.labels, &listed, unlisted);
        }
        if without_labels > 0 {
            reading.notes.push(format!("{without_labels} images have null instead of labels: all unknown"));
        }
        reading.notes.extend(columns.finish(&path)?);
        Ok(reading)
    }
}
