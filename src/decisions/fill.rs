//! Filling unknown labels where a wanted precision is promised: above a threshold of the calibrated probability,
//! category by category, positives and negatives apart. Known labels are never touched.

use std::path::Path;

use rayon::prelude::*;
use sarb_labels::files::{folder_of, write_atomically};
use sarb_labels::formats::image_names::image_names;
use sarb_labels::{Annotations, Label};
use serde::Serialize;

use super::probability::{Curves, Known, fit, sigmoid};
use super::promise::{Above, Judged};
use crate::out_of_fold::OutOfFold;
use crate::{Error, Result};

/// The thresholds that are tried, in tenths of log-odds: probabilities from 0.5 to 0.9999.
const THRESHOLDS: std::ops::RangeInclusive<i32> = 0..=92;

/// What is wanted of filled labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wanted {
    /// The share of a category's filled labels that is to be right, in (0, 1).
    pub precision: f64,
    /// How sure that is to be, in (0, 1).
    pub confidence: f64,
}

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

/// What became of the positives, or of the negatives, of a category.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Side {
    /// From which probability on they are filled; none if the wanted precision cannot be promised.
    pub threshold: Option<f64>,
    /// How many are.
    pub filled: usize,
    /// Known labels above the threshold, on which the promise is founded together with the other categories.
    pub known: usize,
    /// Of these, those that are what is filled in.
    pub right: usize,
    /// The share of the filled labels that is expected to be right; 0 where nothing is filled.
    pub expected_precision: f64,
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

/// Labels with unknown ones filled in.
#[derive(Debug, Clone)]
pub struct Filled {
    /// All images, with known and filled labels.
    pub annotations: Annotations,
    /// The filled ones, by image and category.
    pub cells: Vec<Cell>,
    /// What became of each category.
    pub categories: Vec<CategoryFill>,
}

