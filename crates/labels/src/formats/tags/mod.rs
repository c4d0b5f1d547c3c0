//! Lists of tags: `image,tags` with several tags in a cell, or `image,tag` with one per line.
//!
//! What Kaggle data sets, DAM exports and spreadsheets hold; there is no specification. Fields are
//! separated by commas or tabs and may be quoted within a line, the header may be missing. A cell may be a
//! list as Python, NumPy, JSON or PostgreSQL write it, or a word for nothing, such as `nan` ([`cells`]). A tag
//! that an image lacks is not said to be absent: the user must say whether it was looked for.

mod cells;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use self::cells::{Cell, cell};
use super::name_list::check_name;
use crate::annotations::Annotations;
use crate::files::{folder_of, tidy, write_atomically};
use crate::formats::Reading;
use crate::formats::format::{Format, Keeps, NotListed, Written};
use crate::formats::image_names::image_names;
use crate::formats::lines::{Lines, split, text};
use crate::formats::marks::Marks;
use crate::formats::options::{Choice, Options, Separator};
use crate::formats::report::shown;
use crate::images::has_extension;
use crate::labels::Label;
use crate::text::letters;
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
    takes: &[Choice::Unlisted, Choice::Separator],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::Positives, write }),
};

/// What the first column may be called, by its letters and digits.
const IMAGES: [&str; 11] = [
    "image",
    "images",
    "imagename",
    "imagepath",
    "imageid",
    "imageindex",
    "filename",
    "file",
    "filepath",
    "path",
    "img",
];
/// What a second column of several tags in a cell may be called.
const SEVERAL: [&str; 5] = ["tags", "labels", "categories", "classes", "findinglabels"];
/// What a second column of one tag in a cell may be called.
const ONE: [&str; 4] = ["tag", "label", "category", "class"];
/// What may be between the tags of a cell, beside spaces.
const SEPARATORS: [char; 4] = [';', '|', ',', '#'];

