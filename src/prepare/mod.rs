//! From a recipe and a data folder to what the loop reads: labels are hidden, `val.csv` is read or a
//! validation split is taken, the backbone is loaded, and where it is wholly frozen its maps are computed once.

pub mod broken;
pub mod filled;
mod positives_only;
mod told;
pub mod val_file;
pub mod views;

pub use filled::known_labels;
pub use told::told;

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use sarb_labels::categories::Categories;
use sarb_labels::images::transform::Transform;
use sarb_labels::words::Words;
use sarb_labels::{Annotations, Label, LabelMatrix, Split, dataset};

use crate::backbone::{Freeze, weights};
use crate::cancel::Cancel;
use crate::events::Event;
use crate::extractor::{Extractor, MapReading, MapSource, frozen_extractor, load_backbone, trunk_extractor};
use crate::inputs::Inputs;
use crate::loader::features::Features;
use crate::loader::mixing::MixedImages;
use crate::loader::{Examples, ImageFiles};
use crate::prepare::broken::Broken;
use crate::prepare::filled::Known;
use crate::prepare::views::{Views, mixtures, strong_views};
use crate::recipe::{Recipe, Select};
use crate::run::ValOrigin;
use crate::soft_labels::SoftLabels;
use crate::{Error, Result};

/// What a training reads.
pub struct Prepared {
    /// Names, word vectors, co-occurrence of the training rows.
    pub categories: Categories,
    /// The training file with the partial labels: all that is ever seen of them.
    pub annotations: Annotations,
    /// Probable ones among the unknown labels.
    pub soft: SoftLabels,
    /// Whether labels that a run filled in are learned from, known or soft.
    pub learns_from_filled: bool,
    /// Rows to train on.
    pub rows: Vec<usize>,
    /// The images that validate, those of `val.csv` or those held out; none where the test set selects.
    pub validation: Option<Annotations>,
    /// The `val.csv` that they are read from.
    pub val_file: Option<ValOrigin>,
    /// What the best epoch is selected on: the images that validate or, as the official code, the test set.
    pub selection: Selection,
    /// Images or maps of all rows.
    pub examples: Arc<dyn Examples>,
    /// Where the maps that the head reads come from.
    pub source: MapSource,
    /// Channels F of the maps that the head reads.
    pub channels: usize,
    /// Hash of the labels and image paths.
    pub fingerprint: String,
    /// Images of the training file, then of `val.csv`, that cannot be read and are left out as the user allows.
    pub skipped: Vec<Broken>,
    /// What a person should know before the training starts.
    pub notes: Vec<String>,
    /// What makes the result worth little.
    pub warnings: Vec<String>,
}

/// Examples that epochs are compared on.
pub struct Selection {
    /// Their images or maps.
    pub examples: Arc<dyn Examples>,
    /// Which of the examples.
    pub rows: Vec<usize>,
    /// What is known of those rows.
    pub labels: LabelMatrix,
}

