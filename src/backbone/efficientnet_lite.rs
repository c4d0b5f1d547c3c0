//! EfficientNet-Lite0 and -Lite2 (TensorFlow, 2020): EfficientNet-B0 and -B2 (Tan & Le, ICML 2019) without
//! squeeze-and-excitation, with ReLU6 instead of swish, in TensorFlow's SAME padding.
//!
//! Split like the ResNets: a [`Trunk`] down to 1/16 of the picture and a [`LastStage`] at 1/32.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::backbone::conv_norm::{ConvNorm, Forward};
use crate::backbone::stage::Stage;
use crate::backbone::state_dict::Visit;
use crate::kernels::activation::Activation;
use crate::kernels::folded::Layer;
use crate::kernels::window::{Padding, Window};
use crate::onnx::graph::{Graph, Value};

/// The TensorFlow models' batch normalization constant.
const EPSILON: f64 = 1e-3;

/// Channels of the maps after the head.
pub const CHANNELS: usize = 1280;

const STEM: usize = 32;

/// Blocks of one kind that follow one another; only the first may have a stride.
#[derive(Debug, Clone, Copy)]
struct Stack {
    repeats: usize,
    kernel: usize,
    stride: usize,
    expansion: usize,
    width: usize,
}

/// The stacks of one network of the family.
#[derive(Debug, Clone, Copy)]
pub struct LiteConfig([Stack; 7]);

impl LiteConfig {
    /// EfficientNet-Lite0.
    pub const LITE0: Self = Self::of([1, 2, 2, 3, 3, 4, 1], [16, 24, 40, 80, 112, 192, 320]);
    /// EfficientNet-Lite2: deeper, and a tenth wider.
    pub const LITE2: Self = Self::of([1, 3, 3, 4, 4, 5, 1], [16, 24, 48, 88, 120, 208, 352]);

    /// What the family has in common, with repeats and widths of its own.
    const fn of(repeats: [usize; 7], widths: [usize; 7]) -> Self {
        const KINDS: [(usize, usize, usize); 7] =
            [(3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6)];
        let mut stacks = [Stack { repeats: 0, kernel: 0, stride: 0, expansion: 0, width: 0 }; 7];
        let mut at = 0;
        while at < 7 {
            let (kernel, stride, expansion) = KINDS[at];
            stacks[at] = Stack { repeats: repeats[at], kernel, stride, expansion, width: widths[at] };
            at += 1;
        }
        Self(stacks)
    }

    /// The blocks before the last stage, and those of the last stage, which begins at 1/32 of the picture.
    fn blocks(&self, device: &Device) -> [Vec<Block>; 2] {
        let mut inputs = STEM;
        let mut parts = [Vec::new(), Vec::new()];
        for (at, stack) in self.0.iter().enumerate() {
            for repeat in 0..stack.repeats {
                let stride = if repeat == 0 { stack.stride } else { 1 };
                parts[usize::from(at >= 5)].push(Block::new(inputs, &Stack { stride, ..*stack }, device));
                inputs = stack.width;
            }
        }
        parts
    }

    const fn width(&self) -> usize {
        self.0[6].width
    }
}

