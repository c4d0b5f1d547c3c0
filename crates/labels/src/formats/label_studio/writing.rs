//! Tasks with annotations, as Label Studio imports them.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::image_names::image_names;
use crate::formats::json::write_array;
use crate::formats::location::served;
use crate::labels::Label;

/// Writes a task for each image, with an annotation by a `Choices` control named `choice` if anything of it is
/// known. Images are served by Label Studio from the folder of the file as its document root.
///
/// # Errors
/// If the file cannot be written or a path is not UTF-8.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let names = image_names(annotations, folder_of(path))?;
    let tasks = names.iter().enumerate().map(|(row, name)| Task {
        id: row + 1,
        data: Data { image: served(name) },
        annotations: Annotation::of(annotations, row).into_iter().collect(),
    });
    write_atomically(path, |writer| {
        write_array(writer, tasks)?;
        writer.write_all(b"\n")
    })?;
    Ok(lost(annotations))
}

fn lost(annotations: &Annotations) -> Vec<String> {
    let labels = &annotations.labels;
    let negative = labels.count(Label::Negative);
    let open = (0..labels.images()).filter(|&row| is_annotated(annotations, row));
    let open: usize = open.map(|row| labels.row(row).filter(|at| *at == Label::Unknown).count()).sum();
    let never = labels.counts().iter().filter(|(positives, _)| *positives == 0).count();
    let counted = [
        (negative, "negative labels: Label Studio's choices cannot tell them from unknown ones".to_owned()),
        (
            if negative > 0 { open } else { 0 },
            "unknown labels in annotated images: --unlisted negative would read them as negative".to_owned(),
        ),
        (never, "categories without a positive label: an export does not name them".to_owned()),
    ];
    counted
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
}

fn is_annotated(annotations: &Annotations, row: usize) -> bool {
    annotations.labels.row(row).any(|label| label != Label::Unknown)
}

#[derive(Serialize)]
struct Task<'a> {
    id: usize,
    data: Data,
    annotations: Vec<Annotation<'a>>,
}

#[derive(Serialize)]
struct Data {
    image: String,
}

#[derive(Serialize)]
struct Annotation<'a> {
    was_cancelled: bool,
    result: Vec<Choices<'a>>,
}

#[derive(Serialize)]
struct Choices<'a> {
    id: &'a str,
    from_name: &'a str,
    to_name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    value: Chosen<'a>,
}

#[derive(Serialize)]
struct Chosen<'a> {
    choices: Vec<&'a str>,
}

impl<'a> Annotation<'a> {
    /// None for an image of which nothing is known: nobody has annotated it.
    fn of(annotations: &'a Annotations, row: usize) -> Option<Self> {
        let labels = annotations.labels.row(row).zip(&annotations.categories);
        let choices: Vec<&str> =
            labels.filter(|(label, _)| *label == Label::Positive).map(|(_, name)| name.as_str()).collect();
        let result = (!choices.is_empty()).then_some(Choices {
            id: "choice",
            from_name: "choice",
            to_name: "image",
            kind: "choices",
            value: Chosen { choices },
        });
        let annotation = Annotation { was_cancelled: false, result: result.into_iter().collect() };
        is_annotated(annotations, row).then_some(annotation)
    }
}
