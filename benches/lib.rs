//! Benchmarks of the kernels of `sarb`, and what they share: made-up values and labels.

pub mod photograph;

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sarb::labels::LabelMatrix;
use sarb::labels::random::{self, Stream};

/// The same numbers every time.
pub fn rng() -> ChaCha8Rng {
    random::rng(0, Stream::Synthetic, 0, 0)
}

/// Values in −1…1.
pub fn values(count: usize) -> Vec<f32> {
    let mut rng = rng();
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Values in −1…1.
pub fn tensor<const R: usize>(shape: [usize; R], device: &Device) -> Tensor<R> {
    Tensor::from_data(TensorData::new(values(shape.iter().product()), shape), device)
}

/// A third each of −1, 0 and +1.
pub fn labels(images: usize, categories: usize) -> LabelMatrix {
    let mut rng = rng();
    let values: Vec<i8> = (0..images * categories).map(|_| rng.random_range(-1..=1)).collect();
    LabelMatrix::from_values(categories, &values)
}
