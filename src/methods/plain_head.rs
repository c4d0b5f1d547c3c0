//! The plain head: global average pooling and one linear layer, the head of most published losses.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;
use sarb_labels::random::{Stream, rng};
use serde::{Deserialize, Serialize};

use super::keys::{Interval, Key, Kind};
use super::knowledge::{CategoryKnowledge, output_bias};
use super::network_recipe::{OUTPUT_BIAS, OutputBias};
use super::pooled::{class_activation, export_pooled_linear, pooled};
use super::torch::{MapPooling, TorchHead};
use super::{Exported, ranges};
use crate::Result;
use crate::nn::dropout::dropout;
use crate::nn::linear::{Linear, set};
use crate::onnx::graph::{Graph, Value};

/// Settings of [`PlainHead`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlainRecipe {
    /// Where the output bias starts.
    pub output_bias: OutputBias,
    /// Share of the pooled features dropped in training, from 0 to below 1.
    pub dropout: f64,
}

/// The keys of [`PlainRecipe`].
pub const KEYS: &[Key] = &[
    OUTPUT_BIAS,
    Key::new("dropout", Kind::Number(Interval::BELOW_1), "Share of the pooled features dropped in training"),
];

impl PlainRecipe {
    /// Refuses values out of range.
    pub fn check(&self) -> Result<()> {
        ranges::dropout("head.dropout", self.dropout)
    }
}

/// s = W (mean over positions of x) + b.
#[derive(Module, Debug)]
pub struct PlainHead {
    /// `[F, C]` and `[C]`.
    pub classifier: Linear,
    dropout: f64,
}

impl PlainHead {
    /// For maps of F `channels`. The initial weights depend on `seed` alone.
    pub fn new(
        recipe: &PlainRecipe,
        channels: usize,
        knowledge: &CategoryKnowledge,
        seed: u64,
        device: &Device,
    ) -> Self {
        let rng = &mut rng(seed, Stream::Init, 0, 0);
        let mut classifier = Linear::new(channels, knowledge.counts.len(), rng, device);
        if let Some(start) = output_bias(recipe.output_bias, knowledge) {
            set(classifier.bias.as_mut().expect("a linear layer with bias"), start);
        }
        Self { classifier, dropout: recipe.dropout }
    }

    /// Scores, `[B, F, H, W] -> [B, C]`.
    pub fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.classifier.forward(pooled(maps))
    }

    /// [`forward`](Self::forward) with dropout.
    pub fn forward_dropped(&self, maps: Tensor<4>, rng: &mut impl Rng) -> Tensor<2> {
        self.classifier.forward(dropout(pooled(maps), self.dropout, rng))
    }

    /// The logit that each position alone would give, `[B, F, H, W] -> [B, C, H·W]`.
    pub fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        class_activation(maps, self.classifier.weight.val())
    }

    /// See [`Method::export`](super::Method::export).
    pub fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        let bias = self.classifier.bias.as_ref().expect("a linear layer with bias").val();
        export_pooled_linear(graph, maps, self.classifier.weight.val(), bias)
    }

    /// See [`Method::torch`](super::Method::torch).
    pub fn torch(&self) -> TorchHead {
        let bias = self.classifier.bias.as_ref().expect("a linear layer with bias").val();
        TorchHead::linear(MapPooling::Mean, self.classifier.weight.val().transpose(), bias)
    }
}
