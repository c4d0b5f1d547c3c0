//! Data sets for YOLO detectors: one label file an image, with a class number in each line, and the names of the
//! classes in `data.yaml`, `classes.txt` or `obj.names`.
//!
//! Format: <https://docs.ultralytics.com/datasets/detect/>, and `verify_image_label` of
//! `ultralytics/data/utils.py`; where tools put the files is said in `layout`. Boxes, outlines and points are read
//! as labels of their image.

use std::path::{Path, PathBuf};

use super::Reading;
use super::marks::Marks;
use super::options::{Choice, Options};
use super::report::{counted, shown};
use super::shards;
use super::tree::walk;
use crate::error::Problems;
use crate::files::folder_of;
use crate::formats::format::{Format, NotListed};
use crate::labels::Label;
use crate::{Error, Result};
use data_yaml::DataYaml;
use label_file::Objects;
use layout::{Part, Set};
use rows::Rows;

mod data_yaml;
mod label_file;
mod layout;
mod rows;

/// This format.
pub const FORMAT: Format = Format {
    name: "yolo",
    title: "YOLO",
    about: "YOLO label files: a folder with data.yaml, classes.txt or obj.names",
    example: r#"data.yaml              train: images/train  names: [cat, dog]
images/train/1.jpg
labels/train/1.txt     1 0.5 0.5 0.2 0.3"#,
    extensions: &[],
    takes: &[Choice::Unlisted, Choice::Set],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: None,
};

/// Reads one set of a folder, of the `data.yaml` in it, or of a folder of labels: the class of an object is +1,
/// other classes are what the user says. An image without a label file is unknown.
///
/// Categories are in the order of their numbers.
///
/// # Errors
/// A missing policy or set, names that are not there, and all problems of the label files at once.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let source = Source::open(path)?;
    let names: Vec<&str> =
        source.sets.iter().map(|(set, _)| &*set.name).filter(|it| !it.is_empty()).collect();
    let chosen = match (&names[..], &options.set) {
        ([], None) => 0,
        // Ultralytics' small data sets train and validate on the same images.
        (_, None) if source.is_one_set() => 0,
        (names, set) => shards::choose(path, names, set.as_deref())?,
    };
    let unlisted = options.unlisted("label files name what was found, not what was looked for")?;
    let (set, mut notes) = source.sets.into_iter().nth(chosen).expect("a chosen set");
    let classes = match source.classes {
        Some(classes) => classes,
        None => names_of_classes(path, &set)?,
    };
    notes.extend(classes.note);
    let mut rows = Rows::default();
    for part in &set.parts {
        rows.add(part, options.images.as_deref())?;
    }
    notes.extend(rows.notes());
    let mut reading = mark(&rows, classes.names, unlisted.label(), path, &mut notes)?;
    reading.notes.splice(0..0, notes);
    Ok(reading)
}

/// Reads the label files of the images.
fn mark(
    rows: &Rows,
    names: Vec<String>,
    unlisted: Label,
    source: &Path,
    notes: &mut Vec<String>,
) -> Result<Reading> {
    let mut marks = Marks::with_categories(names.iter().cloned());
    let mut problems = Problems::default();
    let (mut missing, mut empty, mut predicted, mut outside) = (0, 0, 0, 0);
    for row in &rows.rows {
        let image = marks.image(&row.image);
        let Some(file) = &row.labels else {
            missing += 1;
            marks.leave_unknown(image);
            continue;
        };
        let objects = Objects::read(file, &names, &mut problems)?;
        objects.classes.iter().for_each(|class| marks.mark(image, *class, Label::Positive));
        empty += usize::from(objects.classes.is_empty());
        predicted += objects.predicted;
        outside += objects.outside;
    }
    problems.or(())?;
    let state = if unlisted == Label::Negative { "negative" } else { "unknown" };
    let counts = [
        (empty, format!("images have an empty label file: {state} in every category")),
        (
            missing,
            "images have no label file: unknown in every category; give those that were looked at and hold \
             nothing an empty one"
                .to_owned(),
        ),
        (predicted, "objects have a confidence, so a model found them: positive".to_owned()),
        (outside, "objects lie outside of their image: positive all the same".to_owned()),
    ];
    notes.extend(counted(counts));
    marks.finish(unlisted, source)
}

