//! Pascal VOC: one XML file an image, or one list of labels per category.
//! The XML files that annotation tools write are read too, in `flat`.
//!
//! The format of the development kit, <http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html>.
//! `Annotations/ID.xml` names every object of an image, `ImageSets/Main/SET.txt` lists the images of a
//! set, and `ImageSets/Main/CATEGORY_SET.txt` says `1`, `-1` or `0` of each of them. A category without
//! an object is negative. One with only difficult objects (`0` in the lists) is what the user says,
//! unknown by default; the official code of SARB reads it as negative.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::name_list::{self, Entry};
use crate::error::Problems;
use crate::formats::Reading;
use crate::formats::marks::Marks;
use crate::formats::options::{Choice, Difficult, Options};
use crate::formats::report::{Report, shown};
use crate::images::has_extension;
use crate::labels::Label;
use crate::{Error, Result};

mod flat;
mod lists;
mod photo;

use crate::formats::format::{Format, Keeps, NotListed, Written};
use photo::Photo;

pub use lists::write;

/// This format.
pub const FORMAT: Format = Format {
    name: "voc",
    title: "voc",
    about: "Pascal VOC: the folder of Annotations and ImageSets, or XML files beside images",
    example: r#"Annotations/000001.xml
ImageSets/Main/trainval.txt
ImageSets/Main/cat_trainval.txt"#,
    extensions: &[],
    takes: &[Choice::Set, Choice::Difficult, Choice::Unlisted],
    names_categories: false,
    unlisted: NotListed::NegativeOrAsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

/// The set that is read if the user names none.
const DEFAULT_SET: &str = "trainval";

/// Reads a folder that holds `Annotations/` or `ImageSets/Main/`, or the only such folder right below
/// `path` or `path/VOCdevkit`: the images of one set, categories in alphabetical order. XML files as
/// annotation tools lay them out need a policy for what is not listed.
///
/// Labels come from the XML files, and from the lists of categories where there are none. +1: an object
/// that is not difficult, or 1; −1: no object, or −1; only difficult objects, or 0: as the options say.
///
/// # Errors
/// A set that is not there; every XML file that is missing or wrong; every line of a list that is wrong.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    if let Some(flat) = flat::find(path)? {
        return flat::read(path, flat, options);
    }
    let root = find_root(path)?;
    let sets = ImageSets::open(&root)?;
    let images = options.images.clone().unwrap_or_else(|| root.join("JPEGImages"));
    let difficult = options.difficult.unwrap_or_default();
    if sets.stems.is_empty() && root.join("Annotations").is_dir() {
        if options.set.is_some() {
            // There is none to choose: this says so.
            sets.choose(options.set.as_deref())?;
        }
        let why = "without the lists of ImageSets/Main it may be the export of a tool, in which nobody says that \
                   every category was looked for";
        let unlisted = options.unlisted(why)?.label();
        let ids = every_annotation(&root)?;
        let note = format!("no lists in ImageSets/Main: all {} files of Annotations, by name", ids.len());
        let labels = Labels::new(Vec::new(), difficult);
        let labels = read_annotations(&root, &images, &ids, &sets.folder, labels)?;
        return labels.finish(unlisted, path, vec![note]);
    }
    options.only("Pascal VOC with its own folders", &[Choice::Set, Choice::Difficult])?;
    if !root.join("Annotations").is_dir() {
        let set = sets.choose(options.set.as_deref())?;
        return lists::read(&sets, set, &images, difficult);
    }
    let set = sets.choose(options.set.as_deref())?;
    let (ids, labels) = (sets.ids(set)?, Labels::new(sets.classes(set), difficult));
    let labels = read_annotations(&root, &images, &ids, &sets.list(set), labels)?;
    labels.finish(Label::Negative, path, Vec::new())
}

/// Reads the XML files of the images that `list` names.
fn read_annotations(
    root: &Path,
    images: &Path,
    ids: &[Entry],
    list: &Path,
    mut labels: Labels,
) -> Result<Labels> {
    let mut problems = Problems::default();
    for id in ids {
        let path = root.join("Annotations").join(format!("{}.xml", id.name));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                problems.push(format!("{}:{}: no {}", list.display(), id.line, path.display()));
                continue;
            }
            Err(error) => return Err(Error::io(path, error)),
        };
        let mut report = Report { path: &path, line: 0, problems };
        let photo = Photo::read(file, &mut report)?;
        labels.add(&images.join(photo.image(&id.name)), &photo.categories);
        problems = report.problems;
    }
    problems.or(labels)
}

