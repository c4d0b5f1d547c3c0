//! Label Studio: an export as JSON, JSON-MIN, CSV or TSV of image classification with `Choices`.
//!
//! Format: <https://labelstud.io/guide/export.html>, <https://labelstud.io/guide/task_format.html>; JSON-MIN
//! and CSV as the converter of label-studio-sdk writes them: one record an annotation, skipped ones left out.
//! A control whose answers are yes, no and unsure is a category with three states.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::answers::Answers;
use super::json::{outline, read_elements};
use super::location::{self, locate};
use super::marks::Marks;
use super::options::{Choice, Options, Unlisted};
use super::report::{Report, counted, shown};
use super::{Reading, head_of};
use crate::Result;

mod annotators;
mod asking;
pub mod config;
pub mod predictions;
mod table;
mod writing;

use crate::formats::format::{Format, Keeps, NotListed, Written};

pub use annotators::annotators;
pub use asking::{Question, write_questions};
pub use writing::write;

/// This format.
pub const FORMAT: Format = Format {
    name: "label-studio",
    title: "Label Studio",
    about: "Label Studio export: JSON, JSON-MIN, CSV",
    example: r#"[{"data": {"image": "/data/upload/1/a.jpg"},
  "annotations": [{"result": [{"type": "choices",
    "value": {"choices": ["cat"]}}]}]}]"#,
    extensions: &[],
    takes: &[Choice::Unlisted, Choice::Annotator],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

/// Reads an export. A choice is +1; what a submitted annotation did not choose is what `--unlisted` says,
/// which has no default. Tasks that nobody annotated or that everybody skipped (`was_cancelled`) are 0
/// throughout, whatever `--unlisted` says, and so is a control that an annotation left open while it answered
/// another. Of several annotators of a task, what one chose and another, asked the same, did not is 0 under
/// `--unlisted negative`.
///
/// A control all of whose answers in the file are yes, no or unsure is one category: yes +1, no −1, unsure 0,
/// and 0 where it was not answered, so that `--unlisted` is only needed for other controls.
///
/// Categories come in order of appearance; with several `Choices` controls those of one that lists categories
/// are named `control/choice`. Predictions and drafts are not labels.
///
/// # Errors
/// All problems of the file at once; that `--unlisted` is missing, or there is nothing left for it to say.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let mut export = Export { folder: options.image_folder(path).to_owned(), ..Export::default() };
    let (mut report, whole) = export.read(path)?;
    let Export { marks, answers, said_by, .. } = &mut export;
    answers.find_yes_and_no();
    if let Some(wanted) = &options.annotator {
        answers.keep(&annotators::annotations_of(wanted, said_by, path)?);
    }
    answers.settle();
    if let Some(name) = answers.ambiguous() {
        report.line = 1;
        report.note(|| format!("two controls name the category {}; rename one of them", shown(&name)));
    }
    let all = options.annotator.is_none();
    if all && whole && report.problems.is_empty() && answers.is_empty() && !marks.images().is_empty() {
        report.line = 1;
        report.note(|| export.nothing_chosen());
    }
    report.problems.or(())?;
    let unlisted = export.unlisted(options)?;
    let notes = export.notes(unlisted);
    let Export { mut marks, answers, .. } = export;
    answers.mark(&mut marks, unlisted);
    let mut reading = marks.finish(unlisted.label(), path)?;
    let open = answers.clear_unanswered(&mut reading.annotations, unlisted);
    reading.notes.extend(notes);
    reading.notes.extend(counted([(open, "labels of controls that were left open: unknown")]));
    Ok(reading)
}

/// What an export says.
#[derive(Default)]
struct Export {
    folder: PathBuf,
    marks: Marks,
    answers: Answers,
    /// Who gave each annotation that is among the answers, where the export says so.
    said_by: Vec<Option<String>>,
    skipped: usize,
    /// Choices that belong to a box or another region.
    of_regions: usize,
    /// Annotations with results, none of which chooses anything for the image.
    without_choices: usize,
    remote: usize,
    repeated: usize,
    /// Results that are not choices, by type.
    other: BTreeMap<String, usize>,
}

