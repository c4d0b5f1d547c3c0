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
        let curves = gathered.curves();
        let mut sides = [true, false].map(|positive| Between::new(curves.categories.len(), positive));
        let mut known = KnownShares::default();
        pieces(&mut |piece| {
            sides.iter_mut().for_each(|side| side.add(piece, &curves));
            known.add(piece.scores, &curves);
            Ok(())
        })?;
        let [positives, negatives] = sides.map(|side| choose(&side, wanted));
        Ok(Self { images, curves, positives, negatives, known })
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
        let mut categories = told(&annotations, &self.positives, &self.negatives);
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
}

/// What is said of each category of labels of which nothing is filled yet.
fn told(annotations: &Annotations, positives: &[Chosen], negatives: &[Chosen]) -> Vec<CategoryFill> {
    let of = |(category, name): (usize, &String)| CategoryFill {
        category: name.clone(),
        unknown: annotations.labels.column(category).filter(|label| *label == Label::Unknown).count(),
        positives: Side { filled: 0, ..positives[category].side },
        negatives: Side { filled: 0, ..negatives[category].side },
    };
    annotations.categories.iter().enumerate().map(of).collect()
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
mod tests {
    use rand::RngExt;
    use sarb_labels::LabelMatrix;
    use sarb_labels::random::{Stream, rng};

    use super::*;
    use crate::out_of_fold::{How, OutOfFold};

    fn fill(evidence: &Evidence, wanted: Wanted, rows: Range<usize>) -> Result<Filled> {
        Ok(Filling::of(evidence, wanted)?.fill(evidence, rows))
    }

    #[test]
    fn evidence_in_pieces_says_what_it_says_as_a_whole() {
        let (scores, _) = drawn(2_000, 4, 0.3, -0.5, 1);
        let whole = Filling::of(&Evidence::known(&scores), wanted(0.9)).unwrap();
        let part = |rows: Range<usize>| OutOfFold {
            annotations: scores.annotations.select(&rows.clone().collect::<Vec<_>>()),
            logits: scores.logits[rows.start * 4..rows.end * 4].to_vec(),
            asked: rows.len(),
            ..scores.clone()
        };
        let parts = [0..700, 700..701, 701..2_000].map(part);
        let pieces = |each: &mut dyn FnMut(&Evidence) -> Result<()>| {
            parts.iter().try_for_each(|part| each(&Evidence::known(part)))
        };
        let pieces = Filling::of_pieces(&pieces, wanted(0.9)).unwrap();
        assert_eq!((pieces.images, &pieces.curves, pieces.known), (2_000, &whole.curves, whole.known));
        let cells = |filling: &Filling| filling.fill(&Evidence::known(&scores), 0..2_000).cells;
        assert_eq!(cells(&pieces), cells(&whole));
        assert!(cells(&whole).len() > 1_000);
    }

    /// Logits of `images` images, of which a category is there with just the probability that its logit says, shifted
    /// by `shift` for every second category; a share of the labels stays known. Also the truth.
    fn drawn(
        images: usize,
        categories: usize,
        known: f64,
        shift: f64,
        seed: u64,
    ) -> (OutOfFold, LabelMatrix) {
        let mut rng = rng(seed, Stream::Synthetic, 0, 0);
        let (mut logits, mut truth, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..images * categories {
            let logit: f64 = rng.random_range(-5.0..3.0);
            let shift = if (at % categories).is_multiple_of(2) { 0.0 } else { shift };
            let positive = rng.random_range(0.0..1.0) < sigmoid(logit + shift);
            let label = if positive { 1 } else { -1 };
            logits.push(logit as f32);
            truth.push(label);
            labels.push(if rng.random_range(0.0..1.0) < known { label } else { 0 });
        }
        let annotations = Annotations {
            images: (0..images).map(|row| format!("{row}.png").into()).collect(),
            categories: (0..categories).map(|category| category.to_string()).collect(),
            labels: LabelMatrix::from_values(categories, &labels),
            source: "train.csv".into(),
        };
        let scores =
            OutOfFold { annotations, logits, how: How::LeaveOneOut, folds: Vec::new(), asked: images };
        (scores, LabelMatrix::from_values(categories, &truth))
    }

    fn wanted(precision: f64) -> Wanted {
        Wanted { precision, confidence: 0.9 }
    }

    #[test]
    fn promises_are_kept_and_something_is_filled() {
        for precision in [0.8, 0.9, 0.95] {
            let (mut kept, mut promised, mut filled_labels) = (0, 0, 0);
            for seed in 0..12 {
                let (scores, truth) = drawn(2000, 10, 0.2, -1.5, seed);
                let filled = fill(&Evidence::known(&scores), wanted(precision), 0..2000).unwrap();
                for (category, positive) in (0..10).flat_map(|category| [(category, true), (category, false)])
                {
                    let cells = || {
                        filled.cells.iter().filter(|it| (it.category, it.positive) == (category, positive))
                    };
                    let right =
                        |cell: &&Cell| (truth.get(cell.row, category) == Label::Positive) == cell.positive;
                    let (count, right) = (cells().count(), cells().filter(right).count());
                    let it = &filled.categories[category];
                    let side = if positive { it.positives } else { it.negatives };
                    assert_eq!((side.filled, side.threshold.is_some()), (count, count > 0));
                    filled_labels += count;
                    promised += usize::from(count > 0);
                    kept += usize::from(count > 0 && right as f64 >= precision * count as f64);
                }
            }
            assert!(kept * 10 >= promised * 9, "{precision}: {kept} of {promised} promises");
            assert!(promised >= 100 && filled_labels > 40_000, "{precision}: {promised}, {filled_labels}");
        }
    }

    #[test]
    fn known_labels_stay_and_filled_ones_are_listed() {
        let (scores, _) = drawn(500, 4, 0.3, 0.0, 1);
        let filled = fill(&Evidence::known(&scores), wanted(0.9), 0..500).unwrap();
        let mut changed = 0;
        for row in 0..500 {
            for (category, (before, after)) in
                scores.labels().row(row).zip(filled.annotations.labels.row(row)).enumerate()
            {
                let listed = filled.cells.iter().find(|cell| (cell.row, cell.category) == (row, category));
                match (before, listed) {
                    (Label::Unknown, Some(cell)) => {
                        assert_eq!(cell.positive, after == Label::Positive);
                        assert!((0.5..1.0).contains(&cell.probability));
                        changed += 1;
                    }
                    _ => assert_eq!(before, after),
                }
            }
        }
        assert!(changed > 100, "{changed}");
    }

    #[test]
    fn parts_are_filled_as_the_whole_is() {
        let (scores, _) = drawn(500, 4, 0.3, 0.0, 1);
        let whole = fill(&Evidence::known(&scores), wanted(0.9), 0..500).unwrap();
        let mut cells = Vec::new();
        let mut counts = [[0; 3]; 4];
        for begin in (0..500).step_by(120) {
            let part = fill(&Evidence::known(&scores), wanted(0.9), begin..(begin + 120).min(500)).unwrap();
            cells.extend(part.cells.iter().map(|cell| Cell { row: cell.row + begin, ..*cell }));
            for (count, it) in counts.iter_mut().zip(&part.categories) {
                let more = [it.unknown, it.positives.filled, it.negatives.filled];
                count.iter_mut().zip(more).for_each(|(count, more)| *count += more);
            }
        }
        assert_eq!(cells, whole.cells);
        for (count, it) in counts.iter().zip(&whole.categories) {
            assert_eq!(*count, [it.unknown, it.positives.filled, it.negatives.filled]);
        }
    }

    #[test]
    fn scores_that_say_nothing_fill_nothing_that_is_rare() {
        let (mut scores, _) = drawn(1000, 5, 0.3, 0.0, 2);
        let mut rng = rng(3, Stream::Synthetic, 0, 0);
        scores.logits.iter_mut().for_each(|logit| *logit = rng.random_range(-1.0..1.0));
        let filled = fill(&Evidence::known(&scores), wanted(0.9), 0..1000).unwrap();
        assert!(filled.cells.is_empty(), "{} labels", filled.cells.len());
        assert!(filled.categories.iter().all(|it| it.positives.threshold.is_none()));
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let (scores, truth) = drawn(50, 2, 0.5, 0.0, 1);
        let refused = |scores: &OutOfFold, precision: f64, expected: &str| {
            let error = fill(&Evidence::known(scores), wanted(precision), 0..50).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(&scores, 1.0, "precision 1: expected a number between 0 and 1");
        let with = |labels: LabelMatrix| OutOfFold {
            annotations: Annotations { labels, ..scores.annotations.clone() },
            ..scores.clone()
        };
        refused(&with(truth), 0.9, "no label is unknown");
        let mut positives = scores.labels().clone();
        positives.retain(|row, category| scores.labels().get(row, category) == Label::Positive);
        refused(&with(positives), 0.9, "no negative label is known");
    }
}
