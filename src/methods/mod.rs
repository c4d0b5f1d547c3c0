//! One method a file.
pub mod blending;
pub mod linear;
#[cfg(test)]
mod parity;
pub mod prototypes;
pub mod sarb;
pub mod sarb_recipe;
pub mod score_start;
pub mod ssgrl;

use burn::module::{Module, ParamGroup};
use burn::tensor::Tensor;

use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::data::labels::LabelMatrix;

/// What every method implements: a head on feature maps, its loss, and what changes over time.
pub trait Method: Module {
    /// Category scores (logits), `[B, F, H, W] -> [B, C]`.
    fn forward(&self, maps: Tensor<4>) -> Tensor<2>;

    /// The training loss of one batch, term by term; `maps` are the batch's, `[B, F, H, W]`.
    fn loss(&self, maps: Tensor<4>, batch: &Batch, at: Progress) -> Losses;

    /// What is computed once from the training data, such as a closed-form solution.
    fn before_training(&mut self, _train: &dyn TrainSet) -> Result<()> {
        Ok(())
    }

    /// What changes between epochs: prototypes, pseudo-labels, margins. `epoch` counts from 0.
    fn before_epoch(&mut self, _epoch: usize, _train: &dyn TrainSet) -> Result<()> {
        Ok(())
    }

    /// What must hold after every step, such as 0 ≤ α ≤ 1.
    fn after_step(&mut self) {}

    /// Learning-rate factors of parameter groups.
    fn groups(&self) -> Vec<(ParamGroup, f64)> {
        Vec::new()
    }
}

/// The training examples with their partial labels, for passes between epochs.
pub trait TrainSet {
    /// The partial labels, `N × C`.
    fn labels(&self) -> &LabelMatrix;

    /// The run's seed.
    fn seed(&self) -> u64;

    /// Feature maps of every example once, through the test-time transform, in file order:
    /// calls `each` with the rows and their maps `[b, F, H, W]`, without gradients.
    fn for_each_maps(&self, each: &mut dyn FnMut(&[usize], Tensor<4>) -> Result<()>) -> Result<()>;
}
