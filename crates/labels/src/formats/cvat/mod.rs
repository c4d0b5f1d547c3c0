//! CVAT for images 1.1: one XML file with the tags and shapes of every image.
//!
//! The format is described at <https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/>: an
//! `image` holds a `tag` for the whole picture and shapes (`box`, `polygon` …), each with a `label`;
//! `meta` lists the labels of the task, job or project. What an image does not hold is not said to be
//! absent: the user must say whether it was looked for. The images of a project have a subset and a task
//! ([`subsets`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use quick_xml::events::BytesStart;

use crate::categories::did_you_mean;
use crate::files::folder_of;
use crate::formats::Reading;
use crate::formats::marks::Marks;
use crate::formats::options::{Choice, Options};
use crate::formats::questions::Questions;
use crate::formats::report::{Report, counted, shown};
use crate::formats::xml::{self, Node, attribute};
use crate::labels::Label;
use crate::{Error, Result};

pub mod predictions;
mod subsets;
mod writing;

use self::subsets::Subsets;
use crate::formats::format::{Format, Keeps, NotListed, Written};

pub use writing::write;

/// This format.
pub const FORMAT: Format = Format {
    name: "cvat",
    title: "cvat",
    about: "CVAT for images XML",
    example: r#"<annotations><image id="0" name="a.jpg">
  <tag label="cat"/>
</image></annotations>"#,
    extensions: &["xml"],
    takes: &[Choice::Unlisted, Choice::Set],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::Positives, write }),
};

/// Reads an `annotations.xml`; images lie in the folder `images` beside it, if there is one, else beside it.
///
/// +1: a tag or a shape with that label. A checkbox of a tag is a category `tag/checkbox`, +1 where it is true
/// and −1 where it is false, and 0 in an image without such a tag, where nobody was asked; other attributes are
/// counted. Everything else is what `--unlisted` says.
/// Of the subsets of a project `--set` chooses one.
///
/// # Errors
/// All problems of the file at once, each with its line; several subsets of which one is for testing or
/// training, and no choice.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let unlisted =
        options.unlisted("CVAT does not say whether a label that an image lacks was looked for")?;
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut report = Report::new(path);
    let mut task = Task::new(options.images.clone().unwrap_or_else(|| image_folder(path)));
    task.subsets.chosen = options.set.clone();
    xml::walk(file, 1 << 20, &mut report, |at, node, report| task.visit(at, node, report))?;
    report.problems.or(())?;
    task.subsets.check(path)?;
    let mut notes = task.notes();
    let mut reading = task.marks.finish(unlisted.label(), path)?;
    let open = task.questions.clear_open(&mut reading.annotations.labels);
    notes.extend(counted([(open, "labels of checkboxes that an image does not answer: unknown")]));
    reading.notes.splice(0..0, notes);
    Ok(reading)
}

/// Whether a file begins like CVAT's.
pub fn recognize(_path: &Path, head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let begins = text.contains("<annotations>") && (text.contains("<meta>") || text.contains("<image "));
    begins.then(|| "an XML file with annotations of images, as CVAT writes".into())
}

/// Where CVAT puts the images of an export.
pub(super) fn image_folder(path: &Path) -> PathBuf {
    let folder = folder_of(path);
    let images = folder.join("images");
    if images.is_dir() { images } else { folder.to_path_buf() }
}

/// What has been read so far.
struct Task {
    folder: PathBuf,
    marks: Marks,
    /// The checkboxes, which an image without their tag leaves open.
    questions: Questions,
    /// The label of `meta` that is being read, and whether it is a part of a skeleton.
    label: (String, bool),
    /// Whether `meta` lists labels.
    closed: bool,
    subsets: Subsets,
    /// The image that is being read; none also while one is left out.
    image: Option<usize>,
    /// The label of the tag that is being read, and the name of its attribute.
    tag: Option<String>,
    checkbox: Option<String>,
    /// How many checkboxes of tags are read and how many other attributes are not.
    checkboxes: usize,
    attributes: usize,
    /// How many shapes of each kind there are.
    shapes: BTreeMap<String, usize>,
    automatic: usize,
}

