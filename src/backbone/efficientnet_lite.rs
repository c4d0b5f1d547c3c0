//! EfficientNet-Lite0 (TensorFlow, 2020): EfficientNet-B0 (Tan & Le, ICML 2019) without
//! squeeze-and-excitation, with ReLU6 instead of swish, in TensorFlow's SAME padding.
//!
//! Split like the ResNets: a [`Trunk`] down to 1/16 of the picture and a [`LastStage`] at 1/32.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::backbone::conv_norm::ConvNorm;
use crate::backbone::stage::Stage;
use crate::backbone::state_dict::Visit;
use crate::kernels::activation::Activation;
use crate::kernels::folded::Layer;
use crate::kernels::window::{Padding, Window};

/// The TensorFlow models' batch normalization constant.
const EPSILON: f64 = 1e-3;

/// Channels of the maps after the head.
pub const CHANNELS: usize = 1280;

const STEM: usize = 32;

/// Kernel, stride, expansion and width of each block.
const BLOCKS: [(usize, usize, usize, usize); 16] = [
    (3, 1, 1, 16),
    (3, 2, 6, 24),
    (3, 1, 6, 24),
    (5, 2, 6, 40),
    (5, 1, 6, 40),
    (3, 2, 6, 80),
    (3, 1, 6, 80),
    (3, 1, 6, 80),
    (5, 1, 6, 112),
    (5, 1, 6, 112),
    (5, 1, 6, 112),
    (5, 2, 6, 192),
    (5, 1, 6, 192),
    (5, 1, 6, 192),
    (5, 1, 6, 192),
    (3, 1, 6, 320),
];

/// The first block at 1/32 of the picture, where the last stage begins.
const SPLIT: usize = 11;

fn layer(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> ConvNorm {
    let window = Window { kernel, stride, padding: Padding::Same, depthwise: false };
    ConvNorm::new(channels, window, EPSILON, device)
}

fn relu6(maps: Tensor<4>) -> Tensor<4> {
    maps.clamp(0.0, 6.0)
}

/// An inverted residual block: expand, filter each channel, project.
#[derive(Module, Debug)]
pub struct Block {
    /// Absent where the expansion is 1.
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    project: ConvNorm,
    residual: bool,
}

impl Block {
    fn new(index: usize, device: &Device) -> Self {
        let (kernel, stride, expansion, width) = BLOCKS[index];
        let inputs = if index == 0 { STEM } else { BLOCKS[index - 1].3 };
        let hidden = inputs * expansion;
        let window = Window { kernel, stride, padding: Padding::Same, depthwise: true };
        Self {
            expand: (expansion != 1).then(|| layer([inputs, hidden], 1, 1, device)),
            depthwise: ConvNorm::new([hidden, hidden], window, EPSILON, device),
            project: layer([hidden, width], 1, 1, device),
            residual: stride == 1 && inputs == width,
        }
    }

    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let hidden = match &self.expand {
            Some(expand) => relu6(expand.forward(maps.clone())),
            None => maps.clone(),
        };
        let projected = self.project.forward(relu6(self.depthwise.forward(hidden)));
        if self.residual { projected + maps } else { projected }
    }

    fn freeze_batch_norm(self) -> Self {
        Self {
            expand: self.expand.map(ConvNorm::freeze_batch_norm),
            depthwise: self.depthwise.freeze_batch_norm(),
            project: self.project.freeze_batch_norm(),
            residual: self.residual,
        }
    }

    fn tensors(&mut self, index: usize, visit: &mut Visit<'_>) {
        let name = |part: &str| format!("_blocks.{index}.{part}");
        if let Some(expand) = &mut self.expand {
            expand.tensors(&name("_expand_conv"), &name("_bn0"), visit);
        }
        self.depthwise.tensors(&name("_depthwise_conv"), &name("_bn1"), visit);
        self.project.tensors(&name("_project_conv"), &name("_bn2"), visit);
    }

    fn fold(&self) -> Vec<Layer> {
        let expand = self.expand.as_ref().map(|expand| expand.fold(Activation::Relu6));
        let depthwise = self.depthwise.fold(Activation::Relu6);
        let project = self.project.fold(Activation::None);
        let branch = expand.into_iter().chain([depthwise, project]);
        if self.residual {
            vec![Layer::Residual { branch: branch.collect(), shortcut: None }]
        } else {
            branch.map(Layer::Conv).collect()
        }
    }
}

