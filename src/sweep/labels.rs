//! The labels that cells were trained with are still those of the data folder: numbers from other labels must
//! not stand beside those that are there.

use std::collections::HashMap;

use sarb_labels::{Annotations, Split, dataset};

use super::state::Sweep;
use crate::inputs::Inputs;
use crate::prepare::filled::{self, Known};
use crate::prepare::val_file;
use crate::recipe::{Filled, Recipe, Validation};
use crate::run::{Run, RunInfo, ValOrigin};
use crate::{Error, Result};

impl Sweep {
    /// Refuses a `train.csv`, a `val.csv` or features of it that are not what cells were trained with.
    /// `recipes` are those of the plan's cells, settled for the data.
    ///
    /// # Errors
    /// [`Error::Usage`] with what changed, a cell that it was trained with, and what to do; what reading the
    /// labels says.
    pub(super) fn check_labels(&self, recipes: &[Recipe], inputs: &Inputs) -> Result<()> {
        let mut now: Option<Now<'_>> = None;
        let mut changes: Vec<(String, String)> = Vec::new();
        for (cell, recipe) in self.plan.cells().iter().zip(recipes) {
            let folder = self.folder(cell);
            if !folder.join("recipe.toml").is_file() {
                continue;
            }
            let run = Run::open(&folder)?;
            if !run.has_checkpoint() {
                continue; // It is begun anew.
            }
            let now = match &mut now {
                Some(now) => now,
                none => none.insert(Now::read(inputs)?),
            };
            let is_auto = self.plan.recipe(cell, &self.base)?.data.validation == Validation::Auto;
            if let Some(change) = now.change(&run.recipe()?, &run.info()?, recipe, is_auto)? {
                changes.push((change, self.name(cell)));
            }
        }
        let Some((change, cell)) = changes.first() else { return Ok(()) };
        let cells = changes.iter().filter(|(other, _)| other == change).count();
        Err(Error::Usage(format!(
            "{}: {change}, or sweep into another --out (of {cells} cells, such as {cell})",
            self.dir.display()
        )))
    }
}

/// What lies in the data folder now.
struct Now<'a> {
    inputs: &'a Inputs,
    train: Annotations,
    /// Fingerprints of what stays known of `train.csv`, by known proportion, seed of the mask and what filled labels are
    /// taken for.
    known: HashMap<(u64, u32, Filled), String>,
    val: Option<ValOrigin>,
}

impl<'a> Now<'a> {
    fn read(inputs: &'a Inputs) -> Result<Self> {
        let train = dataset::open_split(&inputs.data, Split::Train)?;
        Ok(Self { inputs, train, known: HashMap::new(), val: None })
    }

    /// What is not as it was for a run, and what to do about it; `is_auto` where the plan leaves it to the data
    /// folder what validates.
    fn change(
        &mut self,
        begun: &Recipe,
        info: &RunInfo,
        planned: &Recipe,
        is_auto: bool,
    ) -> Result<Option<String>> {
        let data = self.inputs.data.display();
        let (was, is) = (begun.data.validation, planned.data.validation);
        match (was, is) {
            (Validation::File, Validation::Share(_)) if is_auto => {
                let gone = "val.csv, on which cells selected their epoch, is gone";
                return Ok(Some(format!("{gone}; put it back into {data}")));
            }
            (Validation::Share(share), Validation::File) if is_auto => {
                let came =
                    format!("val.csv has come since cells were trained with data.validation = {share}");
                return Ok(Some(format!(
                    "{came}; go on without it by set = ['data.validation={share}'] in the plan"
                )));
            }
            _ => {}
        }
        if self.known(begun)? != info.fingerprint {
            let changed = format!("train.csv in {data} is not what cells were trained with");
            return Ok(Some(format!("{changed}; put the earlier one back")));
        }
        if let (Some(was), Validation::File) = (&info.val_file, is) {
            let val = self.val()?;
            if val.fingerprint != was.fingerprint {
                let changed = format!("val.csv in {data} is not what cells selected their epoch on");
                return Ok(Some(format!("{changed}; put the earlier one back")));
            }
            if val.features != was.features {
                let changed = "the file of --val-features is not what cells selected their epoch on";
                return Ok(Some(format!("{changed}; put the earlier one back")));
            }
        }
        Ok(None)
    }

    /// The fingerprint of what a recipe leaves known.
    fn known(&mut self, recipe: &Recipe) -> Result<String> {
        let mask = (recipe.data.known.to_bits(), recipe.data.mask_seed, recipe.data.filled);
        if let Some(known) = self.known.get(&mask) {
            return Ok(known.clone());
        }
        let known = Known::of(&self.train, recipe)?.fingerprint(&self.train);
        self.known.insert(mask, known.clone());
        Ok(known)
    }

    fn val(&mut self) -> Result<ValOrigin> {
        if let Some(val) = &self.val {
            return Ok(val.clone());
        }
        let (val, _) = filled::open_given(&self.inputs.data, Split::Val)?;
        let val = val.aligned(&self.train.categories, &self.train.source)?;
        let val = val_file::origin(&val, self.inputs)?;
        Ok(self.val.insert(val).clone())
    }
}
