//! The plain head: global average pooling and one linear layer, trained with BCE over the known
//! labels. With it a backbone can be trained from scratch, as `sarb quickstart` does.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Method, Setting};
use crate::batch::{Batch, Losses, Progress, Stream, rng, targets};
use crate::data::labels::Label;
use crate::loss::partial_bce::partial_bce;
use crate::methods::ssgrl::{OutputBias, prior_logits};

/// Settings of `bce`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BceRecipe {
    /// Where the output bias starts.
    pub output_bias: OutputBias,
}

impl BceRecipe {
    /// The first setting out of range.
    pub fn problem(&self) -> Option<String> {
        None
    }
}

/// Global average pooling and one linear layer.
#[derive(Module, Debug)]
pub struct Bce {
    /// `[F, C]`.
    weight: Param<Tensor<2>>,
    /// `[C]`.
    bias: Param<Tensor<1>>,
}

impl Bce {
    /// PyTorch's initial weights, U(±1/√F); the bias as the recipe says.
    pub fn new(recipe: &BceRecipe, setting: &Setting) -> Self {
        use rand::RngExt;
        let (f, c) = (setting.channels, setting.categories.names.len());
        let mut rng = rng(setting.seed, Stream::Init, 0, 0);
        let bound = 1.0 / (f as f32).sqrt();
        let weight: Vec<f32> = (0..f * c).map(|_| rng.random_range(-bound..bound)).collect();
        let bias = match recipe.output_bias {
            OutputBias::Prior => prior_logits(setting.counts),
            OutputBias::Zero => vec![0.0; c],
        };
        Self {
            weight: Param::from_data(TensorData::new(weight, [f, c]), setting.device),
            bias: Param::from_data(TensorData::new(bias, [c]), setting.device),
        }
    }
}

impl Method for Bce {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        let pooled = maps.flatten::<3>(2, 3).mean_dim(2).squeeze_dim::<2>(2); // [B, F]
        pooled.matmul(self.weight.val()) + self.bias.val().unsqueeze()
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, _at: Progress) -> Losses {
        let logits = self.forward(maps);
        let device = logits.device();
        let known = batch.labels.count(Label::Positive) + batch.labels.count(Label::Negative);
        Losses::default().with("bce", 1.0, partial_bce(logits, targets(&batch.labels, &device), known))
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        // Class activation: the logit that each position alone would give.
        let positions = maps.flatten::<3>(2, 3).swap_dims(1, 2); // [B, P, F]
        positions.matmul(self.weight.val().unsqueeze()).swap_dims(1, 2)
    }
}
