//! The use cases: train a recipe on a data folder, and evaluate what came of it. The command line, the
//! quickstart and the sweep call these two functions, and so may you.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use sarb_labels::arrays::npy;
use sarb_labels::formats::csv;
use sarb_labels::metrics::{self, Scores};
use sarb_labels::{Annotations, LabelMatrix, Split, dataset};

use crate::cancel::Cancel;
use crate::events::Event;
use crate::extractor::{Extractor, MapReading, MapSource, NetworkOrigin};
use crate::inputs::{Cache, Inputs};
use crate::loader::features::Features;
use crate::loader::{Examples, Loader};
use crate::lock::FolderLock;
use crate::memory::peak_rss_mb;
use crate::model::{Inference, Model};
use crate::prepare::{Prepared, fingerprint, images_of, prepare};
use crate::recipe::{Recipe, Schedule, Select, TrainRecipe, Validation};
use crate::recognizer::{EXTRACTOR_FILE, Recognizer};
use crate::run::{MapOrigin, Run, RunInfo, State, Status, Validated, Which};
use crate::run_folder::{self, Existing};
use crate::scoring::scores_of;
use crate::train::{Trainer, Training, adam};
use crate::{Error, Result, anchor, checkpoint, fit, methods};

/// Trains `recipe` into the folder `out`, or continues what was trained there.
///
/// Everything that can be wrong with the inputs is found before the folder is touched.
///
/// # Errors
/// What is wrong with recipe or inputs; [`Error::Diverged`]; [`Error::Interrupted`] once `cancel` asks for
/// it, with a checkpoint from which `Existing::Resume` continues to the same numbers.
pub fn train(
    recipe: &Recipe,
    inputs: &Inputs,
    (out, existing): (&Path, Existing),
    device: &Device,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<Run> {
    let lock = run_folder::claim(out, existing)?;
    // What costs nothing to check comes before anything is computed.
    let resumes = existing == Existing::Resume && Run::open(out).is_ok_and(|run| run.has_checkpoint());
    let saved = resumes.then(|| Run::open(out)?.recipe()).transpose()?;
    let recipe = &settled(recipe, saved.as_ref(), &inputs.data)?;
    if let Some(saved) = &saved {
        same_experiment(saved, recipe, out)?;
        same_network(&Run::open(out)?.info()?.maps, recipe)?;
    }
    let prepared = prepare(recipe, inputs, device, events, cancel)?;
    prepared.notes.iter().for_each(|note| events(Event::Note(note)));
    prepared.warnings.iter().for_each(|warning| events(Event::Warning(warning)));
    let (run, _lock) = run_folder::create(out, existing, lock)?;
    let mut info = begun(recipe, inputs, &prepared, device)?;
    let mut training = match resumes {
        true => resume(&run, recipe, &prepared, &info, device, events)?,
        false => begin(&run, recipe, &prepared, device)?,
    };
    info.anchor = if resumes { run.info()?.anchor.filter(|_| anchor::is_kept(&run)) } else { None };
    run.save_info(&info)?;
    if let Some(warning) = fit::few_labels(recipe, &prepared, &training.model) {
        events(Event::Warning(&warning));
    }

    let loader = Loader::default();
    let trainer = Trainer { recipe, prepared: &prepared, run: &run, device, loader: &loader, events, cancel };
    let anchored = with_anchor(&trainer, &info).map(|anchor| info.anchor = anchor);
    run.save_info(&info)?;
    // Stopped between epochs: the last checkpoint, or the beginning, is where a resume continues.
    let result = match anchored.and_then(|()| trainer.train(&mut training)) {
        Err(Error::Stopped) => Err(Error::Interrupted { epoch: training.state.epoch }),
        result => result,
    };
    run.save_info(&ended(&mut info, &training.state, &result))?;
    result.map(|()| run)
}

/// What the validation images say of the anchor: where the maps are there before the training and the method is
/// not the anchor itself. A run that is resumed has it in its `info`.
fn with_anchor(trainer: &Trainer, info: &RunInfo) -> Result<Option<Validated>> {
    let Trainer { recipe, events, .. } = trainer;
    if info.maps == MapOrigin::Trained || recipe.method.name() == methods::ANCHOR {
        return Ok(None);
    }
    let validation = match info.anchor {
        Some(validation) => validation,
        None => {
            events(Event::Phase("the anchor, linear on the same maps"));
            anchor::fit(trainer)?
        }
    };
    events(Event::Anchor(&validation));
    Ok(Some(validation))
}

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
    let annotations = dataset::open_split(&folder, evaluation.split)?.aligned(names, run.dir())?;
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
    let labels = annotations.labels;
    let keep = |suffix: &str, logits: &[f32]| {
        let scores = metrics::evaluate(logits, &labels, names, 0.0)?;
        let json = serde_json::to_vec_pretty(&scores).expect("plain data");
        run.write(&format!("evaluation/{}{suffix}.json", evaluation.split), &json)?;
        let shape = [rows.len(), names.len()];
        npy::write(&run.path(&format!("evaluation/scores{suffix}.npy")), logits, &shape)?;
        Ok::<_, Error>(scores)
    };
    // The run's own scores last: with them a sweep takes a cell for done.
    anchor.iter().try_for_each(|logits| keep("-anchor", logits).map(drop))?;
    let scores = keep("", &logits)?;
    Ok(Evaluated { scores, logits, labels, anchor })
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
        (_, Some(0)) => format!("is still being trained by another process, {after}"),
        (_, Some(process)) => format!("is still being trained by process {process}, {after}"),
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

/// The images, maps or features of a split, as the run reads them.
fn examples_of(
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
            let reading = MapReading { size_px, views: 0, mixing: None, cache, device, events, cancel };
            extractor.maps_of(&annotations.images, &reading)
        }
    }
}

