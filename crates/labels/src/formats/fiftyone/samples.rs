//! Reads `samples.json`: samples, each with fields of labels.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::MapAccess;
use serde_json::Value;

use super::{confidence_note, is_fraction};
use crate::Result;
use crate::categories::did_you_mean;
use crate::formats::Reading;
use crate::formats::json::{Document, Entries, Lenient, Member, Scalar, read_object};
use crate::formats::marks::{Marks, clear};
use crate::formats::options::{Options, Unlisted};
use crate::formats::report::{Report, counted, shown};
use crate::labels::Label;

const POSITIVE: &str = "positive_labels";
const NEGATIVE: &str = "negative_labels";

/// Reads the file: two fields by default, or the one of `--field`.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let why = "a field of FiftyOne lists what an image shows, not what was looked for";
    let unlisted = options.field.as_ref().map(|_| options.unlisted(why)).transpose()?;
    let mut report = Report::new(path);
    let folder = options.image_folder(path).to_owned();
    let mut dataset = Dataset { folder, field: options.field.clone(), ..Dataset::default() };
    let whole = read_object(&mut report, &mut dataset)?;
    if whole && report.problems.is_empty() && !(dataset.has_samples && dataset.has_labels) {
        report.line = 1;
        report.note(|| dataset.nothing());
    }
    report.problems.or(())?;
    let Some(unlisted) = unlisted else {
        options.only("a file with positive_labels and negative_labels", &[])?;
        let mut reading = dataset.marks.finish(Label::Unknown, path)?;
        reading.notes.extend(confidence_note(dataset.fractional));
        return Ok(reading);
    };
    let notes = dataset.notes(unlisted);
    let mut reading = dataset.marks.finish(unlisted.label(), path)?;
    let without = dataset.labels.iter().enumerate().filter(|(_, labels)| labels.is_none());
    clear(&mut reading.annotations.labels, without.map(|(image, _)| image));
    reading.notes.extend(notes);
    Ok(reading)
}

#[derive(Default)]
struct Dataset {
    folder: PathBuf,
    /// The field that the user chose.
    field: Option<String>,
    marks: Marks,
    has_samples: bool,
    has_labels: bool,
    /// How many labels the chosen field has in each image; nothing where it is null or missing.
    labels: Vec<Option<usize>>,
    /// Other fields that hold labels, with their kind.
    others: Vec<(String, &'static str)>,
    objects: usize,
    fractional: usize,
}

/// What a field of a sample may hold of labels.
#[derive(Deserialize)]
struct Labels {
    #[serde(rename = "_cls")]
    class: Option<Scalar>,
    label: Option<Value>,
    confidence: Option<Value>,
    classifications: Option<Value>,
    detections: Option<Value>,
}

impl Labels {
    /// The name of its kind, if it is one of those that are read.
    fn kind(&self) -> Option<&'static str> {
        const KINDS: [&str; 4] = ["Classifications", "Classification", "Detections", "Detection"];
        let Some(Scalar::Text(class)) = &self.class else {
            // The fields that we were told of have no class in some exports.
            return self.classifications.as_ref().map(|_| KINDS[0]);
        };
        KINDS.into_iter().find(|kind| kind == class)
    }

    /// The labels with their confidence, and whether they are of objects, which count where they are asked for.
    fn labels(&self, objects: bool) -> Option<(Vec<Found<'_>>, bool)> {
        let list = match (&self.classifications, &self.detections) {
            (Some(list), _) => Some((list, false)),
            (None, Some(list)) if objects => Some((list, true)),
            _ => None,
        };
        if let Some((list, objects)) = list {
            let found = list.as_array()?.iter().map(|one| (one.get("label"), one.get("confidence")));
            return Some((found.collect(), objects));
        }
        let single = (self.label.as_ref(), self.confidence.as_ref());
        match self.kind()? {
            "Classification" => Some((vec![single], false)),
            "Detection" if objects => Some((vec![single], true)),
            _ => None,
        }
    }
}

/// A label and its confidence.
type Found<'a> = (Option<&'a Value>, Option<&'a Value>);

impl Document for Dataset {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, member: Member<'_, '_, A>) -> Result<(), A::Error> {
        match key {
            "samples" => {
                self.has_samples = true;
                member.each(|sample, report| self.sample(sample, report))
            }
            "classes" => member.each(|name, report| match name {
                Scalar::Text(name) => _ = self.marks.category(&name),
                other => report.note(|| format!("{} among the classes; expected text", other.kind())),
            }),
            _ => member.skip(),
        }
    }
}

