//! Out-of-fold scores of any method: the images of `train.csv` in K folds, and K trainings by the run's own recipe,
//! each without one fold, which it then scores.
//!
//! ```text
//! RUN/oof/of-5/0/data/   train.csv without the first fold, and its features where there are some
//!              0/run/    the training; both are deleted once the fold is scored
//!              0.npy     the fold's scores; all of it goes when every fold has them
//! ```

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use sarb_labels::arrays::npy;
use sarb_labels::formats::csv;
use sarb_labels::{Annotations, Split, dataset, stratified};

use crate::cancel::Cancel;
use crate::data_part::{features_of, save};
use crate::evaluation::{Evaluation, score};
use crate::events::Event;
use crate::experiment::train;
use crate::inputs::Inputs;
use crate::loader::features::Features;
use crate::loader::{Examples, View};
use crate::lock::FolderLock;
use crate::out_of_fold::{FOLDER, How, OutOfFold};
use crate::prepare::{filled, fingerprint, known_labels, val_file};
use crate::recipe::{Recipe, Select};
use crate::run::{Run, Status, Which, remove_dir};
use crate::run_folder::Existing;
use crate::{Error, Result};

/// How many folds there may be.
const FOLDS: std::ops::RangeInclusive<usize> = 2..=50;

/// Trains a finished `run` once for each of K folds, with the inputs that it was trained with, and keeps the scores
/// of every training image by the model that did not see it. What an earlier call did is taken up, all of it or a part.
///
/// # Errors
/// [`Error::Usage`] if the run is not finished or the folds are too few or too many; [`Error::Incompatible`] if the
/// inputs are not the run's; what training says; [`Error::Interrupted`] once `cancel` asks for it.
pub fn out_of_fold(
    run: &Run,
    inputs: &Inputs,
    folds: usize,
    device: &Device,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<OutOfFold> {
    let (info, recipe) = (run.info()?, run.recipe()?);
    if info.status != Status::Done {
        return Err(Error::Usage(format!("{}: the run is not finished; resume it", run.dir().display())));
    }
    let _lock = FolderLock::take(run.dir())?;
    let mut all = dataset::open_split(&inputs.data, Split::Train)?;
    all.labels = known_labels(&all, &recipe)?;
    if fingerprint(&all) != info.fingerprint {
        return Err(Error::Incompatible(format!(
            "{}: this table of labels is not what the run was trained with",
            all.source.display()
        )));
    }
    check_folds(&recipe, &inputs.data, folds)?;
    if let Ok(kept) = OutOfFold::open(run)
        && kept.how == How::Folds(folds)
    {
        return Ok(kept);
    }
    if folds > all.images.len() {
        return Err(Error::Usage(format!("{folds} folds of {} images; expected fewer", all.images.len())));
    }
    let parts = stratified::split(&all.labels, &vec![1.0 / folds as f64; folds], recipe.seed);
    let folder = run.path(FOLDER).join(format!("of-{folds}"));
    let folding = Folding { run, folder, inputs, recipe: &recipe, all: &all, device, events, cancel };
    for (fold, rows) in parts.iter().enumerate() {
        if !folding.scores(fold).is_file() {
            events(Event::Note(&format!("fold {} of {folds}: training without its images", fold + 1)));
            folding.train_and_score(fold, rows)?;
        }
    }
    folding.gather(&parts, &info.fingerprint)
}

/// Whether a run of `recipe` on a data folder can have out-of-fold scores of so many folds, before it is trained.
///
/// # Errors
/// [`Error::Usage`] if they are too few or too many, if the recipe selects its epoch on the test images, or if it learns
/// from labels that a run filled in.
pub fn check_folds(recipe: &Recipe, data: &Path, folds: usize) -> Result<()> {
    if !FOLDS.contains(&folds) {
        let (least, most) = (FOLDS.start(), FOLDS.end());
        return Err(Error::Usage(format!("{folds} folds; expected a number from {least} to {most}")));
    }
    if recipe.train.select == Select::Test {
        return Err(Error::Usage(
            "protocol = \"reference\" selects the epoch on the test images, which says nothing of a fold; train the \
             run by the corrected protocol"
                .into(),
        ));
    }
    filled::refuse(&dataset::open_split(data, Split::Train)?, recipe, "--folds")
}

/// The work on the folds of a run.
struct Folding<'a> {
    run: &'a Run,
    /// What is kept until all folds are done.
    folder: PathBuf,
    inputs: &'a Inputs,
    recipe: &'a Recipe,
    /// All images of `train.csv`, with the labels that stayed known.
    all: &'a Annotations,
    device: &'a Device,
    events: &'a dyn Fn(Event<'_>),
    cancel: &'a Cancel,
}