impl Filled {
    /// Writes the filled labels as CSV: image, category, label, the probability that it is right, and the probability
    /// from which on its category is filled.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written; a path of an image that is not UTF-8 text.
    pub fn write_list(&self, path: &Path) -> Result<()> {
        let images = image_names(&self.annotations, folder_of(path))?;
        let written = write_atomically(path, |file| {
            let mut lines = csv::Writer::from_writer(file);
            lines.write_record(["image", "category", "label", "probability", "threshold"])?;
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

/// Fills what can be filled of a run's training labels.
///
/// # Errors
/// [`Error::Usage`] if precision or confidence are not within 0 and 1; [`Error::Data`] if no label is unknown, or if
/// only positives or only negatives are known, so that nothing can be judged.
pub fn fill(scores: &OutOfFold, wanted: Wanted) -> Result<Filled> {
    check(scores, wanted)?;
    let categories = scores.annotations.categories.len();
    let known: Vec<Known> = (0..categories).map(|category| scores.known(category).collect()).collect();
    let curves = fit(&known);
    let [positives, negatives]: [Vec<Chosen>; 2] = [true, false].map(|positive| {
        let columns: Vec<Column> = (0..categories)
            .into_par_iter()
            .map(|category| Column::new(scores, &curves, category, positive))
            .collect();
        choose(&columns, wanted)
    });
    let mut annotations = scores.annotations.clone();
    let mut cells = Vec::new();
    for row in 0..annotations.images.len() {
        for category in 0..categories {
            if annotations.labels.get(row, category) != Label::Unknown {
                continue;
            }
            let logit = curves.categories[category].logit(scores.logit(row, category));
            let (positive, sure) = match () {
                () if positives[category].takes(logit) => (true, logit),
                () if negatives[category].takes(-logit) => (false, -logit),
                () => continue,
            };
            annotations.labels.set(row, category, if positive { Label::Positive } else { Label::Negative });
            cells.push(Cell { row, category, positive, probability: sigmoid(sure) });
        }
    }
    let columns = positives.into_iter().zip(negatives).enumerate();
    let categories = columns.map(|(category, (positives, negatives))| CategoryFill {
        category: scores.annotations.categories[category].clone(),
        unknown: scores.annotations.images.len() - known[category].len(),
        positives: positives.side,
        negatives: negatives.side,
    });
    Ok(Filled { categories: categories.collect(), annotations, cells })
}

fn check(scores: &OutOfFold, wanted: Wanted) -> Result<()> {
    for (what, value) in [("precision", wanted.precision), ("confidence", wanted.confidence)] {
        if !(value > 0.0 && value < 1.0) {
            return Err(Error::Usage(format!("{what} {value}: expected a number between 0 and 1")));
        }
    }
    let labels = scores.labels();
    let source = scores.annotations.source.display();
    let [positive, negative, unknown] =
        [Label::Positive, Label::Negative, Label::Unknown].map(|label| labels.count(label));
    if unknown == 0 {
        return Err(Error::Data(format!("{source}: no label is unknown; there is nothing to fill")));
    }
    if positive == 0 || negative == 0 {
        let none = if positive == 0 { "positive" } else { "negative" };
        return Err(Error::Data(format!(
            "{source}: no {none} label is known, so nothing says how often a filled one would be wrong; label a few \
             images in full"
        )));
    }
    Ok(())
}

/// The labels of a category that lie above each of the [`THRESHOLDS`].
struct Column {
    above: Vec<Above>,
}

impl Column {
    fn new(scores: &OutOfFold, curves: &Curves, category: usize, positive: bool) -> Self {
        let curve = curves.categories[category];
        let mut above = vec![Above::default(); THRESHOLDS.count()];
        for (row, label) in scores.labels().column(category).enumerate() {
            let logit = curve.logit(scores.logit(row, category));
            let Some(last) = last_reached(if positive { logit } else { -logit }) else { continue };
            match label {
                Label::Unknown => above[last].unknown += 1,
                known => {
                    above[last].known += 1;
                    above[last].right += usize::from((known == Label::Positive) == positive);
                }
            }
        }
        let mut sum = Above::default();
        for above in above.iter_mut().rev() {
            sum = Above {
                known: sum.known + above.known,
                right: sum.right + above.right,
                unknown: sum.unknown + above.unknown,
            };
            *above = sum;
        }
        Self { above }
    }
}

/// The place of the highest threshold that these log-odds reach, if they reach one.
fn last_reached(sure: f64) -> Option<usize> {
    let tenths = (sure * 10.0).floor();
    (tenths >= 0.0).then_some((tenths as usize).min(THRESHOLDS.count() - 1))
}

/// What is filled of a category on one side.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    /// The place of its threshold.
    place: Option<usize>,
    side: Side,
}

impl Chosen {
    const NONE: Self = Self {
        place: None,
        side: Side { threshold: None, filled: 0, known: 0, right: 0, expected_precision: 0.0 },
    };

    /// Whether a label with these log-odds is filled in.
    fn takes(&self, sure: f64) -> bool {
        self.place.is_some_and(|place| last_reached(sure).is_some_and(|last| last >= place))
    }
}

/// The lowest threshold of each category at which what is wanted can be promised.
fn choose(columns: &[Column], wanted: Wanted) -> Vec<Chosen> {
    let judged: Vec<Vec<Option<Chosen>>> = (0..THRESHOLDS.count())
        .into_par_iter()
        .map(|place| {
            let above: Vec<Above> = columns.iter().map(|column| column.above[place]).collect();
            let judged = Judged::new(&above);
            let choice = |above: &Above| {
                let holds =
                    above.unknown > 0 && judged.confidence(above, wanted.precision) >= wanted.confidence;
                let side = Side {
                    threshold: Some(sigmoid(place as f64 / 10.0)),
                    filled: above.unknown,
                    known: above.known,
                    right: above.right,
                    expected_precision: judged.expected(above),
                };
                holds.then_some(Chosen { place: Some(place), side })
            };
            above.iter().map(choice).collect()
        })
        .collect();
    let lowest =
        |category: usize| judged.iter().find_map(|choices| choices[category]).unwrap_or(Chosen::NONE);
    (0..columns.len()).map(lowest).collect()
}
