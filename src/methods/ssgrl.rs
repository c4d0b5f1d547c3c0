//! SSGRL: category-specific representations that exchange messages over the co-occurrence graph
//! (Chen et al., ICCV 2019), at the widths of SARB, which builds on it.
//!
//! The original has no reduction (2048-d representations); the official SARB code reduces to 1024.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;
use sarb_labels::random::{Stream, rng};
use serde::{Deserialize, Serialize};

use super::keys::Key;
use super::knowledge::{CategoryKnowledge, Words, output_bias, words};
use super::network_recipe::{NETWORK, NetworkRecipe, Start};
use super::quadrants::ByPosition;
use super::torch::TorchHead;
use super::{Exported, Method, Settings, TrainSet};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::kernels::shared_states::SharedStates;
use crate::kernels::vectorized::tanh;
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;
use crate::nn::attention::{Pooling, SemanticAttention};
use crate::nn::batch_norm::BatchNorm;
use crate::nn::decoupling::SemanticDecoupling;
use crate::nn::dropout::dropout;
use crate::nn::gated_graph::GatedGraph;
use crate::nn::linear::{Linear, set};
use crate::nn::per_class_linear::PerClassLinear;
use crate::onnx::graph::{Graph, Value};

/// Settings of the method `ssgrl`: those of its network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SsgrlRecipe {
    /// Widths, dropout and start.
    pub network: NetworkRecipe,
}

impl Settings for SsgrlRecipe {
    type Head = Ssgrl;

    const KEYS: &'static [Key] = &[NETWORK];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Ssgrl {
        Ssgrl::new(&self.network, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        self.network.check()
    }

    fn follow_reference(&mut self) {
        self.network.follow_reference();
    }

    fn takes_soft_labels(&self) -> bool {
        true
    }
}

/// How a feature map becomes one representation per category.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Represent {
    /// Pooled where the category's word vector looks.
    Decoupling(SemanticDecoupling),
    /// Pooled where the category's activation map is high.
    Attention(SemanticAttention),
}

/// The head: feature maps to category-specific representations to scores.
#[derive(Module, Debug)]
pub struct Ssgrl {
    /// 1×1 convolution F → D without bias, `[F, D]`; official `changeChannel.0`.
    pub reduce: Linear,
    /// Official `changeChannel.1`.
    pub norm: BatchNorm,
    /// Word vectors.
    pub words: Words,
    /// Pools the positions, category by category.
    pub pool: Represent,
    /// Passes messages between categories.
    pub graph: GatedGraph,
    /// Joins a representation after and before propagation, `[2D, D]`; official `fc`.
    pub fuse: Linear,
    /// One classifier per category.
    pub classifiers: PerClassLinear,
    dropout: f64,
    dropout_classifier: f64,
    #[module(skip)]
    start: Start,
}

impl Ssgrl {
    /// For maps of F `channels`. The initial weights depend on `seed` alone.
    ///
    /// # Panics
    /// If the sizes in `knowledge` contradict each other.
    pub fn new(
        recipe: &NetworkRecipe,
        channels: usize,
        knowledge: &CategoryKnowledge,
        seed: u64,
        device: &Device,
    ) -> Self {
        let (dim, categories) = (recipe.dim, knowledge.counts.len());
        let rng = &mut rng(seed, Stream::Init, 0, 0);
        let (words, word_width) = words(knowledge, recipe.word_width, rng, device);
        assert_eq!(
            knowledge.cooccurrence.len(),
            categories * categories,
            "co-occurrences of other categories"
        );
        let mut classifiers = PerClassLinear::new(categories, dim, rng, device);
        if let Some(start) = output_bias(recipe.output_bias, knowledge) {
            set(&mut classifiers.bias, start);
        }
        Self {
            reduce: Linear::without_bias(channels, dim, rng, device),
            norm: BatchNorm::new(dim, device),
            words,
            pool: Represent::Decoupling(SemanticDecoupling::new(dim, word_width, recipe.joint, rng, device)),
            graph: GatedGraph::new(dim, &knowledge.cooccurrence, recipe.steps, rng, device),
            fuse: Linear::new(2 * dim, dim, rng, device),
            classifiers,
            dropout: recipe.dropout,
            dropout_classifier: recipe.dropout_classifier,
            start: recipe.start,
        }
    }

