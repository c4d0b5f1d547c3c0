//! What [`super::vectorized`] and [`super::square_sum`] compute, from plain tensor operations, for backends without kernels of
//! ours.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

/// Which function of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// tanh x.
    Tanh,
    /// 1 / (1 + e^−x).
    Sigmoid,
}

/// tanh or sigmoid of every value, `[..] -> [..]`.
pub fn activate<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    match activation {
        Activation::Tanh => B::float_tanh(x),
        Activation::Sigmoid => B::sigmoid(x),
    }
}

/// The gradient of the activation's argument from that of its `output`, `[..], [..] -> [..]`.
pub fn activate_backward<B: Backend>(
    output: FloatTensor<B>,
    gradient: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let square = B::float_mul(output.clone(), output.clone());
    let slope = match activation {
        Activation::Tanh => one_minus::<B>(square),
        Activation::Sigmoid => B::float_sub(output, square),
    };
    B::float_mul(gradient, slope)
}

/// Σ_m u[m] · tanh(g[b, p, m] · q[c, m]), `[B, P, M], [C, M], [M] -> [B, C, P]`; holds `B · C · P · M` values.
pub fn joint_scores<B: Backend>(g: FloatTensor<B>, q: FloatTensor<B>, u: FloatTensor<B>) -> FloatTensor<B> {
    let (g, q, [batch, positions, width, categories]) = broadcastable::<B>(g, q);
    let t = B::float_tanh(B::float_mul(g, q)); // [B, C, P, M]
    let t = B::float_reshape(t, Shape::new([batch * categories * positions, width]));
    let scores = B::float_matmul(t, B::float_reshape(u, Shape::new([width, 1])));
    B::float_reshape(scores, Shape::new([batch, categories, positions]))
}

/// The gradients of g, q and u from that of the scores, `[B, C, P]`.
pub fn joint_scores_backward<B: Backend>(
    g: FloatTensor<B>,
    q: FloatTensor<B>,
    u: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let (g, q, [batch, positions, width, categories]) = broadcastable::<B>(g, q);
    let gradient = B::float_reshape(gradient, Shape::new([batch, categories, positions, 1]));
    let t = B::float_tanh(B::float_mul(g.clone(), q.clone())); // [B, C, P, M]
    let du = B::float_sum_dims(B::float_mul(t.clone(), gradient.clone()), &[0, 1, 2]);
    let slope = one_minus::<B>(B::float_mul(t.clone(), t));
    let u = B::float_reshape(u, Shape::new([1, 1, 1, width]));
    let dt = B::float_mul(B::float_mul(slope, gradient), u);
    let dg = B::float_sum_dim(B::float_mul(dt.clone(), q), 1);
    let dq = B::float_sum_dims(B::float_mul(dt, g), &[0, 2]);
    (
        B::float_reshape(dg, Shape::new([batch, positions, width])),
        B::float_reshape(dq, Shape::new([categories, width])),
        B::float_reshape(du, Shape::new([width])),
    )
}

/// `[B, P, M], [C, M] -> [B, 1, P, M], [1, C, 1, M]` and `[B, P, M, C]`.
fn broadcastable<B: Backend>(
    g: FloatTensor<B>,
    q: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>, [usize; 4]) {
    let [batch, positions, width] = g.shape().dims();
    let categories = q.shape()[0];
    (
        B::float_reshape(g, Shape::new([batch, 1, positions, width])),
        B::float_reshape(q, Shape::new([1, categories, 1, width])),
        [batch, positions, width, categories],
    )
}

/// Σ x², `[..] -> [1]`.
pub fn square_sum<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_sum(B::float_mul(x.clone(), x))
}

fn one_minus<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_add_scalar(B::float_neg(x), 1.0.into())
}