/// Whether a folder is laid out as Pascal VOC is, or holds XML files as tools write them.
pub fn recognize(path: &Path, _head: &[u8]) -> Option<String> {
    if let Ok(Some(flat)) = flat::find(path) {
        return flat.is_annotated().then(|| format!("{} XML files of Pascal VOC", flat.files()));
    }
    let root = path.is_dir().then(|| find_root(path).ok()).flatten()?;
    let parts = ["Annotations", "ImageSets/Main"].map(|part| root.join(part).is_dir().then_some(part));
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    // A folder called Annotations alone holds anything; in VOC it holds XML.
    let xml = parts != ["Annotations"] || every_annotation(&root).is_ok_and(|files| !files.is_empty());
    xml.then(|| format!("a Pascal VOC folder with {}", parts.join(" and ")))
}

/// The folder that holds `Annotations` or `ImageSets/Main`.
fn find_root(path: &Path) -> Result<PathBuf> {
    let is_root = |folder: &Path| ["Annotations", "ImageSets/Main"].iter().any(|it| folder.join(it).is_dir());
    if is_root(path) {
        return Ok(path.to_path_buf());
    }
    let wrong = |what: &str| Err(Error::Data(format!("{}: {what}", path.display())));
    if path.is_file() {
        return wrong("a file; expected the folder that holds Annotations or ImageSets/Main");
    }
    let mut below = folders(path)?;
    below.extend(folders(&path.join("VOCdevkit")).unwrap_or_default());
    below.retain(|folder| is_root(folder));
    match &below[..] {
        [root] => Ok(root.clone()),
        [] => wrong("expected a folder that holds Annotations or ImageSets/Main"),
        several => {
            let names: Vec<String> = several.iter().map(|folder| folder.display().to_string()).collect();
            wrong(&format!("holds several VOC folders; choose one of {}", names.join(", ")))
        }
    }
}

fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = children(path)?.into_iter().filter(|child| child.is_dir()).collect();
    found.sort();
    Ok(found)
}

fn children(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(path).map_err(|error| Error::io(path, error))?;
    let paths = entries.map(|entry| Ok(entry.map_err(|error| Error::io(path, error))?.path()));
    paths.collect()
}

/// The names of the files `*.extension` in a folder, without the extension, sorted; none without the folder.
fn stems(folder: &Path, extension: &str) -> Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let named = |path: &PathBuf| path.extension().is_some_and(|it| it == extension);
    let paths = children(folder)?.into_iter().filter(named);
    let mut stems: Vec<String> =
        paths.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect();
    stems.sort();
    Ok(stems)
}

fn every_annotation(root: &Path) -> Result<Vec<Entry>> {
    let names = stems(&root.join("Annotations"), "xml")?;
    Ok(names.into_iter().zip(1..).map(|(name, line)| Entry { line, name }).collect())
}

/// The lists of `ImageSets/Main`.
pub(super) struct ImageSets {
    /// `ImageSets/Main`.
    pub folder: PathBuf,
    /// Their names without `.txt`, sorted.
    stems: Vec<String>,
}

impl ImageSets {
    fn open(root: &Path) -> Result<Self> {
        let folder = root.join("ImageSets").join("Main");
        Ok(Self { stems: stems(&folder, "txt")?, folder })
    }

