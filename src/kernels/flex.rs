//! Values of Burn's CPU tensors, for kernels of ours.

use burn::tensor::TensorData;
use burn_flex::FlexTensor;

/// The values of a contiguous tensor of f32.
pub fn values(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("a contiguous tensor of f32")
}

/// The values of a tensor of f32, moved where nobody else holds them.
pub fn vector(x: FlexTensor) -> Vec<f32> {
    x.into_data().try_into_vec().expect("a tensor of f32")
}

/// A tensor of these values.
pub fn tensor<const R: usize>(values: Vec<f32>, shape: [usize; R]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}
