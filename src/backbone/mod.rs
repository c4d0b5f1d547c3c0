//! The network that turns images into feature maps, chosen by name, and what of it is trained.

pub mod conv_norm;
pub mod descriptor;
mod efficientnet_lite;
mod name;
mod resnet;
pub mod stage;
pub mod state_dict;
pub mod weights;

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::kernels::folded::{Folded, Layer};
use crate::kernels::precision::Precision;
use crate::onnx::graph::{Graph, Sliding, Value};
use efficientnet_lite::EfficientNetLite;
use name::Layers;
use resnet::ResNet;
use stage::Stage;
use state_dict::Visit;

pub use name::BackboneName;

/// Which part of a backbone stays as it is.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Freeze {
    /// Everything: the backbone only extracts features.
    All,
    /// All but the last stage (layer4), as the paper trains.
    Trunk,
    /// Nothing.
    None,
}

/// The classifier of K classes that a backbone was trained with.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier {
    /// Weights, `K × F` row by row.
    pub weight: Vec<f32>,
    /// Biases, `K`.
    pub bias: Vec<f32>,
}

#[derive(Module, Debug)]
// There is one a program; a box would only lengthen every parameter's path.
#[allow(clippy::large_enum_variant)]
enum Network {
    ResNet(ResNet),
    EfficientNetLite(EfficientNetLite),
}

/// A network that turns images into feature maps.
#[derive(Module, Debug)]
pub struct Backbone {
    network: Network,
    #[module(skip)]
    name: BackboneName,
    #[module(skip)]
    pool: bool,
    #[module(skip)]
    precision: Precision,
    /// What of it stays as it is; parameters of a model that is only used no longer say it.
    #[module(skip)]
    frozen: Freeze,
}

impl std::fmt::Display for Freeze {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Freeze::All => "all",
            Freeze::Trunk => "trunk",
            Freeze::None => "none",
        })
    }
}

impl Backbone {
    /// With random weights, as torchvision draws them; all of it is trained.
    ///
    /// Burn draws a weight when it is first used, from the device's generator (`Device::seed`).
    pub fn new(name: BackboneName, device: &Device) -> Self {
        let network = match name.layers() {
            Layers::ResNet(config) => Network::ResNet(ResNet::new(&config, device)),
            Layers::EfficientNetLite(config) => {
                Network::EfficientNetLite(EfficientNetLite::new(config, device))
            }
        };
        Self { network, name, pool: false, precision: Precision::F32, frozen: Freeze::None }
    }

    /// Whether a mean over 2×2 positions follows, as in the paper: 448 px to 7×7 instead of 14×14.
    pub fn with_pool(self, pool: bool) -> Self {
        Self { pool, ..self }
    }

    /// In which numbers the frozen layers of [`folded`](Self::folded) and [`fixed_trunk`](Self::fixed_trunk) are
    /// multiplied; what is trained is f32 in them.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// With the weights of a `.safetensors`, `.pth` or `.pt` file, under their official names with
    /// or without a prefix such as `module.`; the classifier's are left out.
    ///
    /// # Errors
    /// [`Error::Missing`] without the file, [`Error::Data`] if it cannot be read or holds NaN or
    /// infinite values, [`Error::Incompatible`] if names or shapes do not fit.
    pub fn load(mut self, path: &Path) -> Result<Self> {
        weights::load(&mut self, path)?;
        Ok(self)
    }

    /// The classifier that its weights in a file were trained with.
    ///
    /// # Errors
    /// As [`Backbone::load`]; [`Error::Incompatible`] if the file has none.
    pub fn classifier(&self, path: &Path) -> Result<Classifier> {
        weights::classifier(self.name, path)
    }

