//! tanh, sigmoid and the score of semantic decoupling as operations of our own, with their gradients.
//!
//! Burn's CPU backend runs unary operations on one thread through the C library. These run on all
//! cores with the loops of [`super::simd`]; other backends get the same mathematics from plain
//! tensor operations. Results do not depend on the number of threads: every sum has a fixed order.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::kernels::flex::{tensor, values};
use crate::kernels::plain::Activation;
use crate::kernels::{plain, simd};

/// tanh of every value, `[..] -> [..]`.
pub fn tanh<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    Tensor::from_dispatch(Dispatch::activate(x.into_dispatch(), Activation::Tanh))
}

/// 1 / (1 + e^−x) of every value, `[..] -> [..]`.
pub fn sigmoid<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    Tensor::from_dispatch(Dispatch::activate(x.into_dispatch(), Activation::Sigmoid))
}

/// e[b, c, p] = Σ_m u[m] · tanh(g[b, p, m] · q[c, m]), `[B, P, M], [C, M], [M] -> [B, C, P]`,
/// without a tensor of `B · C · P · M` values: tanh is computed again for the gradient.
pub fn joint_scores(g: Tensor<3>, q: Tensor<2>, u: Tensor<1>) -> Tensor<3> {
    let ([_, _, width], [_, q_width], [u_width]) = (g.dims(), q.dims(), u.dims());
    assert!(width == q_width && width == u_width, "joint widths {width}, {q_width} and {u_width} differ");
    Tensor::from_dispatch(Dispatch::joint_scores(g.into_dispatch(), q.into_dispatch(), u.into_dispatch()))
}

/// The operations; the default bodies are what backends without kernels of ours compute.
#[backend_extension(Flex, Cube: cfg(any(feature = "vulkan", feature = "cuda", feature = "metal")), Autodiff)]
pub trait Vectorized: Backend {
    /// See [`tanh`] and [`sigmoid`].
    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        plain::activate::<Self>(x, activation)
    }

    /// The gradient of the activation's argument from that of its `output`.
    fn activate_backward(
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        plain::activate_backward::<Self>(output, gradient, activation)
    }

    /// See [`joint_scores`].
    fn joint_scores(g: FloatTensor<Self>, q: FloatTensor<Self>, u: FloatTensor<Self>) -> FloatTensor<Self> {
        plain::joint_scores::<Self>(g, q, u)
    }

    /// The gradients of g, q and u from that of the scores, `[B, C, P]`.
    fn joint_scores_backward(
        g: FloatTensor<Self>,
        q: FloatTensor<Self>,
        u: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        plain::joint_scores_backward::<Self>(g, q, u, gradient)
    }
}

#[cfg(any(feature = "vulkan", feature = "cuda", feature = "metal"))]
use burn::backend::Cube;
#[cfg(any(feature = "vulkan", feature = "cuda", feature = "metal"))]
impl Vectorized for Cube {}

impl Vectorized for Flex {
    fn activate(x: FlexTensor, activation: Activation) -> FlexTensor {
        if x.dtype() != DType::F32 {
            return plain::activate::<Self>(x, activation);
        }
        let kernel = match activation {
            Activation::Tanh => simd::tanh_in_place,
            Activation::Sigmoid => simd::sigmoid_in_place,
        };
        let mut x = owned(x);
        x.storage_mut().par_chunks_mut(TASK).for_each(kernel);
        x
    }

    fn activate_backward(output: FlexTensor, gradient: FlexTensor, activation: Activation) -> FlexTensor {
        if output.dtype() != DType::F32 {
            return plain::activate_backward::<Self>(output, gradient, activation);
        }
        let kernel = match activation {
            Activation::Tanh => simd::tanh_backward,
            Activation::Sigmoid => simd::sigmoid_backward,
        };
        let output = output.to_contiguous();
        let mut gradient = owned(gradient);
        let chunks = gradient.storage_mut().par_chunks_mut(TASK).zip(values(&output).par_chunks(TASK));
        chunks.for_each(|(gradient, output)| kernel(gradient, output));
        gradient
    }

    fn joint_scores(g: FlexTensor, q: FlexTensor, u: FlexTensor) -> FlexTensor {
        if g.dtype() != DType::F32 {
            return plain::joint_scores::<Self>(g, q, u);
        }
        let (g, q, u) = (g.to_contiguous(), q.to_contiguous(), u.to_contiguous());
        let [batch, positions, width] = g.shape().dims();
        let categories = q.shape()[0];
        let (g, q, u) = (values(&g), values(&q), values(&u));
        let mut scores = vec![0.0; batch * categories * positions];
        scores.par_chunks_mut(positions).enumerate().for_each(|(row, scores)| {
            let (image, category) = (row / categories, row % categories);
            let g = &g[image * positions * width..][..positions * width];
            simd::joint_scores(scores, g, &q[category * width..][..width], u);
        });
        tensor(scores, [batch, categories, positions])
    }

