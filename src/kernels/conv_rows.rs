//! A dense convolution over maps that lie channels last, as an operation with its own gradient, for
//! training on the CPU.
//!
//! Forward and both gradients are matrix products over rows of pixels or of the patches around them;
//! Burn's own backward takes several times as long. The patches are gathered anew for the gradient:
//! kept, those of a 3×3 convolution would be nine maps.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::kernels::flex::{tensor, values};
use crate::kernels::matrix::{Accum, Matrix, MatrixMut};
use crate::kernels::patches::Patches;
use crate::kernels::product::{Cores, product};
use crate::kernels::window::Window;

/// Values of the patches of several images that are multiplied at once: 32 MB.
const PATCHES: usize = 8 << 20;

/// Maps `[B, H, W, I]` and filters `[O, I, k, k]` to maps `[B, H', W', O]`, f32 on the CPU.
pub fn convolve_rows(maps: Tensor<4>, weight: Tensor<4>, window: Window) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::convolve_rows(maps.into_dispatch(), weight.into_dispatch(), window))
}

/// The operation.
#[backend_extension(Flex, Autodiff)]
pub trait ConvolveRows: Backend {
    /// See [`convolve_rows`].
    fn convolve_rows(maps: FloatTensor<Self>, weight: FloatTensor<Self>, window: Window)
    -> FloatTensor<Self>;

    /// The gradients of maps and filters from that of the result; the maps' only `if` somebody wants it.
    fn convolve_rows_backward(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        window: Window,
        of_maps: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// A convolution's sizes.
struct Shape {
    patches: Patches,
    batch: usize,
    outputs: usize,
}

impl Shape {
    fn new(maps: &FlexTensor, weight: &FlexTensor, window: Window) -> Self {
        let [batch, height, width, channels] = maps.shape().dims();
        let [outputs, inputs, ..] = weight.shape().dims::<4>();
        assert_eq!(inputs, channels, "filters of {inputs} channels on maps of {channels}");
        Self { patches: Patches { window, height, width, channels }, batch, outputs }
    }

    /// Values of an image, of its output, and of its patches.
    fn lengths(&self) -> [usize; 3] {
        let Patches { height, width, channels, .. } = self.patches;
        let positions: usize = self.patches.positions().iter().product();
        [height * width * channels, positions * self.outputs, positions * self.patches.depth()]
    }

    /// Calls `each` with the ranges of several images in maps and outputs, and their patches.
    fn for_each_rows(&self, maps: &[f32], mut each: impl FnMut(Images, &[f32])) {
        let [of_map, of_output, of_patches] = self.lengths();
        if self.patches.window.is_pointwise() {
            return each(Images { maps: 0..maps.len(), outputs: 0..self.batch * of_output }, maps);
        }
        let together = (PATCHES / of_patches).clamp(1, self.batch);
        let mut patches = vec![0.0; together * of_patches];
        for first in (0..self.batch).step_by(together) {
            let last = (first + together).min(self.batch);
            let images =
                Images { maps: first * of_map..last * of_map, outputs: first * of_output..last * of_output };
            let patches = &mut patches[..(last - first) * of_patches];
            let pairs = patches.par_chunks_mut(of_patches).zip(maps[images.maps.clone()].par_chunks(of_map));
            pairs.for_each(|(patches, map)| self.patches.gather(map, 0, patches));
            each(images, patches);
        }
    }
}

/// Where several images lie.
struct Images {
    maps: std::ops::Range<usize>,
    outputs: std::ops::Range<usize>,
}

impl ConvolveRows for Flex {
    fn convolve_rows(maps: FlexTensor, weight: FlexTensor, window: Window) -> FlexTensor {
        let (maps, weight) = (maps.to_contiguous(), weight.to_contiguous());
        let shape = Shape::new(&maps, &weight, window);
        let ([_, of_output, _], depth) = (shape.lengths(), shape.patches.depth());
        let taps_first = transposed(values(&weight), shape.patches.channels, window.kernel * window.kernel);
        let filters = Matrix::new(&taps_first, depth).transposed();
        let mut out = vec![0.0; shape.batch * of_output];
        shape.for_each_rows(values(&maps), |images, rows| {
            let out = MatrixMut::new(&mut out[images.outputs], shape.outputs);
            product(out, Accum::Replace, Matrix::new(rows, depth), filters, Cores::All);
        });
        let [rows, columns] = shape.patches.positions();
        tensor(out, [shape.batch, rows, columns, shape.outputs])
    }

    fn convolve_rows_backward(
        maps: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        window: Window,
        of_maps: bool,
    ) -> (FlexTensor, FlexTensor) {
        let (maps, weight, gradient) =
            (maps.to_contiguous(), weight.to_contiguous(), gradient.to_contiguous());
        let shape = Shape::new(&maps, &weight, window);
        let ([of_map, _, of_patches], depth) = (shape.lengths(), shape.patches.depth());
        let taps_first = transposed(values(&weight), shape.patches.channels, window.kernel * window.kernel);
        let filters = Matrix::new(&taps_first, depth);
        let mut dweight = vec![0.0; taps_first.len()];
        let mut dmaps = vec![0.0; if of_maps { values(&maps).len() } else { 0 }];
        let mut dpatches = Vec::new();
        shape.for_each_rows(values(&maps), |images, rows| {
            let gradient = Matrix::new(&values(&gradient)[images.outputs], shape.outputs);
            let (out, rows_of) = (MatrixMut::new(&mut dweight, depth), Matrix::new(rows, depth));
            product(out, Accum::Add, gradient.transposed(), rows_of, Cores::All);
            if !of_maps {
                return;
            }
            let dmaps = &mut dmaps[images.maps];
            if window.is_pointwise() {
                return product(MatrixMut::new(dmaps, depth), Accum::Replace, gradient, filters, Cores::All);
            }
            dpatches.resize(rows.len(), 0.0);
            product(MatrixMut::new(&mut dpatches, depth), Accum::Replace, gradient, filters, Cores::All);
            let pairs = dmaps.par_chunks_mut(of_map).zip(dpatches.par_chunks(of_patches));
            pairs.for_each(|(dmap, dpatches)| shape.patches.scatter(dpatches, 0, dmap));
        });
        let dweight = transposed(&dweight, window.kernel * window.kernel, shape.patches.channels);
        let dmaps = if of_maps { tensor(dmaps, maps.shape().dims::<4>()) } else { maps };
        (dmaps, tensor(dweight, weight.shape().dims::<4>()))
    }
}

impl<B: ConvolveRows, C: CheckpointStrategy> ConvolveRows for Autodiff<B, C> {
    fn convolve_rows(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let ((maps, maps_node), (weight, weight_node)) = (maps.into_parts(), weight.into_parts());
        match ConvolveBackward(window).prepare::<C>([maps_node, weight_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let out = B::convolve_rows(maps.clone(), weight.clone(), window);
                prepared.finish((maps, weight), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::convolve_rows(maps, weight, window)),
        }
    }

    fn convolve_rows_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Window,
        _: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unimplemented!("gradients of gradients are not taken here")
    }
}

#[derive(Debug)]
struct ConvolveBackward(Window);

impl<B: ConvolveRows> Backward<B, 2> for ConvolveBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (maps, weight) = ops.state;
        let [maps_node, weight_node] = ops.parents;
        let (dmaps, dweight) = B::convolve_rows_backward(maps, weight, gradient, self.0, maps_node.is_some());
        if let Some(node) = maps_node {
            gradients.register::<B>(node.id, dmaps);
        }
        if let Some(node) = weight_node {
            gradients.register::<B>(node.id, dweight);
        }
    }
}

