//! From a recipe and a data folder to what the loop reads: labels are hidden, the validation split
//! is taken, the backbone is loaded, and where it is wholly frozen its maps are computed once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::data::categories::Categories;
use crate::data::feature_cache::{CacheSpec, cached_maps};
use crate::data::features::Features;
use crate::data::labels::{Label, LabelMatrix};
use crate::data::loader::{Examples, ImageFiles};
use crate::data::mixed_maps::{MixtureDraw, with_mixtures};
use crate::data::transform::Transform;
use crate::data::words::Words;
use crate::data::{self, Annotations};
use crate::interrupt;
use crate::nn::backbone::{Backbone, FoldedBackbone, Freeze};
use crate::nn::weights;
use crate::recipe::{Recipe, Select};
use crate::{Error, Result};

/// Where a command finds its inputs: what the command line says beside the recipe.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The data folder.
    pub data: PathBuf,
    /// Pretrained weights of the backbone.
    pub weights: Option<PathBuf>,
    /// Word vectors, in place of the data folder's.
    pub words: Option<PathBuf>,
    /// The user's own features, in place of images.
    pub features: Option<PathBuf>,
    /// Where feature maps are cached.
    pub cache: Cache,
}

/// Where feature maps are cached, and how much they may take.
#[derive(Debug, Clone)]
pub struct Cache {
    /// The folder.
    pub dir: PathBuf,
    /// Its size limit in bytes.
    pub limit_bytes: u64,
}

/// A wholly frozen backbone, kept beside the model, with the key of its cached maps.
#[derive(Debug)]
pub struct Extractor {
    /// The network.
    pub network: FoldedBackbone,
    /// Name and weights, as part of the cache key.
    pub key: String,
}

