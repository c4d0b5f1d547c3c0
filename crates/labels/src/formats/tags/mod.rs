//! Lists of tags: `image,tags` with several tags in a cell, or `image,tag` with one per line.
//!
//! What Kaggle data sets, DAM exports and spreadsheets hold, beside other columns or alone; there is no
//! specification. Fields are separated as in any table ([`super::sheet`]), the header may be missing. A cell may
//! be a list as Python, NumPy, JSON or PostgreSQL write it, or a word for nothing, such as `nan` ([`cells`]). A
//! tag that an image lacks is not said to be absent: the user must say whether it was looked for.

mod cells;
mod survey;

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use self::cells::{Cell, cell};
use self::survey::{Fields, Survey, known_columns};
use super::name_list::check_name;
use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::format::{Format, Keeps, NotListed, Written};
use crate::formats::image_names::image_names;
use crate::formats::marks::{Marks, clear};
use crate::formats::options::{Choice, Options, Separator};
use crate::formats::report::shown;
use crate::formats::sheet::{Layout, head_text};
use crate::formats::splits::Splits;
use crate::formats::{Reading, specific};
use crate::labels::Label;
use crate::text::listed;
use crate::{Error, Result};

/// This format.
pub const FORMAT: Format = Format {
    name: "tags",
    title: "tags",
    about: "Lists of tags: image,tags",
    example: r#"image,tags
a.jpg,cat;traffic light
b.jpg,dog"#,
    extensions: &[],
    takes: &[
        Choice::Unlisted,
        Choice::Separator,
        Choice::ImageColumn,
        Choice::LabelColumns,
        Choice::Extension,
        Choice::Set,
    ],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::Positives, write }),
};

/// Reads a list of tags; image paths are relative to it.
///
/// +1: a tag that is listed. Everything else is what `--unlisted` says.
///
/// # Errors
/// [`Error::Usage`] where it does not show what separates tags; all wrong lines at once.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let why = "a list of tags does not say whether a tag that an image lacks was looked for";
    let unlisted = options.unlisted(why)?;
    let fields = Fields::of(path, options)?;
    let survey = Survey::of(path, &fields)?;
    let separator = match options.separator {
        Some(Separator::None) => None,
        Some(Separator::Character(character)) => Some(character),
        None => survey.separator(path)?,
    };
    let folder = options.image_folder(path);
    let mut marks = Marks::default();
    let mut splits = Splits::new(options.set.as_deref());
    let (mut tagged, mut silent) = (HashSet::new(), HashSet::new());
    fields.for_each_row(path, survey.has_header, |row| {
        if !splits.takes(fields.columns.iter().flat_map(|columns| columns.splits_of(row))) {
            return;
        }
        let image = marks.image(&folder.join(&*options.image_name(row[fields.image].trim())));
        for text in fields.tags(row) {
            let tags = match cell(text) {
                Cell::Missing => {
                    silent.insert(image);
                    continue;
                }
                Cell::List(tags) => tags,
                Cell::Text(text) => {
                    text.split(|character| Some(character) == separator).map(Into::into).collect()
                }
            };
            tagged.insert(image);
            for tag in tags.iter().map(|tag| tag.trim()).filter(|tag| !tag.is_empty()) {
                let category = marks.category(tag);
                marks.mark(image, category, Label::Positive);
            }
        }
    })?;
    splits.check(path)?;
    if options.separator.is_none() && marks.categories().iter().all(|tag| ["0", "1", "-1"].contains(&&**tag))
    {
        refuse_numbers(path, marks.categories())?;
    }
    let mut reading = marks.finish(unlisted.label(), path)?;
    // Nobody looked at these, so that nothing is known of them even where what is not listed is negative.
    let unseen: Vec<usize> = silent.difference(&tagged).copied().collect();
    clear(&mut reading.annotations.labels, unseen.iter().copied());
    if !unseen.is_empty() {
        let count = unseen.len();
        reading.notes.push(format!("{count} images have a cell such as nan, None or -1: all unknown there"));
    }
    reading.notes.extend(survey.note(&fields));
    Ok(reading)
}

/// Refuses tags that look like the numbers of a table.
fn refuse_numbers(path: &Path, tags: &[String]) -> Result<()> {
    if tags.is_empty() {
        return Ok(());
    }
    let what =
        format!("its only tags are {}, as where numbers say whether a category is there", listed(tags));
    let advice = "pass --from table for a column per category; --separator if they are names after all";
    Err(Error::Usage(format!("{}: {what}; {advice}", path.display())))
}

/// Whether a file begins with a header of a list of tags.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    let text = head_text(head);
    let [header, _] = Layout::of(&text).rows(&text);
    let (image, tags) = known_columns(&header)?;
    if header.len() > 2 && specific(path, head) {
        return None;
    }
    let [image, tags] = [image, tags].map(|column| shown(&header[column]));
    Some(format!("a list of tags with images in column {image} and tags in {tags}"))
}

/// Writes `image,tag`, one positive label a line, and a line without a tag for an image that has none.
///
/// What is lost: negative labels, which no list of tags can tell from unknown ones; categories without
/// a positive label; the order of categories.
///
/// # Errors
/// If a name cannot be in a line.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let check = |name: &String| check_name(path, name, "a list of tags");
    annotations.categories.iter().try_for_each(check)?;
    let images = image_names(annotations, folder_of(path))?;
    images.iter().try_for_each(check)?;
    write_atomically(path, |writer| {
        let mut writer = csv::Writer::from_writer(writer);
        writer.write_record(["image", "tag"])?;
        for (row, image) in images.iter().enumerate() {
            let tags = positives(annotations, row);
            for tag in &tags {
                writer.write_record([image, &*as_cell(tag)])?;
            }
            if tags.is_empty() {
                writer.write_record([image, ""])?;
            }
        }
        writer.flush()
    })?;
    Ok(losses(annotations))
}

/// A tag as a cell that holds it alone; one that looks like a list or a word for nothing is put into a list.
fn as_cell(tag: &str) -> Cow<'_, str> {
    match cell(tag) {
        Cell::Text(_) => tag.into(),
        _ => format!("[\"{}\"]", tag.replace('\\', "\\\\").replace('"', "\\\"")).into(),
    }
}

fn positives(annotations: &Annotations, row: usize) -> Vec<&String> {
    let named = annotations.categories.iter().zip(annotations.labels.row(row));
    named.filter(|(_, label)| *label == Label::Positive).map(|(name, _)| name).collect()
}

fn losses(annotations: &Annotations) -> Vec<String> {
    let mut losses = Vec::new();
    let negative = annotations.labels.count(Label::Negative);
    if negative > 0 {
        losses.push(format!("{negative} negative labels: a list of tags cannot tell them from unknown ones"));
    }
    let counts = annotations.labels.counts();
    let silent = counts.iter().filter(|(positives, _)| *positives == 0).count();
    if silent > 0 {
        losses
            .push(format!("{silent} categories without a positive label: a list of tags does not name them"));
    }
    let first =
        |category: usize| annotations.labels.column(category).position(|label| label == Label::Positive);
    let order: Vec<usize> = (0..counts.len()).filter_map(first).collect();
    if !order.is_sorted() {
        losses.push("the order of categories: they are read back in order of appearance".into());
    }
    losses
}

#[cfg(test)]
mod tests;
