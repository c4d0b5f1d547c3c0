//! Tasks that ask for labels, as Label Studio imports them.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::image_names::image_names;
use crate::formats::json::write_array;
use crate::formats::location::served;

/// An image to annotate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its row.
    pub row: usize,
    /// Columns of the categories that are asked for.
    pub categories: Vec<usize>,
    /// Why, for the person who is asked.
    pub reason: String,
}

#[derive(Serialize)]
struct Task {
    id: usize,
    data: Data,
}

#[derive(Serialize)]
struct Data {
    image: String,
    ask: String,
    reason: String,
}

/// Writes a task for each question, in their order. Its data have the `image`, served by Label Studio from the folder of
/// the file as its document root; what to `ask`, names of categories a line each; and the `reason`. Text of a labeling
/// configuration shows both: `<Text name="ask" value="$ask"/>`.
///
/// # Errors
/// If the file cannot be written or a path is not UTF-8.
pub fn write_questions(path: &Path, annotations: &Annotations, questions: &[Question]) -> Result<()> {
    let names = image_names(annotations, folder_of(path))?;
    let tasks = questions.iter().zip(1..).map(|(question, id)| {
        let asked: Vec<&str> =
            question.categories.iter().map(|&category| annotations.categories[category].as_str()).collect();
        let data = Data {
            image: served(&names[question.row]),
            ask: asked.join("\n"),
            reason: question.reason.clone(),
        };
        Task { id, data }
    });
    write_atomically(path, |file| {
        write_array(file, tasks)?;
        file.write_all(b"\n")
    })
}
