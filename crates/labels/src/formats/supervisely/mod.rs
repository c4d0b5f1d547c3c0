//! Supervisely: a downloaded project of images, or one of its datasets.
//!
//! Format: <https://developer.supervisely.com/getting-started/supervisely-annotation-format>, nested datasets and
//! tags as plain text as `supervisely/project/project.py` and `annotation/tag.py` of the SDK read them. A project
//! has a `meta.json` with its classes and tags and a folder for each dataset, which holds `ann/IMAGE.json` for
//! `img/IMAGE`. What an image does not hold is not said to be absent: the user must say whether it was looked for.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess};
use serde_json::Value;

use super::Reading;
use super::answer_words::said;
use super::json::{Document, Member, Scalar, read_object};
use super::marks::Marks;
use super::options::{Choice, Options, Unlisted};
use super::questions::Questions;
use super::report::{Report, counted, shown};
use crate::categories::did_you_mean;
use crate::error::Problems;
use crate::formats::format::{Format, NotListed};
use crate::labels::Label;
use crate::{Error, Result};
use datasets::{Dataset, Source};
use meta::{Meta, Tag};

mod datasets;
mod meta;

/// This format.
pub const FORMAT: Format = Format {
    name: "supervisely",
    title: "Supervisely",
    about: "Supervisely project or dataset folder",
    example: "meta.json
train/ann/1.jpg.json
train/img/1.jpg",
    extensions: &[],
    takes: &[Choice::Unlisted, Choice::Set],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: None,
};

/// Reads the datasets of a project, or the one that `--set` names, or a dataset below its `meta.json`.
///
/// +1: a tag of the image without a value, an object of a class. A tag with one of several values is a category
/// `TAG/VALUE`; one whose value is yes, no or unknown is +1, −1 or 0 of `TAG`. An image without such a tag is 0.
/// Everything else is what `--unlisted` says.
///
/// # Errors
/// All problems of the annotations at once, each with its file and line; a project whose datasets are splits of
/// which none is chosen.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let unlisted = options
        .unlisted("Supervisely does not say whether a tag or class that an image lacks was looked for")?;
    let source = Source::open(path, options.set.as_deref())?;
    let mut project = Project::new(Meta::read(&source.meta)?);
    let mut problems = Problems::default();
    for dataset in &source.datasets {
        problems = project.dataset(dataset, &source.images(dataset, options.images.as_deref()), problems)?;
    }
    problems.or(())?;
    if project.marks.images().is_empty() {
        return Err(Error::Data(format!("{}: no annotations ann/IMAGE.json in any dataset", path.display())));
    }
    let Project { marks, questions, counts, .. } = project;
    let mut reading = marks.finish(unlisted.label(), path)?;
    let open = questions.clear_open(&mut reading.annotations.labels);
    reading.notes.extend(source.note());
    reading.notes.extend(counts.notes(unlisted, open));
    Ok(reading)
}

/// Whether a folder is a project or a dataset of one, or a file the `meta.json` of one.
pub fn recognize(path: &Path, _head: &[u8]) -> Option<String> {
    datasets::recognize(path)
}

/// What has been read so far.
struct Project {
    meta: Meta,
    marks: Marks,
    questions: Questions,
    counts: Counts,
}

/// How doubtful things were read.
#[derive(Default)]
struct Counts {
    objects: usize,
    tags_of_objects: usize,
    answers: usize,
    /// Tags with a value that is no category, by its type.
    values: BTreeMap<&'static str, usize>,
    empty: usize,
    without_file: usize,
}

impl Project {
    fn new(meta: Meta) -> Self {
        let (mut marks, mut questions) = (Marks::default(), Questions::default());
        for (category, question) in meta.categories() {
            let column = marks.category(&category);
            if let Some(question) = question {
                questions.category(&question, column);
            }
        }
        Self { meta, marks, questions, counts: Counts::default() }
    }

    /// Reads the annotations of a dataset whose images lie in a folder.
    fn dataset(&mut self, dataset: &Dataset, images: &Path, mut problems: Problems) -> Result<Problems> {
        for name in dataset.annotations()? {
            let file = dataset.annotation(&name);
            let mut report = Report { path: &file, line: 0, problems };
            let image = self.marks.image(&images.join(&name));
            let mut picture = Picture { project: self, image, listed: false, empty: true };
            let whole = read_object(&mut report, &mut picture)?;
            let Picture { listed, empty, .. } = picture;
            if whole && !listed {
                report.line = 1;
                report.note(|| "neither tags nor objects; expected the annotation of an image".into());
            }
            self.counts.empty += usize::from(empty);
            problems = report.problems;
        }
        self.counts.without_file += dataset.without_annotation()?;
        Ok(problems)
    }

