//! A depthwise convolution over maps that lie channels last, as an operation with its own gradient, for
//! training on the CPU.
//!
//! Forward is the kernel of frozen inference. Backward walks over the positions once for every tap, one vector
//! of channels at a time; Burn's own unfolds the maps of every group first, which takes many times as long.

use std::ops::Range;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::kernels::conv_rows::transposed;
use crate::kernels::depthwise::Depthwise;
use crate::kernels::flex::{tensor, values};
use crate::kernels::simd::{LANES, multiply_add, multiversion, vectors, vectors_mut};
use crate::kernels::window::Window;

/// Maps `[B, H, W, C]` and filters `[C, 1, k, k]` to maps `[B, H', W', C]`, f32 on the CPU.
///
/// # Panics
/// If the channels are not a multiple of 16; those of the EfficientNets are.
pub fn convolve_depthwise_rows(maps: Tensor<4>, weight: Tensor<4>, window: Window) -> Tensor<4> {
    let (maps, weight) = (maps.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::convolve_depthwise_rows(maps, weight, window))
}

/// The operation.
#[backend_extension(Flex, Autodiff)]
pub trait ConvolveDepthwiseRows: Backend {
    /// See [`convolve_depthwise_rows`].
    fn convolve_depthwise_rows(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self>;

    /// The gradients of maps and filters from that of the result. They do not depend on the number of threads.
    fn convolve_depthwise_rows_backward(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        window: Window,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// A convolution's sizes, and its filters with the taps first.
struct Layer {
    window: Window,
    size: [usize; 2],
    channels: usize,
    /// `[k, k, C]`.
    taps: Vec<f32>,
}

impl Layer {
    fn new(maps: &FlexTensor, weight: &FlexTensor, window: Window) -> Self {
        let [_, height, width, channels] = maps.shape().dims();
        let expected = [channels, 1, window.kernel, window.kernel];
        assert_eq!(weight.shape().dims::<4>(), expected, "a filter for each of {channels} channels");
        assert_eq!(channels % LANES, 0, "depthwise layers here have a multiple of {LANES} channels");
        let taps = transposed(values(weight), channels, window.kernel * window.kernel);
        Self { window, size: [height, width], channels, taps }
    }

    /// H' and W'.
    fn positions(&self) -> [usize; 2] {
        self.size.map(|size| self.window.positions(size))
    }

    /// Rows of zeros above and columns left of a map.
    fn before(&self) -> [usize; 2] {
        self.size.map(|size| self.window.border(size).0)
    }

    /// Values of an image, and of its output.
    fn lengths(&self) -> [usize; 2] {
        [self.size, self.positions()].map(|[height, width]| height * width * self.channels)
    }

    /// The positions along axis `axis` whose tap `tap` lies on the map.
    #[inline(always)]
    fn positions_with(&self, axis: usize, tap: usize) -> Range<usize> {
        let (before, stride) = (self.before()[axis], self.window.stride);
        let first = before.saturating_sub(tap).div_ceil(stride);
        let end = (before + self.size[axis]).saturating_sub(tap).div_ceil(stride);
        first..end.min(self.positions()[axis])
    }

    #[inline(always)]
    fn gradients<const FUSED: bool>(
        &self,
        map: &[f32],
        gradient: &[f32],
        dmap: &mut [f32],
        dtaps: &mut [f32],
    ) {
        let (map, gradient, taps) = (vectors(map), vectors(gradient), vectors(&self.taps));
        let (dmap, dtaps) = (vectors_mut(dmap), vectors_mut(dtaps));
        let groups = self.channels / LANES;
        let Window { kernel, stride, .. } = self.window;
        let ([top, left], width, columns) = (self.before(), self.size[1], self.positions()[1]);
        for group in 0..groups {
            for (ky, kx) in (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx))) {
                let at = (ky * kernel + kx) * groups + group;
                let (tap, dtap) = (taps[at], &mut dtaps[at]);
                let inside = self.positions_with(1, kx);
                for y in self.positions_with(0, ky) {
                    let line = (y * stride + ky - top) * width;
                    // A sum for each row, so that the additions of one need not wait for those of another.
                    let mut sum = [0.0; LANES];
                    for x in inside.clone() {
                        let place = (line + x * stride + kx - left) * groups + group;
                        let (gradient, value) = (&gradient[(y * columns + x) * groups + group], &map[place]);
                        let dvalue = &mut dmap[place];
                        for lane in 0..LANES {
                            dvalue[lane] = multiply_add::<FUSED>(gradient[lane], tap[lane], dvalue[lane]);
                            sum[lane] = multiply_add::<FUSED>(gradient[lane], value[lane], sum[lane]);
                        }
                    }
                    dtap.iter_mut().zip(sum).for_each(|(dtap, sum)| *dtap += sum);
                }
            }
        }
    }
}

#[inline(always)]
fn gradients_body<const FUSED: bool>(
    layer: &Layer,
    map: &[f32],
    gradient: &[f32],
    dmap: &mut [f32],
    dtaps: &mut [f32],
) {
    layer.gradients::<FUSED>(map, gradient, dmap, dtaps);
}

multiversion! {
    /// Adds an image's part of both gradients.
    gradients(layer: &Layer, map: &[f32], gradient: &[f32], dmap: &mut [f32], dtaps: &mut [f32]) = gradients_body
}

impl ConvolveDepthwiseRows for Flex {
    fn convolve_depthwise_rows(maps: FlexTensor, weight: FlexTensor, window: Window) -> FlexTensor {
        let (maps, weight) = (maps.to_contiguous(), weight.to_contiguous());
        let layer = Layer::new(&maps, &weight, window);
        let [of_map, of_output] = layer.lengths();
        let bias = vec![0.0; layer.channels];
        let batch = maps.shape()[0];
        let mut out = vec![0.0; batch * of_output];
        let pairs = out.par_chunks_mut(of_output).zip(values(&maps).par_chunks(of_map));
        pairs.for_each(|(out, map)| {
            let convolution = Depthwise {
                window,
                weight: &layer.taps,
                bias: &bias,
                bounds: (f32::NEG_INFINITY, f32::INFINITY),
                map,
                size: layer.size,
                before: layer.before(),
            };
            convolution.run(0, out);
        });
        let [rows, columns] = layer.positions();
        tensor(out, [batch, rows, columns, layer.channels])
    }

