//! Finds problems in labels and images before hours go into training with them.
//!
//! Broken images, images that stand twice or in two splits, labels that contradict each other, categories
//! that cannot be learned, and signs that "nobody looked" was read as "not there". No decoded image is kept:
//! an image costs some hundred bytes while the check lasts. The JPEG decoder has no reduced scale, and equal
//! pixels can only be told from all of them, so every image is decoded in full.

mod categories;
mod contradictions;
mod conventions;
mod duplicates;
mod findings;
mod images;
mod leaks;
mod lines;
mod near;
mod perceptual_hash;
mod places;
mod repeats;
mod summary;

use rayon::prelude::*;

use crate::annotations::Annotations;
use crate::{Error, Result};
use images::Seen;
use places::Places;

pub use findings::{Code, Finding, Place, Severity};
pub use summary::{Checkup, Counts, ImageCounts, Range, SplitCounts};

/// What is looked at, and how closely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether images are opened.
    pub images: bool,
    /// In how many of 64 bits of their perceptual hashes pictures that look alike may differ, at most 11.
    pub distance: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { images: true, distance: 10 }
    }
}

/// A problem by places instead of paths.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    code: Code,
    message: String,
    split: Option<usize>,
    places: Vec<u32>,
}

impl Found {
    /// About all splits.
    fn of(code: Code, message: String) -> Self {
        Self { code, message, split: None, places: Vec::new() }
    }

    /// About one split.
    fn in_split(code: Code, message: String, split: usize) -> Self {
        Self { split: Some(split), ..Self::of(code, message) }
    }

    /// About images, of which the first stands for all.
    fn at(code: Code, message: String, places: Vec<u32>) -> Self {
        Self { places, ..Self::of(code, message) }
    }
}

/// Checks the labels and, if the settings say so, the images of all splits together; `progress` is told how
/// many images of how many were opened.
///
/// # Errors
/// [`Error::Usage`] without a split or for a distance that is too large. What is wrong with the data is no
/// error of the check.
pub fn check(
    splits: &[(String, &Annotations)],
    settings: &Settings,
    progress: &dyn Fn(usize, usize),
) -> Result<Checkup> {
    if splits.is_empty() {
        return Err(Error::Usage("nothing to check".into()));
    }
    if settings.distance > near::MOST {
        let Settings { distance, .. } = settings;
        return Err(Error::Usage(format!("a distance of {distance} bits; expected 0 to {}", near::MOST)));
    }
    let places = Places::of(splits);
    let seen = if settings.images { examine_all(&places, progress) } else { Vec::new() };
    let repeats = repeats::find(&places, &seen, settings.distance);
    let found = [
        broken_and_odd(&places, &seen),
        leaks::find(&places, &repeats),
        contradictions::find(&places, &repeats),
        duplicates::find(&places, &repeats),
        categories::find(&places),
        conventions::find(&places),
    ];
    Ok(Checkup::of(&places, &seen, settings, found.concat()))
}

/// Opens every file once, several at a time.
fn examine_all(places: &Places<'_>, progress: &dyn Fn(usize, usize)) -> Vec<Seen> {
    const PIECE: usize = 256;
    let files: Vec<u32> = places.all_files().collect();
    let mut seen = Vec::with_capacity(files.len());
    for piece in files.chunks(PIECE) {
        let examine = |&file: &u32| {
            let place = places.first_of(file);
            images::examine(places.image(place), &places.name(place))
        };
        seen.par_extend(piece.par_iter().map(examine));
        progress(seen.len(), files.len());
    }
    seen
}

fn broken_and_odd(places: &Places<'_>, seen: &[Seen]) -> Vec<Found> {
    let by_file = places.by_file();
    let at = |code, message: &String, places: &Vec<u32>| Found::at(code, message.clone(), places.clone());
    let mut found = Vec::new();
    for (seen, places) in seen.iter().zip(&by_file) {
        match seen {
            Seen::Broken(code, message) => found.push(at(*code, message, places)),
            Seen::Whole(whole) => {
                found.extend(whole.odd.iter().map(|(code, message)| at(*code, message, places)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