fn layer(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> ConvNorm {
    let window = Window { kernel, stride, padding: Padding::Same, depthwise: false };
    ConvNorm::new(channels, window, EPSILON, device)
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
    fn new(inputs: usize, stack: &Stack, device: &Device) -> Self {
        let Stack { kernel, stride, expansion, width, .. } = *stack;
        let hidden = inputs * expansion;
        let window = Window { kernel, stride, padding: Padding::Same, depthwise: true };
        Self {
            expand: (expansion != 1).then(|| layer([inputs, hidden], 1, 1, device)),
            depthwise: ConvNorm::new([hidden, hidden], window, EPSILON, device),
            project: layer([hidden, width], 1, 1, device),
            residual: stride == 1 && inputs == width,
        }
    }

    /// `forward` is how a layer runs, for whichever order of the maps' axes.
    fn forward(&self, maps: Tensor<4>, forward: impl Forward) -> Tensor<4> {
        let hidden = match &self.expand {
            Some(expand) => forward(expand, maps.clone(), Activation::Relu6),
            None => maps.clone(),
        };
        let filtered = forward(&self.depthwise, hidden, Activation::Relu6);
        let projected = forward(&self.project, filtered, Activation::None);
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

    fn export(&self, graph: &mut Graph, maps: &Value) -> Value {
        let hidden = match &self.expand {
            Some(expand) => expand.export(graph, "expand", maps, Activation::Relu6),
            None => maps.clone(),
        };
        let filtered = self.depthwise.export(graph, "depthwise", &hidden, Activation::Relu6);
        let projected = self.project.export(graph, "project", &filtered, Activation::None);
        if self.residual { graph.both("Add", &projected, maps) } else { projected }
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
    /// Normalized images to the maps before the last stage, `[B, 3, S, S] -> [B, W, S/16, S/16]`, W 112 or 120.
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let maps = self.stem.activated(images, Activation::Relu6);
        self.blocks.iter().fold(maps, |maps, block| block.forward(maps, ConvNorm::activated))
    }
}

/// The blocks at 1/32 of the picture and the head.
#[derive(Module, Debug)]
pub struct LastStage {
    blocks: Vec<Block>,
    head: ConvNorm,
}

impl LastStage {
    /// [`Stage::forward`] on the CPU with channels last, `[B, S/16, S/16, W] -> [B, S/32, S/32, 1280]`.
    pub(crate) fn forward_rows(&self, maps: Tensor<4>) -> Tensor<4> {
        self.forward_by(maps, ConvNorm::activated_rows)
    }

    fn forward_by(&self, maps: Tensor<4>, forward: impl Forward) -> Tensor<4> {
        let maps = self.blocks.iter().fold(maps, |maps, block| block.forward(maps, &forward));
        forward(&self.head, maps, Activation::Relu6)
    }
}

impl Stage for LastStage {
    /// `[B, W, S/16, S/16] -> [B, 1280, S/32, S/32]`.
    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        self.forward_by(maps, ConvNorm::activated)
    }
}

/// An EfficientNet-Lite without its classifier.
#[derive(Module, Debug)]
pub struct EfficientNetLite {
    /// Stem and the blocks down to 1/16.
    pub trunk: Trunk,
    /// The other blocks and the head.
    pub last: LastStage,
}

impl EfficientNetLite {
    /// With random weights.
    pub fn new(config: &LiteConfig, device: &Device) -> Self {
        let [trunk, last] = config.blocks(device);
        Self {
            trunk: Trunk { stem: layer([3, STEM], 3, 2, device), blocks: trunk },
            last: LastStage { blocks: last, head: layer([config.width(), CHANNELS], 1, 1, device) },
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

    /// Normalized images to maps in a graph, `[3, S, S] -> [1280, H, W]`.
    pub(crate) fn export(&self, graph: &mut Graph, images: &Value) -> Value {
        let mut maps = self.trunk.stem.export(graph, "stem", images, Activation::Relu6);
        for (index, block) in self.trunk.blocks.iter().chain(&self.last.blocks).enumerate() {
            maps = graph.within(&format!("block{index}"), |graph| block.export(graph, &maps));
        }
        self.last.head.export(graph, "head", &maps, Activation::Relu6)
    }

    /// Channels F' of the maps before the last stage.
    pub(crate) fn trunk_channels(&self) -> usize {
        let last = self.trunk.blocks.last().expect("a trunk has blocks");
        last.project.channels()
    }

    /// The trunk with batch normalization folded into the convolutions.
    pub(crate) fn fold_trunk(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::Conv(self.trunk.stem.fold(Activation::Relu6))];
        layers.extend(self.trunk.blocks.iter().flat_map(Block::fold));
        layers
    }

    /// The last stage likewise.
    pub(crate) fn fold_last(&self) -> Vec<Layer> {
        let mut layers: Vec<Layer> = self.last.blocks.iter().flat_map(Block::fold).collect();
        layers.push(Layer::Conv(self.last.head.fold(Activation::Relu6)));
        layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::state_dict::Slot;
    use crate::backbone::weights::testing::relative_error;
    use crate::kernels::simd::LANES;

    fn parameters(config: &LiteConfig) -> usize {
        let mut parameters = 0;
        EfficientNetLite::new(config, &Device::flex()).tensors(&mut |name, slot| {
            if !name.contains("running") {
                parameters += slot.shape().iter().product::<usize>();
            }
        });
        parameters
    }

    #[test]
    fn they_have_the_published_numbers_of_parameters() {
        // The published files hold 4,652,008 and 6,092,072 trained numbers; 1,281,000 of each are the classifier.
        assert_eq!(parameters(&LiteConfig::LITE0), 4_652_008 - 1_281_000);
        assert_eq!(parameters(&LiteConfig::LITE2), 6_092_072 - 1_281_000);
    }

    #[test]
    fn a_residual_needs_stride_one_and_equal_widths() {
        let blocks = LiteConfig::LITE0.blocks(&Device::flex()).concat();
        let residual: Vec<usize> = (0..blocks.len()).filter(|&index| blocks[index].residual).collect();
        assert_eq!(residual, [2, 4, 6, 7, 9, 10, 12, 13, 14]);
    }

    #[test]
    fn depthwise_layers_fill_whole_vectors() {
        for config in [LiteConfig::LITE0, LiteConfig::LITE2] {
            for block in config.blocks(&Device::flex()).concat() {
                let channels = block.depthwise.weight.dims()[0];
                assert_eq!(channels % LANES, 0, "{channels} channels");
            }
        }
    }

    #[test]
    fn the_last_stage_in_rows_gives_the_maps_and_gradients_of_the_plain_one() {
        let device = Device::flex().autodiff();
        let mut network = EfficientNetLite::new(&LiteConfig::LITE0, &device);
        // The same in every run, and no row of filters a sum of others: batches would have next to no variance.
        network.tensors(&mut |_, slot| {
            if let Slot::Filters(_) = slot {
                let [_, inputs, height, width] = slot.shape()[..] else {
                    unreachable!("filters have four axes")
                };
                let scale = (4.0 / (inputs * height * width) as f64).sqrt();
                let count = slot.shape().iter().product::<usize>();
                slot.assign((0..count).map(|i| (scale * (i as f64).powi(2).sin()) as f32).collect());
            }
        });
        let values = |shape: [usize; 4]| {
            let len = shape.iter().product::<usize>() as i64;
            let ramp = Tensor::<1, burn::tensor::Int>::arange(0..len, &device);
            (ramp.float() * 0.7).sin().reshape(shape).detach()
        };
        let projection = values([4, CHANNELS, 6, 6]);
        // With running statistics and with those of the batch, where rounding was seen to move a gradient by three
        // thousandths: presumably one place that crosses a bound of ReLU6, as other filters give a millionth.
        for (last, most) in [(network.clone().freeze_batch_norm().last, 1e-4), (network.last, 2e-2)] {
            let maps = values([4, 112, 11, 11]).require_grad();
            let plain = last.forward(maps.clone());
            let rows = last.forward_rows(maps.clone().permute([0, 2, 3, 1])).permute([0, 3, 1, 2]);
            let error = relative_error(rows.clone().inner(), plain.clone().inner());
            assert!(error < 1e-4, "maps: {error}");
            let gradients = [plain, rows].map(|out| (out * projection.clone()).sum().backward());
            let layers = last
                .blocks
                .iter()
                .flat_map(|it| [it.expand.as_ref(), Some(&it.depthwise), Some(&it.project)]);
            let layers = layers.flatten().chain([&last.head]);
            for of in layers.map(|layer| layer.weight.val()).chain([maps]) {
                let [plain, rows] =
                    gradients.each_ref().map(|gradients| of.grad(gradients).expect("tracked"));
                let error = relative_error(rows, plain);
                assert!(error < most, "gradient of {:?}: {error}", of.dims());
            }
        }
    }
}
