//! One file format a file. A label format gives [`Annotations`](super::Annotations): paths and labels,
//! nothing of tensors, and no image is opened. [`format`] lists the formats of labels.
pub mod arrays;
pub mod chexpert;
pub mod coco;
mod column_names;
pub mod csv;
pub mod cvat;
pub mod fiftyone;
pub mod format;
mod hierarchy;
mod image_names;
mod instances;
mod json;
pub mod label_studio;
pub(crate) mod lines;
pub mod lvis;
mod marks;
mod name_list;
pub mod npy;
pub mod open_images;
pub mod options;
pub mod parquet;
pub(crate) mod report;
#[cfg(test)]
mod samples;
mod shards;
pub mod tags;
pub mod vg;
pub mod voc;
pub mod webdataset;
mod xml;

use super::Annotations;

/// What a source gave.
#[derive(Debug)]
pub struct Reading {
    /// Images, categories and labels; image paths joined to their folder.
    pub annotations: Annotations,
    /// What the user should know: how doubtful entries were read, each with a count.
    pub notes: Vec<String>,
}