/// Every filter, `[rows, columns]`, transposed.
pub(super) fn transposed(filters: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    if rows == 1 || columns == 1 {
        return filters.to_vec();
    }
    let mut out = vec![0.0; filters.len()];
    let pairs = out.par_chunks_mut(rows * columns).zip(filters.par_chunks(rows * columns));
    pairs.for_each(|(out, filter)| {
        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
            out.iter_mut()
                .zip(filter[column..].iter().step_by(columns))
                .for_each(|(out, value)| *out = *value);
        }
    });
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernels::precision::Precision;
    use crate::kernels::precision::tests::assert_rounded;
    use burn::tensor::module::conv2d;
    use burn::tensor::ops::ConvOptions;
    use burn::tensor::{Device, Distribution, TensorData, Tolerance};

    /// The result and both gradients, channels last, of a projection of it.
    pub fn outcome(
        maps: &Tensor<4>,
        weight: &Tensor<4>,
        convolve: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>,
    ) -> [TensorData; 3] {
        let out = convolve(maps.clone(), weight.clone());
        let [b, h, w, o] = out.dims();
        let values: Vec<f32> = (0..b * h * w * o).map(|i| (i as f32 * 0.3).sin()).collect();
        let projection = Tensor::from_data(TensorData::new(values, [b, h, w, o]), &maps.device());
        let gradients = (out.clone() * projection).sum().backward();
        let of = |x: &Tensor<4>| x.grad(&gradients).expect("tracked").into_data();
        [out.into_data(), of(maps), of(weight)]
    }

    #[test]
    fn result_and_gradients_equal_burns_convolution() {
        let device = Device::flex().autodiff();
        for window in [Window::dense(1, 1), Window::dense(1, 2), Window::dense(3, 1), Window::dense(3, 2)] {
            let random = |shape: [usize; 4]| {
                Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device).detach().require_grad()
            };
            let (maps, weight) = (random([3, 5, 6, 4]), random([7, 4, window.kernel, window.kernel]));
            let ours = outcome(&maps, &weight, |maps, weight| convolve_rows(maps, weight, window));
            let burns = outcome(&maps, &weight, |maps, weight| {
                let padding = [window.border(5), window.border(6)];
                let options = ConvOptions::new_with_padding([window.stride; 2], padding, [1, 1], 1);
                conv2d(maps.permute([0, 3, 1, 2]), weight, None, options).permute([0, 2, 3, 1])
            });
            for (ours, burns) in ours.iter().zip(&burns) {
                ours.assert_approx_eq::<f32>(burns, Tolerance::absolute(1e-4));
            }
        }
    }

    #[test]
    fn in_bf16_result_and_gradients_are_near() {
        let device = Device::flex().autodiff();
        for window in [Window::dense(1, 1), Window::dense(3, 2)] {
            let random = |shape: [usize; 4]| {
                Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device).detach().require_grad()
            };
            let (maps, weight) = (random([3, 13, 13, 65]), random([70, 65, window.kernel, window.kernel]));
            let run = || outcome(&maps, &weight, |maps, weight| convolve_rows(maps, weight, window));
            for (rounded, exact) in Precision::Bf16.during(run).iter().zip(&run()) {
                assert_rounded(rounded, exact);
            }
        }
    }
}
