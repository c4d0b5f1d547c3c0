//! What a training will cost, before it is begun: everything that can be wrong with its inputs is found, what the
//! cache of feature maps lacks is counted, and a few real steps on a [sample](sample) of the images are timed.
//!
//! The sample is trained in a folder of its own, with a cache of its own, and both are deleted: neither the run's
//! folder nor the cache is touched.

mod sample;
mod shown;
mod timing;

use std::path::Path;

use burn::tensor::Device;
use sarb_labels::{Annotations, Split, dataset};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use self::sample::Sample;
use self::timing::Timing;
use crate::Result;
use crate::cache::Survey;
use crate::cancel::Cancel;
use crate::events::Event;
use crate::extractor::{MapReading, cached_extractor};
use crate::inputs::Inputs;
use crate::loader::{QUEUE_BYTES, epoch_batches};
use crate::methods;
use crate::preflight::{self, Evaluated};
use crate::prepare::filled::Known;
use crate::prepare::views::{mixtures, strong_views};
use crate::prepare::{told, val_file, word_vectors};
use crate::recipe::{Recipe, Select};
use crate::run_folder::{Existing, check_free};
use crate::soft_labels::SoftLabels;

/// A folder that is deleted with its value.
pub(crate) fn temporary_folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("sarb-dry-run-").tempdir();
    folder.map_err(|e| crate::Error::io(std::env::temp_dir(), e))
}

/// What a training will cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The method's name.
    pub method: String,
    /// Images that train.
    pub images: usize,
    /// Images that epochs are compared on.
    pub validation_images: usize,
    /// Images that the run is evaluated on afterwards, if that was asked for.
    pub evaluated_images: usize,
    /// Passes over the training images; 0 of a closed form.
    pub epochs: usize,
    /// Steps of each.
    pub steps_per_epoch: usize,
    /// Feature maps, where a frozen backbone makes them.
    pub maps: Option<Maps>,
    /// Bytes that the run's folder will take, about.
    pub run_bytes: u64,
    /// About how long it takes.
    pub seconds: Seconds,
    /// About how much memory, in MiB; without that of an accelerator.
    pub memory_mb: f64,
    /// How it was estimated, and what is not in it.
    pub how: Vec<String>,
}

/// Feature maps in all views, of training, validation and evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Maps {
    /// How many are read.
    pub wanted: usize,
    /// Of these, so many are in the cache.
    pub cached: usize,
    /// The others are computed.
    pub to_compute: usize,
    /// Bytes that they will take on disk.
    pub bytes: u64,
}

/// About how long the parts of a training take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Computing feature maps.
    pub maps: f64,
    /// All steps.
    pub training: f64,
    /// Comparing and keeping all epochs.
    pub validation: f64,
    /// Evaluating the run, if that was asked for.
    pub evaluation: f64,
    /// All of these.
    pub total: f64,
}

/// Forecasts [`train`](crate::train()) of `recipe` into the folder `out`, and its evaluation on the split `evaluated`.
///
/// # Errors
/// What is wrong with recipe, inputs or folder, as the training would say it; [`crate::Error::Stopped`] once `cancel`
/// asks for an end.
pub fn forecast(
    recipe: &Recipe,
    inputs: &Inputs,
    (out, existing): (&Path, Existing),
    evaluated: Option<Split>,
    device: &Device,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<Forecast> {
    check_free(out, existing)?;
    let recipe = &recipe.clone().settled(&inputs.data)?;
    let checked = Evaluated { split: Split::Train, features: inputs.features.as_deref() };
    if let Some(problem) = preflight::check(&[recipe], inputs, &checked).into_iter().next() {
        return Err(problem);
    }
    let data = Data::open(recipe, inputs, evaluated)?;
    data.tell(recipe, inputs, events)?;
    let surveying = Surveying { recipe, inputs, device, events, cancel };
    let survey = surveying.survey(&data)?;
    let sample = Sample::new(recipe, inputs, &data)?;
    let timing = timing::measure(&sample, device, events, cancel)?;
    Ok(put_together(recipe, &data, survey, &sample, &timing))
}

/// Which images a training reads, and what for.
struct Data {
    /// `train.csv` with what stays known.
    all: Annotations,
    /// Probable labels among the unknown.
    soft: SoftLabels,
    /// What is said of labels that a run filled in.
    filled: Option<String>,
    /// Rows of it that train.
    rows: Vec<usize>,
    /// Images that epochs are compared on.
    validation: Option<Annotations>,
    /// Whether these are of another file than `train.csv`.
    is_file: bool,
    evaluated: Option<Annotations>,
}

impl Data {
    fn open(recipe: &Recipe, inputs: &Inputs, evaluated: Option<Split>) -> Result<Self> {
        let mut all = dataset::open_split(&inputs.data, Split::Train)?;
        let known = Known::of(&all, recipe)?;
        all.labels = known.labels;
        let other = |split: Split| {
            let other = dataset::open_split(&inputs.data, split)?;
            Ok::<_, crate::Error>(other.aligned(&all.categories, &all.source)?)
        };
        let (rows, held_out) = all.split_validation(recipe.data.validation.held_out(), recipe.seed);
        let file = match recipe.train.select {
            Select::Test => Some(other(Split::Test)?),
            _ => val_file::open(recipe, inputs, &all)?,
        };
        let evaluated = evaluated.map(other).transpose()?;
        let is_file = file.is_some();
        let validation = file.or_else(|| (!held_out.is_empty()).then(|| all.select(&held_out)));
        Ok(Self { all, soft: known.soft, filled: known.note, rows, validation, is_file, evaluated })
    }

    /// What a training would tell of the labels.
    fn tell(&self, recipe: &Recipe, inputs: &Inputs, events: &dyn Fn(Event<'_>)) -> Result<()> {
        let words = word_vectors(inputs, &self.all)?;
        let is_val = self.is_file && recipe.train.select != Select::Test;
        let val = self.validation.as_ref().filter(|_| is_val);
        let held_out = self.all.images.len() - self.rows.len();
        let (notes, warnings) = told(recipe, inputs, &self.all, words.as_ref(), val, held_out)?;
        notes.iter().chain(&self.filled).for_each(|note| events(Event::Note(note)));
        warnings.iter().for_each(|warning| events(Event::Warning(warning)));
        Ok(())
    }
}

/// What counting feature maps takes.
struct Surveying<'a> {
    recipe: &'a Recipe,
    inputs: &'a Inputs,
    device: &'a Device,
    events: &'a dyn Fn(Event<'_>),
    cancel: &'a Cancel,
}

