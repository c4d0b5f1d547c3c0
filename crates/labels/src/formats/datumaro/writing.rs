//! Writes the JSON of a subset.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{ANNOTATIONS, image_folder};
use crate::annotations::Annotations;
use crate::files::write_atomically;
use crate::formats::image_names::image_names;
use crate::formats::json::write_array;
use crate::labels::Label;
use crate::{Error, Result};

/// Writes a file, or `annotations/default.json` in a folder that is there, with a `label` annotation for every
/// positive label; images are named from where [`read`](super::read) looks for them.
///
/// What is lost: negative labels, which Datumaro cannot tell from unknown ones.
///
/// # Errors
/// If the file cannot be written or a path is not UTF-8.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let path = subset_file(path)?;
    let names = image_names(annotations, &image_folder(&path, None))?;
    let ids = ids(&names);
    let items = names.iter().zip(ids).enumerate().map(|(row, (path, id))| {
        let labels = annotations.labels.row(row).enumerate();
        let positive = labels.filter(|(_, label)| *label == Label::Positive);
        let annotations = positive.enumerate().map(|(id, (label_id, _))| WrittenLabel {
            id,
            kind: "label",
            attributes: Empty {},
            group: 0,
            label_id,
        });
        WrittenItem { id, annotations: annotations.collect(), image: WrittenImage { path } }
    });
    let labels =
        annotations.categories.iter().map(|name| WrittenCategory { name, parent: "", attributes: [] });
    write_atomically(&path, |writer| {
        // An image is media of type 2.
        writer.write_all(b"{\"dm_format_version\":\"1.0\",\"media_type\":2,\"infos\":{},\n")?;
        writer.write_all(b"\"categories\":{\"label\":{\"labels\":")?;
        write_array(writer, labels)?;
        writer.write_all(b",\"label_groups\":[],\"attributes\":[]}},\n\"items\":")?;
        write_array(writer, items)?;
        writer.write_all(b"}\n")
    })?;
    let negative = annotations.labels.count(Label::Negative);
    let lost = format!("{negative} negative labels: Datumaro cannot tell them from unknown ones");
    Ok((negative > 0).then_some(lost).into_iter().collect())
}

/// A folder stands for an export with one subset, as Datumaro calls it.
fn subset_file(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let folder = path.join(ANNOTATIONS);
    std::fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
    Ok(folder.join("default.json"))
}

/// The names of the images without their extensions, as Datumaro's ids are; whole where two would be equal.
fn ids(names: &[String]) -> Vec<&str> {
    fn stem(name: &str) -> &str {
        let start = name.rfind('/').map_or(0, |at| at + 1);
        match name[start..].rfind('.') {
            Some(at) if at > 0 => &name[..start + at],
            _ => name,
        }
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in names {
        *counts.entry(stem(name)).or_default() += 1;
        // A whole name may be the stem of another.
        if stem(name) != name {
            *counts.entry(name).or_default() += 1;
        }
    }
    names.iter().map(|name| if counts[stem(name)] == 1 { stem(name) } else { name }).collect()
}

#[derive(Serialize)]
struct WrittenCategory<'a> {
    name: &'a str,
    parent: &'a str,
    attributes: [&'a str; 0],
}

#[derive(Serialize)]
struct WrittenItem<'a> {
    id: &'a str,
    annotations: Vec<WrittenLabel>,
    image: WrittenImage<'a>,
}

#[derive(Serialize)]
struct WrittenImage<'a> {
    path: &'a str,
}

#[derive(Serialize)]
struct WrittenLabel {
    id: usize,
    #[serde(rename = "type")]
    kind: &'static str,
    attributes: Empty,
    group: usize,
    label_id: usize,
}

#[derive(Serialize)]
struct Empty {}