impl Task {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            marks: Marks::default(),
            questions: Questions::default(),
            label: (String::new(), false),
            closed: false,
            subsets: Subsets::default(),
            image: None,
            tag: None,
            checkbox: None,
            checkboxes: 0,
            attributes: 0,
            shapes: BTreeMap::new(),
            automatic: 0,
        }
    }

    fn visit(&mut self, at: &str, node: Node<'_>, report: &mut Report<'_>) {
        if let Some(of_label) = label_of_meta(at) {
            return self.visit_label(of_label, node);
        }
        match (at, node) {
            ("annotations/image", Node::Open(image)) => self.image = self.open(image, report),
            ("annotations/image", Node::Close(_)) => self.image = None,
            (at, _) if self.image.is_none() && at.starts_with("annotations/image/") => {}
            ("annotations/image/tag", Node::Close(_)) => self.tag = None,
            ("annotations/image/tag/attribute", Node::Open(element)) => {
                self.checkbox = attribute(element, "name", report);
            }
            ("annotations/image/tag/attribute", Node::Close(value)) => self.mark_checkbox(value),
            (at, Node::Close(_)) if at.starts_with("annotations/image/") && at.ends_with("/attribute") => {
                self.attributes += 1;
            }
            ("annotations/track", Node::Open(_)) => {
                let what = "a track of a video; export the task as CVAT for images 1.1";
                report.note(|| what.into());
            }
            (root, Node::Open(_)) if !root.contains('/') && root != "annotations" => {
                report.note(|| format!("the root element is {}; expected annotations", shown(root)));
            }
            (at, Node::Open(element)) => {
                // Right below an image; parts of a skeleton lie deeper.
                if let Some(kind) = at.strip_prefix("annotations/image/").filter(|kind| !kind.contains('/')) {
                    self.mark(kind, element, report);
                }
            }
            _ => {}
        }
    }

    fn visit_label(&mut self, at: &str, node: Node<'_>) {
        match (at, node) {
            ("", Node::Open(_)) => self.label = (String::new(), false),
            ("/name", Node::Close(name)) => self.label.0 = name.to_owned(),
            // Only the parts of skeletons have a parent.
            ("/parent", Node::Close(parent)) => self.label.1 = !parent.is_empty(),
            ("", Node::Close(_)) => {
                let (name, part) = std::mem::take(&mut self.label);
                if !part && !name.is_empty() {
                    self.marks.category(&name);
                    self.closed = true;
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, image: &BytesStart<'_>, report: &mut Report<'_>) -> Option<usize> {
        let Some(name) = attribute(image, "name", report).filter(|name| !name.is_empty()) else {
            report.note(|| "an image without a name".into());
            return None;
        };
        let subset = attribute(image, "subset", report).filter(|subset| !subset.is_empty());
        if !self.subsets.takes(subset.as_deref()) {
            return None;
        }
        let subset = subset.map(|subset| self.folder.join(subset));
        let folder = subset.filter(|folder| folder.is_dir()).unwrap_or_else(|| self.folder.clone());
        let row = self.marks.image(&folder.join(&name));
        self.subsets.list(row, &name, image, report);
        Some(row)
    }

    fn mark(&mut self, kind: &str, element: &BytesStart<'_>, report: &mut Report<'_>) {
        let Some(name) = attribute(element, "label", report) else {
            return report.note(|| format!("{} without a label", shown(kind)));
        };
        if self.closed && self.marks.find_category(&name).is_none() {
            let hint = did_you_mean(&name, self.marks.categories().iter().map(String::as_str));
            return report.note(|| format!("label {} is not listed in meta{hint}", shown(&name)));
        }
        if kind != "tag" {
            *self.shapes.entry(kind.to_owned()).or_default() += 1;
        }
        if kind == "tag" {
            self.tag = Some(name.clone());
        }
        self.automatic += usize::from(attribute(element, "source", report).as_deref() == Some("auto"));
        if let Some(image) = self.image {
            let category = self.marks.category(&name);
            self.marks.mark(image, category, Label::Positive);
        }
    }

    /// Takes an attribute of a tag, which says yes or no if it is a checkbox.
    fn mark_checkbox(&mut self, value: &str) {
        let label = match &*value.trim().to_lowercase() {
            "true" => Label::Positive,
            "false" => Label::Negative,
            _ => {
                self.attributes += 1;
                return;
            }
        };
        if let (Some(image), Some(tag), Some(name)) = (self.image, &self.tag, self.checkbox.take()) {
            let checkbox = format!("{tag}/{name}");
            let category = self.marks.category(&checkbox);
            self.marks.mark(image, category, label);
            self.questions.category(&checkbox, category);
            self.questions.answer(image, &checkbox);
            self.checkboxes += 1;
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let kinds: Vec<String> = self.shapes.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if !kinds.is_empty() {
            notes.push(format!("{} shapes: positive for their image", kinds.join(", ")));
        }
        notes.extend(counted([
            (
                self.checkboxes,
                "checkboxes of tags are read as categories TAG/CHECKBOX: true positive, false negative",
            ),
            (self.attributes, "other attributes are not read"),
            (self.automatic, "labels made by a model (source auto): positive"),
        ]));
        notes.extend(self.subsets.notes());
        notes
    }
}

/// What comes after `annotations/meta/…/labels/label`.
fn label_of_meta(at: &str) -> Option<&str> {
    let below = at.strip_prefix("annotations/meta/")?;
    let below = ["task", "job", "project"].iter().find_map(|it| below.strip_prefix(it))?;
    below.strip_prefix("/labels/label")
}

#[cfg(test)]
mod tests;