impl Dataset {
    fn sample(&mut self, Entries(fields): Entries<Lenient<Labels>>, report: &mut Report<'_>) {
        let filepath = fields.iter().rfind(|(key, _)| key == "filepath").map(|(_, value)| value);
        let image = match filepath {
            Some(Lenient::Other(Scalar::Text(name))) if !name.is_empty() => {
                self.marks.image(&self.folder.join(name))
            }
            value => {
                let kind = match value {
                    None => "missing",
                    Some(Lenient::Other(value)) => value.kind(),
                    Some(Lenient::Object(_)) => "an object",
                };
                return report
                    .note(|| format!("filepath of a sample is {kind}; expected the path of an image"));
            }
        };
        self.labels.resize(self.marks.images().len(), None);
        for (field, value) in &fields {
            let label = match &self.field {
                Some(chosen) => (chosen == field).then_some(Label::Positive),
                None if field == POSITIVE => Some(Label::Positive),
                None => (field == NEGATIVE).then_some(Label::Negative),
            };
            match (label, value) {
                (_, Lenient::Other(Scalar::Other("null"))) => {}
                (Some(label), value) => self.labels(image, field, value, label, report),
                (None, Lenient::Object(labels)) => self.other(field, labels),
                (None, Lenient::Other(_)) => {}
            }
        }
    }

    /// Remembers a field that could have been chosen.
    fn other(&mut self, field: &str, labels: &Labels) {
        const MOST: usize = 20;
        if let Some(kind) = labels.kind()
            && self.others.len() < MOST
            && self.others.iter().all(|(name, _)| name != field)
        {
            self.others.push((field.to_owned(), kind));
        }
    }

    fn labels(
        &mut self,
        image: usize,
        field: &str,
        value: &Lenient<Labels>,
        label: Label,
        report: &mut Report<'_>,
    ) {
        self.has_labels = true;
        let any = self.field.is_some();
        let found = match value {
            Lenient::Object(labels) => labels.labels(any).ok_or(labels.class.as_ref()),
            Lenient::Other(_) => Err(None),
        };
        match found {
            Ok((found, objects)) => {
                self.objects += if objects { found.len() } else { 0 };
                *self.labels[image].get_or_insert(0) += found.len();
                found.into_iter().for_each(|one| self.mark(image, field, one, label, report));
            }
            Err(class) => report.note(|| {
                let kind = match class {
                    Some(Scalar::Text(class)) => shown(class),
                    _ => "something else".into(),
                };
                let expected = if any { "Classifications or Detections" } else { "Classifications" };
                format!("{field} is {kind}; expected {expected}")
            }),
        }
    }

    fn mark(
        &mut self,
        image: usize,
        field: &str,
        (name, confidence): Found<'_>,
        label: Label,
        report: &mut Report<'_>,
    ) {
        match name.and_then(Value::as_str) {
            Some(name) if !name.is_empty() => {
                let category = self.marks.category(name);
                self.marks.mark(image, category, label);
                self.fractional += usize::from(is_fraction(confidence.and_then(Value::as_f64)));
            }
            _ => report.note(|| format!("a classification of {field} without label; expected text")),
        }
    }

    /// Why nothing was read.
    fn nothing(&self) -> String {
        if !self.has_samples {
            return "no samples; expected an object with an array samples".into();
        }
        let others = self.others.iter().map(|(name, kind)| format!("{name} ({kind})"));
        let others = others.collect::<Vec<_>>().join(", ");
        let (what, hint) = match &self.field {
            Some(field) => {
                let names = self.others.iter().map(|(name, _)| name.as_str());
                (
                    format!("no sample has labels in a field {}{}", shown(field), did_you_mean(field, names)),
                    "there are",
                )
            }
            None => (
                "no sample has positive_labels or negative_labels (Classifications)".into(),
                "choose the field of the labels with --field:",
            ),
        };
        if others.is_empty() { what } else { format!("{what}; {hint} {others}") }
    }

    fn notes(&self, unlisted: Unlisted) -> Vec<String> {
        let field = self.field.as_deref().unwrap_or_default();
        let without = self.labels.iter().filter(|labels| labels.is_none()).count();
        let empty = self.labels.iter().filter(|labels| **labels == Some(0)).count();
        let empty = if unlisted == Unlisted::Negative { empty } else { 0 };
        let counts = [
            (without, format!("images have no {field}: kept, every category unknown")),
            (empty, format!("images have no label in {field}: every category negative")),
            (self.objects, "objects: positive for their image".into()),
        ];
        let notes = counted(counts);
        notes.chain(confidence_note(self.fractional)).collect()
    }
}
