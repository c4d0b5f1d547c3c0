//! MS-COCO: one JSON object with `images`, `annotations` and `categories`, as in `instances_train2017.json`.
//!
//! Format: <https://cocodataset.org/#format-data>, "Object Detection". COCO Camera Traps and other files of
//! this shape are read too, also with ids that are text.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::image_names::image_names;
use super::instances::Instances;
use super::instances::writing::{Sizes, extentless};
use super::json::{outline, write_array};
use super::options::{Choice, Options, Unlisted};
use super::report::Report;
use super::{Reading, lvis};
use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::format::{Format, Keeps, NotListed, Written};
use crate::labels::Label;
use crate::{Error, Result};

pub mod predictions;

/// This format.
pub const FORMAT: Format = Format {
    name: "coco",
    title: "COCO",
    about: "MS-COCO instances JSON",
    example: r#"{"images": [{"id": 1, "file_name": "1.jpg"}],
 "annotations": [{"image_id": 1, "category_id": 7}],
 "categories": [{"id": 7, "name": "cat"}]}"#,
    extensions: &[],
    takes: &[Choice::Unlisted],
    names_categories: false,
    unlisted: NotListed::Negative,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::NoUnknown, write }),
};

/// Reads an instances file. A category with an annotation in an image, crowds included, is +1 there; every
/// other category of the file is −1, since COCO's annotators looked for all of them, unless `--unlisted`
/// says 0; where images list their categories in `pos_category_ids`, others are 0 unless `--unlisted` says −1.
/// Categories are in the order of their ids, which may have gaps.
///
/// Images lie in the folder of the file; for `annotations/instances_SET.json` in `SET` beside that folder, if
/// it is there.
///
/// # Errors
/// All problems of the file at once, among them that it is a federated (LVIS) file.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let mut report = Report::new(path);
    let Some(instances) = Instances::read(&mut report)? else {
        return Err(Error::Problems(report.problems));
    };
    if let Some(line) = instances.federated {
        report.line = line;
        report.note(|| {
            "an image with neg_category_ids: a federated file, where a category without annotation is mostly \
             unknown; read it with --from lvis"
                .into()
        });
    }
    // Nobody says that what such a list leaves out was looked for.
    let default = if instances.positive_lists > 0 { Unlisted::Unknown } else { Unlisted::Negative };
    let unlisted = options.unlisted.unwrap_or(default);
    let layout = if options.images.is_none() { split_folder(path) } else { None };
    let folder = layout.as_deref().unwrap_or_else(|| options.image_folder(path));
    instances.finish(report, folder, unlisted.label())
}

/// The folder `train2017` of the official layout, for `annotations/instances_train2017.json`.
fn split_folder(path: &Path) -> Option<PathBuf> {
    let split = path.file_stem()?.to_str()?.strip_prefix("instances_")?;
    let folder = path.parent().filter(|folder| folder.ends_with("annotations"))?;
    Some(folder.parent()?.join(split)).filter(|images| images.is_dir())
}

/// Writes an instances file: an annotation without extent for each positive label.
///
/// # Errors
/// If the file cannot be written or a path is not UTF-8.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let names = image_names(annotations, folder_of(path))?;
    let sizes = Sizes::of(&annotations.images);
    let images = names
        .iter()
        .zip(&sizes.sizes)
        .enumerate()
        .map(|(row, (file_name, &(width, height)))| Image { id: row + 1, width, height, file_name });
    let categories = annotations.categories.iter().enumerate();
    let categories = categories.map(|(column, name)| Category { id: column + 1, name, supercategory: "" });
    write_atomically(path, |writer| {
        writer.write_all(b"{\"info\":{},\"licenses\":[],\"images\":")?;
        write_array(writer, images)?;
        writer.write_all(b",\"annotations\":")?;
        write_array(writer, extentless(annotations))?;
        writer.write_all(b",\"categories\":")?;
        write_array(writer, categories)?;
        writer.write_all(b"}\n")
    })?;
    let unknown = annotations.labels.count(Label::Unknown);
    let lost = format!(
        "{unknown} unknown labels: a category without annotation is negative in COCO; --to lvis keeps them apart"
    );
    Ok((unknown > 0).then_some(lost).into_iter().chain(sizes.lost()).collect())
}

#[derive(Serialize)]
struct Image<'a> {
    id: usize,
    width: u32,
    height: u32,
    file_name: &'a str,
}

#[derive(Serialize)]
struct Category<'a> {
    id: usize,
    name: &'a str,
    supercategory: &'a str,
}

/// Whether the head looks like images or annotations of COCO, and not like LVIS.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    let keys = outline(head);
    let has = |key: &str| keys.contains(key);
    let image = has("images[].id") && (has("images[].file_name") || has("images[].coco_url"));
    let annotation = has("annotations[].image_id") && has("annotations[].category_id");
    let category = has("categories[].id") && has("categories[].name");
    let federated = lvis::recognize(path, head).is_some();
    let found = image || annotation || category && (has("images") || has("annotations"));
    (found && !federated).then(|| "a JSON object with images, annotations and categories".into())
}

#[cfg(test)]
mod tests;