    fn convolve_depthwise_rows_backward(
        maps: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        window: Window,
    ) -> (FlexTensor, FlexTensor) {
        let (maps, weight, gradient) =
            (maps.to_contiguous(), weight.to_contiguous(), gradient.to_contiguous());
        let layer = Layer::new(&maps, &weight, window);
        let [of_map, of_output] = layer.lengths();
        let mut dmaps = vec![0.0; values(&maps).len()];
        let images = values(&maps).par_chunks(of_map).zip(values(&gradient).par_chunks(of_output));
        let of_images: Vec<Vec<f32>> = images
            .zip(dmaps.par_chunks_mut(of_map))
            .map(|((map, gradient), dmap)| {
                let mut dtaps = vec![0.0; layer.taps.len()];
                gradients(&layer, map, gradient, dmap, &mut dtaps);
                dtaps
            })
            .collect();
        let mut dtaps = vec![0.0; layer.taps.len()];
        // In the order of the images, whichever was first.
        for of_image in of_images {
            dtaps.iter_mut().zip(of_image).for_each(|(sum, value)| *sum += value);
        }
        let dweight = transposed(&dtaps, window.kernel * window.kernel, layer.channels);
        (tensor(dmaps, maps.shape().dims::<4>()), tensor(dweight, weight.shape().dims::<4>()))
    }
}

impl<B: ConvolveDepthwiseRows, C: CheckpointStrategy> ConvolveDepthwiseRows for Autodiff<B, C> {
    fn convolve_depthwise_rows(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let ((maps, maps_node), (weight, weight_node)) = (maps.into_parts(), weight.into_parts());
        match ConvolveBackward(window).prepare::<C>([maps_node, weight_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let out = B::convolve_depthwise_rows(maps.clone(), weight.clone(), window);
                prepared.finish((maps, weight), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::convolve_depthwise_rows(maps, weight, window)),
        }
    }

    fn convolve_depthwise_rows_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Window,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unimplemented!("gradients of gradients are not taken here")
    }
}

#[derive(Debug)]
struct ConvolveBackward(Window);

impl<B: ConvolveDepthwiseRows> Backward<B, 2> for ConvolveBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (maps, weight) = ops.state;
        let [maps_node, weight_node] = ops.parents;
        let (dmaps, dweight) = B::convolve_depthwise_rows_backward(maps, weight, gradient, self.0);
        if let Some(node) = maps_node {
            gradients.register::<B>(node.id, dmaps);
        }
        if let Some(node) = weight_node {
            gradients.register::<B>(node.id, dweight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv_rows::tests::outcome;
    use crate::kernels::window::Padding;
    use burn::tensor::module::conv2d;
    use burn::tensor::ops::ConvOptions;
    use burn::tensor::{Device, Distribution, Tolerance};

    fn random(shape: [usize; 4], device: &Device) -> Tensor<4> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), device).detach().require_grad()
    }

    fn equals_burns(window: Window, [height, width]: [usize; 2]) {
        let device = Device::flex().autodiff();
        let maps = random([3, height, width, 32], &device);
        let weight = random([32, 1, window.kernel, window.kernel], &device);
        let ours = outcome(&maps, &weight, |maps, weight| convolve_depthwise_rows(maps, weight, window));
        let burns = outcome(&maps, &weight, |maps, weight| {
            let padding = [window.border(height), window.border(width)];
            let options = ConvOptions::new_with_padding([window.stride; 2], padding, [1, 1], 32);
            conv2d(maps.permute([0, 3, 1, 2]), weight, None, options).permute([0, 2, 3, 1])
        });
        for (ours, burns) in ours.iter().zip(&burns) {
            ours.assert_approx_eq::<f32>(burns, Tolerance::absolute(1e-4));
        }
    }

    #[test]
    fn result_and_gradients_equal_burns_convolution() {
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
            for padding in [Padding::Same, Padding::Half] {
                // Smaller than a kernel too, where some taps lie on no map at all.
                for size in [[7, 9], [8, 5], [2, 1]] {
                    equals_burns(Window { kernel, stride, padding, depthwise: true }, size);
                }
            }
        }
    }

    #[test]
    fn gradients_are_the_same_bits_on_any_number_of_threads() {
        let device = Device::flex().autodiff();
        let window = Window { kernel: 3, stride: 1, padding: Padding::Same, depthwise: true };
        let (maps, weight) = (random([7, 5, 5, 16], &device), random([16, 1, 3, 3], &device));
        let of = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| outcome(&maps, &weight, |m, w| convolve_depthwise_rows(m, w, window)))
        };
        assert_eq!(of(1), of(3));
    }

    #[test]
    #[should_panic(expected = "a multiple of 16 channels")]
    fn channels_that_fill_no_vector_are_refused() {
        let device = Device::flex();
        let window = Window { kernel: 3, stride: 1, padding: Padding::Same, depthwise: true };
        let maps = Tensor::zeros([1, 4, 4, 24], &device);
        convolve_depthwise_rows(maps, Tensor::zeros([24, 1, 3, 3], &device), window);
    }
}
