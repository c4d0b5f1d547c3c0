//! FiftyOne: `samples.json` of an export as `fiftyone.types.FiftyOneDataset`, and `labels.json` of one as
//! `fiftyone.types.FiftyOneImageClassificationDataset`.
//!
//! In `samples.json` the labels are in the two `Classifications` fields that FiftyOne's import of Open Images
//! makes, `positive_labels` and `negative_labels`, or in a field that the user names. `labels.json` has one
//! list per image.
//!
//! Formats: <https://docs.voxel51.com/user_guide/export_datasets.html>, and what `exporters.py` and
//! `parsers.py` of `fiftyone.utils.data` write and read (version 1.5).

use std::path::{Path, PathBuf};

use super::Reading;
use super::json::outline;
use super::options::{Choice, Options};
use crate::Result;
use crate::formats::format::{Format, Keeps, NotListed, Written};

mod labels;
pub mod predictions;
mod samples;
mod writing;

pub use writing::write;

/// This format.
pub const FORMAT: Format = Format {
    name: "fiftyone",
    title: "FiftyOne",
    about: "FiftyOne samples or labels JSON",
    example: r#"{"samples": [{"filepath": "data/1.jpg",
  "positive_labels": {"classifications": [{"label": "cat"}]},
  "negative_labels": {"classifications": [{"label": "dog"}]}}]}"#,
    extensions: &[],
    takes: &[Choice::Unlisted, Choice::Field],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

const SAMPLES: &str = "samples.json";
const LABELS: &str = "labels.json";

/// Reads `samples.json` or `labels.json`, or the folder that holds one of them.
///
/// Of `samples.json`, labels of `positive_labels` are +1, of `negative_labels` −1, all others 0. With
/// `--field` the labels or objects of that field are +1 and the rest is what `--unlisted` says; so it is in
/// `labels.json`. An image without a value there is 0 throughout. The field decides, not the confidence.
///
/// Categories come in the order of an array `classes`, else of appearance.
///
/// # Errors
/// All problems of the file at once; that `--unlisted` is missing, or not needed.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let path = &labels_file(path).unwrap_or_else(|| samples_file(path));
    if is_labels(path) { labels::read(path, options) } else { samples::read(path, options) }
}

/// A folder stands for the file in it.
fn samples_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(SAMPLES) } else { path.to_owned() }
}

/// `labels.json` of a folder that has no `samples.json`.
fn labels_file(folder: &Path) -> Option<PathBuf> {
    let file = folder.join(LABELS);
    (folder.is_dir() && !folder.join(SAMPLES).exists() && file.is_file()).then_some(file)
}

/// Whether a file is `labels.json`, even where long `classes` hide what follows; that a file cannot be read
/// is told by who reads it.
fn is_labels(path: &Path) -> bool {
    let Ok(head) = super::head_of(path) else { return false };
    has_labels(&head) || path.ends_with(LABELS) && !outline(&head).contains("samples")
}

/// Whether the file has `classes` and an object `labels`, and no other key.
fn has_labels(head: &[u8]) -> bool {
    let keys = outline(head);
    let others = |key: &String| key != "classes" && key != "labels" && !key.starts_with("labels.");
    keys.contains("classes") && keys.contains("labels") && !keys.iter().any(others)
}

/// Notes that both files may need.
fn confidence_note(fractional: usize) -> Option<String> {
    let what = "labels with a confidence between 0 and 1: read as their field says";
    (fractional > 0).then(|| format!("{fractional} {what}"))
}

fn is_fraction(confidence: Option<f64>) -> bool {
    confidence.is_some_and(|value| value > 0.0 && value < 1.0)
}

/// Whether it is `samples.json` or `labels.json`, or a folder with one of them.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    if path.is_dir() {
        if path.join(SAMPLES).is_file() {
            return Some(format!("a folder with {SAMPLES}"));
        }
        let labels = labels_file(path).filter(|file| is_labels(file));
        return labels.map(|_| format!("a folder with {LABELS}"));
    }
    if has_labels(head) {
        return Some("a JSON object with classes and the labels of each image".into());
    }
    outline(head)
        .contains("samples[].filepath")
        .then(|| "a JSON object with samples that have a filepath".into())
}

#[cfg(test)]
mod tests;
