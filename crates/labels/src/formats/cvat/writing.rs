//! Writes CVAT for images 1.1, to be uploaded to a task that holds the same images.

use std::io::{self, Write};
use std::path::Path;

use super::image_folder;
use crate::annotations::Annotations;
use crate::files::write_atomically;
use crate::formats::image_names::image_names;
use crate::formats::name_list::check_name;
use crate::formats::xml;
use crate::images::stored_size;
use crate::labels::Label;
use crate::{Error, Result};

/// Writes an `annotations.xml` with a tag for every positive label; images are named from where
/// [`read`](super::read) looks for them. The size of each image is read, as CVAT asks for it.
///
/// What is lost: negative labels, which CVAT cannot tell from unknown ones.
///
/// # Errors
/// If a name cannot be in XML.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let refuse = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let escape = |name: &str| xml::escape(name).map_err(refuse);
    let labels: Result<Vec<String>> = annotations
        .categories
        .iter()
        .map(|name| check_name(path, name, "CVAT").and_then(|()| escape(name)))
        .collect();
    let labels = labels?;
    let names = image_names(annotations, &image_folder(path))?;
    let names = names.iter().map(|name| escape(name)).collect::<Result<Vec<String>>>()?;
    let mut unopened = 0;
    write_atomically(path, |writer| {
        write_meta(writer, &labels, names.len())?;
        for (row, name) in names.iter().enumerate() {
            let size = stored_size(&annotations.images[row]);
            unopened += usize::from(size.is_none());
            let (width, height) = size.unwrap_or((0, 0));
            writeln!(writer, r#"  <image id="{row}" name="{name}" width="{width}" height="{height}">"#)?;
            for (label, state) in labels.iter().zip(annotations.labels.row(row)) {
                if state == Label::Positive {
                    writeln!(writer, r#"    <tag label="{label}" source="manual"></tag>"#)?;
                }
            }
            writeln!(writer, "  </image>")?;
        }
        writeln!(writer, "</annotations>")
    })?;
    Ok(losses(annotations, unopened))
}

fn write_meta(writer: &mut impl Write, labels: &[String], images: usize) -> io::Result<()> {
    writeln!(writer, r#"<?xml version="1.0" encoding="utf-8"?>"#)?;
    writeln!(writer, "<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>")?;
    writeln!(writer, "      <size>{images}</size>\n      <mode>annotation</mode>\n      <labels>")?;
    for label in labels {
        let rest = "<type>tag</type><attributes></attributes>";
        writeln!(writer, "        <label><name>{label}</name>{rest}</label>")?;
    }
    writeln!(writer, "      </labels>\n    </task>\n  </meta>")
}

fn losses(annotations: &Annotations, unopened: usize) -> Vec<String> {
    let negative = annotations.labels.count(Label::Negative);
    let negative = (negative > 0)
        .then(|| format!("{negative} negative labels: CVAT's tags cannot tell them from unknown ones"));
    let unopened = (unopened > 0)
        .then(|| format!("the size of {unopened} images that cannot be opened: written as 0 × 0"));
    negative.into_iter().chain(unopened).collect()
}
