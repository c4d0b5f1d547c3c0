//! What a run folder holds that the page shows. What is not at hand is a note, not an error.

use std::path::Path;

use sarb_labels::formats::csv;
use sarb_labels::{Annotations, Label, Split};

use crate::prepare::filled;
use crate::recipe::Recipe;
use crate::report::history::History;
use crate::report::saved::saved_scores;
use crate::run::{ANCHOR_SCORES, Run, RunInfo, SCORES, Status, Which};
use crate::{Error, Result};

/// One run as its folder says.
#[derive(Debug, Clone)]
pub struct ReadRun {
    /// What the page calls it: its folder as it was given.
    pub name: String,
    /// The folder.
    pub run: Run,
    /// What it says of itself.
    pub info: RunInfo,
    /// The complete recipe.
    pub(super) recipe: Recipe,
    /// The labels that trained it, and those that its best epoch was selected on, where its folder has them.
    pub(super) train: Option<LabelCounts>,
    pub(super) val: Option<LabelCounts>,
    pub(super) history: History,
    /// What `evaluate` has kept of the split.
    pub saved: Option<Saved>,
    /// What is not at hand, and why.
    pub notes: Vec<String>,
}

/// How many labels of each kind a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LabelCounts {
    pub images: usize,
    pub categories: usize,
    pub positives: usize,
    pub negatives: usize,
}

/// Scores that `evaluate` has kept, with the labels that they were measured with.
#[derive(Debug, Clone)]
pub struct Saved {
    /// `N × C` logits row by row, columns as `annotations`; whoever measures them may take them.
    pub logits: Vec<f32>,
    /// Those of the run's anchor, where it has one.
    pub anchor: Option<Vec<f32>>,
    /// The images of the split and their labels, columns as the run has them.
    pub annotations: Annotations,
}

impl ReadRun {
    /// Reads a run and its scores of a split of the data folder, by default the one that it was trained on.
    ///
    /// # Errors
    /// [`Error::Missing`] for a folder that is no run, [`Error::Incompatible`] for a damaged one; what reading the
    /// labels says, if their folder is `given`.
    pub fn open(dir: &Path, given: Option<&Path>, split: Split, which: Which) -> Result<Self> {
        let run = Run::open(dir)?;
        let (info, recipe, names) = (run.info()?, run.recipe()?, run.categories()?.names);
        let mut notes = Vec::new();
        let unfinished = match info.status {
            Status::Done => None,
            Status::Running => {
                Some("is not finished (it runs, or was killed); `sarb train --resume` goes on")
            }
            Status::Interrupted => Some("was interrupted; `sarb train --resume` goes on"),
            Status::Failed => Some("failed"),
        };
        let name = dir.display().to_string();
        notes.extend(unfinished.map(|what| {
            let why = info.error.as_ref().map_or(String::new(), |error| format!(": {error}"));
            format!("{name} {what}{why}. What is shown is its state after epoch {}.", info.epochs)
        }));
        notes.extend(info.about_epoch_0().map(|about| format!("{name}: {about}.")));
        let (train, val) = (counts(&run, "data/train.csv")?, counts(&run, "data/val.csv")?);
        if train.is_none() {
            notes.push(format!(
                "{name}: its data/train.csv is not there, so its known labels are not counted."
            ));
        }
        let history = History::of(&run).unwrap_or_else(|error| {
            notes.push(format!("{name}: nothing is shown by epoch: {error}."));
            History::default()
        });
        notes.extend(history.note(&name));
        let saved = match saved(&run, &info, &names, given, (split, which)) {
            Ok(Some(saved)) => Some(saved),
            Ok(None) => {
                notes.push(format!(
                    "{name} has no scores of the {split} images, so nothing is measured of it here: `sarb evaluate` keeps \
                     them in its folder."
                ));
                None
            }
            // Whoever names a folder wants that one.
            Err(error) if given.is_some() => return Err(error),
            Err(error) => {
                notes.push(format!("{name} is not measured here: {error}."));
                None
            }
        };
        Ok(Self { name, run, info, recipe, train, val, history, saved, notes })
    }
}

/// The labels of a file of the run; none if the file is not there.
fn counts(run: &Run, file: &str) -> Result<Option<LabelCounts>> {
    if !run.path(file).is_file() {
        return Ok(None);
    }
    let labels = csv::read(&run.whole(file)?)?.labels;
    let [positives, negatives] = [Label::Positive, Label::Negative].map(|label| labels.count(label));
    Ok(Some(LabelCounts { images: labels.images(), categories: labels.categories(), positives, negatives }))
}

/// The scores of a split and of the anchor; none if they were never measured.
fn saved(
    run: &Run,
    info: &RunInfo,
    names: &[String],
    given: Option<&Path>,
    (split, which): (Split, Which),
) -> Result<Option<Saved>> {
    let Some(measured) = run.measurement(split)? else { return Ok(None) };
    if let Some(why) = run.outdated(&measured, which)? {
        return Err(Error::Data(format!(
            "its measurement of the {split} images {why}; run `sarb evaluate {} --split {split} --checkpoint {}`",
            run.dir().display(),
            which.name()
        )));
    }
    let folder = given.unwrap_or(&info.data);
    let (annotations, _) = filled::open_given(folder, split).map_err(|error| match given {
        Some(_) => error,
        None => Error::Missing(format!("{error}; if the data folder is elsewhere now, say it with --data")),
    })?;
    let annotations = annotations.aligned(names, run.dir())?;
    let logits = saved_scores(&run.path(SCORES), &annotations.labels, measured.scores.map)?;
    let anchor = match (run.anchor_measurement(split)?, run.path(ANCHOR_SCORES)) {
        (Some(measured), scores) if scores.is_file() => {
            Some(saved_scores(&scores, &annotations.labels, measured.scores.map)?)
        }
        _ => None,
    };
    Ok(Some(Saved { logits, anchor, annotations }))
}
