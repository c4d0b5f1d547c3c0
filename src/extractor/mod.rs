//! Where the feature maps that a head reads come from.

mod loading;
mod onnx;
mod rounding;

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::images::transform::{PixelStatistics, Transform};

use crate::backbone::descriptor::Descriptor;
use crate::backbone::{Backbone, FoldedBackbone, Freeze, weights};
use crate::cache::limit::check_limit;
use crate::cache::mixtures::{survey_mixtures, with_mixtures};
use crate::cache::{CacheEvent, CacheSpec, Survey, cached_maps, survey};
use crate::cancel::Cancel;
use crate::events::Event;
use crate::inputs::Cache;
use crate::kernels::precision::Precision;
use crate::loader::mixing::MixtureDraw;
use crate::loader::{ExampleKind, Examples};
use crate::onnx::OnnxNetwork;
use crate::onnx::graph::{Graph, Value};
use crate::recipe::{BackboneRecipe, Recipe};
use crate::{Error, Result};

pub use loading::{
    cached_extractor, frozen, frozen_extractor, initial_backbone, load_backbone, trunk_extractor,
};
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
}

/// What of a network does not change, with the key of its cached maps.
#[derive(Debug)]
pub struct Extractor {
    network: Network,
    output: Output,
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

/// What it gives for an image.
#[derive(Debug)]
enum Output {
    /// The map of the whole network.
    Map,
    /// The map before the last stage, which is trained.
    TrunkMap,
    /// Pooled blocks of the map.
    Descriptor(Descriptor),
}

impl Extractor {
    /// Of a backbone whose weights are those of the file `weights`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn new(backbone: &Backbone, recipe: &BackboneRecipe, weights: &Path) -> Result<Self> {
        let pool = if recipe.pool { "-pooled" } else { "" };
        let descriptor = recipe.descriptor.as_ref().map_or(String::new(), |it| format!("-{}", it.describe()));
        let key = key(recipe, &format!("{pool}{descriptor}"), weights)?;
        Self::of_backbone(backbone, recipe, weights, key)
    }

