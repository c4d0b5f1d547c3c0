//! LVIS: COCO's arrays, where each image says in `neg_category_ids` which other categories were looked for
//! and not found, and in `not_exhaustive_category_ids` of which not all instances are annotated.
//!
//! Format: <https://www.lvisdataset.org/dataset>, "Data format"; the federated design is section 3.1 of
//! <https://arxiv.org/abs/1908.03195>.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::Reading;
use super::image_names::image_names;
use super::instances::Instances;
use super::instances::writing::{Sizes, extentless};
use super::json::{outline, write_array};
use super::options::Options;
use super::report::Report;
use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::format::{Format, Keeps, NotListed, Written};
use crate::labels::Label;
use crate::{Error, Result};

/// This format.
pub const FORMAT: Format = Format {
    name: "lvis",
    title: "LVIS",
    about: "LVIS JSON, federated",
    example: r#"{"images": [{"id": 1, "neg_category_ids": [4],
  "not_exhaustive_category_ids": []}],
 "annotations": [{"image_id": 1, "category_id": 7}], …}"#,
    extensions: &[],
    takes: &[],
    names_categories: false,
    unlisted: NotListed::Unknown,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

/// Reads an LVIS file: annotated categories are +1, those of `neg_category_ids` −1, all others 0, also those
/// that are only in `not_exhaustive_category_ids`. Categories are in the order of their ids.
///
/// An image without `file_name` is found by the end of its `coco_url`, `train2017/000000391895.jpg`, below
/// the folder of images.
///
/// # Errors
/// All problems of the file at once, among them that no image says what was looked for.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let mut report = Report::new(path);
    let Some(instances) = Instances::read(&mut report)? else {
        return Err(Error::Problems(report.problems));
    };
    if instances.federated.is_none() && instances.positive_lists == 0 && report.problems.is_empty() {
        report.note(|| "no image has neg_category_ids; is it a COCO file (--from coco)?".into());
    }
    instances.finish(report, options.image_folder(path), Label::Unknown)
}

/// Writes an LVIS file: an annotation without extent for each positive label, negative labels in
/// `neg_category_ids`. Since no instance has a box, all positive categories are in
/// `not_exhaustive_category_ids` too.
///
/// # Errors
/// If the file cannot be written or a path is not UTF-8.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let names = image_names(annotations, folder_of(path))?;
    let sizes = Sizes::of(&annotations.images);
    let images =
        names.iter().zip(&sizes.sizes).enumerate().map(|(row, (file_name, &(width, height)))| Image {
            id: row + 1,
            width,
            height,
            file_name,
            coco_url: "",
            neg_category_ids: ids(annotations, row, Label::Negative),
            not_exhaustive_category_ids: ids(annotations, row, Label::Positive),
        });
    let counts = annotations.labels.counts();
    let categories = annotations.categories.iter().zip(counts).enumerate();
    let categories =
        categories.map(|(column, (name, (positives, _)))| Category::new(column + 1, name, positives));
    write_atomically(path, |writer| {
        writer.write_all(b"{\"info\":{},\"licenses\":[],\"categories\":")?;
        write_array(writer, categories)?;
        writer.write_all(b",\"images\":")?;
        write_array(writer, images)?;
        writer.write_all(b",\"annotations\":")?;
        write_array(writer, extentless(annotations))?;
        writer.write_all(b"}\n")
    })?;
    Ok(sizes.lost().into_iter().collect())
}

/// Ids of the categories that carry `label` in an image.
fn ids(annotations: &Annotations, row: usize, label: Label) -> Vec<usize> {
    let labels = annotations.labels.row(row).enumerate();
    labels.filter(|(_, at)| *at == label).map(|(column, _)| column + 1).collect()
}

#[derive(Serialize)]
struct Image<'a> {
    id: usize,
    width: u32,
    height: u32,
    file_name: &'a str,
    coco_url: &'a str,
    neg_category_ids: Vec<usize>,
    not_exhaustive_category_ids: Vec<usize>,
}

#[derive(Serialize)]
struct Category<'a> {
    id: usize,
    name: &'a str,
    synset: &'a str,
    synonyms: [&'a str; 1],
    def: &'a str,
    image_count: usize,
    instance_count: usize,
    frequency: &'a str,
}

impl<'a> Category<'a> {
    /// `frequency`: rare (up to 10 images), common (up to 100) or frequent, as in the paper's section 3.1.
    fn new(id: usize, name: &'a str, images: usize) -> Self {
        let frequency = match images {
            0..=10 => "r",
            11..=100 => "c",
            _ => "f",
        };
        let (synonyms, image_count, instance_count) = ([name], images, images);
        Self { id, name, synset: "", synonyms, def: "", image_count, instance_count, frequency }
    }
}

/// Whether the head has what LVIS has beyond COCO, or the file is called after LVIS and has annotations that
/// say nothing of crowds: a head that ends among the annotations shows no more.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    let keys = outline(head);
    let federated = ["images[].neg_category_ids", "images[].not_exhaustive_category_ids"];
    if let Some(key) = federated.into_iter().find(|key| keys.contains(*key)) {
        return Some(format!("a JSON object whose images have {}", &key["images[].".len()..]));
    }
    if keys.contains("categories[].synset") && keys.contains("categories[].frequency") {
        return Some("a JSON object whose categories have a synset and a frequency".into());
    }
    let annotation = keys.contains("annotations[].category_id") && !keys.contains("annotations[].iscrowd");
    (annotation && is_named(path)).then(|| "a JSON object with annotations, called after LVIS".into())
}

/// Whether a file is called after LVIS, as `lvis_v1_train.json` is.
fn is_named(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().contains("lvis"))
}

#[cfg(test)]
mod tests;
