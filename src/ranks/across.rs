//! Sums over all ranks within a network, with their gradients: what every rank's loss says of a sum is added up too,
//! because each rank's loss is a part of the whole one.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::kernels::flex::vector;
use crate::ranks::share::{share, sum};

/// Σ over the ranks of a step, value by value, `[..] -> [..]`; `x` itself without other ranks. All of them ask in the
/// same order.
pub fn sum_of_ranks<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    match share() {
        None => x,
        Some(_) => Tensor::from_dispatch(Dispatch::sum_of_ranks(x.into_dispatch())),
    }
}

/// The rows of all ranks in the order of the batch, `[b, ..] -> [B, ..]`; `x` itself without other ranks.
pub fn whole_batch<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    let Some(share) = share() else { return x };
    let zeros = |rows: usize| {
        let mut shape = x.dims();
        shape[0] = rows;
        (rows > 0).then(|| Tensor::zeros(shape, &x.device()))
    };
    let parts = [zeros(share.places.start), Some(x.clone()), zeros(share.whole - share.places.end)];
    // Beside zeros a sum is exact.
    sum_of_ranks(Tensor::cat(parts.into_iter().flatten().collect(), 0))
}

/// This rank's rows of a whole batch, `[B, ..] -> [b, ..]`.
pub fn own_rows<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    match share() {
        None => x,
        Some(share) => x.narrow(0, share.places.start, share.places.len()),
    }
}

/// A loss that every rank computes of the whole batch, as this rank's part of it, `[1] -> [1]`.
pub fn part_of_each(loss: Tensor<1>) -> Tensor<1> {
    match share() {
        None => loss,
        Some(share) => loss.div_scalar(share.counting as f64),
    }
}

/// The operation.
#[backend_extension(Flex, Autodiff)]
pub trait SumOfRanks: Backend {
    /// See [`sum_of_ranks`].
    fn sum_of_ranks(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl SumOfRanks for Flex {
    fn sum_of_ranks(x: FlexTensor) -> FlexTensor {
        let shape = x.shape();
        let mut values = vector(x);
        sum(&mut values);
        FlexTensor::from_data(burn::tensor::TensorData::new(values, shape))
    }
}

impl<B: SumOfRanks, C: CheckpointStrategy> SumOfRanks for Autodiff<B, C> {
    fn sum_of_ranks(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        match SumBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((), B::sum_of_ranks(x)),
            OpsKind::UnTracked(prepared) => prepared.finish(B::sum_of_ranks(x)),
        }
    }
}

#[derive(Debug)]
struct SumBackward;

impl<B: SumOfRanks> Backward<B, 1> for SumBackward {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = B::sum_of_ranks(gradients.consume::<B>(&ops.node));
        if let [Some(x)] = ops.parents {
            gradients.register::<B>(x.id, gradient);
        }
    }
}