    /// Writes all weights as safetensors under their official names; [`Backbone::load`] reads them.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        weights::save(self, None, path)
    }

    /// [`save`](Self::save) with the classifier beside it.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save_with(&self, classifier: &Classifier, path: &Path) -> Result<()> {
        weights::save(self, Some(classifier), path)
    }

    /// The name.
    pub fn name(&self) -> BackboneName {
        self.name
    }

    /// Channels F of the maps.
    pub fn channels(&self) -> usize {
        self.name.channels()
    }

    /// Whether a mean over 2×2 positions follows the network.
    pub fn pools(&self) -> bool {
        self.pool
    }

    /// Height and width of the maps of `size_px` images; 0 if these are too small.
    pub fn map_size(&self, size_px: usize) -> usize {
        size_px.div_ceil(self.name.reduction()) / if self.pool { 2 } else { 1 }
    }

    /// Shape `[F', H', W']` of the maps before the last stage, of `size_px` images.
    pub fn trunk_shape(&self, size_px: usize) -> [usize; 3] {
        let channels = match &self.network {
            Network::ResNet(network) => network.trunk_channels(),
            Network::EfficientNetLite(network) => network.trunk_channels(),
        };
        // Every last stage halves the maps.
        let side = size_px.div_ceil(self.name.reduction() / 2);
        [channels, side, side]
    }

    /// Normalized images to maps, `[B, 3, S, S] -> [B, F, H, W]`.
    ///
    /// A frozen part runs without autodiff, so that it keeps no graph: no gradient reaches the
    /// images through it.
    ///
    /// # Panics
    /// If the images are so small that [`Backbone::map_size`] is 0.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.check_size(&images);
        let maps = match &self.network {
            Network::ResNet(network) => run(&network.trunk, &network.last, images),
            Network::EfficientNetLite(network) => run(&network.trunk, &network.last, images),
        };
        self.pooled(maps)
    }

    fn check_size(&self, images: &Tensor<4>) {
        assert_shape!(images, [_, 3, _, _]);
        let [_, _, height, width] = images.dims();
        let fits = self.map_size(height) > 0 && self.map_size(width) > 0;
        assert!(fits, "images of {height}×{width} px leave no position in the maps of {}", self.name);
    }

    /// Which part is trained. A trained part's batch normalization uses the batch's statistics and
    /// a frozen one's the running ones; see also [`Backbone::freeze_batch_norm`].
    pub fn freeze(mut self, freeze: Freeze) -> Self {
        fn set<T: Module, L: Module>(trunk: T, last: L, freeze: Freeze) -> (T, L) {
            match freeze {
                Freeze::All => (trunk.freeze(), last.freeze()),
                Freeze::Trunk => (trunk.freeze(), last.unfreeze()),
                Freeze::None => (trunk.unfreeze(), last.unfreeze()),
            }
        }
        self.frozen = freeze;
        self.network = match self.network {
            Network::ResNet(ResNet { trunk, last }) => {
                let (trunk, last) = set(trunk, last, freeze);
                Network::ResNet(ResNet { trunk, last })
            }
            Network::EfficientNetLite(EfficientNetLite { trunk, last }) => {
                let (trunk, last) = set(trunk, last, freeze);
                Network::EfficientNetLite(EfficientNetLite { trunk, last })
            }
        };
        self
    }

    /// Fixes every batch normalization, also of trained parts: running statistics, scale and shift.
    /// To be called after [`Backbone::freeze`].
    pub fn freeze_batch_norm(mut self) -> Self {
        self.network = match self.network {
            Network::ResNet(network) => Network::ResNet(network.freeze_batch_norm()),
            Network::EfficientNetLite(network) => Network::EfficientNetLite(network.freeze_batch_norm()),
        };
        self
    }

    /// A copy for inference alone, which is several times faster on the CPU. Later changes of
    /// this backbone's weights do not reach it.
    pub fn folded(&self) -> FoldedBackbone {
        let (trunk, last) = match &self.network {
            Network::ResNet(network) => (network.fold_trunk(), network.fold_last()),
            Network::EfficientNetLite(network) => (network.fold_trunk(), network.fold_last()),
        };
        let mut layers = self.rounded(trunk, self.frozen != Freeze::None);
        let layers_of_trunk = layers.len();
        layers.extend(self.rounded(last, self.frozen == Freeze::All));
        FoldedBackbone { folded: Folded::new(layers, self.pool), layers_of_trunk, backbone: self.valid() }
    }

    /// The layers of a part in this backbone's precision, if the part is frozen.
    fn rounded(&self, layers: Vec<Layer>, frozen: bool) -> Vec<Layer> {
        let precision = if frozen { self.precision } else { Precision::F32 };
        layers.into_iter().map(|layer| layer.in_precision(precision)).collect()
    }

    /// The frozen trunk in front of a trained last stage, folded for the CPU; nothing where the trunk is
    /// trained or the network lies on another device. Later changes of its weights do not reach it.
    pub fn fixed_trunk(&self) -> Option<FixedTrunk> {
        fn fold(trunk: &impl Module, layers: impl FnOnce() -> Vec<Layer>) -> Option<FixedTrunk> {
            let on_cpu = trunk.devices().iter().all(|device| device.clone().inner() == Device::flex());
            (on_cpu && !is_trained(trunk)).then(|| FixedTrunk(Folded::new(layers(), false)))
        }
        match &self.network {
            Network::ResNet(network) => fold(&network.trunk, || self.rounded(network.fold_trunk(), true)),
            Network::EfficientNetLite(network) => {
                fold(&network.trunk, || self.rounded(network.fold_trunk(), true))
            }
        }
    }

    /// [`forward`](Self::forward) through this backbone's own [`fixed_trunk`](Self::fixed_trunk).
    ///
    /// # Panics
    /// As [`Backbone::forward`].
    pub fn forward_from(&self, trunk: &FixedTrunk, images: Tensor<4>) -> Tensor<4> {
        self.check_size(&images);
        let maps = lifted_as(&images, trunk.0.forward_rows(images.clone().inner()));
        self.forward_last_rows(maps)
    }

    /// Maps before the last stage to those after it, `[B, F', H', W'] -> [B, F, H, W]`.
    pub fn forward_last(&self, maps: Tensor<4>) -> Tensor<4> {
        if maps.device().inner() == Device::flex() {
            return self.forward_last_rows(maps.permute([0, 2, 3, 1]));
        }
        self.pooled(match &self.network {
            Network::ResNet(network) => network.last.forward(maps),
            Network::EfficientNetLite(network) => network.last.forward(maps),
        })
    }

    /// The same on the CPU, of maps that lie channels last.
    fn forward_last_rows(&self, maps: Tensor<4>) -> Tensor<4> {
        let maps = match &self.network {
            Network::ResNet(network) => network.last.forward_rows(maps),
            Network::EfficientNetLite(network) => network.last.forward_rows(maps),
        };
        self.pooled(maps.permute([0, 3, 1, 2]))
    }

    fn pooled(&self, maps: Tensor<4>) -> Tensor<4> {
        if self.pool { avg_pool2d(maps, AvgPoolOptions::new([2, 2])) } else { maps }
    }

    /// Normalized images to maps in a graph, with the running statistics, `[3, S, S] -> [F, H, W]`.
    pub(crate) fn export(&self, graph: &mut Graph, images: &Value) -> Value {
        let maps = match &self.network {
            Network::ResNet(network) => network.export(graph, images),
            Network::EfficientNetLite(network) => network.export(graph, images),
        };
        if !self.pool {
            return maps;
        }
        let how = Sliding { kernel: 2, stride: 2, padding: [(0, 0); 2], groups: 1 };
        graph.pooled("AveragePool", &maps, how)
    }

    /// Shows every tensor under its official name, in the order of a PyTorch state dict.
    pub(crate) fn tensors(&mut self, visit: &mut Visit<'_>) {
        match &mut self.network {
            Network::ResNet(network) => network.tensors(visit),
            Network::EfficientNetLite(network) => network.tensors(visit),
        }
    }
}

