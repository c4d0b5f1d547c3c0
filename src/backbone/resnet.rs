//! ResNet (He et al., CVPR 2016), torchvision's v1.5 layout: the stride is in the 3×3 convolution.
//!
//! As SARB trains it, a network is a frozen [`Trunk`] (conv1 … layer3) and a trained
//! [`LastStage`] (layer4); the classifier `fc` is left out.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};

use crate::backbone::conv_norm::{ConvNorm, Forward};
use crate::backbone::stage::Stage;
use crate::backbone::state_dict::Visit;
use crate::kernels::activation::Activation;
use crate::kernels::folded::Layer;
use crate::kernels::window::Window;
use crate::onnx::graph::{Graph, Sliding, Value};

/// PyTorch's batch normalization constant.
const EPSILON: f64 = 1e-5;

/// What distinguishes one ResNet from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResNetConfig {
    /// 1×1, 3×3, 1×1 to four times the width, instead of two 3×3.
    pub bottleneck: bool,
    /// 7×7 with stride 2 and max-pooling for photographs, 3×3 with stride 2 for small pictures.
    pub large_stem: bool,
    /// Width and number of blocks of each stage; the last one is the [`LastStage`].
    pub stages: &'static [(usize, usize)],
}

impl ResNetConfig {
    /// 18 layers, 512 channels.
    pub const RESNET18: Self = Self::basic(&[(64, 2), (128, 2), (256, 2), (512, 2)]);
    /// 34 layers, 512 channels.
    pub const RESNET34: Self = Self::basic(&[(64, 3), (128, 4), (256, 6), (512, 3)]);
    /// 50 layers, 2048 channels.
    pub const RESNET50: Self = Self::bottleneck(&[(64, 3), (128, 4), (256, 6), (512, 3)]);
    /// 101 layers, 2048 channels: the paper's backbone.
    pub const RESNET101: Self = Self::bottleneck(&[(64, 3), (128, 4), (256, 23), (512, 3)]);
    /// 152 layers, 2048 channels.
    pub const RESNET152: Self = Self::bottleneck(&[(64, 3), (128, 8), (256, 36), (512, 3)]);
    /// Ours, 8 layers, 128 channels: trains from scratch on small pictures in a minute on a CPU.
    pub const SMALL: Self =
        Self { bottleneck: false, large_stem: false, stages: &[(32, 1), (64, 1), (128, 1)] };

    const fn basic(stages: &'static [(usize, usize)]) -> Self {
        Self { bottleneck: false, large_stem: true, stages }
    }

    const fn bottleneck(stages: &'static [(usize, usize)]) -> Self {
        Self { bottleneck: true, large_stem: true, stages }
    }

    /// Output channels over the width of a stage.
    const fn expansion(&self) -> usize {
        if self.bottleneck { 4 } else { 1 }
    }

    /// Channels of the last stage's maps.
    pub const fn channels(&self) -> usize {
        self.stages[self.stages.len() - 1].0 * self.expansion()
    }

    /// The factor by which a map is smaller than the picture.
    pub const fn reduction(&self) -> usize {
        let stem = if self.large_stem { 4 } else { 2 };
        stem << (self.stages.len() - 1)
    }

    /// Blocks of stage `index`.
    fn stage(&self, index: usize, device: &Device) -> Vec<Block> {
        let (width, count) = self.stages[index];
        let outputs = width * self.expansion();
        let inputs = match index {
            0 => self.stages[0].0,
            _ => self.stages[index - 1].0 * self.expansion(),
        };
        (0..count)
            .map(|block| {
                let stride = if index > 0 && block == 0 { 2 } else { 1 };
                let inputs = if block == 0 { inputs } else { outputs };
                Block::new(self.bottleneck, [inputs, width, outputs], stride, device)
            })
            .collect()
    }
}

/// Two or three convolutions added to a shortcut.
#[derive(Module, Debug)]
pub struct Block {
    branch: Vec<ConvNorm>,
    /// A 1×1 convolution where the shapes differ, else the identity.
    downsample: Option<ConvNorm>,
}

impl Block {
    fn new(bottleneck: bool, channels: [usize; 3], stride: usize, device: &Device) -> Self {
        let [inputs, width, outputs] = channels;
        let layer = |channels, kernel, stride| {
            ConvNorm::new(channels, Window::dense(kernel, stride), EPSILON, device)
        };
        let branch = if bottleneck {
            vec![
                layer([inputs, width], 1, 1),
                layer([width, width], 3, stride),
                layer([width, outputs], 1, 1),
            ]
        } else {
            vec![layer([inputs, width], 3, stride), layer([width, outputs], 3, 1)]
        };
        let differs = stride != 1 || inputs != outputs;
        Self { branch, downsample: differs.then(|| layer([inputs, outputs], 1, stride)) }
    }

