//! A label file and its images as one page: what is known of each category, which stand together, how large
//! the images are, and what a network sees of them.
//!
//! One HTML file with drawings in SVG and photographs within it; it needs no other file, no network and no
//! script.

mod bars;
mod contact_sheet;
#[cfg(test)]
mod drawing;
mod heat_map;
mod histogram;
mod layout;
mod sizes;

use std::io::Write;
use std::path::Path;

use crate::Result;
use crate::annotations::Annotations;
use crate::files::write_atomically;
use crate::inspect::Inspection;

/// What the page shows beside the labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether images are opened: for their sizes and for the contact sheet.
    pub images: bool,
    /// How many images the contact sheet shows.
    pub sheet: usize,
    /// Side of what the network sees, in pixels.
    pub size_px: usize,
    /// Chooses the images and draws their augmentation.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { images: true, sheet: 24, size_px: 224, seed: 0 }
    }
}

/// Writes the page, whole or not at all. An image that cannot be read is not an error: the page says so.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, annotations: &Annotations, settings: &Settings) -> Result<()> {
    let page = render(annotations, settings);
    write_atomically(path, |file| file.write_all(page.as_bytes()))
}

/// The page as text.
fn render(annotations: &Annotations, settings: &Settings) -> String {
    let inspection = Inspection::of(annotations);
    let mut sections = vec![
        layout::totals(&inspection),
        bars::section(&inspection),
        histogram::section(annotations, &inspection),
        heat_map::section(annotations, &inspection),
    ];
    if settings.images {
        sections.push(sizes::section(annotations, settings.seed));
        sections.push(contact_sheet::section(annotations, settings));
    }
    layout::whole(&inspection, &sections)
}

#[cfg(test)]
mod tests;
