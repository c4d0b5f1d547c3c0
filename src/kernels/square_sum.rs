//! Σ x² as an operation of our own: the norm of the gradients is taken in every step, in one pass over them
//! on all cores. Other backends get it from plain tensor operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::kernels::flex::{tensor, values};
use crate::kernels::{plain, simd};

/// Values of one parallel task: 64 KiB.
const TASK: usize = 1 << 14;
/// Values that lie together, below which a copy is faster.
const SMALLEST_BLOCK: usize = 64;

/// Σ x² of a tensor without a graph, `[..] -> [1]`. It does not depend on the number of threads.
pub fn square_sum<const R: usize>(x: Tensor<R>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::square_sum(x.without_autodiff().into_dispatch()))
}

/// The operation; the default body is what backends without kernels of ours compute.
#[backend_extension(Flex, Cube: cfg(any(feature = "vulkan", feature = "cuda", feature = "metal")))]
pub trait SquareSum: Backend {
    /// See [`square_sum`].
    fn square_sum(x: FloatTensor<Self>) -> FloatTensor<Self> {
        plain::square_sum::<Self>(x)
    }
}

#[cfg(any(feature = "vulkan", feature = "cuda", feature = "metal"))]
use burn::backend::Cube;
#[cfg(any(feature = "vulkan", feature = "cuda", feature = "metal"))]
impl SquareSum for Cube {}

impl SquareSum for Flex {
    fn square_sum(x: FlexTensor) -> FlexTensor {
        if x.dtype() != DType::F32 {
            return plain::square_sum::<Self>(x);
        }
        // The order of the values does not matter, and a product's gradient is often a transposed view or a part
        // of a larger one: what lies together is read as it lies, because a copy would take longer than the rest.
        let storage = x.storage::<f32>();
        let blocks = x.layout().strided_blocks();
        let parts: Vec<f64> = if fills_its_storage(&x) {
            storage.par_chunks(TASK).map(sum_of).collect()
        } else if let Some(values) = x.as_slice() {
            values.par_chunks(TASK).map(sum_of).collect()
        } else if blocks.block_len() >= SMALLEST_BLOCK {
            let (length, starts) = (blocks.block_len(), blocks.block_starts().collect::<Vec<usize>>());
            let sum_of_block = |&start: &usize| sum_of(&storage[start..start + length]);
            let tasks = starts.par_chunks(TASK.div_ceil(length));
            tasks.map(|starts| starts.iter().map(sum_of_block).sum()).collect()
        } else {
            values(&x.to_contiguous()).par_chunks(TASK).map(sum_of).collect()
        };
        // In the order of the tasks, whoever was first.
        tensor(vec![parts.into_iter().sum::<f64>() as f32], [1])
    }
}

fn sum_of(values: &[f32]) -> f64 {
    let mut sum = 0.0;
    simd::square_sum(values, &mut sum);
    f64::from(sum)
}

/// Whether the values of a tensor of f32 are those of its storage, each once, in whatever order.
fn fills_its_storage(x: &FlexTensor) -> bool {
    let layout = x.layout();
    let axes = layout.strides().iter().zip(layout.shape().iter());
    let mut axes: Vec<(isize, usize)> =
        axes.map(|(&stride, &length)| (stride, length)).filter(|(_, length)| *length != 1).collect();
    axes.sort_unstable();
    let mut inner = 1;
    let dense = axes.into_iter().all(|(stride, length)| {
        let fits = stride == inner as isize;
        inner *= length;
        fits
    });
    dense && layout.start_offset() == 0 && inner == x.storage::<f32>().len()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn it_is_the_sum_of_all_squares_on_any_number_of_threads() {
        // Three tasks and a rest that fills no register.
        let numbers: Vec<f32> =
            (0..2 * TASK + 19).map(|n| ((n * 7919) % 1013) as f32 / 1013.0 - 0.5).collect();
        let expected: f64 = numbers.iter().map(|&x| f64::from(x).powi(2)).sum();
        let sum = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let data = TensorData::new(numbers.clone(), [numbers.len()]);
            pool.install(|| square_sum(Tensor::<1>::from_data(data, &Device::flex())).into_scalar::<f32>())
        };
        // Single precision within a task of 16,384 values.
        assert!((f64::from(sum(1)) / expected - 1.0).abs() < 1e-5, "{} and {expected}", sum(1));
        assert_eq!(sum(1).to_bits(), sum(3).to_bits());
    }

    #[test]
    fn a_view_and_an_empty_tensor_count_what_they_hold() {
        let x = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0]], &Device::flex());
        assert_eq!(square_sum(x.clone().narrow(1, 1, 1)).into_scalar::<f32>(), 20.0);
        assert_eq!(square_sum(x.clone().transpose()).into_scalar::<f32>(), 30.0);
        assert_eq!(square_sum(x.clone().narrow(0, 0, 1)).into_scalar::<f32>(), 5.0);
        assert_eq!(square_sum(x.narrow(1, 0, 1).expand([2, 3])).into_scalar::<f32>(), 30.0);
        // Columns of a larger tensor: blocks of 70 of 210 values.
        let rows: Vec<f32> = (0..3 * 210).map(|n| (n / 70 % 3) as f32).collect();
        let rows = Tensor::<2>::from_data(TensorData::new(rows, [3, 210]), &Device::flex());
        assert_eq!(square_sum(rows.clone().narrow(1, 70, 70)).into_scalar::<f32>(), 210.0);
        assert_eq!(square_sum(rows.narrow(1, 140, 70)).into_scalar::<f32>(), 840.0);
        let one = Tensor::<2>::from_data([[3.0], [4.0]], &Device::flex());
        assert_eq!(square_sum(one.expand([2, 2])).into_scalar::<f32>(), 50.0);
        assert_eq!(square_sum(Tensor::<2>::empty([0, 3], &Device::flex())).into_scalar::<f32>(), 0.0);
    }
}
