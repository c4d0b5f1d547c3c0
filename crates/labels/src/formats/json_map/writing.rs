//! Writing a JSON map: each image with the categories that are there and those that are not.

use std::io::Write;
use std::path::Path;

use serde::ser::{SerializeMap, Serializer};

use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::image_names::image_names;
use crate::formats::report::shown;
use crate::images::has_extension;
use crate::labels::Label;
use crate::{Error, Result};

/// Writes `{"IMAGE": {"CATEGORY": true, "OTHER": false}, …}`; what is unknown is left out, but for the first
/// image, which has all categories in their order, the unknown ones as null. All three states are kept.
///
/// # Errors
/// The name of an image without the ending of one, by which the reader tells it from a category; also if the
/// file cannot be written or a path is not UTF-8.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let names = image_names(annotations, folder_of(path))?;
    if let Some(name) = names.iter().find(|name| !has_extension(name)) {
        let what = "does not end as images do; a JSON map cannot hold it";
        return Err(Error::Data(format!("{}: {} {what}", path.display(), shown(name))));
    }
    write_atomically(path, |writer| {
        writer.write_all(b"{")?;
        for (row, name) in names.iter().enumerate() {
            writer.write_all(if row == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *writer, name)?;
            writer.write_all(b": ")?;
            states(&mut serde_json::Serializer::new(&mut *writer), annotations, row)?;
        }
        writer.write_all(b"\n}\n")
    })?;
    Ok(Vec::new())
}

fn states<S: Serializer>(
    json: S,
    annotations: &Annotations,
    row: usize,
) -> std::result::Result<S::Ok, S::Error> {
    let mut map = json.serialize_map(None)?;
    for (label, name) in annotations.labels.row(row).zip(&annotations.categories) {
        let state = match label {
            Label::Positive => Some(true),
            Label::Negative => Some(false),
            Label::Unknown if row > 0 => continue,
            Label::Unknown => None,
        };
        map.serialize_entry(name, &state)?;
    }
    map.end()
}
