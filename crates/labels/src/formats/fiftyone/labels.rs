//! Reads `labels.json`: classes, and what each image is.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::de::MapAccess;
use serde_json::Value;

use super::{confidence_note, is_fraction};
use crate::categories::did_you_mean;
use crate::files::folder_of;
use crate::formats::Reading;
use crate::formats::class_numbers::ClassNumbers;
use crate::formats::json::{Document, Member, Scalar, read_object};
use crate::formats::marks::{Marks, clear};
use crate::formats::options::{Choice, Options, Unlisted};
use crate::formats::report::{Report, counted, multi_hot, shown};
use crate::labels::Label;
use crate::{Error, Result};

/// Reads the file; images lie in the folder `data` beside it, if there is one, else beside it.
///
/// An image has one target or a list of them: a place in `classes`, or a name; of objects, and where
/// confidences were exported, an object with it as `label`. `null` is an image that nobody labeled: 0.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    if options.field.is_some() {
        let what = "labels.json holds one field only; remove the option";
        return Err(Error::Usage(format!("{}: {what}", Choice::Field)));
    }
    let unlisted = options.unlisted("labels.json lists what an image shows, not what was looked for")?;
    let mut report = Report::new(path);
    let folder = options.images.clone().unwrap_or_else(|| image_folder(path));
    let mut file = LabelsFile { folder, ..LabelsFile::default() };
    if read_object(&mut report, &mut file)? {
        file.settle(&mut report);
    }
    report.problems.or(())?;
    let notes = file.notes(unlisted);
    let LabelsFile { marks, targets, .. } = file;
    let mut reading = marks.finish(unlisted.label(), path)?;
    let unlabeled = targets.iter().enumerate().filter(|(_, targets)| targets.is_none());
    clear(&mut reading.annotations.labels, unlabeled.map(|(image, _)| image));
    reading.notes.extend(notes);
    Ok(reading)
}

/// Where FiftyOne puts the images of an export.
fn image_folder(path: &Path) -> PathBuf {
    let folder = folder_of(path);
    let data = folder.join("data");
    if data.is_dir() { data } else { folder.to_path_buf() }
}

#[derive(Default)]
struct LabelsFile {
    folder: PathBuf,
    marks: Marks,
    /// The columns of `classes`, if there are any.
    classes: Option<Vec<usize>>,
    numbers: ClassNumbers,
    /// Labels given by name, with the line of the first.
    names: HashMap<String, usize>,
    /// How many targets each image has; nothing if all that is said of it is null.
    targets: Vec<Option<usize>>,
    objects: usize,
    fractional: usize,
}

impl Document for LabelsFile {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, member: Member<'_, '_, A>) -> Result<(), A::Error> {
        match key {
            // Null where the user of FiftyOne gave none.
            "classes" => member.value(|classes: Option<Vec<Scalar>>, report| {
                self.classes = classes.map(|classes| self.columns(classes, report));
            }),
            "labels" => member.entries(|id, target: Value, report| self.image(&id, &target, report)),
            _ => member.skip(),
        }
    }
}

impl LabelsFile {
    fn columns(&mut self, classes: Vec<Scalar>, report: &mut Report<'_>) -> Vec<usize> {
        let column = |name| match name {
            Scalar::Text(name) if !name.is_empty() => self.marks.category(&name),
            other => {
                report.note(|| format!("{} among the classes; expected text", other.kind()));
                0
            }
        };
        classes.into_iter().map(column).collect()
    }

    fn image(&mut self, id: &str, target: &Value, report: &mut Report<'_>) {
        if id.is_empty() {
            return report.note(|| "an empty name of an image".into());
        }
        let image = self.marks.image(&self.folder.join(id));
        self.targets.resize(self.marks.images().len(), None);
        let targets = match target {
            Value::Null => return,
            Value::Array(targets) => targets.as_slice(),
            target => std::slice::from_ref(target),
        };
        let count = |number| targets.iter().filter(|target| target.as_i64() == Some(number)).count();
        if let Some(number) = [0, 1].into_iter().find(|&number| count(number) > 1) {
            return report.note(|| multi_hot(number, "a list of targets"));
        }
        *self.targets[image].get_or_insert(0) += targets.len();
        targets.iter().for_each(|target| self.target(image, target, report));
    }

    fn target(&mut self, image: usize, target: &Value, report: &mut Report<'_>) {
        let label = target.get("label").unwrap_or(target);
        self.objects += usize::from(target.get("bounding_box").is_some());
        self.fractional += usize::from(is_fraction(target.get("confidence").and_then(Value::as_f64)));
        match (label.as_i64(), label.as_str()) {
            (Some(number), _) => self.numbers.push(image, number, report.line),
            (_, Some(name)) if !name.is_empty() => {
                let category = self.marks.category(name);
                self.marks.mark(image, category, Label::Positive);
                if !self.names.contains_key(name) {
                    self.names.insert(name.to_owned(), report.line);
                }
            }
            _ => report.note(|| {
                let what = shown(&label.to_string());
                format!("a target is {what}; expected a class, as its place in classes or its name")
            }),
        }
    }

    /// Looks up the labels in the classes, which may come last.
    fn settle(&mut self, report: &mut Report<'_>) {
        let classes = self.classes.take().unwrap_or_default();
        let known: HashSet<usize> = classes.iter().copied().collect();
        let is_known = |name: &str| self.marks.find_category(name).is_some_and(|it| known.contains(&it));
        let unknown = self.names.iter().filter(|(name, _)| !classes.is_empty() && !is_known(name));
        let mut unknown: Vec<(usize, &String)> = unknown.map(|(name, &line)| (line, name)).collect();
        unknown.sort();
        for (line, name) in unknown {
            report.line = line;
            let names = classes.iter().map(|&column| self.marks.categories()[column].as_str());
            report.note(|| {
                format!("label {} is not among the classes{}", shown(name), did_you_mean(name, names))
            });
        }
        std::mem::take(&mut self.numbers).mark(&classes, "a target", &mut self.marks, report);
    }

    fn notes(&self, unlisted: Unlisted) -> Vec<String> {
        let unlabeled = self.targets.iter().filter(|targets| targets.is_none()).count();
        let empty = self.targets.iter().filter(|targets| **targets == Some(0)).count();
        let empty = if unlisted == Unlisted::Negative { empty } else { 0 };
        let counts = [
            (unlabeled, "images are null, not labeled: kept, every category unknown"),
            (empty, "images have an empty list of labels: every category negative"),
            (self.objects, "objects with a bounding box: positive for their image"),
        ];
        let notes = counted(counts);
        notes.chain(confidence_note(self.fractional)).collect()
    }
}
