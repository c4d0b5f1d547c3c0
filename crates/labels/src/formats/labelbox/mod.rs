//! Labelbox: the export of a project, as NDJSON or a JSON array, and the older export v1.
//!
//! Format: <https://docs.labelbox.com/reference/export-image-annotations>; `performance_details.skipped` and
//! nested classifications as Labelbox's own labelbase reads them (`labelbase/downloader.py`, `annotate.py`).
//! Export v1: the same page as of 2023, and darwin-py's `importer/formats/labelbox.py`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Reading;
use super::answer_words::said;
use super::answers::Answers;
use super::json::{outline, read_lines};
use super::location::{is_image, locate};
use super::marks::{Marks, clear};
use super::options::{Choice, Options, Unlisted};
use super::questions::Questions;
use super::report::{Report, counted, shown};
use crate::Result;
use crate::formats::format::{Format, NotListed};
use crate::labels::Label;
use parts::{Answer, Row, answer_of, name_of};

mod parts;

/// This format.
pub const FORMAT: Format = Format {
    name: "labelbox",
    title: "Labelbox",
    about: "Labelbox export, NDJSON or JSON",
    example: r#"{"data_row": {"row_data": "https://…/a.jpg"}, "projects": {"ID":
  {"labels": [{"annotations": {"objects": [], "classifications": [
    {"name": "rain", "radio_answer": {"name": "yes"}}]}}]}}}"#,
    extensions: &[],
    takes: &[Choice::Unlisted],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: None,
};

/// Reads an export. A radio question that is answered with yes, no or unknown is a category, +1, −1 or 0, and 0
/// where it is left open. Other answers, and those of checklists, are categories `QUESTION/ANSWER`, +1; `ANSWER`
/// if there is nothing but one checklist. Objects are +1 of their class. What a label does not choose
/// is what `--unlisted` says; data rows without a label or with skipped labels alone are 0 throughout, and so is
/// a question that was left open while another was answered.
///
/// Of several labels of a data row, yes and no to the same question, or, under `--unlisted negative`, an answer
/// that one label chose and another, asked the same, did not, is 0.
///
/// # Errors
/// All problems of the file at once; that `--unlisted` is missing.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let unlisted =
        options.unlisted("an export of Labelbox lists what was chosen, not what was looked for")?;
    let mut report = Report::new(path);
    let mut export = Export { folder: options.image_folder(path).to_owned(), ..Export::default() };
    let whole = read_lines(&mut report, |row: Map<String, Value>, report| {
        if let Err(what) = export.row(&row) {
            report.note(|| what);
        }
    })?;
    export.answers.settle();
    let nothing = export.answers.is_empty() && export.marks.categories().is_empty();
    if whole && report.problems.is_empty() && nothing && !export.marks.images().is_empty() {
        report.line = 1;
        report.note(|| "no answers to radio questions or checklists and no objects in any label".into());
    }
    report.problems.or(())?;
    export.finish(unlisted, path)
}

/// Whether the head looks like data rows, or like rows of export v1.
pub fn recognize(_path: &Path, head: &[u8]) -> Option<String> {
    let keys = outline(head);
    let has = |key: &str| keys.contains(key);
    if has("data_row.row_data") || has("[].data_row.row_data") {
        return Some("JSON data rows, as Labelbox exports".into());
    }
    let first = has("[].Labeled Data") || has("[].External ID") && has("[].DataRow ID");
    (first && has("[].Label")).then(|| "a JSON array of Labelbox's export v1".into())
}

/// What an export says.
#[derive(Default)]
struct Export {
    folder: PathBuf,
    marks: Marks,
    /// What was chosen.
    answers: Answers,
    /// What was answered with yes, no or unknown.
    questions: Questions,
    /// Images and questions that are answered with unknown, which alone makes no category.
    unsure: Vec<(usize, String)>,
    /// The data row that named each image first.
    ids: HashMap<usize, String>,
    counts: Counts,
}

/// How doubtful things were read.
#[derive(Default)]
struct Counts {
    skipped: usize,
    remote: usize,
    joined: usize,
    words: usize,
    objects: usize,
    of_objects: usize,
    texts: usize,
}

impl Export {
    fn row(&mut self, row: &Map<String, Value>) -> Result<(), String> {
        let row = Row::of(row)?;
        let image = self.image(&row)?;
        for label in &row.labels {
            if label.skipped {
                self.counts.skipped += 1;
                continue;
            }
            self.answers.annotation(image);
            self.objects(image, label.objects)?;
            self.classifications(image, "", label.classifications)?;
        }
        Ok(())
    }

