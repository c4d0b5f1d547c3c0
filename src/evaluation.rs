//! Measuring a run on a split of a data folder. The command line, the quickstart and the sweep call this, and
//! so may you.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use sarb_labels::arrays::npy;
use sarb_labels::files::folder_of;
use sarb_labels::metrics::{self, Scores};
use sarb_labels::{Annotations, LabelMatrix, Split};

use crate::backbone::weights;
use crate::cancel::Cancel;
use crate::events::Event;
use crate::extractor::{MapReading, MapSource};
use crate::inputs::Cache;
use crate::loader::features::Features;
use crate::loader::{Examples, Loader};
use crate::lock::FolderLock;
use crate::model::Inference;
use crate::prepare::{filled, fingerprint, images_of};
use crate::recipe::{Recipe, Select};
use crate::recognizer::Recognizer;
use crate::run::{MadeOf, Measurement, Run, RunInfo, Status, Which};
use crate::scoring::{scores, scores_of};
use crate::seal::Hashes;
use crate::{Error, Result, anchor};

/// Which examples of a run are evaluated.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The data folder; by default the one that the run was trained on.
    pub data: Option<PathBuf>,
    /// Which of its label files.
    pub split: Split,
    /// Features of the split's images, for a run that was trained on features.
    pub features: Option<PathBuf>,
    /// Which checkpoint of the run.
    pub checkpoint: Which,
    /// Where feature maps are cached.
    pub cache: Cache,
}

impl Evaluation {
    /// The best checkpoint on the test images, with the default cache.
    ///
    /// # Errors
    /// [`Error::Missing`] where the system names no folder for caches.
    pub fn of_test_images() -> Result<Self> {
        let cache = Cache::default_folder()?;
        Ok(Self { data: None, split: Split::Test, features: None, checkpoint: Which::Best, cache })
    }
}

/// What a run said of a split, and what became known of it.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// What the run's scores are worth.
    pub scores: Scores,
    /// The scores, `N × C` logits row by row.
    pub logits: Vec<f32>,
    /// The labels that they were measured with, `N × C`.
    pub labels: LabelMatrix,
    /// The logits of the run's anchor, `linear` on the same maps, where it has one.
    pub anchor: Option<Vec<f32>>,
}

