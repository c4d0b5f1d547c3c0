//! Half of a network, as [`Backbone`](super::Backbone) puts it together.

use burn::module::Module;
use burn::tensor::Tensor;

/// One half of a network.
pub(crate) trait Stage: Module {
    /// Maps, or at first images, to maps, `[B, F', H', W'] -> [B, F, H, W]`.
    fn forward(&self, maps: Tensor<4>) -> Tensor<4>;
}
