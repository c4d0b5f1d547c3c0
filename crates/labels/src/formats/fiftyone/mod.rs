//! FiftyOne: `samples.json` of an export as `fiftyone.types.FiftyOneDataset`, with the two `Classifications`
//! fields that its import of Open Images makes: `positive_labels` and `negative_labels`.
//!
//! Format: <https://docs.voxel51.com/user_guide/export_datasets.html#fiftyonedataset>.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::MapAccess;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Reading;
use super::image_names::image_names;
use super::json::{Document, Member, Scalar, outline, read_object, write_array};
use super::marks::Marks;
use super::options::Options;
use super::report::{Report, shown};
use crate::Result;
use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::format::{Format, Keeps, NotListed, Written};
use crate::labels::Label;

/// This format.
pub const FORMAT: Format = Format {
    name: "fiftyone",
    title: "FiftyOne",
    about: "FiftyOne samples JSON",
    example: r#"{"samples": [{"filepath": "data/1.jpg",
  "positive_labels": {"classifications": [{"label": "cat"}]},
  "negative_labels": {"classifications": [{"label": "dog"}]}}]}"#,
    extensions: &[],
    takes: &[],
    names_categories: false,
    unlisted: NotListed::Unknown,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

const SAMPLES: &str = "samples.json";

/// Reads `samples.json`, or the folder that holds it: labels of `positive_labels` are +1, of
/// `negative_labels` −1, all others 0. The field decides, not the confidence of a label.
///
/// Categories come in the order of an array `classes`, which [`write`] makes, else of appearance.
///
/// # Errors
/// All problems of the file at once.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let path = samples_file(path);
    let mut report = Report::new(&path);
    let mut dataset = Dataset { folder: options.image_folder(&path).to_owned(), ..Dataset::default() };
    let whole = read_object(&mut report, &mut dataset)?;
    if whole && report.problems.is_empty() {
        report.line = 1;
        if !dataset.has_samples {
            report.note(|| "no samples; expected an object with an array samples".into());
        } else if !dataset.has_labels {
            report.note(|| "no sample has positive_labels or negative_labels (Classifications)".into());
        }
    }
    report.problems.or(())?;
    let Dataset { marks, fractional, .. } = dataset;
    let mut reading = marks.finish(Label::Unknown, &path)?;
    if fractional > 0 {
        reading
            .notes
            .push(format!("{fractional} labels with a confidence between 0 and 1: read as their field says"));
    }
    Ok(reading)
}

/// A folder stands for the file in it.
fn samples_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(SAMPLES) } else { path.to_owned() }
}

#[derive(Default)]
struct Dataset {
    folder: PathBuf,
    marks: Marks,
    has_samples: bool,
    has_labels: bool,
    fractional: usize,
}

#[derive(Deserialize)]
#[serde(expecting = "a sample: an object with filepath")]
struct Sample {
    filepath: Option<Scalar>,
    positive_labels: Option<Value>,
    negative_labels: Option<Value>,
}

impl Document for Dataset {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        member: Member<'_, '_, A>,
    ) -> Result<(), A::Error> {
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
    fn sample(&mut self, sample: Sample, report: &mut Report<'_>) {
        let image = match &sample.filepath {
            Some(Scalar::Text(name)) if !name.is_empty() => self.marks.image(&self.folder.join(name)),
            value => {
                let kind = value.as_ref().map_or("missing", Scalar::kind);
                return report
                    .note(|| format!("filepath of a sample is {kind}; expected the path of an image"));
            }
        };
        let fields = [
            ("positive_labels", sample.positive_labels, Label::Positive),
            ("negative_labels", sample.negative_labels, Label::Negative),
        ];
        for (field, value, label) in fields {
            let Some(value) = value else { continue };
            self.has_labels = true;
            match classifications(&value) {
                Some(found) => found.iter().for_each(|one| self.mark(image, field, one, label, report)),
                None => report.note(|| {
                    let class = value.get("_cls").and_then(Value::as_str).map(shown);
                    format!(
                        "{field} is {}; expected Classifications",
                        class.as_deref().unwrap_or("something else")
                    )
                }),
            }
        }
    }

    fn mark(&mut self, image: usize, field: &str, one: &Value, label: Label, report: &mut Report<'_>) {
        match one.get("label").and_then(Value::as_str) {
            Some(name) if !name.is_empty() => {
                let category = self.marks.category(name);
                self.marks.mark(image, category, label);
                let confidence = one.get("confidence").and_then(Value::as_f64);
                self.fractional += usize::from(confidence.is_some_and(|value| value > 0.0 && value < 1.0));
            }
            _ => report.note(|| format!("a classification of {field} without label; expected text")),
        }
    }
}

/// What a field lists; a single `Classification` is a list of one.
fn classifications(value: &Value) -> Option<&[Value]> {
    match value.get("classifications") {
        Some(list) => list.as_array().map(Vec::as_slice),
        None if value.get("_cls").is_some_and(|class| class == "Classification") => {
            Some(std::slice::from_ref(value))
        }
        None => None,
    }
}

/// Writes `samples.json`, or the file of that name in a folder that is there. All three states are kept.
///
/// # Errors
/// If the file cannot be written or a path is not UTF-8.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let path = samples_file(path);
    let names = image_names(annotations, folder_of(&path))?;
    let samples = names.iter().enumerate().map(|(row, filepath)| {
        let labels = |label| Classifications::of(annotations, row, label);
        WrittenSample {
            filepath,
            tags: [],
            positive_labels: labels(Label::Positive),
            negative_labels: labels(Label::Negative),
        }
    });
    write_atomically(&path, |writer| {
        writer.write_all(b"{\"classes\":")?;
        write_array(writer, &annotations.categories)?;
        writer.write_all(b",\"samples\":")?;
        write_array(writer, samples)?;
        writer.write_all(b"}\n")
    })?;
    Ok(Vec::new())
}

#[derive(Serialize)]
struct WrittenSample<'a> {
    filepath: &'a str,
    tags: [&'a str; 0],
    positive_labels: Classifications<'a>,
    negative_labels: Classifications<'a>,
}

#[derive(Serialize)]
struct Classifications<'a> {
    #[serde(rename = "_cls")]
    class: &'a str,
    classifications: Vec<Classification<'a>>,
}

#[derive(Serialize)]
struct Classification<'a> {
    #[serde(rename = "_cls")]
    class: &'a str,
    tags: [&'a str; 0],
    label: &'a str,
}

impl<'a> Classifications<'a> {
    fn of(annotations: &'a Annotations, row: usize, label: Label) -> Self {
        let labels = annotations.labels.row(row).zip(&annotations.categories);
        let found = labels.filter(|(at, _)| *at == label);
        let found = found.map(|(_, name)| Classification { class: "Classification", tags: [], label: name });
        Self { class: "Classifications", classifications: found.collect() }
    }
}

/// Whether it is `samples.json` or a folder with it.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    if path.is_dir() {
        return path.join(SAMPLES).is_file().then(|| format!("a folder with {SAMPLES}"));
    }
    outline(head)
        .contains("samples[].filepath")
        .then(|| "a JSON object with samples that have a filepath".into())
}

#[cfg(test)]
mod tests;
