//! One XML file of Pascal VOC: the objects of an image.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::file_name;
use crate::Result;
use crate::formats::report::{Report, shown};
use crate::formats::xml::{self, Node};
use crate::images::has_extension;

/// What one XML file says.
#[derive(Debug, Default)]
pub(super) struct Photo {
    /// The categories of its objects, and whether all objects of each are difficult.
    pub categories: BTreeMap<String, bool>,
    /// The name that it gives to the image.
    pub file_name: String,
    /// The line of that name, from 1; 0 without one.
    pub file_name_line: usize,
    /// The name that it gives to the folder of the image.
    pub folder: String,
    /// The path of the image on the computer of the annotator.
    pub path: String,
}

/// An object while it is read.
#[derive(Default)]
struct Object {
    line: usize,
    name: Option<String>,
    difficult: bool,
}

impl Photo {
    pub fn read(file: File, report: &mut Report<'_>) -> Result<Self> {
        let mut photo = Self::default();
        let mut object = Object::default();
        xml::walk(file, 1 << 13, report, |path, node, report| match (path, node) {
            ("annotation/object", Node::Open(_)) => {
                object = Object { line: report.line, ..Object::default() };
            }
            // Parts of an object (a head, a hand) have names too, one level deeper.
            ("annotation/object/name", Node::Close(name)) => object.name = Some(name.to_owned()),
            ("annotation/object/difficult", Node::Close(value)) => match value {
                "0" | "" => object.difficult = false,
                "1" => object.difficult = true,
                _ => report.note(|| format!("difficult is {}; expected 0 or 1", shown(value))),
            },
            ("annotation/object", Node::Close(_)) => photo.add(std::mem::take(&mut object), report),
            ("annotation/filename", Node::Close(name)) => {
                (photo.file_name, photo.file_name_line) = (name.to_owned(), report.line);
            }
            ("annotation/folder", Node::Close(name)) => photo.folder = name.to_owned(),
            ("annotation/path", Node::Close(name)) => photo.path = name.to_owned(),
            ("annotation", _) => {}
            (root, Node::Open(_)) if !root.contains('/') => {
                report.note(|| format!("the root element is {}; expected annotation", shown(root)));
            }
            _ => {}
        })?;
        Ok(photo)
    }

    fn add(&mut self, object: Object, report: &mut Report<'_>) {
        match object.name.filter(|name| !name.is_empty()) {
            Some(name) => *self.categories.entry(name).or_insert(true) &= object.difficult,
            None => {
                report.line = object.line;
                report.note(|| "an object without a name".into());
            }
        }
    }

    /// The image of this annotation: the file is named like the list says, of the kind that it says.
    pub fn image(&self, id: &str) -> String {
        let extension = Path::new(&self.file_name).extension().filter(|_| has_extension(&self.file_name));
        match extension.and_then(|extension| extension.to_str()) {
            Some(extension) if !has_extension(id) => format!("{id}.{extension}"),
            _ => file_name(id),
        }
    }
}