/// Opens data and backbone for a training.
///
/// # Errors
/// What is wrong with the inputs; [`Error::Stopped`] once `cancel` asks for it.
pub fn prepare(
    recipe: &Recipe,
    inputs: &Inputs,
    device: &Device,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<Prepared> {
    one_source(inputs)?;
    needs_no_weights(recipe, inputs)?;
    selectable(recipe, inputs)?;
    recipe.check_trained_products(inputs.features.is_some(), device)?;
    let mut annotations = dataset::open_split(&inputs.data, Split::Train)?;
    let mut known = Known::of(&annotations, recipe)?;
    let images = annotations.images.len();
    annotations.labels = known.labels.clone();
    let (annotations, skipped) = broken::left_out(annotations, inputs, cancel)?;
    if !skipped.is_empty() {
        known = known.select(&broken::whole(&skipped, images));
    }
    let (val, skipped_val) = val_file::open_whole(recipe, inputs, &annotations, cancel)?;
    let (rows, held_out) = annotations.split_validation(recipe.data.validation.held_out(), recipe.seed);
    few_enough_for_a_graph(recipe, annotations.categories.len())?;
    let words = word_vectors(inputs, &annotations)?;
    let (mut notes, mut warnings) =
        told(recipe, inputs, &annotations, words.as_ref(), val.as_ref(), held_out.len())?;
    notes.extend(known.note.clone());
    let categories = Categories::new(
        annotations.categories.clone(),
        words,
        &annotations.labels.select(&rows),
        recipe.data.cooccurrence,
    );

    let fingerprint = known.fingerprint(&annotations);
    if inputs.features.is_none()
        && recipe.backbone.freeze == Freeze::All
        && recipe.data.augment
        && recipe.backbone.views == 0
    {
        notes.push(
            "backbone.views is 0: the head is trained on the test-time view of each image alone".into(),
        );
    }
    let opening = Opening { recipe, inputs, device, events, cancel };
    let opened = opening.open(&annotations.images, &rows);
    let opened = opened.map_err(|error| match inputs.features {
        Some(_) => error,
        None => broken::all(error, &annotations, cancel),
    })?;
    if let MapSource::Frozen(extractor) = &opened.source {
        notes.extend(extractor.note(recipe));
    }
    let channels = match &opened.source {
        MapSource::Trained(backbone) => backbone.channels(),
        MapSource::Frozen(_) | MapSource::Given(_) => opened.examples.shape()[0],
    };
    let selection = match (recipe.train.select, &val) {
        (Select::Test, _) => {
            notes.push(
                "the best epoch is chosen on the test set, as the official code does: its result is optimistic"
                    .into(),
            );
            let test = dataset::open_split(&inputs.data, Split::Test)?;
            opening.selection(
                &test.aligned(&annotations.categories, &annotations.source)?,
                &opened,
                channels,
            )?
        }
        (_, Some(val)) => {
            let selection = opening.selection(val, &opened, channels);
            selection.map_err(|error| match inputs.val_features {
                Some(_) => error,
                None => broken::all(error, val, cancel),
            })?
        }
        (_, None) => Selection {
            examples: opened.examples.clone(),
            labels: known.given().select(&held_out),
            rows: held_out.clone(),
        },
    };
    warnings.extend(broken::warning(&skipped, &skipped_val));
    let positives = selection.labels.count(Label::Positive);
    // Of val.csv and of the test images it is said elsewhere.
    let held_out_select = !held_out.is_empty() && !matches!(recipe.train.select, Select::Last | Select::Test);
    if held_out_select && val.is_none() && positives == 0 && recipe.train.epochs > 0 {
        warnings.push(format!(
            "no positive is known among the {} images that validate: their mAP cannot be measured, and the best epoch \
             is chosen on negatives alone; a larger data.validation, or a val.csv, may hold some",
            held_out.len()
        ));
    }
    let val_file = val.as_ref().map(|val| val_file::origin(val, inputs)).transpose()?;
    let given = || Annotations { labels: known.given().select(&held_out), ..annotations.select(&held_out) };
    let validation = val.or_else(|| (!held_out.is_empty()).then(given));
    Ok(Prepared {
        skipped: [skipped, skipped_val].concat(),
        learns_from_filled: known.learns_from_filled(),
        soft: known.soft,
        categories,
        annotations,
        rows,
        validation,
        val_file,
        selection,
        examples: opened.examples,
        source: opened.source,
        channels,
        fingerprint,
        notes,
        warnings,
    })
}

/// Refuses features and a backbone's weights together.
pub fn one_source(inputs: &Inputs) -> Result<()> {
    match inputs.features.is_some() && inputs.weights.is_some() {
        true => Err(Error::Usage(
            "--features are read in place of images, so --weights has no use; give one of them".into(),
        )),
        false => Ok(()),
    }
}

/// Refuses weights beside a network that has its own.
///
/// # Errors
/// [`Error::Usage`] for both.
pub fn needs_no_weights(recipe: &Recipe, inputs: &Inputs) -> Result<()> {
    match (&recipe.backbone.onnx, &inputs.weights) {
        (Some(file), Some(_)) => Err(Error::Usage(format!(
            "backbone.onnx is {}, which has its weights, so --weights has no use; leave it out",
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// The word vectors that are given, or those of the data folder.
pub fn word_vectors(inputs: &Inputs, annotations: &Annotations) -> Result<Option<Words>> {
    Ok(match &inputs.words {
        Some(path) => Some(Words::read(path, &annotations.categories)?),
        None => Words::in_folder(&inputs.data, &annotations.categories)?,
    })
}

/// Refuses a method that reads the graph of its categories where there are too many for one.
fn few_enough_for_a_graph(recipe: &Recipe, categories: usize) -> Result<()> {
    let most = Categories::MOST_IN_GRAPH;
    if categories <= most || !recipe.method.reads_graph() {
        return Ok(());
    }
    Err(Error::Recipe(format!(
        "{} reads a graph of all pairs of categories, which is made of at most {most}, and there are {categories}; \
         choose fewer, or a method without one, such as \"linear\" or \"bce\"",
        recipe.method.name()
    )))
}

/// Refuses to select on the test images where there are features in place of images.
pub fn selectable(recipe: &Recipe, inputs: &Inputs) -> Result<()> {
    let impossible = recipe.train.select == Select::Test && inputs.features.is_some();
    if impossible { Err(no_test_images()) } else { Ok(()) }
}

fn no_test_images() -> Error {
    Error::Usage(
        "protocol = \"reference\" selects on the test images, but --features holds those of the training file only"
            .into(),
    )
}

/// The examples of a training file.
struct Opened {
    source: MapSource,
    /// The trunk whose maps they are, where they are that.
    trunk: Option<Extractor>,
    examples: Arc<dyn Examples>,
}

/// What opening examples takes.
struct Opening<'a> {
    recipe: &'a Recipe,
    inputs: &'a Inputs,
    device: &'a Device,
    events: &'a dyn Fn(Event<'_>),
    cancel: &'a Cancel,
}

impl Opening<'_> {
    /// The user's features, or the images `paths`; through what is frozen of a backbone, their cached maps. Of
    /// the training `rows`, mixed ones where the method mixes images.
    fn open(&self, paths: &[PathBuf], rows: &[usize]) -> Result<Opened> {
        let Self { recipe, inputs, .. } = self;
        let draw = mixtures(recipe, inputs, rows)?;
        let read = Views {
            count: recipe.backbone.views,
            strong: strong_views(recipe, inputs)?,
            mixing: draw.as_ref(),
        };
        if let Some(file) = &inputs.features {
            let features = Features::open(file, paths.len())?;
            let source = MapSource::Given(weights::fingerprint(file)?);
            return Ok(Opened { source, trunk: None, examples: Arc::new(features) });
        }
        let weights = inputs.weights.as_deref();
        if let Some(extractor) = frozen_extractor(recipe, weights, self.device)? {
            let examples = self.maps_of(&extractor, paths, read)?;
            return Ok(Opened { source: MapSource::Frozen(extractor), trunk: None, examples });
        }
        let backbone = load_backbone(recipe, weights, self.device)?;
        if recipe.backbone.caches_trunk() {
            let trunk = trunk_extractor(&backbone, recipe, weights)?;
            let examples = self.maps_of(&trunk, paths, read)?;
            return Ok(Opened { source: MapSource::Trained(backbone), trunk: Some(trunk), examples });
        }
        let images = images_of(recipe.data.size_px, paths);
        let examples = match draw {
            Some(draw) => Arc::new(MixedImages::new(images, draw)),
            None => images,
        };
        Ok(Opened { source: MapSource::Trained(backbone), trunk: None, examples })
    }

    fn maps_of(
        &self,
        extractor: &Extractor,
        paths: &[PathBuf],
        Views { count: views, strong, mixing }: Views<'_>,
    ) -> Result<Arc<dyn Examples>> {
        let Self { recipe, inputs, device, events, cancel } = self;
        let (size_px, cache) = (recipe.data.size_px, &inputs.cache);
        extractor
            .maps_of(paths, &MapReading { size_px, views, strong, mixing, cache, device, events, cancel })
    }

    /// Epochs are compared on all of the images of a file, as they are seen at test time.
    fn selection(&self, annotations: &Annotations, opened: &Opened, channels: usize) -> Result<Selection> {
        let images = &annotations.images;
        let examples = match (&opened.source, &opened.trunk) {
            (MapSource::Given(_), _) => {
                let path =
                    self.inputs.val_features.as_deref().expect("val.csv has features where train.csv has");
                Arc::new(Features::open_for(path, images.len(), channels)?)
            }
            (MapSource::Frozen(extractor), _) | (MapSource::Trained(_), Some(extractor)) => {
                self.maps_of(extractor, images, Views::default())?
            }
            (MapSource::Trained(_), None) => images_of(self.recipe.data.size_px, images),
        };
        Ok(Selection { examples, rows: (0..images.len()).collect(), labels: annotations.labels.clone() })
    }
}

/// Images of files, decoded and transformed anew at each reading.
pub fn images_of(size_px: usize, paths: &[PathBuf]) -> Arc<dyn Examples> {
    Arc::new(ImageFiles { paths: paths.to_vec(), transform: Transform::for_size(size_px) })
}

/// Hash of labels, image paths seen from their file, and categories.
pub fn fingerprint(annotations: &Annotations) -> String {
    fingerprint_of(annotations, &annotations.labels)
}

/// The same with other `labels` of its images.
fn fingerprint_of(annotations: &Annotations, labels: &LabelMatrix) -> String {
    let mut hash = blake3::Hasher::new();
    let folder = sarb_labels::files::folder_of(&annotations.source);
    for (row, path) in annotations.images.iter().enumerate() {
        let name = path.strip_prefix(folder).unwrap_or(path).as_os_str().as_encoded_bytes();
        hash.update(&(name.len() as u64).to_le_bytes()).update(name);
        let (known, positive) = labels.planes(row);
        known.iter().chain(positive).for_each(|word| {
            hash.update(&word.to_le_bytes());
        });
    }
    for name in &annotations.categories {
        hash.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }
    hash.finalize().to_hex()[..16].to_string()
}

#[cfg(test)]
mod tests;
