//! What trials train on and what they are judged on: both are images of `train.csv`, and `test.csv` is never read.
//!
//! Labels are hidden first, as a training hides them; then images are held out so that each category has its
//! share of the known labels on both sides.

use std::path::Path;

use sarb_labels::formats::csv;
use sarb_labels::text::listed;
use sarb_labels::{Annotations, Split, dataset, stratified};

use crate::data_part::save;
use crate::inputs::Inputs;
use crate::prepare::{filled, known_labels, val_file};
use crate::recipe::Recipe;
use crate::{Error, Result};

/// The training images of a data folder, with what stays known of their labels, in two.
pub struct Parts {
    /// All of them.
    pub all: Annotations,
    /// Rows that trials may train on.
    pub train: Vec<usize>,
    /// Rows that they are judged on.
    pub held_out: Vec<usize>,
}

impl Parts {
    /// Holds out a `share` of the images of `train.csv`, with the labels that `recipe` leaves known.
    ///
    /// # Errors
    /// [`Error::Data`] where nothing can be judged on the one side or learned on the other; what reading the
    /// labels says.
    pub fn new(data: &Path, recipe: &Recipe, share: f64, seed: u64) -> Result<Self> {
        let mut all = dataset::open_split(data, Split::Train)?;
        filled::refuse(&all, recipe, "tune")?;
        all.labels = known_labels(&all, recipe)?;
        let mut parts = stratified::split(&all.labels, &[1.0 - share, share], seed);
        let held_out = parts.pop().expect("two shares");
        let parts = Self { train: parts.pop().expect("two shares"), held_out, all };
        parts.check(share)?;
        Ok(parts)
    }

    fn check(&self, share: f64) -> Result<()> {
        let refuse = |what: String| {
            Err(Error::Data(format!(
                "{}: {what}; hold out another share with --held-out, label more images or hide fewer labels",
                self.all.source.display()
            )))
        };
        let held_out = self.all.labels.select(&self.held_out).counts();
        if held_out.iter().all(|(positive, _)| *positive == 0) {
            return refuse(format!(
                "no known positive label is among the {} of {} images that are held out ({share}), so settings \
                 cannot be judged",
                self.held_out.len(),
                self.all.images.len()
            ));
        }
        if held_out.iter().all(|(positive, known)| *positive == 0 || positive == known) {
            return refuse(format!(
                "none of the categories has both a known positive and a known negative label among the {} images that \
                 are held out, so every ranking of them is perfect and settings cannot be judged",
                self.held_out.len()
            ));
        }
        if self.all.labels.select(&self.train).counts().iter().all(|(positive, _)| *positive == 0) {
            return refuse(format!(
                "no known positive label is left among the {} images to train on",
                self.train.len()
            ));
        }
        Ok(())
    }

    /// What a person should know of the images that are held out.
    pub fn note(&self) -> String {
        let counts = self.all.labels.select(&self.held_out).counts();
        let unmeasured: Vec<&String> = self
            .all
            .categories
            .iter()
            .zip(&counts)
            .filter(|(_, (positive, _))| *positive == 0)
            .map(|(name, _)| name)
            .collect();
        let positives: usize = counts.iter().map(|(positive, _)| positive).sum();
        let without = match unmeasured.len() {
            0 => String::new(),
            count => format!("; {count} categories have none and do not count: {}", listed(&unmeasured)),
        };
        format!(
            "{} of {} training images are held out to judge on, with {positives} known positive labels{without}",
            self.held_out.len(),
            self.all.images.len()
        )
    }

    /// Writes the images to judge on as `val.csv` of a folder, with their features if there are some.
    pub fn save_held_out(&self, folder: &Path, inputs: &Inputs) -> Result<()> {
        save(folder, Split::Val, &self.all, &self.held_out, inputs.features.as_deref())
    }

    /// Writes a data folder of one part in so many of the training images, with the `val.csv` on which `recipe`
    /// selects its epoch, if it does.
    pub fn save_training(
        &self,
        folder: &Path,
        one_of: usize,
        recipe: &Recipe,
        inputs: &Inputs,
        seed: u64,
    ) -> Result<()> {
        let mut rows = self.train.clone();
        if one_of > 1 {
            let share = 1.0 / one_of as f64;
            let chosen = stratified::split(&self.all.labels.select(&rows), &[share, 1.0 - share], seed);
            rows = chosen[0].iter().map(|place| self.train[*place]).collect();
        }
        save(folder, Split::Train, &self.all, &rows, inputs.features.as_deref())?;
        match val_file::open(recipe, inputs, &self.all)? {
            Some(val) => Ok(csv::write(&folder.join(Split::Val.file_name()), &val)?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder whose `train.csv` has these rows of two categories.
    fn folder(rows: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let lines = rows.iter().enumerate().map(|(number, row)| format!("{number}.png,{row}\n"));
        std::fs::write(dir.path().join("train.csv"), format!("image,a,b\n{}", lines.collect::<String>()))
            .unwrap();
        dir
    }

    fn parts(rows: &[&str], share: f64) -> Result<Parts> {
        Parts::new(folder(rows).path(), &Recipe::default(), share, 0)
    }

    #[test]
    fn a_part_without_what_it_takes_to_judge_is_refused() {
        for (rows, share, expected) in [
            (&["1,0", "0,0", "0,0", "0,0", "0,0"][..], 0.2, "no known positive label is"),
            (&["1,", ",1", "1,", "1,1", ",1", "1,"], 0.5, "every ranking of them is perfect"),
        ] {
            let error = parts(rows, share).err().unwrap();
            assert_eq!(error.exit_code(), 3);
            let text = error.to_string();
            assert!(text.contains(expected) && text.contains("--held-out"), "{text}");
        }
    }

    #[test]
    fn every_category_is_on_both_sides_and_no_image_is() {
        let rows = ["1,0", "1,0", "0,1", "0,1", "0,0", "0,0", "0,0", "0,0"];
        let parts = parts(&rows, 0.5).unwrap();
        let mut both = [&parts.train[..], &parts.held_out].concat();
        both.sort_unstable();
        assert_eq!(both, (0..8).collect::<Vec<_>>());
        let counts = |rows: &[usize]| parts.all.labels.select(rows).counts();
        assert_eq!(counts(&parts.train), counts(&parts.held_out));
        assert!(parts.note().contains("4 of 8 training images"), "{}", parts.note());
    }
}