impl Folding<'_> {
    /// The file of a fold's scores, which is there once it is done.
    fn scores(&self, fold: usize) -> PathBuf {
        self.folder.join(format!("{fold}.npy"))
    }

    fn train_and_score(&self, fold: usize, rows: &[usize]) -> Result<()> {
        let folder = self.folder.join(fold.to_string());
        let inputs = self.training_data(&folder.join("data"), rows)?;
        let run = folder.join("run");
        let existing = if run.is_dir() { Existing::Resume } else { Existing::Refuse };
        // What there is to note and to warn of, the run itself has said.
        let progress = |event: Event<'_>| match event {
            Event::Note(_) | Event::Warning(_) | Event::Anchor(_) => {}
            event => (self.events)(event),
        };
        let run = train(&self.fold_recipe(), &inputs, (&run, existing), self.device, &progress, self.cancel)?;
        let logits = self.score(&run, rows)?;
        npy::write(&self.scores(fold), &logits, &[rows.len(), self.all.categories.len()])?;
        remove_dir(&folder)
    }

    /// Its labels are hidden already.
    fn fold_recipe(&self) -> Recipe {
        let mut recipe = self.recipe.clone();
        recipe.data.known = 1.0;
        recipe
    }

    /// Writes the data folder of a fold's training, and gives what that reads.
    fn training_data(&self, folder: &Path, held_out: &[usize]) -> Result<Inputs> {
        let mut trains = vec![true; self.all.images.len()];
        held_out.iter().for_each(|row| trains[*row] = false);
        let rows: Vec<usize> = (0..trains.len()).filter(|row| trains[*row]).collect();
        save(folder, Split::Train, self.all, &rows, self.inputs.features.as_deref())?;
        if let Some(val) = val_file::open(self.recipe, self.inputs, self.all)? {
            csv::write(&folder.join(Split::Val.file_name()), &val)?;
        }
        Ok(Inputs {
            data: folder.to_owned(),
            features: features_of(folder, self.inputs),
            words: self.inputs.words_file()?,
            ..self.inputs.clone()
        })
    }

    /// Logits of the images of a fold by the training without them.
    fn score(&self, run: &Run, rows: &[usize]) -> Result<Vec<f32>> {
        let evaluation = Evaluation {
            data: None,
            split: Split::Train,
            features: self.inputs.features.clone(),
            checkpoint: Which::Best,
            cache: self.inputs.cache.clone(),
        };
        score(run, self.all, rows, &evaluation, self.device, self.events, self.cancel)
    }

    /// The scores of all folds, kept in the run; those of single folds go.
    fn gather(&self, parts: &[Vec<usize>], fingerprint: &str) -> Result<OutOfFold> {
        let categories = self.all.categories.len();
        let mut scores = OutOfFold {
            annotations: self.all.clone(),
            logits: vec![0.0; self.all.images.len() * categories],
            how: How::Folds(parts.len()),
            folds: vec![0; self.all.images.len()],
            asked: self.all.images.len(),
        };
        for (fold, rows) in parts.iter().enumerate() {
            let path = self.scores(fold);
            let file = Features::open(&path, rows.len())?;
            if file.shape() != [categories, 1, 1] {
                let what = "scores of other categories; delete it to have its fold trained again";
                return Err(Error::Incompatible(format!("{}: {what}", path.display())));
            }
            for (place, row) in rows.iter().enumerate() {
                let into = &mut scores.logits[row * categories..][..categories];
                file.read(place, View::Clean, into)?;
                scores.folds[*row] = fold;
            }
        }
        scores.save(self.run, fingerprint)?;
        remove_dir(&self.folder)?;
        Ok(scores)
    }
}
