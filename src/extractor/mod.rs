//! Where the feature maps that a head reads come from.

mod onnx;

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::images::transform::{PixelStatistics, Transform};

use crate::backbone::descriptor::Descriptor;
use crate::backbone::{Backbone, FoldedBackbone, Freeze, weights};
use crate::cache::limit::check_limit;
use crate::cache::mixtures::{survey_mixtures, with_mixtures};
use crate::cache::{CacheSpec, Survey, cached_maps, survey};
use crate::cancel::Cancel;
use crate::events::Event;
use crate::inputs::Cache;
use crate::loader::Examples;
use crate::loader::mixing::MixtureDraw;
use crate::onnx::OnnxNetwork;
use crate::recipe::{BackboneRecipe, Recipe};
use crate::{Error, Result};

pub use onnx::NetworkOrigin;

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

    /// Widths of the blocks that its features are made of, where they are descriptors.
    pub fn blocks(&self) -> Option<Vec<usize>> {
        match self {
            MapSource::Frozen(extractor) => extractor.blocks(),
            MapSource::Trained(_) | MapSource::Given(_) => None,
        }
    }

    /// Whether an example is an image for the model itself, not a map.
    pub fn trains_on_images(&self) -> bool {
        self.trained().is_some()
    }
}

/// A wholly frozen network with the key of its cached maps.
#[derive(Debug)]
pub struct Extractor {
    network: Network,
    descriptor: Option<Descriptor>,
    key: String,
    statistics: PixelStatistics,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
enum Network {
    /// A backbone of this program, which a run keeps.
    Backbone(FoldedBackbone),
    /// A file in ONNX form, which a run names.
    Onnx(OnnxNetwork, NetworkOrigin),
}

impl Extractor {
    /// Of a backbone whose weights are those of the file `weights`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn new(backbone: &Backbone, recipe: &BackboneRecipe, weights: &Path) -> Result<Self> {
        let pool = if recipe.pool { "-pooled" } else { "" };
        let hash = weights::fingerprint(weights)?;
        let descriptor = recipe.descriptor.as_ref().map_or(String::new(), |it| format!("-{}", it.describe()));
        let key = format!("{}{pool}{descriptor}-{}", recipe.name, &hash[..16.min(hash.len())]);
        Self::of_backbone(backbone, recipe, weights, key)
    }

    /// The backbone that a run keeps in `path`, under the key that it was trained with.
    ///
    /// # Errors
    /// What loading weights says.
    pub fn load(path: &Path, key: String, recipe: &BackboneRecipe, initial: Backbone) -> Result<Self> {
        Self::of_backbone(&initial.load(path)?.freeze(Freeze::All), recipe, path, key)
    }

    fn of_backbone(
        backbone: &Backbone,
        recipe: &BackboneRecipe,
        weights: &Path,
        key: String,
    ) -> Result<Self> {
        let descriptor = recipe.descriptor.as_ref();
        let descriptor = descriptor.map(|it| Descriptor::open(it, backbone, weights)).transpose()?;
        let network = Network::Backbone(backbone.folded());
        Ok(Self { network, descriptor, key, statistics: PixelStatistics::IMAGENET })
    }

    /// The network in ONNX form of the recipe's `file`.
    ///
    /// # Errors
    /// What reading the file and loading the network says.
    pub fn onnx(recipe: &Recipe, file: &Path) -> Result<Self> {
        let (network, origin, key) = onnx::open(recipe, file)?;
        Ok(Self::of_onnx(recipe, network, origin, key))
    }

    /// The network in ONNX form that a run in the folder `run` needs, under the key that it was trained with.
    ///
    /// # Errors
    /// [`Error::Missing`] without it, [`Error::Incompatible`] if another has taken its place.
    pub fn onnx_of_run(recipe: &Recipe, origin: NetworkOrigin, key: String, run: &Path) -> Result<Self> {
        let network = onnx::open_for_run(recipe, &origin, run)?;
        Ok(Self::of_onnx(recipe, network, origin, key))
    }