    /// The sets of images: lists of no category, and those that categories have lists of.
    fn sets(&self) -> Vec<&str> {
        const USUAL: [&str; 4] = ["train", "val", "trainval", "test"];
        let is_of = |stem: &str, set: &str| stem.strip_suffix(set).is_some_and(|class| class.ends_with('_'));
        let is_list_of_class = |stem: &&str| {
            let others = self.stems.iter().map(String::as_str);
            others.chain(USUAL).any(|set| is_of(stem, set))
        };
        let mut sets: Vec<&str> = self.stems.iter().map(String::as_str).collect();
        sets.retain(|stem| !is_list_of_class(stem));
        sets.extend(USUAL.into_iter().filter(|set| self.stems.iter().any(|stem| is_of(stem, set))));
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    fn choose<'a>(&self, wanted: Option<&'a str>) -> Result<&'a str> {
        let (set, sets) = (wanted.unwrap_or(DEFAULT_SET), self.sets());
        if sets.contains(&set) {
            return Ok(set);
        }
        let asked = wanted.map(|set| format!("--set {}: ", shown(set))).unwrap_or_default();
        let what = match &sets[..] {
            [] => "has no list of images such as trainval.txt".to_owned(),
            _ if wanted.is_none() => format!("has no {DEFAULT_SET}.txt; choose --set {}", sets.join(" or ")),
            _ => format!("has {}", sets.join(", ")),
        };
        Err(Error::Usage(format!("{asked}{} {what}", self.folder.display())))
    }

    /// The file that lists the images of a set.
    fn list(&self, set: &str) -> PathBuf {
        self.folder.join(format!("{set}.txt"))
    }

    /// The images of a set.
    pub fn ids(&self, set: &str) -> Result<Vec<Entry>> {
        name_list::read(&self.list(set), "names of images")
    }

    /// Whether there is a list of the images of a set.
    pub fn has(&self, set: &str) -> bool {
        self.stems.iter().any(|stem| stem == set)
    }

    /// The categories that have a list for `set`, sorted.
    pub fn classes(&self, set: &str) -> Vec<String> {
        let suffix = format!("_{set}");
        let classes = self.stems.iter().filter_map(|stem| stem.strip_suffix(&suffix));
        let mut classes: Vec<String> = classes.filter(|class| !class.is_empty()).map(str::to_owned).collect();
        classes.sort();
        classes
    }
}

/// The file name of the image `id`: VOC leaves `.jpg` out.
pub(super) fn file_name(id: &str) -> String {
    if has_extension(id) { id.to_owned() } else { format!("{id}.jpg") }
}

/// The labels of the photos so far.
struct Labels {
    marks: Marks,
    difficult: Difficult,
    difficult_cells: usize,
    dropped: usize,
    empty: usize,
}

impl Labels {
    fn new(classes: Vec<String>, difficult: Difficult) -> Self {
        let marks = Marks::with_categories(classes);
        Self { marks, difficult, difficult_cells: 0, dropped: 0, empty: 0 }
    }

    /// Adds an image with its categories, and whether all objects of each are difficult.
    fn add(&mut self, image: &Path, categories: &BTreeMap<String, bool>) {
        let doubtful = categories.values().filter(|only_difficult| **only_difficult).count();
        for name in categories.keys() {
            self.marks.category(name);
        }
        if doubtful > 0 && self.difficult == Difficult::Dropped {
            self.dropped += 1;
            return;
        }
        let image = self.marks.image(image);
        for (name, &only_difficult) in categories {
            let category = self.marks.category(name);
            let label = if only_difficult { difficult_label(self.difficult) } else { Label::Positive };
            self.marks.mark(image, category, label);
        }
        self.difficult_cells += doubtful;
        self.empty += usize::from(categories.is_empty());
    }

    fn finish(self, unlisted: Label, source: &Path, mut notes: Vec<String>) -> Result<Reading> {
        notes.extend(difficult_note(self.difficult, self.difficult_cells, self.dropped));
        if self.empty > 0 {
            let label = if unlisted == Label::Negative { "negative" } else { "unknown" };
            notes.push(format!("{} images without objects: {label} in every category", self.empty));
        }
        let mut reading = self.marks.finish(unlisted, source)?;
        sort_categories(&mut reading);
        reading.notes.splice(0..0, notes);
        Ok(reading)
    }
}

/// What a category with only difficult objects is in an image that is kept.
pub(super) fn difficult_label(difficult: Difficult) -> Label {
    match difficult {
        Difficult::Unknown | Difficult::Dropped => Label::Unknown,
        Difficult::Negative => Label::Negative,
        Difficult::Positive => Label::Positive,
    }
}

pub(super) fn difficult_note(difficult: Difficult, cells: usize, dropped: usize) -> Option<String> {
    let read_as = match difficult {
        Difficult::Dropped if dropped > 0 => {
            return Some(format!("{dropped} images with a category of only difficult objects: left out"));
        }
        Difficult::Unknown => "unknown",
        Difficult::Negative => "negative",
        Difficult::Positive => "positive",
        Difficult::Dropped => return None,
    };
    (cells > 0).then(|| format!("{cells} labels of categories with only difficult objects: {read_as}"))
}

fn sort_categories(reading: &mut Reading) {
    let annotations = &mut reading.annotations;
    let mut order: Vec<usize> = (0..annotations.categories.len()).collect();
    order.sort_by_key(|&category| &annotations.categories[category]);
    if !order.is_sorted() {
        annotations.labels = annotations.labels.select_categories(&order);
        annotations.categories = order.iter().map(|&it| annotations.categories[it].clone()).collect();
    }
}

#[cfg(test)]
mod tests;
