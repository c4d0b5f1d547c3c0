//! `ml-gcn`: GCN-ML, classifiers generated from word vectors by a graph convolutional network (Chen,
//! Wei, Wang, Guo; CVPR 2019).
//!
//! The graph is estimated from the known labels of the training data, as every method's here. The
//! published network has no output bias; ours has one that starts at the prior, because with few
//! known positives the first epochs otherwise move the weights instead (`output_bias = "zero"` is the
//! published network).

use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData, activation::leaky_relu};
use sarb_labels::random::{Stream, rng};
use serde::{Deserialize, Serialize};

use super::keys::{Interval, Key, Kind};
use super::knowledge::{CategoryKnowledge, Words, output_bias, words};
use super::network_recipe::{OUTPUT_BIAS, OutputBias, WORD_WIDTH};
use super::pooled::{class_activation, export_class_activation};
use super::torch::{MapPooling, TorchHead};
use super::{Exported, Method, Settings, ranges};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;
use crate::nn::dropout::dropout;
use crate::nn::graph_convolution::{GraphConvolution, normalized_adjacency};
use crate::onnx::graph::{Graph, Value};

/// Slope of the activation between the layers below 0.
const SLOPE: f64 = 0.2;

/// Settings of `ml-gcn`; the defaults are the published ones, but for the output bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlGcnRecipe {
    /// Width of the layer between word vectors and classifiers.
    pub hidden: usize,
    /// Where the output bias starts; at `zero` it stays there, as published.
    pub output_bias: OutputBias,
    /// Share of the pooled features dropped in training, from 0 to below 1.
    pub dropout: f64,
    /// Width E of word vectors when they are learned, because none are given.
    pub word_width: usize,
}

impl Default for MlGcnRecipe {
    fn default() -> Self {
        Self { hidden: 1024, output_bias: OutputBias::Prior, dropout: 0.0, word_width: 300 }
    }
}

impl Settings for MlGcnRecipe {
    type Head = MlGcn;

    const KEYS: &'static [Key] = &[
        Key::new("hidden", Kind::AT_LEAST_1, "Width of the layer between word vectors and classifiers"),
        OUTPUT_BIAS,
        Key::new(
            "dropout",
            Kind::Number(Interval::BELOW_1),
            "Share of the pooled features dropped in training",
        ),
        WORD_WIDTH,
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> MlGcn {
        MlGcn::new(self, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        ranges::width("hidden", self.hidden)?;
        ranges::width("word_width", self.word_width)?;
        ranges::dropout("dropout", self.dropout)
    }

    fn follow_reference(&mut self) {
        self.output_bias = OutputBias::Zero;
    }

    fn takes_soft_labels(&self) -> bool {
        true
    }
}

/// s = F · H₂ᵀ + b with F the maximum over positions and H₂ = Â LeakyReLU(Â X W₁) W₂.
#[derive(Module, Debug)]
pub struct MlGcn {
    /// X, word vectors.
    pub words: Words,
    /// Â, `[C, C]`; fixed, in the checkpoint.
    pub adjacency: RunningState<Tensor<2>>,
    /// W₁, `[E, hidden]`.
    pub first: GraphConvolution,
    /// W₂, `[hidden, F]`.
    pub second: GraphConvolution,
    /// b, `[C]`.
    pub bias: Param<Tensor<1>>,
    dropout: f64,
}

impl MlGcn {
    /// For maps of F `channels`. The initial weights depend on `seed` alone.
    pub fn new(
        recipe: &MlGcnRecipe,
        channels: usize,
        knowledge: &CategoryKnowledge,
        seed: u64,
        device: &Device,
    ) -> Self {
        let rng = &mut rng(seed, Stream::Init, 0, 0);
        let categories = knowledge.counts.len();
        let (words, word_width) = words(knowledge, recipe.word_width, rng, device);
        let adjacency =
            TensorData::new(normalized_adjacency(&knowledge.cooccurrence), [categories, categories]);
        let start = output_bias(recipe.output_bias, knowledge);
        let start = start.unwrap_or_else(|| vec![0.0; categories]);
        let bias = Param::from_tensor(Tensor::from_data(start.as_slice(), device));
        Self {
            words,
            adjacency: RunningState::new(Tensor::from_data(adjacency, device)),
            first: GraphConvolution::new(word_width, recipe.hidden, rng, device),
            second: GraphConvolution::new(recipe.hidden, channels, rng, device),
            bias: bias.set_require_grad(recipe.output_bias != OutputBias::Zero),
            dropout: recipe.dropout,
        }
    }