/// Reads a list of tags; image paths are relative to it.
///
/// +1: a tag that is listed. Everything else is what `--unlisted` says.
///
/// # Errors
/// [`Error::Usage`] where it does not show what separates tags; all wrong lines at once.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let why = "a list of tags does not say whether a tag that an image lacks was looked for";
    let unlisted = options.unlisted(why)?;
    let survey = Survey::of(path)?;
    let separator = match options.separator {
        Some(Separator::None) => None,
        Some(Separator::Character(character)) => Some(character),
        None => survey.separator(path)?,
    };
    let folder = options.image_folder(path);
    let mut marks = Marks::default();
    let (mut tagged, mut silent) = (HashSet::new(), HashSet::new());
    for_each_row(path, survey.has_header, |image, tags| {
        let image = marks.image(&folder.join(image));
        let tags = match cell(tags) {
            Cell::Missing => {
                silent.insert(image);
                return;
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
    })?;
    let mut reading = marks.finish(unlisted.label(), path)?;
    // Nobody looked at these, so that nothing is known of them even where what is not listed is negative.
    let unseen: Vec<usize> = silent.difference(&tagged).copied().collect();
    let labels = &mut reading.annotations.labels;
    unseen.iter().for_each(|&image| {
        (0..labels.categories()).for_each(|category| labels.set(image, category, Label::Unknown));
    });
    if !unseen.is_empty() {
        let count = unseen.len();
        reading.notes.push(format!("{count} images have a cell such as nan, None or -1: all unknown there"));
    }
    if survey.has_header && !survey.known_header {
        reading.notes.push(format!("the first line is taken for a header: {}", shown(&survey.first)));
    }
    Ok(reading)
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
    /// Whether the first line is a header, and whether one of the names that are known.
    has_header: bool,
    known_header: bool,
    /// The first line's image and tags.
    first: String,
    /// Whether the header says that a cell holds one tag, or several.
    one: Option<bool>,
    separators: Vec<char>,
    /// A cell with a space inside.
    spaced: Option<String>,
    /// The cells that are text.
    cells: HashSet<String>,
    images: HashSet<PathBuf>,
    /// Whether an image is in several lines.
    repeated: bool,
}

impl Survey {
    fn of(path: &Path) -> Result<Self> {
        let mut survey = Self::default();
        let (mut rows, mut named_like_images) = (0, 0);
        let mut first = None;
        for_each_row(path, false, |image, tags| {
            if rows == 0 {
                first = Some((image.to_owned(), tags.to_owned()));
            } else {
                named_like_images += usize::from(has_extension(image));
                survey.look_at(image, tags);
            }
            rows += 1;
        })?;
        if let Some((image, tags)) = first {
            survey.one = header(&image, &tags);
            survey.known_header = survey.one.is_some();
            // Its first field is not the name of an image, while all others are.
            let odd = rows > 1 && !has_extension(&image) && named_like_images + 1 == rows;
            survey.has_header = survey.known_header || odd;
            if !survey.has_header {
                survey.look_at(&image, &tags);
            }
            survey.first = format!("{image},{tags}");
        }
        Ok(survey)
    }

    /// Takes one line below the header.
    fn look_at(&mut self, image: &str, tags: &str) {
        self.repeated |= !self.images.insert(tidy(Path::new(image)));
        let Cell::Text(tags) = cell(tags) else { return };
        for separator in SEPARATORS.into_iter().filter(|it| tags.contains(*it)) {
            if !self.separators.contains(&separator) {
                self.separators.push(separator);
            }
        }
        if self.spaced.is_none() && tags.contains(char::is_whitespace) {
            self.spaced = Some(tags.to_owned());
        }
        self.cells.insert(tags.to_owned());
    }

    /// A cell that holds what other cells are, with what is between.
    fn compound(&self) -> Option<(&str, char)> {
        self.separators.iter().find_map(|&separator| {
            let parts = |cell: &&String| {
                let parts = || cell.split(separator).map(str::trim).filter(|part| !part.is_empty());
                parts().nth(1).is_some() && parts().any(|part| self.cells.contains(part))
            };
            Some((self.cells.iter().filter(parts).min()?.as_str(), separator))
        })
    }

    /// What is between the tags of a cell; `None` if a cell is one tag.
    fn separator(&self, path: &Path) -> Result<Option<char>> {
        let unclear = |what: String| {
            let advice = "put ; between the tags of an image, give one tag per line below image,tag, or pass \
                          --separator";
            Err(Error::Usage(format!("{}: {what}; {advice}", path.display())))
        };
        match (self.one, &self.separators[..], &self.spaced) {
            (Some(true), _, _) => match self.compound() {
                None => Ok(None),
                Some((cell, separator)) => Err(Error::Usage(format!(
                    "{}: the header says that a cell is one tag, but {} holds what other cells are; pass \
                     --separator {separator:?} if it holds several tags, --separator none if it is one",
                    path.display(),
                    shown(cell)
                ))),
            },
            (_, [], None) => Ok(None),
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

/// Calls `each` with the image and the cell of tags of every line, or of those below the first if that is a
/// header.
fn for_each_row(path: &Path, has_header: bool, mut each: impl FnMut(&str, &str)) -> Result<()> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut lines = Lines::new(path, BufReader::with_capacity(1 << 20, file));
    let mut delimiter = None;
    while lines.advance()? {
        let Lines { bytes, report, .. } = &mut lines;
        let Some(line) = text(bytes, report) else { continue };
        let first = delimiter.is_none();
        let delimiter = *delimiter.get_or_insert(if line.contains('\t') { '\t' } else { ',' });
        match row(line, delimiter) {
            Ok((image, tags)) if !(first && has_header) => each(image.trim(), tags.trim()),
            Ok(_) => {}
            Err(what) => report.note(|| what),
        }
    }
    let mut report = lines.report;
    if delimiter.is_none() && report.problems.is_empty() {
        report.note(|| "an empty file; expected lines of image and tags".into());
    }
    report.problems.or(())
}

/// Whether a header says that a cell is one tag; `None` if the row is not a header.
fn header(image: &str, tags: &str) -> Option<bool> {
    let [image, tags] = [image, tags].map(letters);
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