    /// The same network with semantic attention in place of decoupling.
    pub fn with_attention(self, pooling: Pooling, seed: u64, device: &Device) -> Self {
        let channels = self.reduce.weight.dims()[0];
        // Other draws than the network's.
        let rng = &mut rng(seed, Stream::Init, 1, 0);
        let attention = SemanticAttention::new(channels, self.categories(), pooling, rng, device);
        Self { pool: Represent::Attention(attention), ..self }
    }

    /// Category-specific representations of a feature map, `[B, F, H, W] -> [B, C, D]`.
    pub fn represent(&self, maps: Tensor<4>) -> Tensor<3> {
        let (words, maps) = (self.words.vectors(&maps.device()), by_position(maps));
        let reduced = self.reduced(maps.clone());
        match &self.pool {
            Represent::Decoupling(decoupling) => decoupling.forward(reduced, words),
            Represent::Attention(attention) => attention.forward(maps, reduced),
        }
    }

    /// [`represent`](Self::represent), and what each position adds to a representation in all: Σ_d a_cp f_pd
    /// without a gradient, `[B, C, P]`; with semantic decoupling alone.
    pub fn represent_by_position(&self, maps: Tensor<4>) -> Option<ByPosition> {
        let Represent::Decoupling(decoupling) = &self.pool else { return None };
        let (words, maps) = (self.words.vectors(&maps.device()), by_position(maps));
        let reduced = self.reduced(maps); // [B, P, D]
        let attention = decoupling.attention(reduced.clone(), words); // [B, C, P]
        let of_positions = reduced.clone().detach().sum_dim(2).swap_dims(1, 2); // [B, 1, P]
        let added = attention.clone().detach() * of_positions;
        Some((attention.matmul(reduced), added))
    }

    /// Scores of `[B, C, D]` representations after propagation over the co-occurrence graph, `[B, C]`.
    pub fn classify(&self, representations: &SharedStates) -> Tensor<2> {
        self.classifiers.forward(self.propagate(representations))
    }

    /// [`represent`](Self::represent) with dropout, for training.
    pub fn represent_dropped(&self, maps: Tensor<4>, rng: &mut impl Rng) -> Tensor<3> {
        self.drop_from(self.represent(maps), rng)
    }

    /// Representations with dropout, for training.
    pub fn drop_from(&self, representations: Tensor<3>, rng: &mut impl Rng) -> Tensor<3> {
        dropout(representations, self.dropout, rng)
    }

    /// [`classify`](Self::classify) with dropout, for training.
    pub fn classify_dropped(&self, representations: &SharedStates, rng: &mut impl Rng) -> Tensor<2> {
        self.classifiers.forward(self.propagate_dropped(representations, rng))
    }

    /// [`propagate`](Self::propagate) with dropout, for training.
    pub fn propagate_dropped(&self, representations: &SharedStates, rng: &mut impl Rng) -> Tensor<3> {
        dropout(self.propagate(representations), self.dropout_classifier, rng)
    }

    /// Scores with dropout, `[B, F, H, W] -> [B, C]`, for training.
    pub fn forward_dropped(&self, maps: Tensor<4>, rng: &mut impl Rng) -> Tensor<2> {
        let representations = self.represent_dropped(maps, rng);
        self.classify_dropped(&SharedStates::all(representations), rng)
    }

    /// Width D of a representation.
    pub fn dim(&self) -> usize {
        self.reduce.weight.dims()[1]
    }

    /// Number of categories C.
    pub fn categories(&self) -> usize {
        self.classifiers.weight.dims()[0]
    }

    /// The reduced map, position by position, `[B, P, F] -> [B, P, D]`.
    ///
    /// One flat product over all positions: as a 1×1 convolution its gradient is several times slower.
    fn reduced(&self, maps: Tensor<3>) -> Tensor<3> {
        let [batch, positions, channels] = maps.dims();
        let reduced = self.reduce.forward(maps.reshape([batch * positions, channels])); // [B·P, D]
        self.norm.forward(reduced).reshape([batch, positions, self.dim()])
    }

