//! What COCO and LVIS files have in common when they are written.

use std::path::PathBuf;

use serde::Serialize;

use crate::annotations::Annotations;
use crate::images::stored_size;
use crate::labels::Label;

/// An annotation that says what is there, not where. Its fields are those that the format demands.
#[derive(Serialize)]
pub(crate) struct Extentless {
    id: usize,
    image_id: usize,
    category_id: usize,
    bbox: [u32; 4],
    area: u32,
    segmentation: [u32; 0],
    iscrowd: u8,
}

impl Extentless {
    /// One of a category in an image, each by its id.
    pub fn new(id: usize, image_id: usize, category_id: usize) -> Self {
        Self { id, image_id, category_id, bbox: [0; 4], area: 0, segmentation: [], iscrowd: 0 }
    }
}

/// An annotation for each positive label, row by row; ids count from 1.
pub(crate) fn extentless(annotations: &Annotations) -> impl Iterator<Item = Extentless> + '_ {
    let labels = &annotations.labels;
    let positive = (0..labels.images()).flat_map(move |row| {
        let columns = labels.row(row).enumerate();
        columns.filter(|(_, label)| *label == Label::Positive).map(move |(column, _)| (row, column))
    });
    positive.zip(1..).map(|((row, column), id)| Extentless::new(id, row + 1, column + 1))
}

/// Widths and heights of images.
pub(crate) struct Sizes {
    /// (0, 0) where there is no image that can be read.
    pub sizes: Vec<(u32, u32)>,
    unreadable: usize,
}

impl Sizes {
    pub fn of(images: &[PathBuf]) -> Self {
        let sizes: Vec<_> = images.iter().map(|image| stored_size(image).unwrap_or_default()).collect();
        let unreadable = sizes.iter().filter(|size| **size == (0, 0)).count();
        Self { sizes, unreadable }
    }

    /// What is to be said of images without a size.
    pub fn lost(&self) -> Option<String> {
        let count = self.unreadable;
        (count > 0).then(|| format!("{count} images are missing or no image: their width and height are 0"))
    }
}