/// `run.json` of a training that begins.
fn begun(recipe: &Recipe, inputs: &Inputs, prepared: &Prepared, device: &Device) -> Result<RunInfo> {
    Ok(RunInfo {
        status: Status::Running,
        error: None,
        version: env!("CARGO_PKG_VERSION").into(),
        method: recipe.method.name().into(),
        data: std::path::absolute(&inputs.data).map_err(|e| Error::io(&inputs.data, e))?,
        fingerprint: prepared.fingerprint.clone(),
        val_file: prepared.val_file.clone(),
        channels: prepared.channels,
        maps: match &prepared.source {
            MapSource::Frozen(extractor) => map_origin(extractor),
            MapSource::Trained(_) => MapOrigin::Trained,
            MapSource::Given(hash) => MapOrigin::Given(hash.clone()),
        },
        backend: crate::device::backend(),
        device: crate::device::name(device),
        epochs: 0,
        best_epoch: 0,
        images_per_second: 0.0,
        seconds: 0.0,
        peak_rss_mb: 0.0,
        validation: None,
        anchor: None,
    })
}

fn map_origin(extractor: &Extractor) -> MapOrigin {
    let key = extractor.key().to_owned();
    match extractor.origin() {
        Some(network) => MapOrigin::Onnx { key, network: network.clone() },
        None => MapOrigin::Frozen(key),
    }
}

/// `run.json` of a training that has ended, well or not.
fn ended(info: &mut RunInfo, state: &State, result: &Result<()>) -> RunInfo {
    (info.status, info.error) = match result {
        Ok(()) => (Status::Done, None),
        Err(Error::Interrupted { .. }) => (Status::Interrupted, None),
        Err(error) => (Status::Failed, Some(error.to_string())),
    };
    info.epochs = state.epoch;
    info.best_epoch = state.best.map_or(0, |(_, epoch)| epoch);
    info.images_per_second = state.history.last().map_or(0.0, |row| row.images_per_second);
    let best = state.history.iter().find(|row| row.epoch == info.best_epoch);
    info.validation = best.map(|row| Validated { loss: row.validation_loss, map: row.validation_map });
    info.seconds = state.seconds;
    info.peak_rss_mb = peak_rss_mb();
    info.clone()
}

/// A new run: recipe, data and frozen backbone are saved, the network gets its initial weights.
fn begin(run: &Run, recipe: &Recipe, prepared: &Prepared, device: &Device) -> Result<Training> {
    run.save_recipe(recipe)?;
    prepared.categories.save(&run.path("data"))?;
    csv::write(&run.path("data/train.csv"), &prepared.annotations.select(&prepared.rows))?;
    if let Some(validation) = &prepared.validation {
        csv::write(&run.path("data/val.csv"), validation)?;
    }
    if let MapSource::Frozen(extractor) = &prepared.source {
        extractor.keep(&run.path(EXTRACTOR_FILE))?;
    }
    Ok(Training { model: model(recipe, prepared, device), optimizer: adam(recipe), state: State::default() })
}