    /// `forward` is how a layer runs, for whichever order of the maps' axes.
    fn forward(&self, maps: Tensor<4>, forward: impl Forward) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some(layer) => forward(layer, maps.clone(), Activation::None),
            None => maps.clone(),
        };
        let (last, first) = self.branch.split_last().expect("a block has layers");
        let maps = first.iter().fold(maps, |maps, layer| forward(layer, maps, Activation::Relu));
        relu(forward(last, maps, Activation::None) + shortcut)
    }

    fn freeze_batch_norm(self) -> Self {
        Self {
            branch: self.branch.into_iter().map(ConvNorm::freeze_batch_norm).collect(),
            downsample: self.downsample.map(ConvNorm::freeze_batch_norm),
        }
    }

    fn tensors(&mut self, prefix: &str, visit: &mut Visit<'_>) {
        for (index, layer) in self.branch.iter_mut().enumerate() {
            let number = index + 1;
            layer.tensors(&format!("{prefix}.conv{number}"), &format!("{prefix}.bn{number}"), visit);
        }
        if let Some(layer) = &mut self.downsample {
            layer.tensors(&format!("{prefix}.downsample.0"), &format!("{prefix}.downsample.1"), visit);
        }
    }

    fn export(&self, graph: &mut Graph, maps: &Value) -> Value {
        let shortcut = match &self.downsample {
            Some(layer) => layer.export(graph, "downsample", maps, Activation::None),
            None => maps.clone(),
        };
        let mut maps = maps.clone();
        for (index, layer) in self.branch.iter().enumerate() {
            let is_last = index + 1 == self.branch.len();
            let activation = if is_last { Activation::None } else { Activation::Relu };
            maps = layer.export(graph, &format!("conv{}", index + 1), &maps, activation);
        }
        let sum = graph.both("Add", &maps, &shortcut);
        graph.each("Relu", &sum)
    }

    fn fold(&self) -> Layer {
        Layer::Residual {
            branch: self.branch.iter().map(|layer| layer.fold(Activation::Relu)).collect(),
            shortcut: self.downsample.as_ref().map(|layer| layer.fold(Activation::None)),
        }
    }
}

/// The stem and all stages but the last: `conv1`, `bn1`, `layer1` …
#[derive(Module, Debug)]
pub struct Trunk {
    stem: ConvNorm,
    max_pool: bool,
    stages: Vec<Vec<Block>>,
}

impl Trunk {
    /// With random weights.
    pub fn new(config: &ResNetConfig, device: &Device) -> Self {
        let window = if config.large_stem { Window::dense(7, 2) } else { Window::dense(3, 2) };
        Self {
            stem: ConvNorm::new([3, config.stages[0].0], window, EPSILON, device),
            max_pool: config.large_stem,
            stages: (0..config.stages.len() - 1).map(|index| config.stage(index, device)).collect(),
        }
    }

    /// Up to and with the max-pooling.
    fn stem(&self, images: Tensor<4>) -> Tensor<4> {
        let maps = relu(self.stem.forward(images));
        if !self.max_pool {
            return maps;
        }
        max_pool2d(maps, MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]))
    }
}

impl Stage for Trunk {
    /// Normalized images to the maps before the last stage, `[B, 3, S, S] -> [B, F', H', W']`.
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let maps = self.stem(images);
        self.stages.iter().flatten().fold(maps, |maps, block| block.forward(maps, ConvNorm::activated))
    }
}

/// The last stage, `layer4`, which the methods of the paper train.
#[derive(Module, Debug)]
pub struct LastStage {
    blocks: Vec<Block>,
}

impl LastStage {
    /// With random weights.
    pub fn new(config: &ResNetConfig, device: &Device) -> Self {
        Self { blocks: config.stage(config.stages.len() - 1, device) }
    }
}

impl LastStage {
    /// [`Stage::forward`] on the CPU with channels last, `[B, H', W', F'] -> [B, H'/2, W'/2, F]`.
    pub(crate) fn forward_rows(&self, maps: Tensor<4>) -> Tensor<4> {
        self.blocks.iter().fold(maps, |maps, block| block.forward(maps, ConvNorm::activated_rows))
    }
}

impl Stage for LastStage {
    /// `[B, F', H', W'] -> [B, F, H'/2, W'/2]`.
    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        self.blocks.iter().fold(maps, |maps, block| block.forward(maps, ConvNorm::activated))
    }
}

/// A ResNet without its classifier.
#[derive(Module, Debug)]
pub struct ResNet {
    /// `conv1` … the stage before the last.
    pub trunk: Trunk,
    /// The last stage.
    pub last: LastStage,
}

impl ResNet {
    /// With random weights.
    pub fn new(config: &ResNetConfig, device: &Device) -> Self {
        Self { trunk: Trunk::new(config, device), last: LastStage::new(config, device) }
    }

    /// The same network with every batch normalization fixed.
    pub(crate) fn freeze_batch_norm(self) -> Self {
        let Trunk { stem, max_pool, stages } = self.trunk;
        let fix = |blocks: Vec<Block>| blocks.into_iter().map(Block::freeze_batch_norm).collect();
        Self {
            trunk: Trunk {
                stem: stem.freeze_batch_norm(),
                max_pool,
                stages: stages.into_iter().map(fix).collect(),
            },
            last: LastStage { blocks: fix(self.last.blocks) },
        }
    }