    /// Of the trunk of such a backbone alone.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn of_trunk(backbone: &Backbone, recipe: &BackboneRecipe, weights: &Path) -> Result<Self> {
        let key = key(recipe, "-trunk", weights)?;
        let network = Network::Backbone(backbone.folded());
        Ok(Self { network, output: Output::TrunkMap, key, statistics: PixelStatistics::IMAGENET })
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
        let output = match &recipe.descriptor {
            Some(descriptor) => Output::Descriptor(Descriptor::open(descriptor, backbone, weights)?),
            None => Output::Map,
        };
        let network = Network::Backbone(backbone.folded());
        Ok(Self { network, output, key, statistics: PixelStatistics::IMAGENET })
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
        Self { network: Network::Onnx(network, origin), output: Output::Map, key, statistics }
    }

    /// Saves the weights of a backbone that a run keeps; a network in ONNX form stays where it is.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self, path: &Path) -> Result<()> {
        match &self.network {
            Network::Backbone(network) => match &self.output {
                Output::Descriptor(descriptor) => descriptor.keep(network.backbone(), path),
                Output::Map | Output::TrunkMap => network.backbone().save(path),
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
        match (&self.network, &self.output) {
            (Network::Backbone(network), Output::Descriptor(it)) => {
                Some(it.widths(network.backbone().channels()))
            }
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
                if let Output::TrunkMap = self.output {
                    return network.backbone().trunk_shape(size_px);
                }
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

    /// Maps of a backbone, or what is wanted in their place.
    fn maps(&self, network: &FoldedBackbone, images: Tensor<4>) -> Tensor<4> {
        match &self.output {
            Output::Map => network.forward(images),
            Output::TrunkMap => network.forward_trunk(images),
            Output::Descriptor(descriptor) => descriptor.forward(network, images),
        }
    }

    /// [`forward`](Self::forward) in a graph, of normalized images `[3, S, S]`.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is a network in ONNX form.
    pub fn export(&self, graph: &mut Graph, images: &Value) -> Result<Value> {
        let backbone = self.backbone()?;
        Ok(match &self.output {
            Output::Descriptor(descriptor) => descriptor.export(graph, backbone, images),
            Output::Map | Output::TrunkMap => {
                graph.within("backbone", |graph| backbone.export(graph, images))
            }
        })
    }

    /// What normalizes its images.
    pub fn statistics(&self) -> PixelStatistics {
        self.statistics
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
    /// `views` augmented ones, as many strongly augmented ones where they are wanted, and as many mixed ones where `mixing`
    /// draws who is mixed with whom.
    ///
    /// # Errors
    /// What reading an image or writing the cache says; [`Error::Stopped`] once `cancel` asks for it.
    pub fn maps_of(
        &self,
        paths: &[std::path::PathBuf],
        reading: &MapReading<'_>,
    ) -> Result<Arc<dyn Examples>> {
        let MapReading { size_px, mixing, device, .. } = reading;
        let spec = self.cache_spec(reading)?;
        let mut extract = |pixels: &[f32], images: usize| self.extract(pixels, images, *size_px, device);
        let mut hear = |event: CacheEvent<'_>| {
            match event {
                CacheEvent::Maps { done, total } => (reading.events)(Event::Maps { done, total }),
                CacheEvent::Waiting(holder) => {
                    let said = format!(
                        "waiting for {holder}, which computes feature maps of the same network in {}",
                        spec.dir.display()
                    );
                    (reading.events)(Event::Note(&said));
                    (reading.events)(Event::Phase(&said));
                }
                CacheEvent::Pause => {}
            }
            reading.cancel.check()
        };
        let maps = cached_maps(&spec, paths, self.map_shape(*size_px), &mut extract, &mut hear)?;
        Ok(match mixing {
            Some(draw) => Arc::new(with_mixtures(maps, &spec, paths, draw, &mut extract, &mut hear)?),
            None => Arc::new(maps),
        })
    }

    /// What [`maps_of`](Self::maps_of) would compute; the cache is not touched.
    ///
    /// # Errors
    /// If an image or the cache cannot be read; [`Error::Usage`] when the maps do not fit the cache's limit;
    /// [`Error::Stopped`] once `cancel` asks for it.
    pub fn survey(&self, paths: &[std::path::PathBuf], reading: &MapReading<'_>) -> Result<Survey> {
        let (spec, shape) = (self.cache_spec(reading)?, self.map_shape(reading.size_px));
        let mut hear = |_: CacheEvent<'_>| reading.cancel.check();
        let plain = survey(&spec, paths, shape, &mut hear)?;
        check_limit(&spec.dir, spec.limit_bytes, plain.bytes)?;
        let Some(draw) = reading.mixing else { return Ok(plain) };
        let mixed = survey_mixtures(&spec, paths, shape, draw, &mut hear)?;
        Ok(Survey {
            wanted: plain.wanted + mixed.wanted,
            missing: plain.missing + mixed.missing,
            bytes: plain.bytes + mixed.bytes,
            missing_bytes: plain.missing_bytes + mixed.missing_bytes,
        })
    }

    fn cache_spec(&self, reading: &MapReading<'_>) -> Result<CacheSpec> {
        Ok(CacheSpec {
            dir: reading.cache.dir.clone(),
            limit_bytes: reading.cache.limit_bytes,
            extractor: self.key_here(reading.size_px, reading.device)?,
            kind: match self.output {
                Output::TrunkMap => ExampleKind::TrunkMap,
                Output::Map | Output::Descriptor(_) => ExampleKind::Map,
            },
            transform: self.transform(reading.size_px),
            views: reading.views,
            strong: reading.strong,
        })
    }

    /// The key of maps that are computed here. Of the CPU it holds what comes out for one picture ([`rounding`]); a GPU,
    /// which may choose other kernels in each process, has none of that.
    fn key_here(&self, size_px: usize, device: &Device) -> Result<String> {
        let key = &self.key;
        match crate::device::name(device).as_str() {
            "cpu" => {
                let picture = rounding::picture(&self.transform(size_px))?;
                Ok(format!("{key}-as-{}", rounding::name(&self.extract(&picture, 1, size_px, device)?)))
            }
            name => Ok(format!("{key}-on-{}", name.split(':').next().unwrap_or(name))),
        }
    }
}

/// How maps of files are read.
pub struct MapReading<'a> {
    /// Side of the images in pixels.
    pub size_px: usize,
    /// Augmented views beside the test-time one.
    pub views: usize,
    /// Whether each of these has a strongly augmented one beside it.
    pub strong: bool,
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

/// Name of a network, what it gives where that is not its map, its precision where that is not f32, and a hash of
/// its weights.
fn key(recipe: &BackboneRecipe, output: &str, weights: &Path) -> Result<String> {
    let hash = weights::fingerprint(weights)?;
    let precision = match recipe.precision {
        Precision::F32 => String::new(),
        rounded => format!("-{rounded}"),
    };
    Ok(format!("{}{output}{precision}-{}", recipe.name, &hash[..16.min(hash.len())]))
}