/// The recipe with what validates: what did in the run that is resumed, or what the data folder has.
fn settled(recipe: &Recipe, saved: Option<&Recipe>, data: &Path) -> Result<Recipe> {
    let mut recipe = recipe.clone();
    if let (Validation::Auto, Some(saved)) = (recipe.data.validation, saved) {
        recipe.data.validation = saved.data.validation;
    }
    recipe.settled(data)
}

/// Only more epochs may be asked of a run that is resumed, and only where the epochs so far do not
/// depend on how many there will be.
fn same_experiment(saved: &Recipe, recipe: &Recipe, dir: &Path) -> Result<()> {
    let epochs = match saved.train.schedule {
        Schedule::Cosine => saved.train.epochs,
        _ => recipe.train.epochs.max(saved.train.epochs),
    };
    let mut allowed = Recipe { train: TrainRecipe { epochs, ..saved.train.clone() }, ..saved.clone() };
    if allowed.backbone.onnx.is_some() && recipe.backbone.onnx.is_some() {
        // A network may have been moved; whether it is the same is seen from its hash.
        allowed.backbone.onnx.clone_from(&recipe.backbone.onnx);
    }
    if allowed == *recipe {
        return Ok(());
    }
    Err(Error::Incompatible(format!(
        "{} was begun with other settings; resume it without a recipe and --set (train.epochs may grow, unless train.schedule is \"cosine\"), or train into another folder",
        dir.display()
    )))
}

/// Of another network than the run's no map need be computed to refuse it.
fn same_network(begun: &MapOrigin, recipe: &Recipe) -> Result<()> {
    match (begun, &recipe.backbone.onnx) {
        (MapOrigin::Onnx { network, .. }, Some(file)) => network.check_same(&NetworkOrigin::of(file)?),
        _ => Ok(()),
    }
}

/// The run's last checkpoint, if its inputs are still the same.
fn resume(
    run: &Run,
    recipe: &Recipe,
    prepared: &Prepared,
    now: &RunInfo,
    device: &Device,
    events: &dyn Fn(Event<'_>),
) -> Result<Training> {
    let begun = run.info()?;
    let differs = |what: &str| {
        Error::Incompatible(format!("{what} is not what the run was begun with; train into another folder"))
    };
    if begun.fingerprint != now.fingerprint {
        return Err(differs(&format!("{}: this table of labels", prepared.annotations.source.display())));
    }
    if begun.val_file.as_ref().map(|val| &val.fingerprint)
        != now.val_file.as_ref().map(|val| &val.fingerprint)
    {
        return Err(differs("val.csv, which selects the epoch,"));
    }
    if begun.val_file != now.val_file {
        return Err(differs("the file of --val-features"));
    }
    if let (MapOrigin::Onnx { network: then, .. }, MapOrigin::Onnx { network, .. }) = (&begun.maps, &now.maps)
    {
        then.check_same(network)?;
    } else if begun.maps != now.maps || begun.channels != now.channels {
        let given = |info: &RunInfo| matches!(info.maps, MapOrigin::Given(_));
        let features = given(&begun) || given(now);
        return Err(differs(if features { "the file of --features" } else { "the backbone of --weights" }));
    }
    run.save_recipe(recipe)?;
    let (model, optimizer, state) =
        checkpoint::load_training(run, model(recipe, prepared, device), adam(recipe))?;
    events(Event::Note(&format!("resuming after epoch {}, step {}", state.epoch, state.step)));
    Ok(Training { model, optimizer, state })
}

fn model(recipe: &Recipe, prepared: &Prepared, device: &Device) -> Model {
    let counts = prepared.annotations.labels.select(&prepared.rows).counts();
    let backbone = prepared.source.trained().cloned().map(Module::train);
    let device = device.clone().autodiff();
    Model::new(recipe, &prepared.categories, counts, prepared.channels, backbone, &device)
}