/// Fields of a record that the converter adds to the task's data and the controls.
const ADDED: [&str; 8] =
    ["id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "history"];

impl Export {
    /// Reads the tasks or records of a file; whether it is whole, and what is wrong with it.
    fn read<'a>(&mut self, path: &'a Path) -> Result<(Report<'a>, bool)> {
        if table::recognize(&head_of(path)?) {
            let report = table::read(path, |record| self.record(record))?;
            let whole = report.problems.is_empty();
            return Ok((report, whole));
        }
        let mut report = Report::new(path);
        let whole = read_elements(&mut report, |task: Map<String, Value>, report| {
            if let Err(what) = self.task(&task) {
                report.note(|| what);
            }
        })?;
        Ok((report, whole))
    }

    /// What the choices that are not listed mean, if there are any.
    fn unlisted(&self, options: &Options) -> Result<Unlisted> {
        if self.answers.lists_categories() {
            return options
                .unlisted("an export of Label Studio lists what was chosen, not what was looked for");
        }
        if !self.answers.is_empty() {
            options.only("an export of yes and no", &[])?;
        }
        Ok(Unlisted::Unknown)
    }

    /// Takes a task, or a record of JSON-MIN.
    fn task(&mut self, task: &Map<String, Value>) -> Result<(), String> {
        // Before version 1 annotations were called completions.
        let annotations = task.get("annotations").or_else(|| task.get("completions"));
        match (task.get("data").and_then(Value::as_object), annotations) {
            (Some(data), annotations) => {
                let image = self.image(data, false)?;
                let none = Vec::new();
                let annotations = match annotations {
                    None | Some(Value::Null) => &none,
                    Some(Value::Array(annotations)) => annotations,
                    Some(_) => return Err("annotations of a task is not an array".into()),
                };
                annotations.iter().try_for_each(|annotation| self.annotation(image, annotation))
            }
            (None, Some(_)) => Err("a task without data; expected an object with the image".into()),
            (None, None) => self.record(task),
        }
    }

    /// The row of the image that a task is about.
    fn image(&mut self, data: &Map<String, Value>, may_repeat: bool) -> Result<usize, String> {
        let location = locate(image_field(data)?.1)?;
        self.remote += usize::from(location.remote);
        let before = self.marks.images().len();
        let image = self.marks.image(&self.folder.join(&*location.name));
        self.repeated += usize::from(!may_repeat && image < before);
        self.answers.image(image);
        Ok(image)
    }

    fn annotation(&mut self, image: usize, annotation: &Value) -> Result<(), String> {
        let on = |key| annotation.get(key).and_then(Value::as_bool).unwrap_or(false);
        if on("was_cancelled") || on("skipped") {
            self.skipped += 1;
            return Ok(());
        }
        let results = annotation.get("result");
        let results = match results.ok_or("an annotation without result; expected an array")? {
            // As an annotation is exported that was begun and never submitted.
            Value::Null => return Ok(()),
            results => results.as_array().ok_or("the result of an annotation is not an array")?,
        };
        // Boxes alone say nothing of the choices; nothing at all is an annotator who chose nothing.
        if results.is_empty() || results.iter().any(|result| choices_of_image(result).is_some()) {
            self.answers.annotation(image);
            self.said_by.push(annotation.get("completed_by").and_then(annotators::name));
        } else {
            self.without_choices += 1;
        }
        for result in results {
            match choices_of_image(result) {
                Some(choices) => {
                    let control = result.get("from_name").and_then(Value::as_str).unwrap_or_default();
                    choose(choices, |choice| self.answers.choose(image, control, choice))?;
                }
                None if result.get("value").is_some_and(|value| value.get("choices").is_some()) => {
                    self.of_regions += 1;
                }
                None => {
                    let kind = result.get("type").and_then(Value::as_str).unwrap_or("a result without type");
                    *self.other.entry(kind.to_owned()).or_default() += 1;
                }
            }
        }
        Ok(())
    }

    /// Takes a record of JSON-MIN or of a table: an annotation that was submitted, or a task without one.
    fn record(&mut self, record: &Map<String, Value>) -> Result<(), String> {
        let (image_key, _) = image_field(record)?;
        let image = self.image(record, true)?;
        if record.get("annotation_id").is_some_and(Value::is_null) {
            return Ok(());
        }
        self.answers.annotation(image);
        self.said_by.push(record.get("annotator").and_then(annotators::name));
        for (key, value) in record {
            if key == image_key || ADDED.contains(&key.as_str()) {
                continue;
            }
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                match (value, value.get("choices")) {
                    (value, Some(_)) if is_region(value) => self.of_regions += 1,
                    (_, Some(choices)) => choose(choices, |choice| self.answers.choose(image, key, choice))?,
                    // A single choice is plain text here, as are other data of the task.
                    (Value::String(text), _) => self.answers.choose_perhaps(image, key, text),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn nothing_chosen(&self) -> String {
        let others = listed(&self.other.keys().map(String::as_str).collect::<Vec<_>>());
        let plain = listed(&self.answers.undecided());
        let found = match (others.as_str(), plain.as_str()) {
            ("", "") => String::new(),
            ("", plain) => {
                format!("; whether {plain} hold choices is not certain here: export as JSON instead")
            }
            (others, _) => format!("; results are of type {others}"),
        };
        format!("no choices in any annotation; expected results of type choices{found}")
    }

    fn notes(&self, unlisted: Unlisted) -> Vec<String> {
        let empty = if unlisted == Unlisted::Negative { self.answers.empty() } else { 0 };
        let others = listed(&self.other.keys().map(String::as_str).collect::<Vec<_>>());
        let counts = [
            (self.skipped, "skipped annotations (was_cancelled): nothing is known from them".to_owned()),
            (self.answers.unanswered(), "images have no annotation of their choices: kept, every category unknown".to_owned()),
            (empty, "submitted annotations chose nothing: no to every category".to_owned()),
            (self.repeated, "tasks name an image again: read as further annotations of it".to_owned()),
            (self.remote, "images are URLs: looked for by their path below the host".to_owned()),
            (
                self.of_regions,
                "choices of a region are not read: they are not about the whole image".to_owned(),
            ),
            (
                self.without_choices,
                "annotations have other results and no choice for the whole image: nothing is known from them"
                    .to_owned(),
            ),
            (self.other.values().sum(), format!("results of other types are not read: {others}")),
        ];
        let counted = counted(counts);
        let named = [
            ("categories answered with yes (positive), no (negative) or unsure", self.answers.yes_and_no()),
            (
                "controls with yes, no and other answers, each of which is a category",
                self.answers.nearly_yes_and_no(),
            ),
            ("fields that hold only plain text are not read as choices", self.answers.undecided()),
        ];
        let named = named.iter().filter(|(_, names)| !names.is_empty());
        counted.chain(named.map(|(what, names)| format!("{what}: {}", listed(names)))).collect()
    }
}

/// The choices of a result that is about the image as a whole.
fn choices_of_image(result: &Value) -> Option<&Value> {
    let value = result.get("value")?;
    value.get("choices").filter(|_| !is_region(value))
}

/// Whether what a value says is said of a place in the image.
fn is_region(value: &Value) -> bool {
    let places = ["x", "y", "points", "vertices", "rle", "start", "end", "ranges", "sequence"];
    places.iter().any(|place| value.get(place).is_some())
}

/// The first of some names.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 10;
    let first: Vec<String> = names.iter().take(SHOWN).map(|name| shown(name)).collect();
    first.join(", ") + if names.len() > SHOWN { ", …" } else { "" }
}

/// Calls `each` with every choice; a nested one is a list of its parents and itself, joined by `/`.
fn choose(choices: &Value, mut each: impl FnMut(&str)) -> Result<(), String> {
    let wrong = || Err("choices of a result is not an array of texts".to_owned());
    let Some(choices) = choices.as_array() else { return wrong() };
    for choice in choices {
        match choice {
            Value::String(choice) if !choice.is_empty() => each(choice),
            Value::Array(path) => {
                let path: Option<Vec<&str>> = path.iter().map(Value::as_str).collect();
                match path.map(|path| path.join("/")) {
                    Some(path) if !path.is_empty() => each(&path),
                    _ => return wrong(),
                }
            }
            _ => return wrong(),
        }
    }
    Ok(())
}

/// The field of a task's data that holds the image: `image`, or else the only one that is named like one.
fn image_field(data: &Map<String, Value>) -> Result<(&str, &str), String> {
    let texts = data.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    if let Some(found) = texts.clone().find(|(key, _)| *key == "image") {
        return Ok(found);
    }
    let mut images = texts.filter(|(_, value)| location::is_image(value));
    match (images.next(), images.next()) {
        (Some(image), None) => Ok(image),
        (Some((first, _)), Some((second, _))) => {
            Err(format!("images in the fields {} and {}; expected one", shown(first), shown(second)))
        }
        _ => Err("no image; expected a field image, or one whose text ends like an image's name".into()),
    }
}

/// Whether the head looks like tasks, like records of JSON-MIN or like a table of such records.
pub fn recognize(_path: &Path, head: &[u8]) -> Option<String> {
    if table::recognize(head) {
        return Some("a table with annotation_id and lead_time, as Label Studio exports".into());
    }
    let keys = outline(head);
    let has = |key: &str| keys.contains(key);
    if has("[].data") && (has("[].annotations") || has("[].completions") || has("[].predictions")) {
        return Some("a JSON array of tasks with data and annotations".into());
    }
    let record = has("[].annotation_id") && has("[].lead_time");
    record.then(|| "a JSON array of records with annotation_id and lead_time (JSON-MIN)".into())
}

#[cfg(test)]
mod tests;
