//! Writing JSON Lines that Hugging Face's `imagefolder` loads too.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::image_names::image_names;
use crate::labels::Label;

/// What a line holds.
#[derive(Serialize)]
struct Line<'a> {
    file_name: &'a str,
    labels: Vec<&'a str>,
    negative_labels: Vec<&'a str>,
    /// All categories; the first line alone has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<&'a [String]>,
}

/// Writes a line for each image; what is in neither list is unknown. All three states are kept.
///
/// # Errors
/// If the file cannot be written or a path is not UTF-8.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let names = image_names(annotations, folder_of(path))?;
    let categories = &annotations.categories;
    write_atomically(path, |writer| {
        for (row, file_name) in names.iter().enumerate() {
            let with = |wanted: Label| {
                let cells = annotations.labels.row(row).zip(categories);
                cells.filter(|(label, _)| *label == wanted).map(|(_, name)| name.as_str()).collect()
            };
            let line = Line {
                file_name,
                labels: with(Label::Positive),
                negative_labels: with(Label::Negative),
                categories: (row == 0).then_some(categories),
            };
            serde_json::to_writer(&mut *writer, &line)?;
            writer.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(Vec::new())
}