    /// Attention `[C, H·W]` and tanh(W [h_T ; f] + b) of each category `[C, D]` in a graph, of maps `[F, H, W]`.
    pub(super) fn export_propagated(&self, graph: &mut Graph, maps: &Value) -> (Value, Value) {
        let [channels, height, width] = maps.sizes();
        let maps = graph.reshaped(maps, &[channels, height * width]);
        let maps = graph.transposed(&maps, &[1, 0]); // [P, F]
        // The batch normalization is part of the product.
        let (scale, shift) = self.norm.scale_and_shift();
        let reduce = self.reduce.weight.val() * scale.unsqueeze();
        let reduced = graph.linear("reduce", &maps, reduce, Some(shift)); // [P, D]
        let words = self.words.vectors(&self.classifiers.bias.val().device());
        let (attention, start) = match &self.pool {
            Represent::Decoupling(decoupling) => {
                graph.within("decoupling", |graph| decoupling.export(graph, &reduced, words))
            }
            Represent::Attention(attention) => {
                graph.within("attention", |graph| attention.export(graph, &maps, &reduced))
            }
        };
        let propagated = graph.within("graph", |graph| self.graph.export(graph, &start));
        let joined = graph.concatenated(&[propagated, start], 1);
        let fused = self.fuse.export(graph, "fuse", &joined);
        (attention, graph.each("Tanh", &fused))
    }

    /// tanh(W [h_T ; f] + b) of each category, `[B, C, D]`.
    pub fn propagate(&self, representations: &SharedStates) -> Tensor<3> {
        let (dim, categories) = (self.dim(), self.categories());
        let weight = self.fuse.weight.val();
        let (of_propagated, of_start) = (weight.clone().narrow(0, 0, dim), weight.narrow(0, dim, dim));
        let bias = self.fuse.bias.as_ref().expect("fuse has a bias").val();
        let start = representations.distinct.clone().matmul(of_start) + bias.unsqueeze(); // [K, D]
        let fused = self.graph.forward(representations).matmul(of_propagated) + representations.spread(start);
        let [states, _] = fused.dims();
        tanh(fused).reshape([states / categories, categories, dim])
    }
}

impl Method for Ssgrl {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.classify(&SharedStates::all(self.represent(maps)))
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let targets = batch.targets(&maps.device());
        let logits = self.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        Losses::default().with("bce", 1.0, partial_bce(logits, targets, normalization))
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        match self.start {
            Start::Random => Ok(()),
            Start::Ridge => self.start_from_ridge(train),
        }
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        let (words, maps) = (self.words.vectors(&maps.device()), by_position(maps));
        match &self.pool {
            Represent::Decoupling(decoupling) => decoupling.attention(self.reduced(maps), words),
            Represent::Attention(attention) => attention.attention(maps),
        }
    }

    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        let (attention, propagated) = self.export_propagated(graph, maps);
        let classify = |graph: &mut Graph| {
            self.classifiers.export_with(graph, &propagated, self.classifiers.weight.val())
        };
        Exported { logits: graph.within("classifiers", classify), attention }
    }

    fn torch(&self) -> TorchHead {
        self.as_torch()
    }
}

