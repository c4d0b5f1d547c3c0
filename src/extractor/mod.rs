//! Where the feature maps that a head reads come from.

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::images::transform::Transform;

use crate::backbone::{Backbone, FoldedBackbone, Freeze, weights};
use crate::cache::mixtures::with_mixtures;
use crate::cache::{CacheSpec, cached_maps};
use crate::cancel::Cancel;
use crate::events::Event;
use crate::inputs::Cache;
use crate::loader::Examples;
use crate::loader::mixing::MixtureDraw;
use crate::recipe::{BackboneRecipe, Recipe};
use crate::{Error, Result};

/// Where the feature maps that a head reads come from.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
pub enum MapSource {
    /// Images through a wholly frozen backbone, which is kept beside the model; its maps are cached.
    Frozen(Extractor),
    /// Images through a backbone that is trained with the head and kept in its checkpoints.
    Trained(Backbone),
    /// The user's own features, from a file with this hash; there is no backbone.
    Given(String),
}

impl MapSource {
    /// The backbone that is part of the model.
    pub fn trained(&self) -> Option<&Backbone> {
        match self {
            MapSource::Trained(backbone) => Some(backbone),
            MapSource::Frozen(_) | MapSource::Given(_) => None,
        }
    }

    /// Whether an example is an image for the model itself, not a map.
    pub fn trains_on_images(&self) -> bool {
        self.trained().is_some()
    }
}

/// A wholly frozen backbone with the key of its cached maps.
#[derive(Debug)]
pub struct Extractor {
    network: FoldedBackbone,
    key: String,
}

impl Extractor {
    /// Of a backbone whose weights are those of the file `weights`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn new(backbone: &Backbone, recipe: &BackboneRecipe, weights: &Path) -> Result<Self> {
        let pool = if recipe.pool { "-pooled" } else { "" };
        let hash = weights::fingerprint(weights)?;
        let key = format!("{}{pool}-{}", recipe.name, &hash[..16.min(hash.len())]);
        Ok(Self { network: backbone.folded(), key })
    }

    /// The backbone that a run keeps in `path`, under the key that it was trained with.
    ///
    /// # Errors
    /// What loading weights says.
    pub fn load(path: &Path, key: String, initial: Backbone) -> Result<Self> {
        Ok(Self { network: initial.load(path)?.freeze(Freeze::All).folded(), key })
    }

    /// Saves the weights.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.network.backbone().save(path)
    }

    /// Name and weights, as part of the key of cached maps.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Channels F of its maps.
    pub fn channels(&self) -> usize {
        self.network.backbone().channels()
    }

    /// Maps of images, `[B, 3, S, S] -> [B, F, H, W]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.network.forward(images)
    }

    /// Maps of files of `size_px`: from the cache, and into it. Beside the test-time view there are
    /// `views` augmented ones, and as many mixed ones where `mixing` draws who is mixed with whom.
    ///
    /// # Errors
    /// What reading an image or writing the cache says; [`Error::Stopped`] once `cancel` asks for it.
    pub fn maps_of(
        &self,
        paths: &[std::path::PathBuf],
        reading: &MapReading<'_>,
    ) -> Result<Arc<dyn Examples>> {
        let MapReading { size_px, views, mixing, cache, device, .. } = reading;
        let side = self.network.backbone().map_size(*size_px);
        let spec = CacheSpec {
            dir: cache.dir.clone(),
            limit_bytes: cache.limit_bytes,
            extractor: self.key.clone(),
            transform: Transform::for_size(*size_px),
            views: *views,
        };
        let mut extract = |pixels: &[f32], images: usize| {
            let data = TensorData::new(pixels.to_vec(), [images, 3, *size_px, *size_px]);
            let maps = self.network.forward(Tensor::<4>::from_data(data, *device));
            Ok(maps.into_data().try_into_vec::<f32>().expect("maps are f32"))
        };
        let mut progress = |done: usize, total: usize| {
            (reading.events)(Event::Maps { done, total });
            reading.cancel.check()
        };
        let maps = cached_maps(&spec, paths, [self.channels(), side, side], &mut extract, &mut progress)?;
        Ok(match mixing {
            Some(draw) => Arc::new(with_mixtures(maps, &spec, paths, draw, &mut extract, &mut progress)?),
            None => Arc::new(maps),
        })
    }
}

/// How maps of files are read.
pub struct MapReading<'a> {
    /// Side of the images in pixels.
    pub size_px: usize,
    /// Augmented views beside the test-time one.
    pub views: usize,
    /// Who is mixed with whom, where a method mixes images.
    pub mixing: Option<&'a MixtureDraw>,
    /// Where maps are kept.
    pub cache: &'a Cache,
    /// Where they are computed.
    pub device: &'a Device,
    /// Hears how many maps are there.
    pub events: &'a dyn Fn(Event<'_>),
    /// Ends the work; what is computed by then is kept.
    pub cancel: &'a Cancel,
}

/// The recipe's backbone with initial weights that depend on its seed alone.
pub fn initial_backbone(recipe: &Recipe, device: &Device) -> Backbone {
    // Burn draws weights from a generator of the device when they are first read.
    device.seed(recipe.seed);
    Backbone::new(recipe.backbone.name, device).with_pool(recipe.backbone.pool).materialize()
}

/// The backbone with the parts frozen that the recipe freezes.
pub fn frozen(backbone: Backbone, recipe: &BackboneRecipe) -> Backbone {
    let backbone = backbone.freeze(recipe.freeze);
    if recipe.freeze_batch_norm { backbone.freeze_batch_norm() } else { backbone }
}

/// The recipe's backbone with the weights of a file, or with initial ones where nothing of it is frozen.
///
/// # Errors
/// [`Error::Missing`] without weights where some are kept; [`Error::Recipe`] if nothing is left of an
/// image; what loading weights says.
pub fn load_backbone(recipe: &Recipe, weights: Option<&Path>, device: &Device) -> Result<Backbone> {
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
    Ok(frozen(backbone, r))
}