    /// The row of the image of a data row: by the first of its names that ends like one of an image.
    fn image(&mut self, row: &Row<'_>) -> Result<usize, String> {
        let named = row.names.iter().copied().find(|name| is_image(name));
        let name = named.or(row.names.first().copied());
        let name = name.ok_or("no image; expected external_id, global_key or row_data with its name")?;
        let location = locate(name)?;
        self.counts.remote += usize::from(location.remote);
        let image = self.marks.image(&self.folder.join(&*location.name));
        self.answers.image(image);
        if let Some(id) = row.id {
            let first = self.ids.entry(image).or_insert_with(|| id.to_owned());
            self.counts.joined += usize::from(first != id);
        }
        Ok(image)
    }

    /// Takes answers to the questions of an image, or to those below the answer `above`.
    fn classifications(&mut self, image: usize, above: &str, list: &[Value]) -> Result<(), String> {
        for classification in list {
            let name = name_of(classification).ok_or("a classification without a name; expected text")?;
            let question = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
            let wrong = || format!("an answer to {} without a name; expected text", shown(&question));
            let answers = match answer_of(classification, &question)? {
                Answer::Open => continue,
                Answer::Text => {
                    self.answers.asks_more();
                    self.counts.texts += 1;
                    continue;
                }
                Answer::Radio(answer) => {
                    self.radio(image, &question, name_of(answer).ok_or_else(wrong)?);
                    std::slice::from_ref(answer)
                }
                Answer::Checklist(answers) => {
                    for answer in answers {
                        self.answers.choose(image, &question, name_of(answer).ok_or_else(wrong)?);
                    }
                    answers
                }
            };
            for answer in answers {
                if let Some(Value::Array(below)) = answer.get("classifications") {
                    let above = format!("{question}/{}", name_of(answer).unwrap_or_default());
                    self.classifications(image, &above, below)?;
                }
            }
        }
        Ok(())
    }

    fn radio(&mut self, image: usize, question: &str, answer: &str) {
        // Unlike a checklist, a radio question without an answer was left open.
        self.answers.asks_more();
        let Some(label) = said(answer) else {
            return self.answers.choose(image, question, answer);
        };
        self.counts.words += 1;
        if label == Label::Unknown {
            return self.unsure.push((image, question.to_owned()));
        }
        let category = self.marks.category(question);
        self.marks.mark(image, category, label);
        self.questions.category(question, category);
        self.questions.answer(image, question);
        self.answers.answer_otherwise(image, question);
    }

    fn objects(&mut self, image: usize, list: &[Value]) -> Result<(), String> {
        for object in list {
            let name = name_of(object).ok_or("an object without a name; expected text")?;
            let category = self.marks.category(name);
            self.marks.mark(image, category, Label::Positive);
            self.answers.asks_more();
            self.counts.objects += 1;
            let of_object = object.get("classifications").and_then(Value::as_array);
            self.counts.of_objects += of_object.map_or(0, Vec::len);
        }
        Ok(())
    }

    fn finish(self, unlisted: Unlisted, path: &Path) -> Result<Reading> {
        let Self { mut marks, answers, questions, unsure, counts, .. } = self;
        for (image, question) in unsure.into_iter().filter(|(_, question)| questions.contains(question)) {
            let category = marks.category(&question);
            marks.mark(image, category, Label::Unknown);
        }
        answers.mark(&mut marks, unlisted);
        let mut reading = marks.finish(unlisted.label(), path)?;
        let open = answers.clear_unanswered(&mut reading.annotations, unlisted);
        let labels = &mut reading.annotations.labels;
        clear(labels, (0..labels.images()).filter(|&image| !answers.is_annotated(image)));
        let open = open + questions.clear_open(labels);
        reading.notes.extend(counts.notes(&answers, unlisted, open));
        Ok(reading)
    }
}

impl Counts {
    fn notes(&self, answers: &Answers, unlisted: Unlisted, open: usize) -> Vec<String> {
        let empty = if unlisted == Unlisted::Negative { answers.empty() } else { 0 };
        let counts = [
            (self.skipped, "skipped labels: nothing is known from them"),
            (answers.unanswered(), "images have no label that was not skipped: kept, every category unknown"),
            (self.words, "answers yes, no or unknown: positive, negative and unknown"),
            (self.objects, "objects: positive for their image"),
            (self.of_objects, "answers about single objects are not read"),
            (self.texts, "answers in free text are not read"),
            (empty, "labels chose nothing: no to every category"),
            (open, "labels of questions that were left open: unknown"),
            (self.joined, "data rows name the image of another data row: read as further labels of it"),
            (self.remote, "images are URLs: looked for by their path below the host"),
        ];
        counted(counts).collect()
    }
}

#[cfg(test)]
mod tests;