    fn joint_scores_backward(
        g: FlexTensor,
        q: FlexTensor,
        u: FlexTensor,
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        if g.dtype() != DType::F32 {
            return plain::joint_scores_backward::<Self>(g, q, u, gradient);
        }
        let (g, q) = (g.to_contiguous(), q.to_contiguous());
        let (u, gradient) = (u.to_contiguous(), gradient.to_contiguous());
        let [batch, positions, width] = g.shape().dims();
        let categories = q.shape()[0];
        let (g, q, u, gradient) = (values(&g), values(&q), values(&u), values(&gradient));
        // One task per image; what images share is kept apart for each and summed in their order.
        let mut dg = vec![0.0; g.len()];
        let mut dq_parts = vec![0.0; batch * categories * width];
        let mut du_parts = vec![0.0; batch * width];
        let of_image = positions * width;
        dg.par_chunks_mut(of_image)
            .zip(dq_parts.par_chunks_mut(categories * width))
            .zip(du_parts.par_chunks_mut(width))
            .enumerate()
            .for_each(|(image, ((dg, dq), du))| {
                let g = &g[image * of_image..][..of_image];
                for (category, dq) in dq.chunks_exact_mut(width).enumerate() {
                    let gradient = &gradient[(image * categories + category) * positions..][..positions];
                    simd::joint_scores_backward(gradient, g, &q[category * width..][..width], dg, dq, du);
                }
                scale_rows(dg, u);
            });
        let mut dq = sum_of_chunks(&dq_parts, categories * width);
        scale_rows(&mut dq, u);
        let du = sum_of_chunks(&du_parts, width);
        (tensor(dg, [batch, positions, width]), tensor(dq, [categories, width]), tensor(du, [width]))
    }
}

/// Values of one parallel task of an elementwise loop: 64 KiB.
const TASK: usize = 1 << 14;

/// A contiguous tensor that fills its buffer, so that its storage is its values; it is written in
/// place when nobody else holds the buffer.
fn owned(x: FlexTensor) -> FlexTensor {
    let whole = x.is_contiguous()
        && x.layout().start_offset() == 0
        && x.storage::<f32>().len() == x.layout().num_elements();
    if whole { x } else { x.to_contiguous() }
}

fn scale_rows(rows: &mut [f32], scale: &[f32]) {
    for row in rows.chunks_exact_mut(scale.len()) {
        row.iter_mut().zip(scale).for_each(|(value, scale)| *value *= scale);
    }
}

fn sum_of_chunks(parts: &[f32], length: usize) -> Vec<f32> {
    let mut sum = vec![0.0; length];
    for part in parts.chunks_exact(length) {
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    sum
}

impl<B: Vectorized, C: CheckpointStrategy> Vectorized for Autodiff<B, C> {
    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        match ActivateBackward(activation).prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let output = B::activate(x, activation);
                prepared.finish(output.clone(), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::activate(x, activation)),
        }
    }

    fn joint_scores(g: FloatTensor<Self>, q: FloatTensor<Self>, u: FloatTensor<Self>) -> FloatTensor<Self> {
        let ((g, g_node), (q, q_node), (u, u_node)) = (g.into_parts(), q.into_parts(), u.into_parts());
        match JointScoresBackward.prepare::<C>([g_node, q_node, u_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let scores = B::joint_scores(g.clone(), q.clone(), u.clone());
                prepared.finish((g, q, u), scores)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::joint_scores(g, q, u)),
        }
    }
}

#[derive(Debug)]
struct ActivateBackward(Activation);

impl<B: Vectorized> Backward<B, 1> for ActivateBackward {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let [Some(x)] = ops.parents {
            gradients.register::<B>(x.id, B::activate_backward(ops.state, gradient, self.0));
        }
    }
}

#[derive(Debug)]
struct JointScoresBackward;

