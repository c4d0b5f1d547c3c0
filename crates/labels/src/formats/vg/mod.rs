//! VG-200: a JSON object of images, each with the indices of its categories, and lists of images.
//!
//! As SSGRL and HCP-MLR-PL read Visual Genome (<https://github.com/HCPLab-SYSU/HCP-MLR-PL>,
//! `datasets/vg.py`): `vg_category_200_labels_index.json` holds training and test images, and
//! `train_list_500.txt` or `test_list_500.txt` says which of them are meant, in which order. A category
//! that is not listed is negative. The names of the categories are not public.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use serde::de::MapAccess;

use super::json::{Document, Member, read_object};
use super::name_list::{self, Entry, numbered_categories};
use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::Reading;
use crate::formats::format::{Format, Keeps, NotListed, Written};
use crate::formats::image_names::image_names;
use crate::formats::label_lists::NumberLists;
use crate::formats::marks::Marks;
use crate::formats::options::{Choice, Options};
use crate::formats::report::{Report, multi_hot, shown};
use crate::labels::Label;
use crate::{Error, Result};

/// This format.
pub const FORMAT: Format = Format {
    name: "vg",
    title: "vg",
    about: "VG-200: JSON of image to indices",
    example: r#"{"1.jpg": [0, 17, 33],
 "2.jpg": [4]}"#,
    extensions: &[],
    takes: &[Choice::ImageList],
    names_categories: true,
    unlisted: NotListed::Negative,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::NoUnknown, write }),
};

/// Most categories without a list of their names: one large index must not ask for a large matrix.
const MOST_UNNAMED: usize = 10_000;

/// Reads the JSON file; `--image-list` gives the images and their order, `--categories` the names.
///
/// +1: a listed index; −1: every other category; nothing is unknown. Images lie beside the JSON file.
///
/// # Errors
/// All indices without a category, images twice in the file, listed images that it lacks, and lists that have
/// or may have one number per category.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let names = options.categories.as_deref().map(|it| name_list::read(it, "names of categories"));
    let names = names.transpose()?;
    let list = options.image_list.as_deref();
    let wanted = list.map(|list| name_list::read(list, "names of images")).transpose()?;
    let mut index = Index::new(wanted.as_deref(), names.as_ref().map(Vec::len));
    let mut report = Report::new(path);
    read_object(&mut report, &mut index)?;
    index.check_complete(list, &mut report);
    report.problems.or(())?;
    index.lists.check(names.as_ref().map(Vec::len), path)?;
    let (names, note) = category_names(names, index.categories);
    let mut marks = Marks::with_categories(names);
    let folder = options.image_folder(path);
    for (name, positives) in &index.images {
        let image = marks.image(&folder.join(name));
        for &category in positives.iter().flatten() {
            marks.mark(image, category as usize, Label::Positive);
        }
    }
    let mut reading = marks.finish(Label::Negative, path)?;
    let all = wanted.is_none().then(|| {
        let count = reading.annotations.images.len();
        format!("no --image-list: all {count} images of the file, which may hold the test images too")
    });
    reading.notes.splice(0..0, all.into_iter().chain(note));
    Ok(reading)
}

/// Whether a file begins with an object of lists of whole numbers.
pub fn recognize(_path: &Path, head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let (first, _) = text.trim_start_matches('\u{feff}').trim_start().strip_prefix('{')?.split_once(']')?;
    let (key, list) = first.rsplit_once('[')?;
    let key: String = serde_json::from_str(key.trim().strip_suffix(':')?.trim()).ok()?;
    let numbers = list.split(',').all(|number| number.trim().parse::<u32>().is_ok());
    numbers.then(|| format!("a JSON object of images and indices of categories, the first {}", shown(&key)))
}

/// Names for as many categories, and what the user should know if the file gave none.
fn category_names(names: Option<Vec<Entry>>, count: usize) -> (Vec<String>, Option<String>) {
    if let Some(names) = names {
        return (names.into_iter().map(|entry| entry.name).collect(), None);
    }
    let (names, note) = numbered_categories(count);
    (names, Some(note))
}

/// The images so far.
struct Index {
    /// The images and, once they were there, their positives.
    images: Vec<(String, Option<Vec<u32>>)>,
    places: HashMap<String, Place>,
    /// Whether only listed images are taken.
    listed: bool,
    /// How many categories there are: as many as names, or as the largest index says.
    categories: usize,
    named: bool,
    lists: NumberLists,
}

/// Where an image stands.
#[derive(Default)]
struct Place {
    /// Its row.
    row: usize,
    /// Its line in the JSON file, 0 before it was there; in the list.
    line: usize,
    list_line: usize,
}

