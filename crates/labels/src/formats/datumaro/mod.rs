//! Datumaro: JSON of a subset, `annotations/SUBSET.json` of an export as `datumaro`.
//!
//! Format: <https://open-edge-platform.github.io/datumaro/latest/docs/data-formats/formats/datumaro.html>, and
//! what `plugins/data_formats/datumaro/exporter.py` writes (version 1.10; 0.x has no `dm_format_version`). An
//! annotation names its label by its place in `categories`; what an item does not list is not said to be absent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess};
use serde_json::Value;

use super::Reading;
use super::class_numbers::ClassNumbers;
use super::json::{Document, Member, Scalar, outline, read_object, text};
use super::marks::{Marks, all_negative};
use super::options::{Choice, Options};
use super::report::{Report, counted, shown};
use super::shards::{self, shard_files};
use crate::files::folder_of;
use crate::formats::format::{Format, Keeps, NotListed, Written};
use crate::labels::LabelMatrix;
use crate::{Error, Result};

mod writing;

pub use writing::write;

/// This format.
pub const FORMAT: Format = Format {
    name: "datumaro",
    title: "Datumaro",
    about: "Datumaro JSON, or the folder of an export",
    example: r#"{"categories": {"label": {"labels": [{"name": "cat"}]}},
  "items": [{"id": "a", "image": {"path": "a.jpg"},
    "annotations": [{"type": "label", "label_id": 0}]}]}"#,
    extensions: &[],
    takes: &[Choice::Unlisted, Choice::Set],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::Positives, write }),
};

const ANNOTATIONS: &str = "annotations";

/// Reads a file, or the folder of an export, of whose subsets `--set` chooses one. Every annotation with a
/// label is +1 for its image, whatever its type; the rest is what `--unlisted` says.
///
/// # Errors
/// All problems of the file at once; that `--unlisted` or `--set` is missing.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let unlisted = options.unlisted("Datumaro lists what an image shows, not what was looked for")?;
    let path = &annotation_file(path, options.set.as_deref())?;
    let mut report = Report::new(path);
    let mut subset = Subset { folder: image_folder(path, options.images.as_deref()), ..Subset::default() };
    if read_object(&mut report, &mut subset)? {
        let labels = std::mem::take(&mut subset.labels);
        labels.mark(&subset.columns, "label_id", &mut subset.marks, &mut report);
    }
    if report.problems.is_empty() && !subset.has_items {
        report.line = 1;
        report.note(|| "no items; expected an object with an array items".into());
    }
    report.problems.or(())?;
    let marks = std::mem::take(&mut subset.marks);
    let mut reading = marks.finish(unlisted.label(), path)?;
    reading.notes.extend(subset.notes(&reading.annotations.labels));
    Ok(reading)
}

/// The file itself, or that of a subset of an export.
fn annotation_file(path: &Path, set: Option<&str>) -> Result<PathBuf> {
    if !path.is_dir() {
        return match set {
            None => Ok(path.to_owned()),
            Some(_) => {
                Err(Error::Usage("--set: chooses among the subsets of a folder; leave the option out".into()))
            }
        };
    }
    let files = subset_files(path)?;
    let names: Vec<_> = files.iter().filter_map(|file| Some(file.file_stem()?.to_string_lossy())).collect();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    if files.is_empty() {
        let what = format!("no {ANNOTATIONS}/*.json; expected an export of Datumaro");
        return Err(Error::Data(format!("{}: {what}", path.display())));
    }
    Ok(files[shards::choose(path, &names, set)?].clone())
}

/// The files of the subsets of an export, or of its folder `annotations`.
fn subset_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let annotations = folder.join(ANNOTATIONS);
    shard_files(if annotations.is_dir() { &annotations } else { folder }, "json")
}

/// Where the images of a subset lie: in `images/SUBSET` of the export, in `images`, or in the export itself.
fn image_folder(file: &Path, images: Option<&Path>) -> PathBuf {
    let folder = folder_of(file);
    let root = if folder.ends_with(ANNOTATIONS) { folder_of(folder) } else { folder };
    let folder_if_there = |folder: PathBuf| folder.is_dir().then_some(folder);
    let images = images.map(Path::to_owned).or_else(|| folder_if_there(root.join("images")));
    let images = images.unwrap_or_else(|| root.to_owned());
    file.file_stem().and_then(|subset| folder_if_there(images.join(subset))).unwrap_or(images)
}

#[derive(Default)]
struct Subset {
    folder: PathBuf,
    marks: Marks,
    has_items: bool,
    /// The columns of the labels that `categories` lists.
    columns: Vec<usize>,
    labels: ClassNumbers,
    /// How many annotations with a label have a type other than `label`.
    shapes: BTreeMap<String, usize>,
    same_name: usize,
    attributes: usize,
    without_label: usize,
    fractional: usize,
    /// Images of items without a label.
    empty: Vec<usize>,
    repeated: usize,
}

#[derive(Deserialize)]
#[serde(expecting = "categories: an object with label")]
struct Categories {
    label: Option<LabelCategories>,
}

#[derive(Deserialize)]
#[serde(expecting = "categories of labels: an object with an array labels")]
struct LabelCategories {
    labels: Vec<LabelCategory>,
}

#[derive(Deserialize)]
#[serde(expecting = "a label: an object with name")]
struct LabelCategory {
    name: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(expecting = "an item: an object with id and annotations")]
