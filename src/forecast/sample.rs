//! A few images of a data folder, as a data folder of their own: real pictures and labels to time real steps on.

use std::path::{Path, PathBuf};

use sarb_labels::formats::csv;
use sarb_labels::{Annotations, Label, Split};
use tempfile::TempDir;

use super::{Data, temporary_folder};
use crate::Result;
use crate::data_part::{features_of, save};
use crate::inputs::{Cache, Inputs};
use crate::recipe::{Filled, Protocol, Recipe, Select, Validation};

/// Batches of an epoch of the sample, and how many images these may be beyond the first batch.
const BATCHES: usize = 3;
const MOST_IMAGES: usize = 96;
/// Images that epochs of the sample are compared on: one batch of the evaluation.
const VALIDATION: usize = 32;
/// The first epoch warms up, the second is timed.
const EPOCHS: usize = 2;

/// The sample, in a folder that is deleted with it.
pub(super) struct Sample {
    folder: TempDir,
    /// What is trained on it.
    pub recipe: Recipe,
    /// What that reads; with a cache of its own.
    pub inputs: Inputs,
    /// How many images train.
    pub training_images: usize,
    /// How many epochs are compared on.
    pub validation_images: usize,
}

impl Sample {
    pub fn new(recipe: &Recipe, inputs: &Inputs, data: &Data) -> Result<Self> {
        let folder = temporary_folder()?;
        let path = folder.path().join("data");
        let batch = recipe.train.batch_size;
        let wanted = batch * BATCHES.min(1 + MOST_IMAGES / batch.max(1));
        let all = with_probable(data);
        let rows = spread(&all, &data.rows, wanted);
        save(&path, Split::Train, &all, &rows, inputs.features.as_deref())?;
        let (validation, val_features) = validation(folder.path(), inputs, data)?;
        let sampled = Inputs {
            data: path.clone(),
            features: features_of(&path, inputs),
            val_features,
            words: inputs.words_file()?,
            cache: Cache { dir: folder.path().join("cache"), ..inputs.cache.clone() },
            ..inputs.clone()
        };
        let mut recipe = recipe.clone();
        recipe.data.known = 1.0;
        recipe.data.filled = Filled::Known;
        recipe.data.validation = if validation > 0 { Validation::File } else { Validation::Share(0.0) };
        if recipe.train.epochs > 0 {
            recipe.train.epochs = EPOCHS;
        }
        if recipe.train.select == Select::Test {
            recipe.train.select = Select::Last;
        }
        recipe.protocol = Protocol::Corrected;
        Ok(Self {
            folder,
            recipe,
            inputs: sampled,
            training_images: rows.len(),
            validation_images: validation,
        })
    }

    /// Where the sample is trained.
    pub fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }
}

/// The training images with what is probable as if it were known: a step takes as long, and the sample needs no list of
/// what was filled in.
fn with_probable(data: &Data) -> Annotations {
    let mut all = data.all.clone();
    for row in 0..all.images.len() {
        for (category, probability) in data.soft.row(row) {
            let label = if probability > 0.5 { Label::Positive } else { Label::Negative };
            all.labels.set(row, category, label);
        }
    }
    all
}

/// Writes a few of the images that epochs are compared on as `val.csv`; how many, and the file of their features.
fn validation(folder: &Path, inputs: &Inputs, data: &Data) -> Result<(usize, Option<PathBuf>)> {
    let Some(validation) = &data.validation else { return Ok((0, None)) };
    let (all, rows, features) = match data.is_file {
        true => (validation, (0..validation.images.len()).collect(), &inputs.val_features),
        false => (&data.all, held_out(data), &inputs.features),
    };
    let rows = spread(all, &rows, VALIDATION);
    let chosen = all.select(&rows);
    if chosen.labels.count(Label::Positive) == 0 {
        return Ok((0, None));
    }
    csv::write(&folder.join("data").join(Split::Val.file_name()), &chosen)?;
    let Some(features) = features else { return Ok((rows.len(), None)) };
    let beside = folder.join("val");
    save(&beside, Split::Val, all, &rows, Some(features))?;
    let written = Inputs { features: Some(features.clone()), ..inputs.clone() };
    Ok((rows.len(), features_of(&beside, &written)))
}

/// The rows of `train.csv` that do not train, ascending.
fn held_out(data: &Data) -> Vec<usize> {
    let mut trains = vec![false; data.all.images.len()];
    data.rows.iter().for_each(|row| trains[*row] = true);
    (0..trains.len()).filter(|row| !trains[*row]).collect()
}

/// So many of the rows, evenly over the file, those with a known positive label first.
fn spread(all: &Annotations, rows: &[usize], wanted: usize) -> Vec<usize> {
    let has_positive = |row: &usize| all.labels.row(*row).any(|label| label == Label::Positive);
    let (with, without): (Vec<usize>, Vec<usize>) = rows.iter().partition(|row| has_positive(row));
    let evenly = |rows: &[usize], wanted: usize| -> Vec<usize> {
        let count = wanted.min(rows.len());
        (0..count).map(|place| rows[place * rows.len() / count]).collect()
    };
    let mut chosen = evenly(&with, wanted);
    chosen.extend(evenly(&without, wanted - chosen.len()));
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use sarb_labels::LabelMatrix;

    use super::*;

    #[test]
    fn rows_are_spread_and_those_with_positives_come_first() {
        let all = Annotations {
            images: (0..8).map(|row| format!("{row}.png").into()).collect(),
            categories: vec!["a".into()],
            labels: LabelMatrix::from_values(1, &[1, -1, 1, 0, 1, -1, 1, 0]),
            source: "train.csv".into(),
        };
        let rows: Vec<usize> = (0..8).collect();
        assert_eq!(spread(&all, &rows, 2), [0, 4]);
        assert_eq!(spread(&all, &rows, 6), [0, 1, 2, 4, 5, 6]);
        assert_eq!(spread(&all, &rows, 20), rows);
        assert_eq!(spread(&all, &rows[5..], 1), [6]);
    }
}
