//! What follows a convolution.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

/// What follows a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    None,
    Relu,
    Relu6,
}

impl Activation {
    /// Of every value, by plain operations.
    pub fn of(self, maps: Tensor<4>) -> Tensor<4> {
        match self {
            Activation::None => maps,
            Activation::Relu => relu(maps),
            Activation::Relu6 => maps.clamp(0.0, 6.0),
        }
    }

    /// Smallest and largest value that it lets through.
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Activation::None => (f32::NEG_INFINITY, f32::INFINITY),
            Activation::Relu => (0.0, f32::INFINITY),
            Activation::Relu6 => (0.0, 6.0),
        }
    }
}