/// What a training reads.
pub struct Prepared {
    /// Names, word vectors, co-occurrence of the training rows.
    pub categories: Categories,
    /// The training file with the partial labels: all that is ever seen of them.
    pub annotations: Annotations,
    /// Rows to train on.
    pub rows: Vec<usize>,
    /// Rows held out of the training.
    pub validation: Vec<usize>,
    /// What the best epoch is selected on: the rows held out or, as the official code, the test set.
    pub selection: Selection,
    /// Images or maps of all rows.
    pub examples: Arc<dyn Examples>,
    /// The frozen backbone, if maps come from one.
    pub extractor: Option<Extractor>,
    /// The backbone that is trained, if one is.
    pub backbone: Option<Backbone>,
    /// Channels F of the maps that the head reads.
    pub channels: usize,
    /// Hash of the labels and image paths.
    pub fingerprint: String,
    /// What a person should know before the training starts.
    pub notes: Vec<String>,
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
pub fn prepare(recipe: &Recipe, sources: &Sources, device: &Device) -> Result<Prepared> {
    if sources.features.is_some() && sources.weights.is_some() {
        return Err(Error::Usage(
            "--features are read in place of images, so --weights has no use; give one of them".into(),
        ));
    }
    let mut annotations = data::open_split(&sources.data, data::Split::Train)?;
    annotations.labels = annotations.labels.hide(recipe.data.known, recipe.data.mask_seed);
    if annotations.labels.count(Label::Positive) == 0 {
        return Err(Error::Data(format!(
            "{}: no known positive label is left of {} images; raise data.known ({}) or label more",
            annotations.source.display(),
            annotations.labels.images(),
            recipe.data.known
        )));
    }
    let (rows, validation) = annotations.split_validation(recipe.data.validation, recipe.seed);
    let words = match &sources.words {
        Some(path) => Some(Words::read(path, &annotations.categories)?),
        None => Words::in_folder(&sources.data, &annotations.categories)?,
    };
    let mut notes = notes(&annotations, words.is_none(), &recipe.data);
    if let Some(words) = &words {
        notes.extend(words.warnings.iter().cloned());
    }
    let categories = Categories::new(
        annotations.categories.clone(),
        words,
        &annotations.labels.select(&rows),
        recipe.data.cooccurrence,
    );

    let fingerprint = fingerprint(&annotations);
    if sources.features.is_none()
        && recipe.backbone.freeze == Freeze::All
        && recipe.data.augment
        && recipe.backbone.views == 0
    {
        notes.push(
            "backbone.views is 0: the head is trained on the test-time view of each image alone".into(),
        );
    }
    let Reading { examples, extractor, backbone, channels } =
        open_examples(recipe, sources, &annotations.images, &rows, device)?;
    let selection = match recipe.train.select {
        Select::Test => {
            notes.push(
                "the best epoch is chosen on the test set, as the official code does: its result is optimistic"
                    .into(),
            );
            test_selection(recipe, sources, &annotations, extractor.as_ref(), device)?
        }
        _ => Selection {
            examples: examples.clone(),
            rows: validation.clone(),
            labels: annotations.labels.select(&validation),
        },
    };
    Ok(Prepared {
        categories,
        annotations,
        rows,
        validation,
        selection,
        examples,
        extractor,
        backbone,
        channels,
        fingerprint,
        notes,
    })
}

/// The test set, to select on as the official code does.
fn test_selection(
    recipe: &Recipe,
    sources: &Sources,
    train: &Annotations,
    extractor: Option<&Extractor>,
    device: &Device,
) -> Result<Selection> {
    if sources.features.is_some() {
        return Err(Error::Usage(
            "protocol = \"reference\" selects on the test images, but --features holds those of the training file only".into(),
        ));
    }
    let test =
        data::open_split(&sources.data, data::Split::Test)?.aligned(&train.categories, &train.source)?;
    let examples = match extractor {
        Some(extractor) => maps_of(recipe, &test.images, extractor, 0, &sources.cache, device)?,
        None => images_of(recipe, &test.images),
    };
    Ok(Selection { examples, rows: (0..test.images.len()).collect(), labels: test.labels })
}

/// Where maps come from, and what they are made with.
struct Reading {
    examples: Arc<dyn Examples>,
    extractor: Option<Extractor>,
    backbone: Option<Backbone>,
    channels: usize,
}

/// The user's features, or the images `paths`; through a wholly frozen backbone, their cached maps, of
/// the training `rows` mixed ones too where the method mixes images.
fn open_examples(
    recipe: &Recipe,
    sources: &Sources,
    paths: &[PathBuf],
    rows: &[usize],
    device: &Device,
) -> Result<Reading> {
    if let Some(file) = &sources.features {
        if recipe.method.mixes_pixels().is_some() {
            return Err(Error::Usage(format!(
                "{} mixes images before the backbone, but --features has no images; fm-mixup mixes feature maps",
                recipe.method.name()
            )));
        }
        let features = Features::open(file, paths.len())?;
        let channels = features.shape()[0];
        return Ok(Reading { examples: Arc::new(features), extractor: None, backbone: None, channels });
    }
    let backbone = load_backbone(recipe, sources.weights.as_deref(), device)?;
    let channels = backbone.channels();
    if recipe.backbone.freeze != Freeze::All {
        let examples = images_of(recipe, paths);
        return Ok(Reading { examples, extractor: None, backbone: Some(backbone), channels });
    }
    let weights = sources.weights.as_deref().expect("a frozen backbone has weights");
    let extractor =
        Extractor { key: key(recipe, &weights::fingerprint(weights)?), network: backbone.folded() };
    let draw = recipe.method.mixes_pixels().map(|mixing| MixtureDraw {
        rows: rows.to_vec(),
        seed: recipe.seed,
        concentration: mixing.concentration,
    });
    let views = recipe.backbone.views;
    let examples =
        maps_and_mixtures_of(recipe, paths, &extractor, views, draw.as_ref(), &sources.cache, device)?;
    Ok(Reading { examples, extractor: Some(extractor), backbone: None, channels })
}

/// Images of files, decoded and transformed anew at each reading.
pub fn images_of(recipe: &Recipe, paths: &[PathBuf]) -> Arc<dyn Examples> {
    Arc::new(ImageFiles { paths: paths.to_vec(), transform: Transform::for_size(recipe.data.size_px) })
}

/// Feature maps of files through a frozen backbone: from the cache, and into it.
pub fn maps_of(
    recipe: &Recipe,
    paths: &[PathBuf],
    extractor: &Extractor,
    views: usize,
    cache: &Cache,
    device: &Device,
) -> Result<Arc<dyn Examples>> {
    maps_and_mixtures_of(recipe, paths, extractor, views, None, cache, device)
}

/// [`maps_of`], with as many views of mixed images where `draw` says who is mixed with whom.
fn maps_and_mixtures_of(
    recipe: &Recipe,
    paths: &[PathBuf],
    extractor: &Extractor,
    views: usize,
    draw: Option<&MixtureDraw>,
    cache: &Cache,
    device: &Device,
) -> Result<Arc<dyn Examples>> {
    let size = recipe.data.size_px;
    let side = extractor.network.backbone().map_size(size);
    let spec = CacheSpec {
        dir: cache.dir.clone(),
        limit_bytes: cache.limit_bytes,
        extractor: extractor.key.clone(),
        transform: Transform::for_size(size),
        views,
    };
    let mut extract = |pixels: &[f32], images: usize| {
        let data = TensorData::new(pixels.to_vec(), [images, 3, size, size]);
        let maps = extractor.network.forward(Tensor::<4>::from_data(data, device));
        Ok(maps.into_data().try_into_vec::<f32>().expect("maps are f32"))
    };
    let bar = crate::console::progress_bar("feature maps");
    let mut progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        match interrupt::flag().load(Ordering::Relaxed) {
            true => Err(Error::Stopped),
            false => Ok(()),
        }
    };
    let shape = [extractor.network.backbone().channels(), side, side];
    let maps = cached_maps(&spec, paths, shape, &mut extract, &mut progress)?;
    let maps: Arc<dyn Examples> = match draw {
        Some(draw) => Arc::new(with_mixtures(maps, &spec, paths, draw, &mut extract, &mut progress)?),
        None => Arc::new(maps),
    };
    bar.finish_and_clear();
    Ok(maps)
}

