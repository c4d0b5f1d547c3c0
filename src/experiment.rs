//! Training a recipe on a data folder, begun or resumed. The command line, the quickstart and the sweep call
//! this, and so may you.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use sarb_labels::formats::csv;

use crate::backbone::weights;
use crate::cancel::Cancel;
use crate::events::Event;
use crate::extractor::{Extractor, MapSource, NetworkOrigin};
use crate::inputs::Inputs;
use crate::loader::Loader;
use crate::memory::peak_rss_mb;
use crate::model::Model;
use crate::prepare::{Prepared, broken, prepare};
use crate::ranks::Ranks;
use crate::recipe::{Recipe, Schedule, TrainRecipe, Validation};
use crate::recognizer::EXTRACTOR_FILE;
use crate::run::{MapOrigin, Run, RunInfo, State, Status, Validated, Which};
use crate::run_folder::{self, Existing};
use crate::seal::Hashes;
use crate::soft_labels::SoftLabels;
use crate::train::{Trainer, Training, adam};
use crate::{Error, Result, anchor, checkpoint, fit, methods, program};

mod together;

pub use together::train_together;

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
    train_as_first(&Ranks::alone(), recipe, inputs, (out, existing), device, events, cancel)
}

/// [`train`], as rank 0 of `ranks`.
fn train_as_first(
    ranks: &Ranks,
    recipe: &Recipe,
    inputs: &Inputs,
    (out, existing): (&Path, Existing),
    device: &Device,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<Run> {
    inputs.check_name()?;
    let lock = run_folder::claim(out, existing)?;
    // What costs nothing to check comes before anything is computed.
    let resumes = existing == Existing::Resume && Run::open(out).is_ok_and(|run| run.has_checkpoint());
    if existing == Existing::Resume && !resumes {
        keep_trained(out)?;
    }
    let saved = resumes.then(|| Run::open(out)?.recipe()).transpose()?;
    let asked = recipe;
    let recipe = &settled(recipe, saved.as_ref(), &inputs.data)?;
    if let Some(saved) = &saved {
        same_experiment(saved, recipe, out)?;
        same_network(&Run::open(out)?.info()?.maps, recipe)?;
    }
    together::settle_as_first(ranks, asked, recipe)?;
    let prepared = prepare(recipe, inputs, device, events, cancel)?;
    prepared.notes.iter().for_each(|note| events(Event::Note(note)));
    prepared.warnings.iter().for_each(|warning| events(Event::Warning(warning)));
    let mut info = begun(recipe, inputs, &prepared, device, ranks)?;
    together::same_inputs(ranks, &info)?;
    let (run, _lock) = run_folder::create(out, existing, lock)?;
    let mut training = match resumes {
        true => resume(&run, recipe, &prepared, &info, device, events)?,
        false => begin(&run, recipe, &prepared, device)?,
    };
    together::tell_beginning(ranks, &training)?;
    if resumes {
        let begun = run.info()?;
        info.files = begun.files;
        info.anchor = begun.anchor.filter(|_| anchor::is_kept(&run));
    } else {
        info.files = run.hashes()?;
    }
    run.save_info(&info)?;
    if let Some(warning) = fit::few_labels(recipe, &prepared, &training.model) {
        events(Event::Warning(&warning));
    }

    let loader = Loader::default();
    let alone = Ranks::alone();
    let trainer = Trainer {
        recipe,
        prepared: &prepared,
        run: Some(&run),
        ranks,
        device,
        loader: &loader,
        events,
        cancel,
    };
    // The other ranks wait for its seconds.
    let anchored = with_anchor(&Trainer { ranks: &alone, ..trainer }, &run, &mut info);
    run.save_info(&info)?;
    // Stopped between epochs: the last checkpoint, or the beginning, is where a resume continues.
    let result = match anchored.and_then(|()| trainer.train(&mut training)) {
        Err(Error::Stopped) => Err(Error::Interrupted { epoch: training.state.epoch }),
        result => result,
    };
    run.save_info(&ended(&mut info, &training.state, &result))?;
    result.map(|()| run)
}

/// Notes what the validation images say of the anchor: where the maps are there before the training and the method
/// is not the anchor itself. A run that is resumed has it in its `info`.
fn with_anchor(trainer: &Trainer, run: &Run, info: &mut RunInfo) -> Result<()> {
    let Trainer { recipe, events, .. } = trainer;
    if info.maps == MapOrigin::Trained || recipe.method.name() == methods::ANCHOR {
        return Ok(());
    }
    let validation = match info.anchor {
        Some(validation) => validation,
        None => {
            events(Event::Phase("the anchor, linear on the same maps"));
            let validation = anchor::fit(trainer, run)?;
            info.files.note(run.dir(), anchor::FILE)?;
            validation
        }
    };
    events(Event::Anchor(&validation));
    info.anchor = Some(validation);
    Ok(())
}

/// A run whose newest checkpoint is gone would begin anew and put untrained weights in the place of its best ones.
fn keep_trained(dir: &Path) -> Result<()> {
    // The best of a training that was killed at its very beginning is what it would begin with again.
    match Run::at(dir).saved(Which::Best) {
        Ok(best) if best.state.epoch > 0 => Err(Error::Missing(format!(
            "{}: checkpoints/last, from which a run is resumed, is not there, though checkpoints/best is; put it back, \
             train into another --out, or let --force begin anew in this one",
            dir.display()
        ))),
        _ => Ok(()),
    }
}

/// `run.json` of a training that begins.
fn begun(
    recipe: &Recipe,
    inputs: &Inputs,
    prepared: &Prepared,
    device: &Device,
    ranks: &Ranks,
) -> Result<RunInfo> {
    Ok(RunInfo {
        status: Status::Running,
        error: None,
        version: program::build(),
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
        weights: match (&prepared.source, &inputs.weights) {
            (MapSource::Trained(_), Some(weights)) => Some(weights::fingerprint(weights)?),
            _ => None,
        },
        words: inputs.words.as_deref().map(weights::fingerprint).transpose()?,
        files: Hashes::default(),
        backend: crate::device::backend(),
        device: crate::device::name(device),
        ranks: ranks.count(),
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

/// What is left out of the training images, and why.
const SKIPPED: &str = "data/skipped.csv";

/// Labels that are only probable.
const SOFT: &str = "data/soft.csv";

/// The probable labels of the images of `data/train.csv`, whose rows are counted from 1.
fn soft_table(soft: &SoftLabels, categories: &[String]) -> Vec<u8> {
    let mut table = ::csv::Writer::from_writer(Vec::new());
    let header = ["row", "category", "probability"].map(str::to_owned);
    let rows = (0..soft.images()).flat_map(|row| soft.row(row).map(move |(category, p)| (row, category, p)));
    let lines = rows.map(|(row, c, p)| [(row + 1).to_string(), categories[c].clone(), p.to_string()]);
    let written = std::iter::once(header).chain(lines).try_for_each(|line| table.write_record(line));
    written.expect("records of three fields in memory");
    table.into_inner().expect("a table in memory")
}

/// A new run: recipe, data and frozen backbone are saved, the network gets its initial weights.
fn begin(run: &Run, recipe: &Recipe, prepared: &Prepared, device: &Device) -> Result<Training> {
    run.save_recipe(recipe)?;
    prepared.categories.save(&run.path("data"))?;
    csv::write(&run.path("data/train.csv"), &prepared.annotations.select(&prepared.rows))?;
    if !prepared.soft.is_empty() {
        let soft = prepared.soft.select(&prepared.rows);
        run.write(SOFT, &soft_table(&soft, &prepared.annotations.categories))?;
    }
    if let Some(validation) = &prepared.validation {
        csv::write(&run.path("data/val.csv"), validation)?;
    }
    if !prepared.skipped.is_empty() {
        run.write(SKIPPED, &broken::table(&prepared.skipped))?;
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
/// depend on how many there will be; and a smaller learning rate, where the one so far is too large.
fn same_experiment(saved: &Recipe, recipe: &Recipe, dir: &Path) -> Result<()> {
    let epochs = match saved.train.schedule {
        Schedule::Cosine => saved.train.epochs,
        _ => recipe.train.epochs.max(saved.train.epochs),
    };
    let learning_rate = recipe.train.learning_rate.min(saved.train.learning_rate);
    let train = TrainRecipe { epochs, learning_rate, ..saved.train.clone() };
    let mut allowed = Recipe { train, ..saved.clone() };
    if allowed.backbone.onnx.is_some() && recipe.backbone.onnx.is_some() {
        // A network may have been moved; whether it is the same is seen from its hash.
        allowed.backbone.onnx.clone_from(&recipe.backbone.onnx);
    }
    if allowed == *recipe {
        return Ok(());
    }
    Err(Error::Incompatible(format!(
        "{} was begun with other settings; resume it without a recipe and --set (train.epochs may grow, unless train.schedule is \"cosine\", and train.learning_rate shrink), or train into another folder",
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
    if begun.weights.is_some() && begun.weights != now.weights {
        return Err(differs("the backbone of --weights"));
    }
    if let (MapOrigin::Onnx { network: then, .. }, MapOrigin::Onnx { network, .. }) = (&begun.maps, &now.maps)
    {
        then.check_same(network)?;
    } else if begun.maps != now.maps || begun.channels != now.channels {
        let given = |info: &RunInfo| matches!(info.maps, MapOrigin::Given(_));
        let features = given(&begun) || given(now);
        return Err(differs(if features { "the file of --features" } else { "the backbone of --weights" }));
    }
    let (was, is) = (run.recipe()?.train.learning_rate, recipe.train.learning_rate);
    run.save_recipe(recipe)?;
    let (model, optimizer, state) =
        checkpoint::load_training(run, model(recipe, prepared, device), adam(recipe))?;
    if let Some(note) = program::another(&begun.version) {
        events(Event::Note(&note));
    }
    if begun.ranks != now.ranks {
        let (was, is) = (begun.ranks, now.ranks);
        events(Event::Note(&format!(
            "trained by {was} ranks so far, by {is} from here on: sums round in another order"
        )));
    }
    events(Event::Note(&format!("resuming after epoch {}, step {}", state.epoch, state.step)));
    if was != is {
        let step = (state.epoch, state.step);
        run.event(
            &serde_json::json!({ "event": "learning_rate", "row": { "after": step, "was": was, "is": is } }),
        )?;
        events(Event::Note(&format!("train.learning_rate is {is:e} from here on; it was {was:e}")));
    }
    Ok(Training { model, optimizer, state })
}

fn model(recipe: &Recipe, prepared: &Prepared, device: &Device) -> Model {
    let labels = prepared.annotations.labels.select(&prepared.rows);
    let backbone = prepared.source.trained().cloned().map(Module::train);
    let device = device.clone().autodiff();
    Model::new(recipe, &prepared.categories, &labels, prepared.channels, backbone, &device)
}
