//! `evaluation/<split>.json`: what a run's scores of a split are worth, and what they were made of.

use sarb_labels::Split;
use sarb_labels::metrics::Scores;
use serde::{Deserialize, Serialize};

use super::{MODEL, Run, Which};
use crate::seal::{Hashes, json, read_json};
use crate::{Error, Result};

/// The scores of a run, beside their worth.
pub const SCORES: &str = "evaluation/scores.npy";
/// Those of its anchor.
pub const ANCHOR_SCORES: &str = "evaluation/scores-anchor.npy";

/// What a run's scores of a split are worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// mAP and the other metrics.
    #[serde(flatten)]
    pub scores: Scores,
    /// What they were made of; nothing is known of what an earlier version measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_of: Option<MadeOf>,
}

/// What a measurement was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeOf {
    /// Which checkpoint of the run.
    pub checkpoint: Which,
    /// Hash of its weights, where it is known.
    pub weights: Option<String>,
    /// Hash of the images' paths, their labels and the categories.
    pub labels: String,
    /// Hash of the user's own features of the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// Hashes of the files of scores that belong to it.
    pub files: Hashes,
}

impl Run {
    /// Keeps a measurement; its scores are written already. `suffix` is empty, or that of the anchor.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_measurement(&self, split: Split, suffix: &str, measurement: &Measurement) -> Result<()> {
        self.write(&file(split, suffix), &json(measurement))
    }

    /// What was measured on a split; none where nothing was.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if the file is damaged.
    pub fn measurement(&self, split: Split) -> Result<Option<Measurement>> {
        self.read_measurement(split, "")
    }

    /// What was measured of the run's anchor.
    ///
    /// # Errors
    /// Those of [`measurement`](Self::measurement).
    pub fn anchor_measurement(&self, split: Split) -> Result<Option<Measurement>> {
        self.read_measurement(split, "-anchor")
    }

    fn read_measurement(&self, split: Split, suffix: &str) -> Result<Option<Measurement>> {
        let path = self.path(&file(split, suffix));
        if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Whether a measurement is of a checkpoint of the run as it is now, and its scores are the ones that are kept; else
    /// what it is of, as `is of the checkpoint "last"`.
    ///
    /// # Errors
    /// If the checkpoint or the scores cannot be read.
    pub fn outdated(&self, measurement: &Measurement, which: Which) -> Result<Option<&'static str>> {
        let Some(made_of) = &measurement.made_of else { return Ok(None) };
        if made_of.checkpoint != which {
            return Ok(Some(match made_of.checkpoint {
                Which::Best => "is of the checkpoint \"best\"",
                Which::Last => "is of the checkpoint \"last\"",
            }));
        }
        let now = self.saved(which)?.files;
        let differs = |weights: &str| now.get(MODEL).is_some_and(|now| now != weights);
        if made_of.weights.as_deref().is_some_and(differs) {
            return Ok(Some("is of an earlier state of the training"));
        }
        match made_of.files.check(self.dir(), SCORES) {
            Ok(()) => Ok(None),
            Err(Error::Incompatible(_)) => Ok(Some("is not of the scores beside it")),
            Err(error) if error.is_missing() => Ok(Some("has lost its scores")),
            Err(error) => Err(error),
        }
    }
}

/// The file of a measurement within a run.
pub fn file(split: Split, suffix: &str) -> String {
    format!("evaluation/{split}{suffix}.json")
}