/// The stem and the blocks down to 1/16 of the picture.
#[derive(Module, Debug)]
pub struct Trunk {
    stem: ConvNorm,
    blocks: Vec<Block>,
}

impl Stage for Trunk {
    /// Normalized images to the maps before the last stage, `[B, 3, S, S] -> [B, 112, S/16, S/16]`.
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let maps = relu6(self.stem.forward(images));
        self.blocks.iter().fold(maps, |maps, block| block.forward(maps))
    }
}

/// The blocks at 1/32 of the picture and the head.
#[derive(Module, Debug)]
pub struct LastStage {
    blocks: Vec<Block>,
    head: ConvNorm,
}

impl Stage for LastStage {
    /// `[B, 112, S/16, S/16] -> [B, 1280, S/32, S/32]`.
    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let maps = self.blocks.iter().fold(maps, |maps, block| block.forward(maps));
        relu6(self.head.forward(maps))
    }
}

/// EfficientNet-Lite0 without its classifier.
#[derive(Module, Debug)]
pub struct EfficientNetLite {
    /// Stem and blocks 0 to 10.
    pub trunk: Trunk,
    /// Blocks 11 to 15 and the head.
    pub last: LastStage,
}

impl EfficientNetLite {
    /// With random weights.
    pub fn new(device: &Device) -> Self {
        let blocks = |range: std::ops::Range<usize>| range.map(|index| Block::new(index, device)).collect();
        Self {
            trunk: Trunk { stem: layer([3, STEM], 3, 2, device), blocks: blocks(0..SPLIT) },
            last: LastStage {
                blocks: blocks(SPLIT..BLOCKS.len()),
                head: layer([BLOCKS[BLOCKS.len() - 1].3, CHANNELS], 1, 1, device),
            },
        }
    }

    /// The same network with every batch normalization fixed.
    pub(crate) fn freeze_batch_norm(self) -> Self {
        let fix = |blocks: Vec<Block>| blocks.into_iter().map(Block::freeze_batch_norm).collect();
        Self {
            trunk: Trunk { stem: self.trunk.stem.freeze_batch_norm(), blocks: fix(self.trunk.blocks) },
            last: LastStage { blocks: fix(self.last.blocks), head: self.last.head.freeze_batch_norm() },
        }
    }

    /// Shows every tensor under the name of the published weights.
    pub(crate) fn tensors(&mut self, visit: &mut Visit<'_>) {
        self.trunk.stem.tensors("_conv_stem", "_bn0", visit);
        for (index, block) in self.trunk.blocks.iter_mut().chain(&mut self.last.blocks).enumerate() {
            block.tensors(index, visit);
        }
        self.last.head.tensors("_conv_head", "_bn1", visit);
    }

    /// The network with batch normalization folded into the convolutions.
    pub(crate) fn fold(&self) -> Vec<Layer> {
        let mut layers = self.fold_trunk();
        layers.extend(self.last.blocks.iter().flat_map(Block::fold));
        layers.push(Layer::Conv(self.last.head.fold(Activation::Relu6)));
        layers
    }

    /// All but the last stage of it.
    pub(crate) fn fold_trunk(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::Conv(self.trunk.stem.fold(Activation::Relu6))];
        layers.extend(self.trunk.blocks.iter().flat_map(Block::fold));
        layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_published_number_of_parameters() {
        // The published file holds 4,652,008 trained numbers; 1,281,000 of them are the classifier.
        let mut parameters = 0;
        EfficientNetLite::new(&Device::flex()).tensors(&mut |name, slot| {
            if !name.contains("running") {
                parameters += slot.shape().iter().product::<usize>();
            }
        });
        assert_eq!(parameters, 4_652_008 - 1_281_000);
    }

    #[test]
    fn a_residual_needs_stride_one_and_equal_widths() {
        let residual: Vec<usize> =
            (0..BLOCKS.len()).filter(|&index| Block::new(index, &Device::flex()).residual).collect();
        assert_eq!(residual, [2, 4, 6, 7, 9, 10, 12, 13, 14]);
    }
}