fn load_backbone(recipe: &Recipe, weights: Option<&Path>, device: &Device) -> Result<Backbone> {
    let r = &recipe.backbone;
    let backbone = initial_backbone(recipe, device);
    let backbone = match weights {
        Some(path) => backbone.load(path)?,
        None if r.freeze == Freeze::None => backbone,
        None => {
            return Err(Error::Missing(format!(
                "backbone.freeze = \"{}\" keeps {} as it was trained before, so it needs --weights FILE (.pth or .safetensors); backbone.freeze = \"none\" trains it from scratch",
                r.freeze, r.name
            )));
        }
    };
    if backbone.map_size(recipe.data.size_px) == 0 {
        return Err(Error::Recipe(format!(
            "data.size_px is {}, too small for {}{}: nothing is left of the image",
            recipe.data.size_px,
            r.name,
            if r.pool { " with backbone.pool = true" } else { "" }
        )));
    }
    Ok(frozen(backbone, recipe))
}

/// The recipe's backbone with initial weights that depend on its seed alone.
pub fn initial_backbone(recipe: &Recipe, device: &Device) -> Backbone {
    // Burn draws weights from a generator of the device when they are first read.
    device.seed(recipe.seed);
    Backbone::new(recipe.backbone.name, device).with_pool(recipe.backbone.pool).materialize()
}

/// The backbone with the parts frozen that the recipe freezes.
pub fn frozen(backbone: Backbone, recipe: &Recipe) -> Backbone {
    let backbone = backbone.freeze(recipe.backbone.freeze);
    if recipe.backbone.freeze_batch_norm { backbone.freeze_batch_norm() } else { backbone }
}

fn key(recipe: &Recipe, weights: &str) -> String {
    let pool = if recipe.backbone.pool { "-pooled" } else { "" };
    format!("{}{pool}-{}", recipe.backbone.name, &weights[..16.min(weights.len())])
}

fn fingerprint(annotations: &Annotations) -> String {
    let mut hash = blake3::Hasher::new();
    let folder = crate::files::folder_of(&annotations.source);
    for (row, path) in annotations.images.iter().enumerate() {
        let name = path.strip_prefix(folder).unwrap_or(path).as_os_str().as_encoded_bytes();
        hash.update(&(name.len() as u64).to_le_bytes()).update(name);
        let (known, positive) = annotations.labels.planes(row);
        known.iter().chain(positive).for_each(|word| {
            hash.update(&word.to_le_bytes());
        });
    }
    for name in &annotations.categories {
        hash.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }
    hash.finalize().to_hex()[..16].to_string()
}

fn notes(annotations: &Annotations, words_learned: bool, recipe: &crate::recipe::DataRecipe) -> Vec<String> {
    let labels = &annotations.labels;
    let mut notes = vec![format!(
        "{} images, {} categories, {:.0} % of the labels kept: {} positive, {} negative, {} unknown",
        labels.images(),
        labels.categories(),
        100.0 * recipe.known,
        labels.count(Label::Positive),
        labels.count(Label::Negative),
        labels.count(Label::Unknown)
    )];
    let without = |pick: fn(&(usize, usize)) -> bool| -> Vec<&str> {
        let counts = labels.counts();
        counts
            .iter()
            .zip(&annotations.categories)
            .filter(|(c, _)| pick(c))
            .map(|(_, name)| name.as_str())
            .collect()
    };
    let no_positive = without(|&(positive, _)| positive == 0);
    if !no_positive.is_empty() {
        notes.push(format!("no known positive, so these cannot be learned: {}", no_positive.join(", ")));
    }
    let no_negative = without(|&(positive, known)| positive == known && known > 0);
    if !no_negative.is_empty() {
        notes.push(format!(
            "no known negative, so these are learned from positives alone: {}",
            no_negative.join(", ")
        ));
    }
    if words_learned {
        notes.push("no word vectors given: they are learned with the rest".into());
    }
    notes
}