/// Scores a run on a split of a data folder; scores and result are kept in the run's folder too.
///
/// # Errors
/// What opening the run, the labels or the images says; [`Error::Stopped`] once `cancel` asks for it.
pub fn evaluate(
    run: &Run,
    evaluation: &Evaluation,
    device: &Device,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<Scores> {
    measure(run, evaluation, device, events, cancel).map(|evaluated| evaluated.scores)
}

/// [`evaluate`], with the scores of every image, those of the run's anchor, and the labels.
///
/// # Errors
/// Those of [`evaluate`].
pub fn measure(
    run: &Run,
    evaluation: &Evaluation,
    device: &Device,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<Evaluated> {
    if let Some(warning) = unfinished(run)? {
        events(Event::Warning(&warning));
    }
    let recognizer = Recognizer::open(run.dir(), evaluation.checkpoint, device)?;
    let folder = run.data(evaluation.data.as_deref())?;
    let (names, info) = (recognizer.names(), run.info()?);
    let anchor = anchor::load(run, info.channels, names.len(), device)?;
    let (annotations, filled) = filled::open_given(&folder, evaluation.split)?;
    if let Some(warning) = filled {
        events(Event::Warning(&warning));
    }
    let annotations = annotations.aligned(names, run.dir())?;
    if let Some(warning) = optimistic(&info, &run.recipe()?, evaluation, &annotations) {
        events(Event::Warning(&warning));
    }
    let examples = examples_of(&recognizer, evaluation, &annotations, info.channels, events, cancel)?;
    let rows: Vec<usize> = (0..annotations.images.len()).collect();
    let models: Vec<&Inference> = std::iter::once(recognizer.inference()).chain(&anchor).collect();
    events(Event::Phase("scoring"));
    let mut logits = scores_of(&models, &examples, &rows, &Loader::default(), device, cancel)?;
    let anchor = if anchor.is_some() { logits.pop() } else { None };
    let logits = logits.remove(0);
    let made_of = MadeOf {
        checkpoint: evaluation.checkpoint,
        weights: recognizer.weights_hash().map(str::to_owned),
        labels: fingerprint(&annotations),
        features: evaluation.features.as_deref().map(weights::fingerprint).transpose()?,
        files: Hashes::default(),
    };
    let labels = annotations.labels;
    // The run's own scores last: with them a sweep takes a cell for done.
    let mut parts: Vec<(&str, &[f32])> = anchor.iter().map(|logits| ("-anchor", &logits[..])).collect();
    parts.push(("", &logits));
    let (mut measured, mut kept) = (Vec::new(), Ok(()));
    for (suffix, logits) in parts {
        let scores = metrics::evaluate(logits, &labels, names, 0.0)?;
        // The anchor's weights are not those of a checkpoint.
        let weights = made_of.weights.clone().filter(|_| suffix.is_empty());
        let measurement = Measurement { scores, made_of: Some(MadeOf { weights, ..made_of.clone() }) };
        kept = kept.and_then(|()| keep(run, evaluation.split, suffix, &measurement, logits));
        measured.push(measurement.scores);
    }
    if let Err(error) = kept {
        // What took minutes is still told.
        events(Event::Warning(&format!("the result is not kept in the run's folder: {error}")));
    }
    let scores = measured.pop().expect("the run's own");
    Ok(Evaluated { scores, logits, labels, anchor })
}

/// Keeps scores and what they are worth. The latter knows the former, so that a kill between the two files shows.
fn keep(run: &Run, split: Split, suffix: &str, measurement: &Measurement, logits: &[f32]) -> Result<()> {
    let file = format!("evaluation/scores{suffix}.npy");
    let (path, scores) = (run.path(&file), &measurement.scores);
    // A copy of a run may lack its empty folders.
    std::fs::create_dir_all(folder_of(&path)).map_err(|e| Error::io(&path, e))?;
    npy::write(&path, logits, &[scores.images, scores.categories])?;
    let mut measurement = measurement.clone();
    if let Some(made_of) = &mut measurement.made_of {
        made_of.files.note(run.dir(), &file)?;
    }
    run.save_measurement(split, suffix, &measurement)
}

/// What to know of a run that is evaluated before its training has ended well.
fn unfinished(run: &Run) -> Result<Option<String>> {
    let info = run.info()?;
    let planned = run.recipe()?.train.epochs;
    let after = match run.epochs_done() {
        Some(done) => format!("after epoch {done} of {planned}"),
        None => "before its first epoch".into(),
    };
    let what = match (info.status, FolderLock::holder(run.dir())?) {
        (Status::Done, _) => return Ok(None),
        (_, Some(holder)) => format!("is still being trained by {holder}, {after}"),
        (Status::Running, None) => format!("was killed {after}; train it with --resume to its end"),
        (Status::Interrupted, None) => format!("was stopped {after}; train it with --resume to its end"),
        (Status::Failed, None) => {
            format!("failed {after}: {}", info.error.as_deref().unwrap_or("no reason is known"))
        }
    };
    Ok(Some(format!("{} is not finished: it {what}", run.dir().display())))
}

/// What is wrong with measuring a run on the very images that its best epoch was selected on.
fn optimistic(
    info: &RunInfo,
    recipe: &Recipe,
    evaluation: &Evaluation,
    annotations: &Annotations,
) -> Option<String> {
    let chooses = info.epochs > 0 && recipe.train.select != Select::Last;
    let selected = chooses && evaluation.checkpoint == Which::Best;
    let same = info.val_file.as_ref().is_some_and(|val| val.fingerprint == fingerprint(annotations));
    (selected && same).then(|| {
        format!(
            "the best epoch was selected on {}: what is measured on it is optimistic",
            annotations.source.display()
        )
    })
}

/// Logits of the images `rows` of `annotations`, `rows · C` row by row, by a checkpoint of a run; labels are not looked at.
/// Features, where the run reads them, are those of all images.
///
/// # Errors
/// Those of [`evaluate`].
pub fn score(
    run: &Run,
    annotations: &Annotations,
    rows: &[usize],
    evaluation: &Evaluation,
    device: &Device,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<Vec<f32>> {
    let recognizer = Recognizer::open(run.dir(), evaluation.checkpoint, device)?;
    let channels = run.info()?.channels;
    // What is not scored needs no maps.
    let some = annotations.select(rows);
    let all: Vec<usize> = (0..rows.len()).collect();
    let (images, rows) = match recognizer.source() {
        MapSource::Given(_) => (annotations, rows),
        _ => (&some, &all[..]),
    };
    let examples = examples_of(&recognizer, evaluation, images, channels, events, cancel)?;
    events(Event::Phase("scoring"));
    scores(recognizer.inference(), &examples, rows, &Loader::default(), device, cancel)
}

/// The images, maps or features of a split, as the run reads them.
pub(crate) fn examples_of(
    recognizer: &Recognizer,
    evaluation: &Evaluation,
    annotations: &Annotations,
    channels: usize,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<Arc<dyn Examples>> {
    let size_px = recognizer.size_px();
    match (recognizer.source(), &evaluation.features) {
        (MapSource::Given(_), None) => Err(Error::Usage(
            "this run was trained with --features; give --features FILE with those of this split's images"
                .into(),
        )),
        (MapSource::Given(_), Some(path)) => {
            Ok(Arc::new(Features::open_for(path, annotations.images.len(), channels)?))
        }
        (_, Some(_)) => Err(Error::Usage(
            "this run was trained on images; --features is for a run trained with --features".into(),
        )),
        (MapSource::Trained(_), None) => Ok(images_of(size_px, &annotations.images)),
        (MapSource::Frozen(extractor), None) => {
            let (cache, device) = (&evaluation.cache, recognizer.device());
            let reading =
                MapReading { size_px, views: 0, strong: false, mixing: None, cache, device, events, cancel };
            extractor.maps_of(&annotations.images, &reading)
        }
    }
}
