//! Batch normalization with the statistics of a whole batch, of which each rank has a part: means and variances are
//! summed over the ranks, forward, and what their gradients need, backward. On the CPU, a pass over the values for
//! each.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::kernels::flex::{tensor, values, vector};
use crate::kernels::simd::{multiply_add, multiversion};
use crate::ranks::share::{share, sum};

/// Values of one parallel task: 256 KiB.
const TASK: usize = 1 << 16;

/// A normalized batch, and what it was normalized with.
pub struct Normalized<const R: usize> {
    /// ((x − mean) / √(variance + ε)) · weight + bias.
    pub output: Tensor<R>,
    /// Of each channel over all ranks, `[C]`.
    pub mean: Tensor<1>,
    /// The biased one, `[C]`.
    pub variance: Tensor<1>,
    /// How many values of a channel all ranks have.
    pub values: usize,
}

/// Normalizes this rank's part of a batch, `[b, C, ..] -> [b, C, ..]`; nothing where this rank has the whole batch, or
/// all ranks have one value a channel. All ranks ask in the same order.
pub fn normalized_of_ranks<const R: usize>(
    x: &Tensor<R>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Option<Normalized<R>> {
    let share = share()?;
    let (dims, channels) = (x.dims(), x.dims()[1]);
    let of_rank = dims.iter().product::<usize>() / channels;
    // The first axis is that of the images.
    let values = of_rank / share.places.len() * share.whole;
    if values < 2 {
        return None;
    }
    // Channels last.
    let mut order: Vec<isize> = (0..R as isize).filter(|axis| *axis != 1).collect();
    order.push(1);
    let order: [isize; R] = order.try_into().expect("as many axes");
    let last = x.clone().permute(order);
    let shape = last.dims();
    let rows = last.reshape([of_rank, channels]);
    let statistics = Dispatch::statistics_of_ranks(rows.clone().inner().into_dispatch(), values);
    let statistics = Tensor::<2>::from_dispatch(statistics); // [2, C]
    let output = Dispatch::normalize_of_ranks(
        rows.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        Tensor::<2>::from_inner(statistics.clone()).into_dispatch(),
        (values, epsilon),
    );
    let mut back: Vec<isize> = (0..R as isize - 1).collect();
    back.insert(1, R as isize - 1);
    let back: [isize; R] = back.try_into().expect("as many axes");
    let row = |place: usize| statistics.clone().narrow(0, place, 1).reshape([channels]);
    Some(Normalized {
        output: Tensor::<2>::from_dispatch(output).reshape(shape).permute(back),
        mean: Tensor::from_inner(row(0)),
        variance: Tensor::from_inner(row(1)),
        values,
    })
}

/// The operations.
#[backend_extension(Flex, Autodiff)]
pub trait NormalizeOfRanks: Backend {
    /// Mean and biased variance of each column over all ranks, which have so many `values` of it, `[N, C] -> [2, C]`.
    fn statistics_of_ranks(rows: FloatTensor<Self>, values: usize) -> FloatTensor<Self>;

    /// ((x − mean) / √(variance + ε)) · weight + bias, `[N, C], [C], [C], [2, C] -> [N, C]`; of the number of values and ε.
    fn normalize_of_ranks(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        settings: (usize, f64),
    ) -> FloatTensor<Self>;

    /// The gradients of rows, weight and bias from that of the result.
    fn normalize_of_ranks_backward(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        settings: (usize, f64),
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl NormalizeOfRanks for Flex {
    fn statistics_of_ranks(rows: FlexTensor, count: usize) -> FlexTensor {
        let [_, channels] = rows.shape().dims();
        let rows = rows.to_contiguous();
        let rows = values(&rows);
        let mut statistics = summed(rows, channels, channels, add_columns);
        sum(&mut statistics);
        statistics.iter_mut().for_each(|sum| *sum /= count as f32);
        let mean = &statistics;
        let mut variance = summed(rows, channels, channels, |rows, sums| add_squares(rows, mean, sums));
        sum(&mut variance);
        variance.iter_mut().for_each(|sum| *sum /= count as f32);
        statistics.extend(variance);
        tensor(statistics, [2, channels])
    }

    fn normalize_of_ranks(
        rows: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        statistics: FlexTensor,
        (_, epsilon): (usize, f64),
    ) -> FlexTensor {
        let [count, channels] = rows.shape().dims();
        let (mean, inverse) = mean_and_inverse(statistics, epsilon);
        let (weight, bias) = (vector(weight), vector(bias));
        let scale: Vec<f32> = weight.iter().zip(&inverse).map(|(weight, inverse)| weight * inverse).collect();
        let mut rows = vector(rows);
        rows.par_chunks_mut(task(channels)).for_each(|rows| normalize(rows, &mean, &scale, &bias));
        tensor(rows, [count, channels])
    }

    fn normalize_of_ranks_backward(
        rows: FlexTensor,
        weight: FlexTensor,
        statistics: FlexTensor,
        gradient: FlexTensor,
        (values_in_all, epsilon): (usize, f64),
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [count, channels] = rows.shape().dims();
        let (mean, inverse) = mean_and_inverse(statistics, epsilon);
        let rows = rows.to_contiguous();
        let (rows, weight, mut gradient) = (values(&rows), vector(weight), vector(gradient));
        let size = task(channels);
        let pairs = gradient.par_chunks(size).zip(rows.par_chunks(size));
        let parts: Vec<Vec<f32>> = pairs
            .map(|(gradient, rows)| {
                let mut sums = vec![0.0; 2 * channels];
                add_gradients(gradient, rows, &mean, &inverse, &mut sums);
                sums
            })
            .collect();
        // Σ g and Σ g x̂; this rank's are the gradients of bias and weight, which are summed with all others.
        let own = in_order(parts, 2 * channels);
        let mut all = own.clone();
        sum(&mut all);
        all.iter_mut().for_each(|sum| *sum /= values_in_all as f32);
        let scale: Vec<f32> = weight.iter().zip(&inverse).map(|(weight, inverse)| weight * inverse).collect();
        let pairs = gradient.par_chunks_mut(size).zip(rows.par_chunks(size));
        pairs.for_each(|(gradient, rows)| normalize_backward(gradient, rows, &mean, &inverse, &scale, &all));
        let (of_bias, of_weight) = own.split_at(channels);
        (
            tensor(gradient, [count, channels]),
            tensor(of_weight.to_vec(), [channels]),
            tensor(of_bias.to_vec(), [channels]),
        )
    }
}

/// Values of a task of whole rows.
fn task(channels: usize) -> usize {
    TASK.div_ceil(channels) * channels
}

/// Mean and 1 / √(variance + ε) of each channel.
fn mean_and_inverse(statistics: FlexTensor, epsilon: f64) -> (Vec<f32>, Vec<f32>) {
    let mut mean = vector(statistics);
    let variance = mean.split_off(mean.len() / 2);
    let inverse = |variance: f32| (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32;
    (mean, variance.into_iter().map(inverse).collect())
}

/// Sums over tasks of rows, whoever computes them.
fn summed(rows: &[f32], channels: usize, sums: usize, add: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let parts = rows.par_chunks(task(channels)).map(|rows| {
        let mut part = vec![0.0; sums];
        add(rows, &mut part);
        part
    });
    in_order(parts.collect(), sums)
}

fn in_order(parts: Vec<Vec<f32>>, sums: usize) -> Vec<f32> {
    parts.into_iter().fold(vec![0.0; sums], |mut all, part| {
        all.iter_mut().zip(part).for_each(|(all, part)| *all += part);
        all
    })
}

multiversion! {
    /// `s ← s + Σ x`, column by column.
    add_columns(rows: &[f32], sums: &mut [f32]) = add_columns_body
}

multiversion! {
    /// `s ← s + Σ (x − mean)²`, column by column.
    add_squares(rows: &[f32], mean: &[f32], sums: &mut [f32]) = add_squares_body
}

multiversion! {
    /// `x ← (x − mean) · scale + bias`, column by column.
    normalize(rows: &mut [f32], mean: &[f32], scale: &[f32], bias: &[f32]) = normalize_body
}

multiversion! {
    /// `s ← s + Σ g` in the first half and `s ← s + Σ g x̂` in the second, column by column.
    add_gradients(gradient: &[f32], rows: &[f32], mean: &[f32], inverse: &[f32], sums: &mut [f32]) =
        add_gradients_body
}

multiversion! {
    /// `g ← (g − mean g − x̂ · mean g x̂) · scale`, column by column; both means are in `means`, one after the other.
    normalize_backward(
        gradient: &mut [f32],
        rows: &[f32],
        mean: &[f32],
        inverse: &[f32],
        scale: &[f32],
        means: &[f32],
    ) = normalize_backward_body
}

#[inline(always)]
fn add_columns_body<const FUSED: bool>(rows: &[f32], sums: &mut [f32]) {
    for row in rows.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
}

#[inline(always)]
fn add_squares_body<const FUSED: bool>(rows: &[f32], mean: &[f32], sums: &mut [f32]) {
    for row in rows.chunks_exact(mean.len()) {
        for ((sum, x), mean) in sums.iter_mut().zip(row).zip(mean) {
            let centered = x - mean;
            *sum = multiply_add::<FUSED>(centered, centered, *sum);
        }
    }
}

#[inline(always)]
fn normalize_body<const FUSED: bool>(rows: &mut [f32], mean: &[f32], scale: &[f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(mean.len()) {
        for (((x, mean), &scale), &bias) in row.iter_mut().zip(mean).zip(scale).zip(bias) {
            *x = multiply_add::<FUSED>(*x - mean, scale, bias);
        }
    }
}

#[inline(always)]
fn add_gradients_body<const FUSED: bool>(
    gradient: &[f32],
    rows: &[f32],
    mean: &[f32],
    inverse: &[f32],
    sums: &mut [f32],
) {
    let channels = mean.len();
    let (plain, projected) = sums.split_at_mut(channels);
    for (gradient, row) in gradient.chunks_exact(channels).zip(rows.chunks_exact(channels)) {
        let places = gradient.iter().zip(row).zip(mean.iter().zip(inverse));
        let sums = plain.iter_mut().zip(projected.iter_mut());
        for (((g, x), (mean, inverse)), (plain, projected)) in places.zip(sums) {
            *plain += g;
            *projected = multiply_add::<FUSED>(*g, (x - mean) * inverse, *projected);
        }
    }
}

#[inline(always)]
fn normalize_backward_body<const FUSED: bool>(
    gradient: &mut [f32],
    rows: &[f32],
    mean: &[f32],
    inverse: &[f32],
    scale: &[f32],
    means: &[f32],
) {
    let channels = mean.len();
    let (plain, projected) = means.split_at(channels);
    for (gradient, row) in gradient.chunks_exact_mut(channels).zip(rows.chunks_exact(channels)) {
        let places = row.iter().zip(mean.iter().zip(inverse)).zip(scale).zip(plain.iter().zip(projected));
        for (g, (((x, (mean, inverse)), scale), (plain, projected))) in gradient.iter_mut().zip(places) {
            let normalized = (x - mean) * inverse;
            *g = scale * multiply_add::<FUSED>(-normalized, *projected, *g - plain);
        }
    }
}

impl<B: NormalizeOfRanks, C: CheckpointStrategy> NormalizeOfRanks for Autodiff<B, C> {
    fn statistics_of_ranks(_: FloatTensor<Self>, _: usize) -> FloatTensor<Self> {
        unimplemented!("statistics are taken without a graph")
    }

    fn normalize_of_ranks(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        settings: (usize, f64),
    ) -> FloatTensor<Self> {
        let ((rows, of_rows), (weight, of_weight)) = (rows.into_parts(), weight.into_parts());
        let ((bias, of_bias), (statistics, _)) = (bias.into_parts(), statistics.into_parts());
        let nodes = [of_rows, of_weight, of_bias];
        match NormalizeBackward(settings).prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let kept = (rows.clone(), weight.clone(), statistics.clone());
                prepared.finish(kept, B::normalize_of_ranks(rows, weight, bias, statistics, settings))
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::normalize_of_ranks(rows, weight, bias, statistics, settings))
            }
        }
    }

    fn normalize_of_ranks_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: (usize, f64),
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unimplemented!("gradients of gradients are not taken here")
    }
}

#[derive(Debug)]
struct NormalizeBackward((usize, f64));

impl<B: NormalizeOfRanks> Backward<B, 3> for NormalizeBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (rows, weight, statistics) = ops.state;
        let (of_rows, of_weight, of_bias) =
            B::normalize_of_ranks_backward(rows, weight, statistics, gradient, self.0);
        for (node, gradient) in ops.parents.into_iter().zip([of_rows, of_weight, of_bias]) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}
