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
        let x = x.to_contiguous();
        // Collected in the order of the tasks and summed in it.
        let parts: Vec<f32> = values(&x)
            .par_chunks(TASK)
            .map(|part| {
                let mut sum = 0.0;
                simd::square_sum(part, &mut sum);
                sum
            })
            .collect();
        let sum: f64 = parts.into_iter().map(f64::from).sum();
        tensor(vec![sum as f32], [1])
    }
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
        assert_eq!(square_sum(x.transpose()).into_scalar::<f32>(), 30.0);
    }
}
