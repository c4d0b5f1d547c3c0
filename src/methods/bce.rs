//! The plain head: global average pooling and one linear layer, trained with BCE over the known
//! labels. With it a backbone can be trained from scratch, as `sarb quickstart` does.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Method;
use super::network_recipe::OutputBias;
use super::pooled::{class_activation, pooled};
use super::ssgrl::{CategoryKnowledge, output_bias};
use crate::Result;
use crate::batch::{Batch, Losses, Progress, Stream, rng};
use crate::loss::partial_bce::partial_bce;
use crate::nn::linear::{Linear, set};

/// Settings of `bce`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BceRecipe {
    /// Where the output bias starts.
    pub output_bias: OutputBias,
}

impl BceRecipe {
    /// Refuses values out of range; there are none.
    pub fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The head with its initial weights.
    pub fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Bce {
        let rng = &mut rng(seed, Stream::Init, 0, 0);
        let mut classifier = Linear::new(channels, knowledge.counts.len(), rng, device);
        let bias = classifier.bias.as_mut().expect("a linear layer with bias");
        set(bias, output_bias(self.output_bias, &knowledge.counts));
        Bce { classifier }
    }
}

/// Global average pooling and one linear layer.
#[derive(Module, Debug)]
pub struct Bce {
    /// `[F, C]` and `[C]`.
    pub classifier: Linear,
}

impl Method for Bce {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.classifier.forward(pooled(maps))
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, _at: Progress) -> Losses {
        let targets = batch.targets(&maps.device());
        Losses::default().with("bce", 1.0, partial_bce(self.forward(maps), targets))
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        class_activation(maps, self.classifier.weight.val())
    }
}