impl<B: Vectorized> Backward<B, 3> for JointScoresBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (g, q, u) = ops.state;
        let (dg, dq, du) = B::joint_scores_backward(g, q, u, gradient);
        for (parent, gradient) in ops.parents.into_iter().zip([dg, dq, du]) {
            if let Some(parent) = parent {
                gradients.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    fn wave<const R: usize>(shape: [usize; R], phase: f32, device: &Device) -> Tensor<R> {
        let count = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|i| 1.5 * (i as f32 * 0.61 + phase).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// Scores and gradients of Σ scores ⊙ weights by `joint`.
    fn run(joint: impl Fn(Tensor<3>, Tensor<2>, Tensor<1>) -> Tensor<3>) -> Vec<TensorData> {
        let device = Device::flex().autodiff();
        let g = wave([3, 4, 21], 0.1, &device).require_grad();
        let q = wave([5, 21], 0.2, &device).require_grad();
        let u = wave([21], 0.3, &device).require_grad();
        let scores = joint(g.clone(), q.clone(), u.clone());
        let gradients = (scores.clone() * wave([3, 5, 4], 0.4, &device)).sum().backward();
        let gradient = "each input has a gradient";
        vec![
            scores.into_data(),
            g.grad(&gradients).expect(gradient).into_data(),
            q.grad(&gradients).expect(gradient).into_data(),
            u.grad(&gradients).expect(gradient).into_data(),
        ]
    }

    #[test]
    fn joint_scores_and_gradients_equal_those_of_plain_tensor_operations() {
        let composed = run(|g, q, u| {
            let t = (g.unsqueeze_dim::<4>(1) * q.unsqueeze_dim::<3>(1).unsqueeze::<4>()).tanh();
            (t * u.unsqueeze::<4>()).sum_dim(3).squeeze_dim::<3>(3)
        });
        for (ours, plain) in run(joint_scores).iter().zip(&composed) {
            ours.assert_approx_eq::<f32>(plain, Tolerance::rel_abs(1e-5, 1e-5));
        }
    }

    #[test]
    fn the_fallback_of_other_backends_computes_the_same() {
        let device = Device::flex();
        let (g, q, u) =
            (wave([2, 3, 19], 0.1, &device), wave([4, 19], 0.2, &device), wave([19], 0.3, &device));
        let gradient = wave([2, 4, 3], 0.4, &device);
        let flex = |tensor: Tensor<3>| -> FlexTensor { FlexTensor::from_data(tensor.into_data()) };
        let (q, u) = (FlexTensor::from_data(q.into_data()), FlexTensor::from_data(u.into_data()));
        let (g, gradient) = (flex(g), flex(gradient));

        let ours = Flex::joint_scores(g.clone(), q.clone(), u.clone());
        let fallback = plain::joint_scores::<Flex>(g.clone(), q.clone(), u.clone());
        let tolerance = Tolerance::rel_abs(1e-5, 1e-5);
        ours.into_data().assert_approx_eq::<f32>(&fallback.into_data(), tolerance);

        let ours = Flex::joint_scores_backward(g.clone(), q.clone(), u.clone(), gradient.clone());
        let fallback = plain::joint_scores_backward::<Flex>(g.clone(), q, u, gradient.clone());
        for (ours, fallback) in [(ours.0, fallback.0), (ours.1, fallback.1), (ours.2, fallback.2)]
            .map(|(a, b)| (a.into_data(), b))
        {
            ours.assert_approx_eq::<f32>(&fallback.into_data(), tolerance);
        }
        for activation in [Activation::Tanh, Activation::Sigmoid] {
            let output = Flex::activate(g.clone(), activation);
            let fallback = plain::activate::<Flex>(g.clone(), activation);
            output.clone().into_data().assert_approx_eq::<f32>(&fallback.clone().into_data(), tolerance);
            let ours = Flex::activate_backward(output, g.clone(), activation);
            let fallback = plain::activate_backward::<Flex>(fallback, g.clone(), activation);
            ours.into_data().assert_approx_eq::<f32>(&fallback.into_data(), tolerance);
        }
    }

    #[test]
    fn activations_of_views_leave_the_tensor_they_look_at_alone() {
        let device = Device::flex().autodiff();
        let run = |f: fn(Tensor<2>) -> Tensor<2>| {
            let x = wave([6, 50], 0.0, &device).require_grad();
            let before = x.to_data();
            let output = f(x.clone().slice([1..4, 7..20]).transpose());
            x.to_data().assert_eq(&before, true);
            let value = output.to_data();
            let gradients = (output * wave([13, 3], 0.5, &device)).sum().backward();
            [value, x.grad(&gradients).expect("x is tracked").into_data()]
        };
        let ours = run(|x| tanh(x.clone()) + sigmoid(x));
        let plain = run(|x| x.clone().tanh() + burn::tensor::activation::sigmoid(x));
        for (ours, plain) in ours.iter().zip(&plain) {
            ours.assert_approx_eq::<f32>(plain, Tolerance::rel_abs(1e-5, 1e-6));
        }
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| run(joint_scores))
        };
        for (one, three) in on(1).iter().zip(&on(3)) {
            one.assert_eq(three, true);
        }
    }
}
