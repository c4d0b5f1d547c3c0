//! Filling unknown labels where a wanted precision is promised: above a threshold of the calibrated probability,
//! category by category, positives and negatives apart. Known labels are never touched.

use std::ops::Range;
use std::path::Path;

use sarb_labels::files::{AtomicFile, folder_of, write_atomically};
use sarb_labels::formats::image_names::image_names;
use sarb_labels::formats::parquet::ScoreTable;
use sarb_labels::{Annotations, Label};
use serde::Serialize;

use super::chance::KnownShares;
use super::choice::{Between, Chosen, choose};
use super::evidence::{Amounts, Evidence};
use super::probability::{Curves, Gathered, Measured, sigmoid};
use crate::out_of_fold::PIECE;
use crate::{Error, OutOfFold, Result, Run};

pub use super::choice::{Side, Wanted};

/// A label that was filled in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Row of the image.
    pub row: usize,
    /// Column of the category.
    pub category: usize,
    /// What was filled in.
    pub positive: bool,
    /// The calibrated probability that it is right.
    pub probability: f64,
}

/// What became of a category.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CategoryFill {
    /// Its name.
    pub category: String,
    /// Labels that were unknown.
    pub unknown: usize,
    /// Whether it is known of any image that it is not there; else nothing is filled.
    pub negative_known: bool,
    /// Filled positives.
    pub positives: Side,
    /// Filled negatives.
    pub negatives: Side,
}

impl CategoryFill {
    fn side(&mut self, positive: bool) -> &mut Side {
        if positive { &mut self.positives } else { &mut self.negatives }
    }
}

/// The columns of the list of filled labels.
const HEADER: [&str; 5] = ["image", "category", "label", "probability", "threshold"];

/// Labels with unknown ones filled in.
#[derive(Debug, Clone)]
pub struct Filled {
    /// The images, with known and filled labels.
    pub annotations: Annotations,
    /// The filled ones, by image and category.
    pub cells: Vec<Cell>,
    /// What became of each category.
    pub categories: Vec<CategoryFill>,
    /// Whether the known labels were known by chance, which the promise rests on.
    pub known: KnownShares,
}

impl Filled {
    /// Writes the probabilities of the filled labels as a Parquet table: a row for each image, a column for each category.
    ///
    /// # Errors
    /// If the file cannot be written; a path of an image that is not UTF-8 text.
    pub fn write_table(&self, path: &Path) -> Result<()> {
        let images = image_names(&self.annotations, folder_of(path))?;
        let failed = |error| Error::io(path, error);
        let file = AtomicFile::create(path)?;
        let mut table = ScoreTable::new(file, &self.annotations.categories).map_err(failed)?;
        let mut cells = self.cells.iter().peekable();
        for (row, image) in images.iter().enumerate() {
            let mut scores = vec![None; self.annotations.categories.len()];
            while let Some(cell) = cells.next_if(|cell| cell.row == row) {
                scores[cell.category] = Some(cell.probability as f32);
            }
            table.push(image, scores.into_iter()).map_err(failed)?;
        }
        Ok(table.finish().map_err(failed)?.commit()?)
    }

    /// Whether a file is one of [`write_list`](Self::write_list).
    pub fn is_list(path: &Path) -> bool {
        let Ok(file) = std::fs::File::open(path) else { return false };
        let mut reader = csv::Reader::from_reader(file);
        reader.headers().is_ok_and(|headers| headers.iter().eq(HEADER))
    }

    /// Writes the filled labels as CSV: image, category, label, the probability that it is right, and the probability
    /// from which on its category is filled.
    ///
    /// # Errors
    /// If the file cannot be written; a path of an image that is not UTF-8 text.
    pub fn write_list(&self, path: &Path) -> Result<()> {
        let images = image_names(&self.annotations, folder_of(path))?;
        let written = write_atomically(path, |file| {
            let mut lines = csv::Writer::from_writer(file);
            lines.write_record(HEADER)?;
            for cell in &self.cells {
                let CategoryFill { category, positives, negatives, .. } = &self.categories[cell.category];
                let side = if cell.positive { positives } else { negatives };
                lines.write_record([
                    images[cell.row].as_str(),
                    category.as_str(),
                    if cell.positive { "1" } else { "0" },
                    &format!("{:.5}", cell.probability),
                    &format!("{:.5}", side.threshold.unwrap_or_default()),
                ])?;
            }
            lines.flush()
        });
        Ok(written?)
    }
}

/// From which probability on the labels of each category are filled.
#[derive(Debug)]
pub struct Filling {
    /// How many images there are.
    pub images: usize,
    curves: Curves,
    positives: Vec<Chosen>,
    negatives: Vec<Chosen>,
    /// See [`Measured::telling`].
    telling: Vec<bool>,
    known: KnownShares,
}