    /// Takes a tag of an image: an object with its name and value, or, in old files, its name.
    fn tag(&mut self, image: usize, tag: &Value, report: &mut Report<'_>) {
        let (name, value) = match tag {
            Value::String(name) => (name.as_str(), None),
            _ => (tag.get("name").and_then(Value::as_str).unwrap_or_default(), tag.get("value")),
        };
        let value = value.filter(|value| !value.is_null() && value.as_str() != Some(""));
        if name.is_empty() {
            return report.note(|| "a tag without a name; expected text".into());
        }
        let text = value.and_then(Value::as_str);
        match (self.meta.tags.get(name), value, text) {
            (None, ..) => {
                let hint = did_you_mean(name, self.meta.tags.keys().map(String::as_str));
                report.note(|| format!("tag {} is not listed in meta.json{hint}", shown(name)));
            }
            (Some(Tag::Plain), None, _) => self.positive(image, name),
            (Some(Tag::Plain), ..) => {
                report
                    .note(|| format!("tag {} has a value; its value_type in meta.json is none", shown(name)));
            }
            (Some(Tag::OneOf(values)), _, Some(text)) if values.iter().any(|value| value == text) => {
                self.answer(image, name, text);
            }
            (Some(Tag::OneOf(values)), _, Some(text)) => {
                let hint = did_you_mean(text, values.iter().map(String::as_str));
                let (name, text) = (shown(name), shown(text));
                report.note(|| format!("value {text} of tag {name} is not listed in meta.json{hint}"));
            }
            (Some(Tag::OneOf(_)), ..) => {
                report
                    .note(|| format!("tag {} has no value; expected one of those in meta.json", shown(name)));
            }
            (Some(Tag::Text), _, Some(text)) if said(text).is_some() => self.answer(image, name, text),
            (Some(Tag::Text), ..) => *self.counts.values.entry("a text").or_default() += 1,
            (Some(Tag::Number), ..) => *self.counts.values.entry("a number").or_default() += 1,
            (Some(Tag::Date), ..) => *self.counts.values.entry("a date").or_default() += 1,
        }
    }

    fn positive(&mut self, image: usize, category: &str) {
        let category = self.marks.category(category);
        self.marks.mark(image, category, Label::Positive);
    }

    /// Marks what the value of a tag says.
    fn answer(&mut self, image: usize, tag: &str, value: &str) {
        let said = said(value);
        self.counts.answers += usize::from(said.is_some());
        // Nobody could say: as open as without the tag, also for the other values.
        if said == Some(Label::Unknown) {
            return;
        }
        let (category, question) = meta::category(tag, value);
        let column = self.marks.category(&category);
        self.marks.mark(image, column, said.unwrap_or(Label::Positive));
        self.questions.category(&question, column);
        self.questions.answer(image, &question);
        self.questions.answer(image, &meta::of_values(tag));
    }

    /// Takes an object.
    fn object(&mut self, image: usize, object: &Object, report: &mut Report<'_>) {
        let name = match &object.class {
            Some(Scalar::Text(name)) if !name.is_empty() => name,
            value => {
                let kind = value.as_ref().map_or("missing", Scalar::kind);
                return report.note(|| format!("classTitle of an object is {kind}; expected text"));
            }
        };
        if !self.meta.classes.contains(name) {
            let hint = did_you_mean(name, self.meta.classes.iter().map(String::as_str));
            return report.note(|| format!("class {} is not listed in meta.json{hint}", shown(name)));
        }
        self.positive(image, name);
        self.counts.objects += 1;
        self.counts.tags_of_objects += object.tags.as_ref().map_or(0, Vec::len);
    }
}

/// One annotation while it is read.
struct Picture<'a> {
    project: &'a mut Project,
    image: usize,
    /// Whether there is a list of tags or objects.
    listed: bool,
    /// Whether these are empty.
    empty: bool,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with classTitle")]
struct Object {
    #[serde(rename = "classTitle")]
    class: Option<Scalar>,
    tags: Option<Vec<IgnoredAny>>,
}

impl Document for Picture<'_> {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, member: Member<'_, '_, A>) -> Result<(), A::Error> {
        let Self { project, image, listed, empty } = self;
        match key {
            "tags" => {
                *listed = true;
                member.each(|tag: Value, report| {
                    *empty = false;
                    project.tag(*image, &tag, report);
                })
            }
            "objects" => {
                *listed = true;
                member.each(|object: Object, report| {
                    *empty = false;
                    project.object(*image, &object, report);
                })
            }
            _ => member.skip(),
        }
    }
}

impl Counts {
    fn notes(&self, unlisted: Unlisted, open: usize) -> Vec<String> {
        let empty = if unlisted == Unlisted::Negative { self.empty } else { 0 };
        let kinds = Vec::from_iter(self.values.keys().copied()).join(" or ");
        let counts = [
            (self.objects, "objects: positive for their image".to_owned()),
            (self.tags_of_objects, "tags of objects are not read".to_owned()),
            (
                self.answers,
                "tags with the value yes, no or unknown: positive, negative and unknown".to_owned(),
            ),
            (self.values.values().sum(), format!("tags whose value is {kinds} are not read")),
            (empty, "images have neither tags nor objects: negative, but for tags with values".to_owned()),
            (open, "labels of tags whose value an image does not say: unknown".to_owned()),
            (self.without_file, "files of img have none in ann: left out".to_owned()),
        ];
        counted(counts).collect()
    }
}

#[cfg(test)]
mod tests;
