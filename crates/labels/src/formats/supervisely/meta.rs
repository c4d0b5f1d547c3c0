//! The classes and tags of a project: its `meta.json`.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::MapAccess;

use crate::Result;
use crate::formats::answer_words::said;
use crate::formats::json::{self, Document, Member, Scalar, read_object};
use crate::formats::report::{Report, shown};
use crate::labels::Label;

/// What a project may hold.
#[derive(Default)]
pub struct Meta {
    /// Classes of objects, in order.
    pub classes: Vec<String>,
    pub tags: HashMap<String, Tag>,
    /// Names of the tags that images can have, in order.
    of_images: Vec<String>,
    has_tags: bool,
    has_classes: bool,
}

/// What values a tag has (`value_type`).
pub enum Tag {
    /// `none`.
    Plain,
    /// `oneof_string`, with the values.
    OneOf(Vec<String>),
    /// `any_string`.
    Text,
    /// `any_number`.
    Number,
    /// `date`.
    Date,
}

/// The category that a value of a tag is about, and the question that it answers: whether the tag holds is another
/// one than which of its values holds.
pub fn category(tag: &str, value: &str) -> (String, String) {
    match said(value) {
        Some(_) => (tag.to_owned(), tag.to_owned()),
        None => (format!("{tag}/{value}"), of_values(tag)),
    }
}

/// The question which of its values a tag has; no tag is called like this.
pub fn of_values(tag: &str) -> String {
    format!("{tag}\n")
}

impl Meta {
    /// Reads `meta.json`.
    ///
    /// # Errors
    /// All problems of the file at once.
    pub fn read(path: &Path) -> Result<Self> {
        let mut report = Report::new(path);
        let mut meta = Self::default();
        let whole = read_object(&mut report, &mut meta)?;
        if whole && !(meta.has_tags && meta.has_classes) {
            report.line = 1;
            report.note(|| "not both classes and tags; expected the meta.json of a project".into());
        }
        report.problems.or(meta)
    }

    /// The categories that a project has whether or not an image shows them, each with the question for it. That
    /// nobody knows makes none.
    pub fn categories(&self) -> impl Iterator<Item = (String, Option<String>)> {
        let classes = self.classes.iter().map(|class| (class.clone(), None));
        let tags = self.of_images.iter().flat_map(|name| match &self.tags[name] {
            Tag::Plain => vec![(name.clone(), None)],
            Tag::OneOf(values) => {
                let values = values.iter().filter(|value| said(value) != Some(Label::Unknown));
                values.map(|value| category(name, value)).map(|(it, of)| (it, Some(of))).collect()
            }
            Tag::Text | Tag::Number | Tag::Date => Vec::new(),
        });
        classes.chain(tags)
    }

    fn class(&mut self, class: Class, report: &mut Report<'_>) {
        self.classes.extend(json::text(class.title, "title of a class", report));
    }

    fn tag(&mut self, tag: TagMeta, report: &mut Report<'_>) {
        let Some(name) = json::text(tag.name, "name of a tag", report) else { return };
        let kind = match tag.value_type {
            Some(Scalar::Text(kind)) => kind,
            value => {
                let kind = value.as_ref().map_or("missing", Scalar::kind);
                return report
                    .note(|| format!("value_type of tag {} is {kind}; expected text", shown(&name)));
            }
        };
        let values: Vec<String> = tag.values.into_iter().flatten().filter_map(text).collect();
        let kind = match kind.as_str() {
            "none" => Tag::Plain,
            "oneof_string" if values.is_empty() => {
                return report.note(|| format!("tag {} is oneof_string without values", shown(&name)));
            }
            "oneof_string" => Tag::OneOf(values),
            "any_string" => Tag::Text,
            "any_number" => Tag::Number,
            "date" => Tag::Date,
            other => {
                let expected = "expected none, oneof_string, any_string, any_number or date";
                return report
                    .note(|| format!("value_type of tag {} is {}; {expected}", shown(&name), shown(other)));
            }
        };
        if self.tags.insert(name.clone(), kind).is_some() {
            return report.note(|| format!("tag {} is listed twice", shown(&name)));
        }
        // A tag of objects alone says nothing of the image as a whole.
        if !matches!(&tag.applicable_type, Some(Scalar::Text(to)) if to == "objectsOnly") {
            self.of_images.push(name);
        }
    }
}

#[derive(Deserialize)]
#[serde(expecting = "a class: an object with title")]
struct Class {
    title: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(expecting = "a tag: an object with name and value_type")]
struct TagMeta {
    name: Option<Scalar>,
    value_type: Option<Scalar>,
    values: Option<Vec<Scalar>>,
    applicable_type: Option<Scalar>,
}

impl Document for Meta {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, member: Member<'_, '_, A>) -> Result<(), A::Error> {
        match key {
            "classes" => {
                self.has_classes = true;
                member.each(|class, report| self.class(class, report))
            }
            "tags" => {
                self.has_tags = true;
                member.each(|tag, report| self.tag(tag, report))
            }
            "projectType" => member.value(|kind: Scalar, report| match &kind {
                Scalar::Text(kind) if kind == "images" => {}
                Scalar::Text(kind) => {
                    report.note(|| format!("projectType is {}; expected a project of images", shown(kind)));
                }
                other => report.note(|| format!("projectType is {}; expected images", other.kind())),
            }),
            _ => member.skip(),
        }
    }
}

fn text(value: Scalar) -> Option<String> {
    match value {
        Scalar::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}
