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

/// Writes a task for each image, with an annotation by a `Choices` control for each category of which
/// something is known: Yes or No. The first annotation also answers Unsure, so that no category is lost and
/// they keep their order. Images are served by Label Studio from the folder of the file as its document root.
///
/// # Errors
/// If the file cannot be written or a path is not UTF-8.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let names = image_names(annotations, folder_of(path))?;
    let known = |row: &usize| annotations.labels.row(*row).any(|label| label != Label::Unknown);
    let first = (0..names.len()).find(known).unwrap_or(0);
    let tasks = names.iter().enumerate().map(|(row, name)| Task {
        id: row + 1,
        data: Data { image: served(name) },
        annotations: Annotation::of(annotations, row, row == first).into_iter().collect(),
    });
    write_atomically(path, |writer| {
        write_array(writer, tasks)?;
        writer.write_all(b"\n")
    })?;
    Ok(Vec::new())
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
    id: String,
    from_name: &'a str,
    to_name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    value: Chosen,
}

#[derive(Serialize)]
struct Chosen {
    choices: [&'static str; 1],
}

impl<'a> Annotation<'a> {
    /// The answers for an image, with `unsure` also for categories of which nothing is known. None without
    /// answers: nobody has annotated the image.
    fn of(annotations: &'a Annotations, row: usize, unsure: bool) -> Option<Self> {
        let labels = annotations.labels.row(row).zip(&annotations.categories).enumerate();
        let answers = labels.filter_map(|(column, (label, name))| {
            let answer = match label {
                Label::Positive => "Yes",
                Label::Negative => "No",
                Label::Unknown if unsure => "Unsure",
                Label::Unknown => return None,
            };
            Some(Choices {
                id: format!("answer-{}", column + 1),
                from_name: name,
                to_name: "image",
                kind: "choices",
                value: Chosen { choices: [answer] },
            })
        });
        let result: Vec<Choices<'a>> = answers.collect();
        (!result.is_empty()).then_some(Annotation { was_cancelled: false, result })
    }
}
