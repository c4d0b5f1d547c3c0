//! What a model says of images, written as annotation tools import it: image after image, so that their number does not
//! matter. The parts of the formats are in `predictions.rs` of theirs.

use std::path::Path;

use serde::Serialize;

use crate::files::folder_of;
use crate::formats::image_names::ImageNames;
use crate::{Error, Result};

/// What stands over all predictions.
#[derive(Debug, Clone, Copy)]
pub struct Predictor<'a> {
    /// Names of the categories.
    pub categories: &'a [String],
    /// Which model, and which of its versions.
    pub version: &'a str,
}

/// What a model says of one image.
#[derive(Debug, Clone, Copy)]
pub struct Prediction<'a> {
    /// Its path, valid from the working folder.
    pub image: &'a Path,
    /// The categories that are named, by their place, each with its probability.
    pub named: &'a [(usize, f32)],
    /// How sure the model is of all categories, 0.5…1.
    pub sure: f32,
}

/// A file of predictions that is being written.
pub trait PredictionWriter {
    /// Takes what is said of the next image.
    ///
    /// # Errors
    /// If the file cannot hold the image's path, or cannot be written.
    fn push(&mut self, prediction: &Prediction<'_>) -> Result<()>;

    /// Puts the file in its place; gives what is lost in it, in words.
    ///
    /// # Errors
    /// If it cannot be written.
    fn finish(self: Box<Self>) -> Result<Vec<String>>;
}

/// Paths of images as a file is to hold them, which are valid from its folder.
pub(in crate::formats) fn names_from(folder: &Path) -> Result<ImageNames> {
    ImageNames::new(Path::new(""), folder)
}

/// Refuses an image inside of a tar file, which `tool` cannot open.
pub(in crate::formats) fn refuse_member(image: &Path, tool: &str) -> Result<()> {
    match crate::images::tar_member::split(image) {
        Some(_) => Err(Error::Data(format!(
            "{}: {tool} opens no image inside of a tar file; unpack it",
            image.display()
        ))),
        None => Ok(()),
    }
}

/// Where relative paths of a file are valid from, which must be there.
pub(in crate::formats) fn names_beside(path: &Path) -> Result<ImageNames> {
    names_from(folder_of(path))
}

/// What is to be said of images whose size is unknown.
pub(in crate::formats) fn lost_sizes(count: usize) -> Option<String> {
    (count > 0).then(|| format!("the size of {count} images that cannot be opened: written as 0 × 0"))
}

/// What the model is called in files that have a place for it.
#[derive(Debug, Serialize)]
pub(in crate::formats) struct Info<'a> {
    pub description: &'a str,
    pub model_version: &'a str,
}

impl<'a> Info<'a> {
    pub fn of(predictor: &Predictor<'a>) -> Self {
        Self { description: "predictions of a model, not labels", model_version: predictor.version }
    }
}

#[cfg(test)]
mod tests;