/// The names of the classes, and what the user should know of them.
struct Classes {
    names: Vec<String>,
    note: Option<String>,
}

impl Classes {
    fn of(yaml: &DataYaml) -> Self {
        match yaml.count {
            Some(count) if yaml.names.is_empty() => Self {
                // As Ultralytics names them.
                names: (0..count).map(|number| format!("class_{number}")).collect(),
                note: Some(format!("{count} classes without names: class_0 … ; add names: to data.yaml")),
            },
            _ => Self { names: yaml.names.clone(), note: None },
        }
    }
}

/// What a path stands for.
struct Source {
    /// What `data.yaml` says.
    classes: Option<Classes>,
    /// At least one.
    sets: Vec<layout::Found>,
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let file = if path.is_dir() { layout::yaml_in(path) } else { Some(path.to_owned()) };
        let yaml = file.map(|file| Ok((DataYaml::read(&file)?, file))).transpose()?;
        let sets = match &yaml {
            Some((yaml, file)) if !yaml.sets.is_empty() => layout::yaml_sets(file, yaml)?,
            _ => {
                let root = if path.is_dir() { path } else { folder_of(path) };
                layout::folder_sets(root)?.into_iter().map(|set| (set, Vec::new())).collect()
            }
        };
        Ok(Self { classes: yaml.map(|(yaml, _)| Classes::of(&yaml)), sets })
    }

    fn is_one_set(&self) -> bool {
        self.sets.iter().all(|(set, _)| set.parts == self.sets[0].0.parts)
    }
}

/// The names in the folder, among the labels, or above them.
fn names_of_classes(path: &Path, set: &Set) -> Result<Classes> {
    for folder in folders_of_names(path, set) {
        if let Some(file) = layout::yaml_in(&folder) {
            return Ok(Classes::of(&DataYaml::read(&file)?));
        }
        if let Some(file) = layout::names_in(&folder) {
            return Ok(Classes { names: layout::read_names(&file)?, note: None });
        }
    }
    let what = "no names of classes; put a classes.txt with a name in each line beside the labels";
    Err(Error::Data(format!("{}: {what}", path.display())))
}

fn folders_of_names(path: &Path, set: &Set) -> Vec<PathBuf> {
    let mut folders = vec![path.to_owned(), path.join("labels")];
    for part in &set.parts {
        match part {
            Part::Folder { images, labels } => folders.extend([labels.clone(), images.clone()]),
            Part::List { file, .. } => folders.push(folder_of(file).to_owned()),
        }
    }
    folders.extend(layout::folders_above(path));
    folders
}

/// Whether a file is `data.yaml`, or a folder has one, or has names of classes and label files.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    if !path.is_dir() {
        let is_yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        let found = is_yaml && layout::has_names(&String::from_utf8_lossy(head));
        return found.then(|| "YAML with names of classes".into());
    }
    if let Some(file) = layout::yaml_in(path) {
        return Some(format!("a folder with {}", super::tree::name_of(&file)));
    }
    let sets = layout::folder_sets(path).ok()?;
    let set = sets.first()?;
    let mut folders = folders_of_names(path, set).into_iter();
    let names = folders.find_map(|folder| layout::yaml_in(&folder).or_else(|| layout::names_in(&folder)))?;
    let has_labels = match set.parts.first()? {
        Part::List { .. } => true,
        Part::Folder { labels, .. } => has_label_file(labels),
    };
    has_labels
        .then(|| format!("label files and names of classes in {}", shown(&super::tree::name_of(&names))))
}

/// Whether the first label file that is not empty holds objects.
fn has_label_file(folder: &Path) -> bool {
    let files = walk(folder).map(|tree| tree.files).unwrap_or_default();
    files.iter().filter(|file| layout::is_label_name(file)).take(100).any(|file| layout::holds_objects(file))
}

#[cfg(test)]
mod tests;
