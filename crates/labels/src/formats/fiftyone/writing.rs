//! Writes `samples.json`.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::samples_file;
use crate::Result;
use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::image_names::image_names;
use crate::formats::json::write_array;
use crate::labels::Label;

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
