//! Lists of tags: `image,tags` with several tags in a cell, or `image,tag` with one per line.
//!
//! What Kaggle data sets, DAM exports and spreadsheets hold; there is no specification. Fields are
//! separated by commas or tabs and may be quoted within a line, the header may be missing. A tag that an image
//! lacks is not said to be absent: the user must say whether it was looked for.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::name_list::check_name;
use crate::annotations::Annotations;
use crate::files::{folder_of, tidy, write_atomically};
use crate::formats::Reading;
use crate::formats::format::Format;
use crate::formats::image_names::image_names;
use crate::formats::lines::{Lines, split, text};
use crate::formats::marks::Marks;
use crate::formats::options::{Choice, Options};
use crate::formats::report::shown;
use crate::labels::Label;
use crate::{Error, Result};

/// This format.
pub const FORMAT: Format = Format {
    name: "tags",
    title: "tags",
    about: "Lists of tags: image,tags",
    extensions: &[],
    takes: &[Choice::Unlisted],
    names_categories: false,
    unknown_becomes_negative: false,
    recognize,
    read,
    write,
};

/// What the first column may be called.
const IMAGES: [&str; 9] =
    ["image", "images", "image_name", "image_path", "filename", "file_name", "file", "path", "img"];
/// What a second column of several tags in a cell may be called.
const SEVERAL: [&str; 4] = ["tags", "labels", "categories", "classes"];
/// What a second column of one tag in a cell may be called.
const ONE: [&str; 4] = ["tag", "label", "category", "class"];
/// What may stand between the tags of a cell, beside spaces.
const SEPARATORS: [char; 3] = [';', '|', ','];

/// Reads a list of tags; image paths are relative to it.
///
/// +1: a tag that is listed. Everything else is what `--unlisted` says.
///
/// # Errors
/// [`Error::Usage`] where it does not show what separates tags; all wrong lines at once.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let why = "a list of tags does not say whether a tag that an image lacks was looked for";
    let unlisted = options.unlisted(why)?;
    let separator = Survey::of(path)?.separator(path)?;
    let folder = options.image_folder(path);
    let mut marks = Marks::default();
    for_each_row(path, |image, tags| {
        let image = marks.image(&folder.join(image));
        let tags = tags.split(|character| Some(character) == separator);
        for tag in tags.map(str::trim).filter(|tag| !tag.is_empty()) {
            let category = marks.category(tag);
            marks.mark(image, category, Label::Positive);
        }
    })?;
    marks.finish(unlisted.label(), path)
}

/// Whether a file begins with a header of a list of tags.
pub fn recognize(_path: &Path, head: &[u8]) -> Option<String> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim_start_matches('\u{feff}').trim();
    let delimiter = if line.contains('\t') { '\t' } else { ',' };
    let (image, tags) = line.split_once(delimiter)?;
    let [image, tags] = [image, tags].map(|name| name.trim_matches(['"', ' ']));
    header(image, tags).map(|_| format!("a list of tags with the header {}", shown(line)))
}

/// What a first look over the file shows.
#[derive(Default)]
struct Survey {
    /// Whether the header says that a cell holds one tag, or several.
    one: Option<bool>,
    separators: Vec<char>,
    /// A cell with a space inside.
    spaced: Option<String>,
    /// Whether an image is in several lines.
    repeated: bool,
}

impl Survey {
    fn of(path: &Path) -> Result<Self> {
        let mut survey = Self::default();
        let mut images = HashSet::new();
        let one = for_each_row(path, |image, tags| {
            survey.repeated |= !images.insert(tidy(Path::new(image)));
            for separator in SEPARATORS.into_iter().filter(|it| tags.contains(*it)) {
                if !survey.separators.contains(&separator) {
                    survey.separators.push(separator);
                }
            }
            if survey.spaced.is_none() && tags.contains(char::is_whitespace) {
                survey.spaced = Some(tags.to_owned());
            }
        })?;
        Ok(Self { one, ..survey })
    }

    /// What stands between the tags of a cell; `None` if a cell is one tag.
    fn separator(&self, path: &Path) -> Result<Option<char>> {
        let unclear = |what: String| {
            let advice = "put ; between the tags of an image, or give one tag per line below image,tag";
            Err(Error::Usage(format!("{}: {what}; {advice}", path.display())))
        };
        match (self.one, &self.separators[..], &self.spaced) {
            (Some(true), _, _) | (_, [], None) => Ok(None),
            (_, [separator], _) => Ok(Some(*separator)),
            (Some(false), [], Some(_)) if !self.repeated => Ok(Some(' ')),
            (None, [], Some(_)) if self.repeated => Ok(None),
            (_, [], Some(cell)) => unclear(format!("{} may be one tag or several", shown(cell))),
            (_, several, _) => {
                let all: Vec<String> = several.iter().map(char::to_string).collect();
                unclear(format!(
                    "its tags hold {}, and only one of them can separate tags",
                    all.join(" and ")
                ))
            }
        }
    }
}

/// Calls `each` with the image and the cell of tags of every line below the header; gives whether the
/// header says that a cell is one tag, `None` if there is no header.
fn for_each_row(path: &Path, mut each: impl FnMut(&str, &str)) -> Result<Option<bool>> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut lines = Lines::new(path, BufReader::with_capacity(1 << 20, file));
    let (mut delimiter, mut one) = (None, None);
    while lines.advance()? {
        let Lines { bytes, report, .. } = &mut lines;
        let Some(line) = text(bytes, report) else { continue };
        let first = delimiter.is_none();
        let delimiter = *delimiter.get_or_insert(if line.contains('\t') { '\t' } else { ',' });
        match row(line, delimiter) {
            Ok((image, tags)) => {
                one = if first { header(&image, &tags) } else { one };
                if !first || one.is_none() {
                    each(image.trim(), tags.trim());
                }
            }
            Err(what) => report.note(|| what),
        }
    }
    let mut report = lines.report;
    if delimiter.is_none() && report.problems.is_empty() {
        report.note(|| "an empty file; expected lines of image and tags".into());
    }
    report.problems.or(one)
}

/// Whether a header says that a cell is one tag; `None` if the row is not a header.
fn header(image: &str, tags: &str) -> Option<bool> {
    let [image, tags] = [image, tags].map(|name| name.trim().to_lowercase());
    let (one, several) = (ONE.contains(&&*tags), SEVERAL.contains(&&*tags));
    (IMAGES.contains(&&*image) && (one || several)).then_some(one)
}

/// The image and the cell of tags of a line.
fn row(line: &str, delimiter: char) -> std::result::Result<(Cow<'_, str>, Cow<'_, str>), String> {
    let fields = split(line, delimiter)?;
    let count = fields.len();
    let Ok([image, tags]) = <[Cow<'_, str>; 2]>::try_from(fields) else {
        let between = if delimiter == '\t' { "a tab" } else { "a comma" };
        return Err(format!("{count} fields; expected two with {between} between: image and tags"));
    };
    if image.trim().is_empty() { Err("no image in the first column".into()) } else { Ok((image, tags)) }
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
                writer.write_record([image, *tag])?;
            }
            if tags.is_empty() {
                writer.write_record([image, ""])?;
            }
        }
        writer.flush()
    })?;
    Ok(losses(annotations))
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
