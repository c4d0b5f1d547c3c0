//! A fixed batch normalization and the activation after it over maps that lie channels last, as one operation
//! with its own gradient, for training on the CPU.
//!
//! Forward and backward pass over the maps once each, in place where nobody else holds them, and only the result
//! is kept for the gradient. Of plain tensor operations each of the five would pass over them, and make new ones.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::kernels::activation::Activation;
use crate::kernels::flex::{tensor, values, vector};
use crate::kernels::simd::{multiply_add, multiversion};

/// Values of one parallel task: 64 KiB.
const TASK: usize = 1 << 14;

/// `activation(maps · scale + shift)`, `[B, H, W, C], [C], [C] -> [B, H, W, C]`, f32 on the CPU. Scale and shift
/// get no gradient; where a result is one of the activation's bounds, the maps' is 0, as PyTorch's.
pub fn normalize_rows(
    maps: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    activation: Activation,
) -> Tensor<4> {
    let (maps, scale, shift) = (maps.into_dispatch(), scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(Dispatch::normalize_rows(maps, scale, shift, activation))
}

/// The operation.
#[backend_extension(Flex, Autodiff)]
pub trait NormalizeRows: Backend {
    /// See [`normalize_rows`].
    fn normalize_rows(
        maps: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// The gradient of the maps from that of the `output`.
    fn normalize_rows_backward(
        output: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;
}

impl NormalizeRows for Flex {
    fn normalize_rows(
        maps: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        let shape: [usize; 4] = maps.shape().dims();
        let (scale, shift) = (scale.to_contiguous(), shift.to_contiguous());
        let (scale, shift, bounds) = (values(&scale), values(&shift), activation.bounds());
        assert_eq!([scale.len(), shift.len()], [shape[3]; 2], "a scale and a shift for each channel");
        let mut maps = vector(maps);
        maps.par_chunks_mut(task(shape[3])).for_each(|rows| normalize(rows, scale, shift, bounds));
        tensor(maps, shape)
    }

    fn normalize_rows_backward(
        output: FlexTensor,
        scale: FlexTensor,
        gradient: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        let shape: [usize; 4] = output.shape().dims();
        let (output, scale) = (output.to_contiguous(), scale.to_contiguous());
        let (scale, bounds) = (values(&scale), activation.bounds());
        let mut gradient = vector(gradient);
        let pairs = gradient.par_chunks_mut(task(shape[3])).zip(values(&output).par_chunks(task(shape[3])));
        pairs.for_each(|(gradient, output)| normalize_backward(gradient, output, scale, bounds));
        tensor(gradient, shape)
    }
}

/// Values of a task of whole pixels.
fn task(channels: usize) -> usize {
    TASK.div_ceil(channels) * channels
}

multiversion! {
    /// `x ← clamp(x · scale + shift)`, channel by channel.
    normalize(rows: &mut [f32], scale: &[f32], shift: &[f32], bounds: (f32, f32)) = normalize_body
}

multiversion! {
    /// `g ← g · scale` where the output is within the bounds, else 0.
    normalize_backward(gradient: &mut [f32], output: &[f32], scale: &[f32], bounds: (f32, f32)) =
        normalize_backward_body
}

#[inline(always)]
fn normalize_body<const FUSED: bool>(
    rows: &mut [f32],
    scale: &[f32],
    shift: &[f32],
    (low, high): (f32, f32),
) {
    for pixel in rows.chunks_exact_mut(scale.len()) {
        for ((x, &scale), &shift) in pixel.iter_mut().zip(scale).zip(shift) {
            *x = multiply_add::<FUSED>(*x, scale, shift).clamp(low, high);
        }
    }
}

#[inline(always)]
fn normalize_backward_body<const FUSED: bool>(
    gradient: &mut [f32],
    output: &[f32],
    scale: &[f32],
    (low, high): (f32, f32),
) {
    for (gradient, output) in gradient.chunks_exact_mut(scale.len()).zip(output.chunks_exact(scale.len())) {
        for ((g, &y), &scale) in gradient.iter_mut().zip(output).zip(scale) {
            // A NaN is not outside, so that it stays one.
            let outside = y <= low || y >= high;
            *g = if outside { 0.0 } else { *g * scale };
        }
    }
}

impl<B: NormalizeRows, C: CheckpointStrategy> NormalizeRows for Autodiff<B, C> {
    fn normalize_rows(
        maps: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let ((maps, node), (scale, _), (shift, _)) =
            (maps.into_parts(), scale.into_parts(), shift.into_parts());
        match NormalizeBackward(activation).prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let output = B::normalize_rows(maps, scale.clone(), shift, activation);
                prepared.finish((output.clone(), scale), output)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::normalize_rows(maps, scale, shift, activation))
            }
        }
    }

    fn normalize_rows_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Activation,
    ) -> FloatTensor<Self> {
        unimplemented!("gradients of gradients are not taken here")
    }
}

#[derive(Debug)]
struct NormalizeBackward(Activation);

impl<B: NormalizeRows> Backward<B, 1> for NormalizeBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (output, scale) = ops.state;
        if let [Some(maps)] = ops.parents {
            gradients.register::<B>(maps.id, B::normalize_rows_backward(output, scale, gradient, self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    /// Six tasks and a rest, of pixels that fill no vector.
    const SHAPE: [usize; 4] = [3, 50, 40, 19];

    fn wave<const R: usize>(shape: [usize; R], step: f64) -> Tensor<R> {
        let len: usize = shape.iter().product();
        let values: Vec<f32> = (0..len).map(|i| (4.0 * (i as f64 * step).sin()) as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
    }

    #[test]
    fn result_and_gradient_are_those_of_plain_operations() {
        let (scale, shift, projection) = (wave([19], 0.7), wave([19], 1.3), wave(SHAPE, 0.9));
        for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
            let maps = wave(SHAPE, 0.37).require_grad();
            let of = |out: Tensor<4>| {
                let gradients = (out.clone() * projection.clone()).sum().backward();
                [out.into_data(), maps.grad(&gradients).expect("tracked").into_data()]
            };
            let ours = of(normalize_rows(maps.clone(), scale.clone(), shift.clone(), activation));
            let over = |x: &Tensor<1>| x.clone().reshape([1, 1, 1, 19]);
            let plain = of(activation.of(maps.clone() * over(&scale) + over(&shift)));
            for (ours, plain) in ours.iter().zip(&plain) {
                // Products up to 16 in f32, rounded once instead of twice.
                ours.assert_approx_eq::<f32>(plain, Tolerance::absolute(1e-5));
            }
        }
    }

    #[test]
    fn maps_that_somebody_else_holds_stay_as_they_are() {
        let maps = wave([1, 1, 1, 16], 0.5).inner();
        let before = maps.to_data();
        let ones = Tensor::ones([16], &Device::flex());
        normalize_rows(maps.clone(), ones.clone(), ones, Activation::Relu6);
        assert_eq!(maps.into_data(), before);
    }

    #[test]
    fn a_value_that_is_no_number_stays_one_and_so_does_its_gradient() {
        let device = Device::flex().autodiff();
        let maps = Tensor::<4>::full([1, 1, 1, 2], f32::NAN, &device).require_grad();
        let ones = Tensor::ones([2], &device);
        let out = normalize_rows(maps.clone(), ones.clone(), ones, Activation::Relu6);
        let gradients = (out.clone() * out.clone()).sum().backward();
        for values in [out, maps.grad(&gradients).unwrap().autodiff()] {
            assert!(values.into_data().iter::<f32>().all(f32::is_nan));
        }
    }
}