impl Index {
    fn new(wanted: Option<&[Entry]>, names: Option<usize>) -> Self {
        let listed = wanted.unwrap_or_default().iter().enumerate();
        let place = |(row, entry): (usize, &Entry)| {
            (entry.name.clone(), Place { row, line: 0, list_line: entry.line })
        };
        Self {
            images: wanted.unwrap_or_default().iter().map(|entry| (entry.name.clone(), None)).collect(),
            places: listed.map(place).collect(),
            listed: wanted.is_some(),
            categories: names.unwrap_or_default(),
            named: names.is_some(),
            lists: NumberLists::default(),
        }
    }

    /// Takes one image of the file.
    fn add(&mut self, name: String, positives: Vec<u64>, report: &mut Report<'_>) {
        let most = if self.named { self.categories } else { MOST_UNNAMED };
        if name.is_empty() {
            return report.note(|| "an image without a name".into());
        }
        let count = |number| positives.iter().filter(|index| **index == number).count();
        if let Some(number) = [0, 1].into_iter().find(|&number| count(number) > 1) {
            return report.note(|| format!("image {}: {}", shown(&name), multi_hot(number, "the list")));
        }
        self.lists.add(positives.iter().map(|index| Some(*index)));
        if let Some(wrong) = positives.iter().find(|index| **index >= most as u64) {
            let names = if self.named { "of --categories" } else { "at most; more need --categories FILE" };
            let last = most.saturating_sub(1);
            return report
                .note(|| format!("image {}: index {wrong}; expected 0 … {last} {names}", shown(&name)));
        }
        if !self.named {
            let largest = positives.iter().max().map_or(0, |&index| index as usize + 1);
            self.categories = self.categories.max(largest);
        }
        let rows = self.images.len();
        let place = match self.places.get_mut(&name) {
            Some(place) if place.line > 0 => {
                let first = place.line;
                return report.note(|| format!("image {} already appears on line {first}", shown(&name)));
            }
            Some(place) => place,
            None if self.listed => return,
            None => {
                self.images.push((name.clone(), None));
                self.places.entry(name).or_insert(Place { row: rows, ..Place::default() })
            }
        };
        place.line = report.line;
        self.images[place.row].1 = Some(positives.into_iter().map(|index| index as u32).collect());
    }

    /// Notes the listed images that the file lacks.
    fn check_complete(&self, list: Option<&Path>, report: &mut Report<'_>) {
        let Some(list) = list else { return };
        for (name, _) in self.images.iter().filter(|(_, positives)| positives.is_none()) {
            let line = self.places[name].list_line;
            let (name, file) = (shown(name), report.path.display());
            report.problems.push(format!("{}:{line}: image {name} is not in {file}", list.display()));
        }
    }
}

impl Document for Index {
    const WHAT: &str = "an object of images";
    const EXPECTED: &str = r#"; expected {"IMAGE": [INDEX, …], …}"#;

    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        member: Member<'_, '_, A>,
    ) -> std::result::Result<(), A::Error> {
        member.value(|positives, report| self.add(key.to_owned(), positives, report))
    }
}

/// Writes the JSON file, and the names of the categories beside it, in `NAME.categories.txt`.
///
/// What is lost: unknown labels, which every reader takes for negative ones.
///
/// # Errors
/// If the name of a category cannot be in a list, or there are two of them and every image has both: such
/// lists are all 0 and 1, which the reader takes for one number per category.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let labels = &annotations.labels;
    if labels.categories() == 2 && labels.count(Label::Positive) == 2 * labels.images() {
        let what = "every image has both categories; a VG list cannot say so, write another format";
        return Err(Error::Data(format!("{}: {what}", path.display())));
    }
    let names = image_names(annotations, folder_of(path))?;
    let categories = path.with_extension("categories.txt");
    name_list::write(&categories, annotations.categories.iter().map(String::as_str))?;
    write_atomically(path, |writer| {
        write!(writer, "{{")?;
        for (row, name) in names.iter().enumerate() {
            let positives = annotations.labels.row(row).enumerate();
            let positives = positives.filter(|(_, label)| *label == Label::Positive);
            let indices: Vec<usize> = positives.map(|(category, _)| category).collect();
            writeln!(writer, "{}", if row == 0 { "" } else { "," })?;
            serde_json::to_writer(&mut *writer, name)?;
            write!(writer, ": ")?;
            serde_json::to_writer(&mut *writer, &indices)?;
        }
        writeln!(writer, "\n}}")
    })?;
    let unknown = annotations.labels.count(Label::Unknown);
    let names = format!(
        "the names of {} categories: they are in {}, for --categories",
        annotations.categories.len(),
        categories.display()
    );
    let unknown = (unknown > 0).then(|| {
        format!(
            "{unknown} unknown labels: every reader takes them for negative, as a VG list cannot hold them"
        )
    });
    Ok(unknown.into_iter().chain([names]).collect())
}

#[cfg(test)]
mod tests;
