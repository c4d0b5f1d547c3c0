//! `tracking.json`: up to where a run's own logs were told to a tracking server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Target;
use super::mlflow::Known;
use crate::Result;
use crate::run::{EpochRow, Run};
use crate::seal::{json, read_json};
use crate::step_log::StepRow;

/// Its name in a run folder.
pub const FILE: &str = "tracking.json";

/// What of a run is on the server. There are no credentials in it, and no address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The experiment that the run was to belong to.
    pub experiment: String,
    /// What it was to be called; without one by its folder.
    pub name: Option<String>,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// By this a run is found again whose making was not acknowledged.
    pub key: String,
    /// What the server calls it, once that is known.
    pub run: Option<Known>,
    /// Whether its settings are there, which are sent once: MLflow refuses to change them.
    pub params: bool,
    /// Epoch and step in it, from 1, of the last row of steps that is there.
    pub step: Option<(usize, usize)>,
    /// The last epoch that is there.
    pub epoch: Option<usize>,
    /// How far the server was told that it is.
    pub status: Option<String>,
    /// Hashes of the evaluations that are there, by their files.
    pub evaluations: BTreeMap<String, String>,
    /// Hashes of the files that are there, by their names.
    pub files: BTreeMap<String, String>,
}

impl Record {
    /// Nothing is there yet.
    pub fn new(target: &Target) -> Self {
        Self::called(target.experiment.clone(), target.run_name().map(str::to_owned), target.other_tags())
    }

    /// The same run where nothing of it is known.
    pub fn anew(&self) -> Self {
        Self::called(self.experiment.clone(), self.name.clone(), self.tags.clone())
    }

    fn called(experiment: String, name: Option<String>, tags: Vec<(String, String)>) -> Self {
        Self {
            experiment,
            name,
            tags,
            key: format!("{:032x}", rand::random::<u128>()),
            run: None,
            params: false,
            step: None,
            epoch: None,
            status: None,
            evaluations: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }

    /// That of a run, if it was ever told of.
    ///
    /// # Errors
    /// [`Error::Incompatible`](crate::Error::Incompatible) if the file is damaged.
    pub fn read(run: &Run) -> Result<Option<Self>> {
        let path = run.path(FILE);
        if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Writes it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, run: &Run) -> Result<()> {
        run.write(FILE, &json(self))
    }

    /// Whether these steps are there already. A run that was killed and resumed tells of them again, with the same numbers.
    pub fn has_steps(&self, row: &StepRow) -> bool {
        self.step.is_some_and(|sent| (row.epoch, row.step) <= sent)
    }

    /// Whether this epoch is there already.
    pub fn has_epoch(&self, row: &EpochRow) -> bool {
        self.epoch.is_some_and(|sent| row.epoch <= sent)
    }
}