/// A fixed backbone without gradients: batch normalization folded into the convolutions and own
/// kernels on the CPU, the plain network on other devices.
#[derive(Debug)]
pub struct FoldedBackbone {
    folded: Folded,
    layers_of_trunk: usize,
    backbone: Backbone,
}

impl FoldedBackbone {
    /// Normalized images to maps, `[B, 3, S, S] -> [B, F, H, W]`, on the images' device without
    /// autodiff; equal to [`Backbone::forward`] with everything frozen, up to rounding.
    ///
    /// # Panics
    /// As [`Backbone::forward`].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.backbone.check_size(&images);
        let images = images.inner();
        if images.device() != Device::flex() {
            return self.backbone.forward(images);
        }
        self.folded.forward(images)
    }

    /// Normalized images to the maps before the last stage, `[B, 3, S, S] -> [B, F', H', W']`.
    ///
    /// # Panics
    /// As [`Backbone::forward`].
    pub fn forward_trunk(&self, images: Tensor<4>) -> Tensor<4> {
        self.backbone.check_size(&images);
        let images = images.inner();
        if images.device() != Device::flex() {
            return match &self.backbone.network {
                Network::ResNet(network) => network.trunk.forward(images),
                Network::EfficientNetLite(network) => network.trunk.forward(images),
            };
        }
        self.folded.forward_through(0..self.layers_of_trunk, images)
    }

    /// These to the maps after it, `[B, F', H', W'] -> [B, F, H, W]`.
    pub fn forward_last(&self, maps: Tensor<4>) -> Tensor<4> {
        let maps = maps.inner();
        if maps.device() != Device::flex() {
            return self.backbone.forward_last(maps);
        }
        self.folded.forward_through(self.layers_of_trunk..self.folded.len(), maps)
    }

    /// The backbone that was folded.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }
}

/// What training leaves as it is, without gradients; see [`Backbone::fixed_trunk`].
#[derive(Debug)]
pub struct FixedTrunk(Folded);

/// Trunk, then last stage, each with a graph only if it is needed.
fn run(trunk: &impl Stage, last: &impl Stage, images: Tensor<4>) -> Tensor<4> {
    if is_trained(trunk) {
        last.forward(trunk.forward(images))
    } else {
        let maps = without_graph(trunk, images);
        if is_trained(last) { last.forward(maps) } else { without_graph(last, maps) }
    }
}

/// Runs a stage on the device without autodiff and lifts the result back to the maps' own.
fn without_graph(stage: &impl Stage, maps: Tensor<4>) -> Tensor<4> {
    lifted_as(&maps, stage.valid().forward(maps.clone().inner()))
}

/// `maps` with a graph to come, on the device of `like`, if that has one.
fn lifted_as(like: &Tensor<4>, maps: Tensor<4>) -> Tensor<4> {
    match like.gradient_checkpointing_strategy() {
        Some(strategy) => maps.autodiff().with_gradient_checkpointing_strategy(strategy),
        None => maps,
    }
}

/// Whether any parameter of a stage wants a gradient.
fn is_trained(stage: &impl Module) -> bool {
    struct Trained(bool);
    impl ModuleVisitor for Trained {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 |= param.is_require_grad();
        }
    }
    let mut trained = Trained(false);
    stage.visit(&mut trained);
    trained.0
}

#[cfg(test)]
pub(crate) mod tests;