/// `[B, F, H, W] -> [B, P, F]`.
fn by_position(maps: Tensor<4>) -> Tensor<3> {
    maps.flatten::<3>(2, 3).swap_dims(1, 2)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::batch::Input;
    use crate::nn::linear::uniform;
    use burn::optim::{AdamConfig, GradientsParams};
    use burn::tensor::Tolerance;
    use sarb_labels::LabelMatrix;

    pub fn small() -> NetworkRecipe {
        NetworkRecipe { dim: 12, joint: 6, word_width: 4, steps: 2, ..NetworkRecipe::default() }
    }

    /// Five categories without word vectors.
    pub fn knowledge() -> CategoryKnowledge {
        let cooccurrence = (0..25).map(|i| if i % 6 == 0 { 1.0 } else { 0.2 }).collect();
        CategoryKnowledge {
            words: None,
            cooccurrence,
            counts: vec![(1, 20), (3, 20), (0, 0), (9, 18), (2, 4)],
            images: 40,
        }
    }

    /// Reproducible maps `[batch, 8, 2, 2]`, values in −1…1.
    pub fn maps(batch: usize, device: &Device) -> Tensor<4> {
        uniform([batch, 8, 2, 2], 1, &mut rng(5, Stream::Synthetic, 0, 0), device).val().detach()
    }

    pub fn batch(maps: &Tensor<4>, labels: LabelMatrix) -> Batch {
        let indices = (0..labels.images()).collect();
        Batch { input: Input::Maps(maps.clone()), labels, indices, ..Batch::empty() }
    }

    #[test]
    fn the_output_bias_starts_at_the_log_odds_of_the_known_prevalence() {
        let network = Ssgrl::new(&small(), 8, &knowledge(), 0, &Device::flex());
        let bias = network.classifiers.bias.val().into_data().try_to_vec::<f32>().expect("f32");
        let prior = |positive: f32, known: f32| {
            let p = (positive + 1.0) / (known + 2.0);
            (p / (1.0 - p)).ln()
        };
        let expected = [(1., 20.), (3., 20.), (0., 0.), (9., 18.), (2., 4.)].map(|(a, b)| prior(a, b));
        assert!(bias.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{bias:?}");
        assert_eq!(bias[2], 0.0, "nothing known is even odds");
    }

    #[test]
    fn what_positions_add_is_the_representation_in_all() {
        let device = Device::flex();
        let network = Ssgrl::new(&small(), 8, &knowledge(), 0, &device);
        let (representations, added) =
            network.represent_by_position(maps(3, &device)).expect("semantic decoupling");
        let whole = network.represent(maps(3, &device));
        representations.clone().into_data().assert_eq(&whole.into_data(), true);
        let (sums, of_positions) = (representations.sum_dim(2), added.sum_dim(2));
        sums.into_data().assert_approx_eq::<f32>(&of_positions.into_data(), Tolerance::absolute(1e-5));
        let attention = network.with_attention(Pooling::Mean, 0, &device);
        assert!(attention.represent_by_position(maps(3, &device)).is_none());
    }

    #[test]
    fn fixed_words_are_kept_and_learned_ones_are_trained() {
        let device = Device::flex().autodiff();
        let trained = |network: &Ssgrl| {
            let maps = maps(3, &device);
            let labels = LabelMatrix::from_values(5, &[1; 15]);
            let at = Progress { seed: 0, epoch: 0, step: 0, steps: 1 };
            let loss =
                network.loss(maps.clone(), &batch(&maps, labels), Normalization::default(), at).total();
            let gradients = GradientsParams::from_grads(loss.backward(), network);
            let network = AdamConfig::new().init().step(0.1, network.clone(), gradients);
            network.words.vectors(&device).into_data()
        };
        let learned = Ssgrl::new(&small(), 8, &knowledge(), 0, &device);
        assert_ne!(trained(&learned), learned.words.vectors(&device).into_data());
        let given = CategoryKnowledge { words: Some((vec![0.5; 15], 3)), ..knowledge() };
        let fixed = Ssgrl::new(&small(), 8, &given, 0, &device);
        assert_eq!(trained(&fixed), fixed.words.vectors(&device).into_data());
    }

    #[test]
    fn a_record_restores_every_score_with_other_words_and_graph_in_place() {
        let device = Device::flex();
        let given = CategoryKnowledge { words: Some((vec![0.5; 15], 3)), ..knowledge() };
        let saved = Ssgrl::new(&small(), 8, &given, 1, &device);
        let other = CategoryKnowledge {
            words: Some((vec![-1.0; 15], 3)),
            cooccurrence: vec![0.0; 25],
            ..knowledge()
        };
        let fresh = Ssgrl::new(&small(), 8, &other, 2, &device);
        let maps = maps(2, &device);
        let scores = saved.forward(maps.clone()).into_data();
        assert_ne!(fresh.forward(maps.clone()).into_data(), scores);
        let loaded = fresh.load_record(saved.into_record());
        loaded.forward(maps).into_data().assert_eq(&scores, true);
    }
}