impl Surveying<'_> {
    /// What the cache has and lacks; none where no map is kept.
    fn survey(&self, data: &Data) -> Result<Option<Survey>> {
        let Self { recipe, inputs, device, .. } = self;
        if inputs.features.is_some() {
            return Ok(None);
        }
        let extractor = cached_extractor(recipe, inputs.weights.as_deref(), device)?;
        let Some(extractor) = extractor else { return Ok(None) };
        (self.events)(Event::Phase("which feature maps are cached"));
        let draw = mixtures(self.recipe, self.inputs, &data.rows)?;
        let reading = MapReading {
            size_px: self.recipe.data.size_px,
            views: self.recipe.backbone.views,
            strong: strong_views(self.recipe, self.inputs)?,
            mixing: draw.as_ref(),
            cache: &self.inputs.cache,
            device: self.device,
            events: self.events,
            cancel: self.cancel,
        };
        let mut survey = extractor.survey(&data.all.images, &reading)?;
        let clean = MapReading { views: 0, strong: false, mixing: None, ..reading };
        let files = data.validation.iter().filter(|_| data.is_file).chain(&data.evaluated);
        for file in files {
            let more = extractor.survey(&file.images, &clean)?;
            survey.wanted += more.wanted;
            survey.missing += more.missing;
            survey.missing_bytes += more.missing_bytes;
        }
        Ok(Some(survey))
    }
}

fn put_together(
    recipe: &Recipe,
    data: &Data,
    survey: Option<Survey>,
    sample: &Sample,
    timing: &Timing,
) -> Forecast {
    let closed = recipe.method.name() == methods::ANCHOR;
    let epochs = if closed { 0 } else { recipe.train.epochs };
    let train = &recipe.train;
    let steps = epoch_batches(&data.rows, train.batch_size, recipe.seed, 0, train.drop_last);
    let images_an_epoch: usize = steps.iter().map(Vec::len).sum();
    let validation_images = data.validation.as_ref().map_or(0, |images| images.images.len());
    let evaluated_images = data.evaluated.as_ref().map_or(0, |images| images.images.len());
    let compared = timing.save + timing.inference_each * validation_images as f64;
    let mut seconds = Seconds {
        maps: survey.map_or(0.0, |survey| survey.missing as f64 * timing.map_each),
        training: (epochs * images_an_epoch) as f64 * timing.step_each,
        validation: (epochs + 1) as f64 * compared,
        evaluation: timing.inference_each * evaluated_images as f64,
        total: 0.0,
    };
    seconds.total = seconds.maps + seconds.training + seconds.validation + seconds.evaluation;
    // A training reads ahead what the sample had not so much of.
    let views = 1 + usize::from(recipe.method.reads_strong_views());
    let ahead = |images: usize| views * (images * timing.example_bytes).min(QUEUE_BYTES);
    let read_ahead = ahead(images_an_epoch) - ahead(sample.training_images.min(images_an_epoch));
    // Ridge regression, of `linear` and of the anchor: pooled features and their centered copy.
    let pooled = if timing.is_pooled { 2 * 4 * data.rows.len() * timing.channels } else { 0 };
    Forecast {
        method: recipe.method.name().into(),
        images: data.rows.len(),
        validation_images,
        evaluated_images,
        epochs,
        steps_per_epoch: if closed { 0 } else { steps.len() },
        maps: survey.map(|survey| Maps {
            wanted: survey.wanted,
            cached: survey.wanted - survey.missing,
            to_compute: survey.missing,
            bytes: survey.missing_bytes,
        }),
        run_bytes: timing.run_bytes,
        seconds,
        memory_mb: timing.memory_mb + (read_ahead + pooled) as f64 / f64::from(1 << 20),
        how: shown::how(recipe, sample, closed, timing),
    }
}