    fn of_onnx(recipe: &Recipe, network: OnnxNetwork, origin: NetworkOrigin, key: String) -> Self {
        let statistics = recipe.backbone.normalization.unwrap_or_default().statistics();
        Self { network: Network::Onnx(network, origin), descriptor: None, key, statistics }
    }

    /// Saves the weights of a backbone that a run keeps; a network in ONNX form stays where it is.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self, path: &Path) -> Result<()> {
        match &self.network {
            Network::Backbone(network) => match &self.descriptor {
                Some(descriptor) => descriptor.keep(network.backbone(), path),
                None => network.backbone().save(path),
            },
            Network::Onnx(..) => Ok(()),
        }
    }

    /// The backbone of this program.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is a network in ONNX form.
    pub fn backbone(&self) -> Result<&Backbone> {
        match &self.network {
            Network::Backbone(network) => Ok(network.backbone()),
            Network::Onnx(_, NetworkOrigin { file, .. }) => Err(Error::Usage(format!(
                "the backbone of this run is a network in ONNX form, {}; copy that file",
                file.display()
            ))),
        }
    }

    /// Name and weights, as part of the key of cached maps.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Which file in ONNX form it is, if it is one.
    pub fn origin(&self) -> Option<&NetworkOrigin> {
        match &self.network {
            Network::Backbone(_) => None,
            Network::Onnx(_, origin) => Some(origin),
        }
    }

    /// What a person should know of a network whose file does not say all that matters.
    pub fn note(&self, recipe: &Recipe) -> Option<String> {
        let Network::Onnx(network, origin) = &self.network else { return None };
        let [channels, height, width] = network.shape();
        Some(format!(
            "{}: images of {} px, normalized with {}, become maps of {channels} channels, {height} × {width}",
            origin.file.display(),
            recipe.data.size_px,
            recipe.backbone.normalization.unwrap_or_default(),
        ))
    }

    /// How images of `size_px` are made for it.
    pub fn transform(&self, size_px: usize) -> Transform {
        Transform::for_size(size_px).normalized_with(self.statistics)
    }

    /// Widths of the blocks that its features are made of, where it gives descriptors.
    pub fn blocks(&self) -> Option<Vec<usize>> {
        match (&self.network, &self.descriptor) {
            (Network::Backbone(network), Some(it)) => Some(it.widths(network.backbone().channels())),
            _ => None,
        }
    }

    /// Shape `[F, H, W]` of the maps of images of `size_px`.
    fn map_shape(&self, size_px: usize) -> [usize; 3] {
        if let Some(widths) = self.blocks() {
            return [widths.into_iter().sum(), 1, 1];
        }
        match &self.network {
            Network::Backbone(network) => {
                let side = network.backbone().map_size(size_px);
                [network.backbone().channels(), side, side]
            }
            Network::Onnx(network, _) => network.shape(),
        }
    }

    /// Maps of images, `[B, 3, S, S] -> [B, F, H, W]`.
    ///
    /// # Errors
    /// If a network in ONNX form fails on them, or gives values that are not finite.
    pub fn forward(&self, images: Tensor<4>) -> Result<Tensor<4>> {
        match &self.network {
            Network::Backbone(network) => Ok(self.maps(network, images)),
            Network::Onnx(network, NetworkOrigin { file, .. }) => {
                let (device, count) = (images.device(), images.dims()[0]);
                let [channels, height, width] = network.shape();
                let pixels = images.into_data().try_into_vec::<f32>().expect("images are f32");
                let maps = network.maps(&pixels, count)?;
                if let Some(value) = maps.iter().find(|value| !value.is_finite()) {
                    let shown = file.display();
                    return Err(Error::Data(format!("{shown}: gives {value} for this image")));
                }
                let data = TensorData::new(maps, [count, channels, height, width]);
                Ok(Tensor::from_data(data, &device))
            }
        }
    }

    /// Maps of a backbone, or descriptors in their place.
    fn maps(&self, network: &FoldedBackbone, images: Tensor<4>) -> Tensor<4> {
        match &self.descriptor {
            Some(descriptor) => descriptor.forward(network, images),
            None => network.forward(images),
        }
    }

    /// `b × 3 × S × S` values of images `-> b × F × H × W`.
    fn extract(&self, pixels: &[f32], images: usize, size_px: usize, device: &Device) -> Result<Vec<f32>> {
        match &self.network {
            Network::Backbone(network) => {
                let data = TensorData::new(pixels.to_vec(), [images, 3, size_px, size_px]);
                let maps = self.maps(network, Tensor::<4>::from_data(data, device));
                Ok(maps.into_data().try_into_vec::<f32>().expect("maps are f32"))
            }
            Network::Onnx(network, _) => network.maps(pixels, images),
        }
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
        let MapReading { size_px, mixing, device, .. } = reading;
        let spec = self.cache_spec(reading);
        let mut extract = |pixels: &[f32], images: usize| self.extract(pixels, images, *size_px, device);
        let mut progress = |done: usize, total: usize| {
            (reading.events)(Event::Maps { done, total });
            reading.cancel.check()
        };
        let maps = cached_maps(&spec, paths, self.map_shape(*size_px), &mut extract, &mut progress)?;
        Ok(match mixing {
            Some(draw) => Arc::new(with_mixtures(maps, &spec, paths, draw, &mut extract, &mut progress)?),
            None => Arc::new(maps),
        })
    }

    /// What [`maps_of`](Self::maps_of) would compute; the cache is not touched.
    ///
    /// # Errors
    /// If an image or the cache cannot be read; [`Error::Usage`] when the maps do not fit the cache's limit;
    /// [`Error::Stopped`] once `cancel` asks for it.
    pub fn survey(&self, paths: &[std::path::PathBuf], reading: &MapReading<'_>) -> Result<Survey> {
        let (spec, shape) = (self.cache_spec(reading), self.map_shape(reading.size_px));
        let mut progress = |_: usize, _: usize| reading.cancel.check();
        let plain = survey(&spec, paths, shape, &mut progress)?;
        check_limit(&spec.dir, spec.limit_bytes, plain.bytes)?;
        let Some(draw) = reading.mixing else { return Ok(plain) };
        let mixed = survey_mixtures(&spec, paths, shape, draw, &mut progress)?;
        Ok(Survey {
            wanted: plain.wanted + mixed.wanted,
            missing: plain.missing + mixed.missing,
            bytes: plain.bytes + mixed.bytes,
            missing_bytes: plain.missing_bytes + mixed.missing_bytes,
        })
    }

    fn cache_spec(&self, reading: &MapReading<'_>) -> CacheSpec {
        CacheSpec {
            dir: reading.cache.dir.clone(),
            limit_bytes: reading.cache.limit_bytes,
            extractor: self.key.clone(),
            transform: self.transform(reading.size_px),
            views: reading.views,
        }
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

/// The wholly frozen network of a recipe, whose maps are cached; none where its backbone is trained.
///
/// # Errors
/// Those of [`Extractor::onnx`], [`load_backbone`] and [`Extractor::new`].
pub fn frozen_extractor(
    recipe: &Recipe,
    weights: Option<&Path>,
    device: &Device,
) -> Result<Option<Extractor>> {
    if let Some(file) = &recipe.backbone.onnx {
        return Extractor::onnx(recipe, file).map(Some);
    }
    if recipe.backbone.freeze != Freeze::All {
        return Ok(None);
    }
    let backbone = load_backbone(recipe, weights, device)?;
    let weights = weights.expect("a frozen backbone has weights");
    Extractor::new(&backbone, &recipe.backbone, weights).map(Some)
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