    /// H₂, one classifier per category, `[C, F]`.
    pub fn classifiers(&self, device: &Device) -> Tensor<2> {
        let adjacency = self.adjacency.value().to_device(device);
        let hidden = self.first.forward(self.words.vectors(device), adjacency.clone());
        self.second.forward(leaky_relu(hidden, SLOPE), adjacency)
    }

    fn score(&self, features: Tensor<2>) -> Tensor<2> {
        let classifiers = self.classifiers(&features.device());
        features.matmul(classifiers.transpose()) + self.bias.val().unsqueeze()
    }
}

/// The maximum over positions, `[B, F, H, W] -> [B, F]`.
fn max_pooled(maps: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = maps.dims();
    maps.reshape([batch, channels, height * width]).max_dim(2).reshape([batch, channels])
}

impl Method for MlGcn {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.score(max_pooled(maps))
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let targets = batch.targets(&maps.device());
        let features = dropout(max_pooled(maps), self.dropout, &mut at.rng(Stream::Dropout));
        Losses::default().with("bce", 1.0, partial_bce(self.score(features), targets, normalization))
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        let classifiers = self.classifiers(&maps.device());
        class_activation(maps, classifiers.transpose())
    }

    /// With the classifiers that the graph convolutions give; they are the same for every image.
    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        let classifiers = self.classifiers(&self.bias.val().device()).transpose(); // [F, C]
        let features = graph.over("ReduceMax", maps, &[1, 2]);
        Exported {
            logits: graph.linear("classifier", &features, classifiers.clone(), Some(self.bias.val())),
            attention: export_class_activation(graph, maps, classifiers),
        }
    }

    fn torch(&self) -> TorchHead {
        let classifiers = self.classifiers(&self.bias.val().device());
        TorchHead::linear(MapPooling::Max, classifiers, self.bias.val())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, TOLERANCE, assert_close};
    use crate::loss::normalization::Normalization;
    use crate::nn::linear::set;

    /// The network of tests/fixtures/ml_gcn.safetensors, which has no bias.
    fn official(fixture: &Fixture, device: &Device) -> MlGcn {
        let ([categories, width], [_, hidden]) = (fixture.shape("words"), fixture.shape("gc1.weight"));
        let [_, channels, ..] = fixture.shape::<4>("feature_map");
        let recipe = MlGcnRecipe { hidden, output_bias: OutputBias::Zero, ..MlGcnRecipe::default() };
        let knowledge = CategoryKnowledge {
            words: Some((fixture.values("words"), width)),
            cooccurrence: vec![0.0; categories * categories],
            counts: vec![(0, 0); categories],
            images: 0,
        };
        let mut network = MlGcn::new(&recipe, channels, &knowledge, 0, device);
        network.adjacency = RunningState::new(fixture.tensor("adjacency.normalized", device));
        set(&mut network.first.weight, fixture.values("gc1.weight"));
        set(&mut network.second.weight, fixture.values("gc2.weight"));
        network
    }

    #[test]
    fn outputs_loss_and_gradients_equal_the_official_modules() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/ml_gcn.safetensors"));
        let device = crate::fixture::device().autodiff();
        let network = official(&fixture, &device);
        fixture.assert_equals("classifiers", network.classifiers(&device));
        let maps = fixture.tensor::<4>("feature_map", &device).require_grad();
        let logits = network.forward(maps.clone());
        fixture.assert_equals("logits", logits.clone());
        let targets = fixture.tensor::<2>("target", &device);
        let loss = partial_bce(logits, targets, Normalization::Supervised);
        let gradients = loss.backward();
        fixture.assert_equals("loss", loss);
        fixture.assert_equals("grad.feature_map", maps.grad(&gradients).expect("tracked"));
        let gradient = |weight: &Param<Tensor<2>>| weight.val().grad(&gradients).expect("trained");
        fixture.assert_equals("grad.gc1.weight", gradient(&network.first.weight));
        fixture.assert_equals("grad.gc2.weight", gradient(&network.second.weight));
        assert!(network.bias.val().grad(&gradients).is_none(), "as published there is no bias");
    }

    #[test]
    fn each_position_alone_scores_what_attention_says() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/ml_gcn.safetensors"));
        let device = crate::fixture::device();
        let network = official(&fixture, &device);
        let maps = fixture.tensor::<4>("feature_map", &device);
        let [_, _, height, width] = maps.dims();
        let (row, column) = (height / 2, width / 2);
        let attention = network.attention(maps.clone()).narrow(2, row * width + column, 1);
        let alone = network.forward(maps.narrow(2, row, 1).narrow(3, column, 1)).into_data();
        let attention = attention.into_data().try_into_vec::<f32>().expect("f32");
        assert_close("attention", &attention, &alone.try_into_vec::<f32>().expect("f32"), TOLERANCE);
    }
}