struct Item {
    id: Option<Scalar>,
    image: Option<Media>,
    media: Option<Media>,
    video: Option<IgnoredAny>,
    video_frame: Option<IgnoredAny>,
    point_cloud: Option<IgnoredAny>,
    annotations: Option<Vec<Annotation>>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with path")]
struct Media {
    path: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(expecting = "an annotation: an object with type and label_id")]
struct Annotation {
    #[serde(rename = "type")]
    kind: Option<Scalar>,
    label_id: Option<Scalar>,
    attributes: Option<Value>,
}

impl Document for Subset {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, member: Member<'_, '_, A>) -> Result<(), A::Error> {
        match key {
            "categories" => member.value(|categories: Categories, report| {
                let labels = categories.label.map(|label| label.labels).unwrap_or_default();
                labels.into_iter().for_each(|label| self.category(label.name, report));
            }),
            "items" => {
                self.has_items = true;
                member.each(|item, report| self.item(item, report))
            }
            _ => member.skip(),
        }
    }
}

impl Subset {
    fn category(&mut self, name: Option<Scalar>, report: &mut Report<'_>) {
        let Some(name) = text(name, "the name of a label", report) else { return };
        // Parts of different parents may have the same name.
        self.same_name += usize::from(self.marks.find_category(&name).is_some());
        self.columns.push(self.marks.category(&name));
    }

    fn item(&mut self, item: Item, report: &mut Report<'_>) {
        let id = match item.id {
            Some(Scalar::Text(id)) if !id.is_empty() => id,
            Some(Scalar::Number(id)) => id.to_string(),
            id => {
                let kind = id.as_ref().map_or("missing", Scalar::kind);
                return report.note(|| format!("the id of an item is {kind}; expected text"));
            }
        };
        let others =
            [("video", item.video), ("video_frame", item.video_frame), ("point_cloud", item.point_cloud)];
        if let Some((kind, _)) = others.iter().find(|(_, media)| media.is_some()) {
            return report.note(|| format!("item {} has a {kind}; expected an image", shown(&id)));
        }
        let path = [item.image, item.media].into_iter().flatten().find_map(|media| match media.path {
            Some(Scalar::Text(path)) if !path.is_empty() => Some(path),
            _ => None,
        });
        let before = self.marks.images().len();
        // An image without a path is called like its item.
        let image = self.marks.image(&self.folder.join(path.unwrap_or(id)));
        self.repeated += usize::from(image < before);
        let annotations = item.annotations.unwrap_or_default();
        let labeled = annotations.iter().filter(|annotation| self.annotation(image, annotation, report));
        if labeled.count() == 0 {
            self.empty.push(image);
        }
    }

    /// Takes an annotation; false if it has no label.
    fn annotation(&mut self, image: usize, annotation: &Annotation, report: &mut Report<'_>) -> bool {
        let number = match &annotation.label_id {
            Some(Scalar::Number(number)) => *number,
            None | Some(Scalar::Other("null")) => {
                self.without_label += 1;
                return false;
            }
            Some(value) => {
                report.note(|| format!("label_id is {}; expected a whole number", value.kind()));
                return true;
            }
        };
        self.labels.push(image, number, report.line);
        let attributes = annotation.attributes.as_ref().and_then(Value::as_object);
        let score = attributes.and_then(|attributes| attributes.get("score")).and_then(Value::as_f64);
        self.fractional += usize::from(score.is_some_and(|score| score > 0.0 && score < 1.0));
        match &annotation.kind {
            Some(Scalar::Text(kind)) if kind == "label" => {
                let names = attributes.into_iter().flat_map(|attributes| attributes.keys());
                self.attributes += names.filter(|name| *name != "score").count();
            }
            Some(Scalar::Text(kind)) => *self.shapes.entry(kind.clone()).or_default() += 1,
            kind => {
                let kind = kind.as_ref().map_or("missing", Scalar::kind);
                report.note(|| format!("the type of an annotation is {kind}; expected text"));
            }
        }
        true
    }

    fn notes(&self, labels: &LabelMatrix) -> Vec<String> {
        let mut notes = Vec::new();
        let kinds: Vec<String> = self.shapes.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if !kinds.is_empty() {
            notes.push(format!("{} annotations: positive for their image", kinds.join(", ")));
        }
        let empty = all_negative(labels, self.empty.iter().copied());
        let counts = [
            (self.fractional, "labels with a score between 0 and 1: positive"),
            (self.attributes, "attributes of labels are not read"),
            (self.without_label, "annotations without a label (label_id) are not read"),
            (empty, "images have no label: every category negative"),
            (self.same_name, "labels have the name of another: read as one category"),
            (self.repeated, "items name an image again: labels joined"),
        ];
        notes.extend(counted(counts));
        notes
    }
}

/// Whether a file is a subset of Datumaro, or a folder one of its exports.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    if !path.is_dir() {
        return is_subset(head).then(|| "a JSON object with categories of labels and items".into());
    }
    // The first file stands for the others.
    let first = subset_files(path).ok()?.into_iter().next()?;
    is_subset(&super::head_of(&first).ok()?).then(|| format!("a folder with Datumaro's {ANNOTATIONS}/*.json"))
}

fn is_subset(head: &[u8]) -> bool {
    let keys = outline(head);
    let has = |key: &str| keys.contains(key);
    has("dm_format_version") && has("categories")
        || has("categories.label.labels")
        || has("categories") && has("items[].annotations")
}

#[cfg(test)]
mod tests;