/// Calls a function with all evidence, piece by piece, in the same order every time.
pub type Pieces<'a> = dyn Fn(&mut dyn FnMut(&Evidence) -> Result<()>) -> Result<()> + 'a;

impl Filling {
    /// What is filled where all evidence fits into memory.
    ///
    /// # Errors
    /// Those of [`of_pieces`](Self::of_pieces).
    pub fn of(evidence: &Evidence, wanted: Wanted) -> Result<Self> {
        Self::of_pieces(&|each| each(evidence), wanted)
    }

    /// What is filled in the images of a run that has more than fit into memory, judged by all labels that it knows.
    ///
    /// # Errors
    /// Those of [`of_pieces`](Self::of_pieces); what reading the scores says.
    pub fn of_run(run: &Run, wanted: Wanted) -> Result<Self> {
        let pieces = |each: &mut dyn FnMut(&Evidence) -> Result<()>| {
            OutOfFold::in_pieces(run, PIECE, &mut |piece| each(&Evidence::known(&piece)))
        };
        Self::of_pieces(&pieces, wanted)
    }

    /// What is filled, judged in three passes over the evidence.
    ///
    /// # Errors
    /// [`Error::Usage`] if precision or confidence are not within 0 and 1; [`Error::Data`] if no label is unknown, or if
    /// only positives or only negatives are known, so that nothing can be judged.
    fn of_pieces(pieces: &Pieces, wanted: Wanted) -> Result<Self> {
        check(wanted)?;
        let (mut images, mut amounts, mut measured) = (0, Amounts::default(), Measured::new(0));
        pieces(&mut |piece| {
            if images == 0 {
                measured = Measured::new(piece.scores.annotations.categories.len());
            }
            images += piece.scores.asked;
            amounts = amounts.and(piece.amounts());
            piece.measure(&mut measured);
            Ok(())
        })?;
        let mut gathered = Gathered::new(&measured);
        pieces(&mut |piece| {
            piece.refuse_amounts(amounts, "nothing to fill")?;
            piece.gather(&mut gathered);
            Ok(())
        })?;
        let (curves, telling) = (gathered.curves(), measured.telling());
        let mut sides = [true, false].map(|positive| Between::new(telling.clone(), positive));
        let mut known = KnownShares::default();
        pieces(&mut |piece| {
            sides.iter_mut().for_each(|side| side.add(piece, &curves));
            known.add(piece.scores, &curves, &telling);
            Ok(())
        })?;
        let [positives, negatives] = sides.map(|side| choose(&side, wanted));
        Ok(Self { images, curves, positives, negatives, telling, known })
    }

    /// Fills the images `rows` of some evidence.
    pub fn fill(&self, evidence: &Evidence, rows: Range<usize>) -> Filled {
        let scores = evidence.scores;
        let mut annotations = scores.annotations.select(&rows.clone().collect::<Vec<_>>());
        if evidence.is_audited() {
            for (row, image) in rows.clone().enumerate() {
                let known = evidence.known_row(image).enumerate();
                known.for_each(|(category, label)| annotations.labels.set(row, category, label));
            }
        }
        let mut categories = self.told(&annotations);
        let mut cells = Vec::new();
        for (row, image) in rows.enumerate() {
            let may_be = evidence.row(image, true).zip(evidence.row(image, false));
            for (category, may_be) in may_be.enumerate() {
                let may_be = [may_be.0.is_some(), may_be.1.is_some()];
                if annotations.labels.get(row, category) != Label::Unknown {
                    continue;
                }
                let logit = self.curves.categories[category].logit(scores.logit(image, category));
                let (positive, sure) = if may_be[0] && self.positives[category].takes(logit) {
                    (true, logit)
                } else if may_be[1] && self.negatives[category].takes(-logit) {
                    (false, -logit)
                } else {
                    continue;
                };
                annotations.labels.set(
                    row,
                    category,
                    if positive { Label::Positive } else { Label::Negative },
                );
                cells.push(Cell { row, category, positive, probability: sigmoid(sure) });
                categories[category].side(positive).filled += 1;
            }
        }
        Filled { annotations, cells, categories, known: self.known }
    }

    /// What is said of each category of labels of which nothing is filled yet.
    fn told(&self, annotations: &Annotations) -> Vec<CategoryFill> {
        let of = |(category, name): (usize, &String)| CategoryFill {
            category: name.clone(),
            unknown: annotations.labels.column(category).filter(|label| *label == Label::Unknown).count(),
            negative_known: self.telling[category],
            positives: Side { filled: 0, ..self.positives[category].side },
            negatives: Side { filled: 0, ..self.negatives[category].side },
        };
        annotations.categories.iter().enumerate().map(of).collect()
    }
}

fn check(wanted: Wanted) -> Result<()> {
    for (what, value) in [("precision", wanted.precision), ("confidence", wanted.confidence)] {
        if !(value > 0.0 && value < 1.0) {
            return Err(Error::Usage(format!("{what} {value}: expected a number between 0 and 1")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