    /// Shows every tensor under torchvision's name, in the order of its state dict.
    pub(crate) fn tensors(&mut self, visit: &mut Visit<'_>) {
        self.trunk.stem.tensors("conv1", "bn1", visit);
        let stages = self.trunk.stages.iter_mut().chain(std::iter::once(&mut self.last.blocks));
        for (stage, blocks) in stages.enumerate() {
            for (index, block) in blocks.iter_mut().enumerate() {
                block.tensors(&format!("layer{}.{index}", stage + 1), visit);
            }
        }
    }

    /// Normalized images to maps in a graph, `[3, S, S] -> [F, H, W]`.
    pub(crate) fn export(&self, graph: &mut Graph, images: &Value) -> Value {
        let mut maps = self.trunk.stem.export(graph, "conv1", images, Activation::Relu);
        if self.trunk.max_pool {
            let how = Sliding { kernel: 3, stride: 2, padding: [(1, 1); 2], groups: 1 };
            maps = graph.pooled("MaxPool", &maps, how);
        }
        let stages = self.trunk.stages.iter().chain(std::iter::once(&self.last.blocks));
        for (stage, blocks) in stages.enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                let name = format!("layer{}.{index}", stage + 1);
                maps = graph.within(&name, |graph| block.export(graph, &maps));
            }
        }
        maps
    }

    /// Channels F' of the maps before the last stage.
    pub(crate) fn trunk_channels(&self) -> usize {
        let last = self.trunk.stages.iter().flatten().last().and_then(|block| block.branch.last());
        last.expect("a trunk has blocks").channels()
    }

    /// The trunk with batch normalization folded into the convolutions.
    pub(crate) fn fold_trunk(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::Conv(self.trunk.stem.fold(Activation::Relu))];
        if self.trunk.max_pool {
            layers.push(Layer::MaxPool);
        }
        layers.extend(self.trunk.stages.iter().flatten().map(Block::fold));
        layers
    }

    /// The last stage likewise.
    pub(crate) fn fold_last(&self) -> Vec<Layer> {
        self.last.blocks.iter().map(Block::fold).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::weights::testing::{closed_form, fixture, relative_error};

    /// Compares with torchvision 0.29's values in tests/fixtures/backbones.safetensors; 1e-4 of the
    /// largest entry, because rounding grows over 101 layers.
    fn matches_torchvision(name: &str, config: &ResNetConfig) {
        let device = Device::flex();
        let mut network = ResNet::new(config, &device);
        closed_form(&mut |visit| network.tensors(visit));
        let network = network.valid();
        let images: Tensor<4> = fixture("backbones", "images", &device);
        let stem = network.trunk.stem(images.clone());
        let trunk = network.trunk.forward(images);
        let last = network.last.forward(trunk.clone());
        for (stage, channels, maps) in [("stem", 8, stem), ("layer3", 32, trunk), ("layer4", 64, last)] {
            let expected: Tensor<4> = fixture("backbones", &format!("{name}.{stage}"), &device);
            let error = relative_error(maps.narrow(1, 0, channels), expected);
            assert!(error < 1e-4, "{name}.{stage}: {error}");
        }
    }

    #[test]
    fn resnet18_equals_torchvision() {
        matches_torchvision("resnet18", &ResNetConfig::RESNET18);
    }

    #[test]
    fn resnet50_equals_torchvision() {
        matches_torchvision("resnet50", &ResNetConfig::RESNET50);
    }

    #[test]
    fn resnet101_equals_torchvision() {
        matches_torchvision("resnet101", &ResNetConfig::RESNET101);
    }

    #[test]
    fn parameter_counts_are_torchvisions_without_the_classifier() {
        // torchvision: sum(p.numel() for p in resnetNN().parameters()) minus fc's 1000·F + 1000.
        let table = [
            (ResNetConfig::RESNET18, 11_689_512 - 513_000),
            (ResNetConfig::RESNET34, 21_797_672 - 513_000),
            (ResNetConfig::RESNET50, 25_557_032 - 2_049_000),
            (ResNetConfig::RESNET101, 44_549_160 - 2_049_000),
            (ResNetConfig::RESNET152, 60_192_808 - 2_049_000),
        ];
        for (config, expected) in table {
            let mut parameters = 0;
            ResNet::new(&config, &Device::flex()).tensors(&mut |name, slot| {
                if !name.contains("running") {
                    parameters += slot.shape().iter().product::<usize>();
                }
            });
            assert_eq!(parameters, expected, "{config:?}");
        }
    }

    #[test]
    fn layer4_of_resnet101_has_the_papers_trained_parameters() {
        // torchvision: layer4 alone 14,964,736.
        let last = LastStage::new(&ResNetConfig::RESNET101, &Device::flex());
        let statistics: usize = {
            let mut count = 0;
            let mut network = ResNet::new(&ResNetConfig::RESNET101, &Device::flex());
            network.tensors(&mut |name, slot| {
                if name.starts_with("layer4") && name.contains("running") {
                    count += slot.shape()[0];
                }
            });
            count
        };
        assert_eq!(last.num_params() - statistics, 14_964_736);
    }
}
