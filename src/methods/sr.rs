//! `sr`: saliency regularization (Wang, Wan, Xiang, Zeng; ICCV 2023): a category that is small in the picture
//! counts by the positions where it is seen best, not only by the mean over all.
//!
//! A 1×1 convolution gives class maps A_c. The logit is a_c + α s_c, in training and at test, a_c the mean of
//! A_c and s_c the mean of its k largest values. Unknown labels get pseudo-labels from the network itself in
//! every step, without a gradient: +1 where p ≥ τ, −1 where p ≤ 1 − τ, by the augmented view of an image; its strongly
//! augmented view learns them. The loss is BCE over the known labels of both views plus BCE over the pseudo-labels, each divided by
//! its own supervised entries. `strong_views = false` is the paper's row "same-view pseudo-labels".
//!
//! Which strong augmentation the paper has, and whether both views learn the known labels, is not published, and its code is
//! not public. `ema_decay` is ours, off by default: a moving average of the head makes the pseudo-labels (Tarvainen and Valpola,
//! NeurIPS 2017). By default the bias starts at the prior, divided by 1 + α, since it is in both means.

use burn::module::{Module, RunningState};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;
use sarb_labels::random::{Stream, rng};
use serde::{Deserialize, Serialize};

use super::keys::{Interval, Key, Kind};
use super::knowledge::{CategoryKnowledge, output_bias};
use super::network_recipe::{OUTPUT_BIAS, OutputBias};
use super::pooled::{class_activation, export_class_activation};
use super::torch::{MapPooling, TorchHead};
use super::{Exported, Method, Settings, ranges};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::masks::Masks;
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;
use crate::nn::linear::{Linear, set};
use crate::onnx::graph::{Graph, Value};

/// Settings of `sr`; the defaults are the published values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SrRecipe {
    /// α, the weight of the salient positions in the logit.
    pub alpha: f64,
    /// k, the number of salient positions; all where a map has fewer.
    pub positions: usize,
    /// Whether unknown labels get pseudo-labels.
    pub pseudo_labels: bool,
    /// Whether a strongly augmented view learns the pseudo-labels of the augmented one; else a single view has both.
    pub strong_views: bool,
    /// d, what a moving average of the head, which makes the pseudo-labels, keeps of itself at each step; at 0 the head makes
    /// them itself.
    pub ema_decay: f64,
    /// τ, the score from which an unknown label is taken for positive; from 1 − τ down for negative.
    pub threshold: f64,
    /// Where the output bias starts.
    pub output_bias: OutputBias,
}

impl Default for SrRecipe {
    fn default() -> Self {
        Self {
            alpha: 0.5,
            positions: 5,
            pseudo_labels: true,
            strong_views: true,
            ema_decay: 0.0,
            threshold: 0.6,
            output_bias: OutputBias::default(),
        }
    }
}

/// Above one half, so that no score is both.
const THRESHOLD: Interval = Interval { from: 0.5, to: 1.0, with_from: false, with_to: true };
/// An average that keeps all of itself would stay where it starts.
const DECAY: Interval = Interval { from: 0.0, to: 1.0, with_from: true, with_to: false };

impl Settings for SrRecipe {
    type Head = Sr;

    const KEYS: &'static [Key] = &[
        Key::new(
            "alpha",
            Kind::Number(Interval::FROM_0),
            "α of the logit, the mean of a class map plus α times the mean of its largest values",
        ),
        Key::new("positions", Kind::AT_LEAST_1, "k, how many of the largest values of a class map count"),
        Key::new("pseudo_labels", Kind::Flag, "Whether unknown labels get pseudo-labels"),
        Key::new(
            "strong_views",
            Kind::Flag,
            "Whether a strongly augmented view (other colors, a hidden square) learns the pseudo-labels of the augmented one; else one \
             view has both",
        ),
        Key::new(
            "ema_decay",
            Kind::Number(DECAY),
            "What a moving average of the head, which makes the pseudo-labels, keeps of itself at each step; at 0 the head makes them",
        ),
        Key::new(
            "threshold",
            Kind::Number(THRESHOLD),
            "τ, the score from which an unknown label is taken for positive; from 1 − τ down for negative",
        ),
        OUTPUT_BIAS,
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Sr {
        let rng = &mut rng(seed, Stream::Init, 0, 0);
        let mut classifier = Linear::new(channels, knowledge.counts.len(), rng, device);
        if let Some(start) = output_bias(self.output_bias, knowledge) {
            let start = start.into_iter().map(|logit| logit / (1.0 + self.alpha as f32)).collect();
            set(classifier.bias.as_mut().expect("a linear layer with bias"), start);
        }
        let average = (self.ema_decay > 0.0).then(|| Average::starting_at(&classifier));
        Sr { classifier, average, recipe: self.clone() }
    }

    fn check(&self) -> Result<()> {
        ranges::weight("alpha", self.alpha)?;
        ranges::at_least_one("positions", self.positions)?;
        let holds = self.threshold > 0.5 && self.threshold <= 1.0;
        ranges::check(holds, "threshold", self.threshold, "above 0.5, to 1")?;
        let holds = (0.0..1.0).contains(&self.ema_decay);
        ranges::check(holds, "ema_decay", self.ema_decay, "0, or a number below 1")
    }

    fn reads_strong_views(&self) -> bool {
        self.pseudo_labels && self.strong_views
    }

    fn follow_reference(&mut self) {
        self.output_bias = OutputBias::Random;
    }
}

/// A class map per category, read by its mean and by its salient positions.
#[derive(Module, Debug)]
pub struct Sr {
    /// `[F, C]` and `[C]`: the 1×1 convolution.
    pub classifier: Linear,
    /// What makes the pseudo-labels in its place.
    pub average: Option<Average>,
    #[module(skip)]
    recipe: SrRecipe,
}

/// A moving average of a classifier over the steps of training.
#[derive(Module, Debug)]
pub struct Average {
    /// `[F, C]`.
    pub weight: RunningState<Tensor<2>>,
    /// `[C]`.
    pub bias: RunningState<Tensor<1>>,
}

impl Average {
    fn starting_at(classifier: &Linear) -> Self {
        let (weight, bias) = weight_and_bias(classifier);
        Self { weight: RunningState::new(weight.detach()), bias: RunningState::new(bias.detach()) }
    }

    /// Moves towards `classifier` by what it does not keep.
    fn follow(&self, classifier: &Linear, decay: f64) {
        let (weight, bias) = weight_and_bias(classifier);
        self.weight.update(self.weight.value() * decay + weight.detach() * (1.0 - decay));
        self.bias.update(self.bias.value() * decay + bias.detach() * (1.0 - decay));
        // Until they are synchronized updates are not part of a record.
        self.weight.value_sync();
        self.bias.value_sync();
    }
}

fn weight_and_bias(classifier: &Linear) -> (Tensor<2>, Tensor<1>) {
    (classifier.weight.val(), classifier.bias.as_ref().expect("a linear layer with bias").val())
}

impl Sr {
    /// a + α s + (1 + α) b, for the bias is in the mean and in every salient value, `[B, F, H, W] -> [B, C]`.
    fn scores(&self, maps: Tensor<4>, (weight, bias): (Tensor<2>, Tensor<1>)) -> Tensor<2> {
        self.saliency_score(class_activation(maps, weight)) + (bias * (1.0 + self.recipe.alpha)).unsqueeze()
    }

    /// a + α s of class maps without their bias, `[B, C, P] -> [B, C]`.
    fn saliency_score(&self, class_maps: Tensor<3>) -> Tensor<2> {
        let [batch, categories, places] = class_maps.dims();
        let mean = class_maps.clone().mean_dim(2);
        let salient = match self.recipe.positions < places {
            // Which values are largest is settled without a gradient; theirs goes through them.
            true => {
                let largest = class_maps.clone().detach().argtopk(self.recipe.positions, 2);
                class_maps.gather(2, largest).mean_dim(2)
            }
            false => mean.clone(),
        };
        (mean + salient * self.recipe.alpha).reshape([batch, categories])
    }

    /// BCE of `logits` over the pseudo-labels of the unknown entries that `judged` say, each `[B, C]`, `-> [1]`.
    fn pseudo_loss(
        &self,
        logits: Tensor<2>,
        judged: Tensor<2>,
        labels: &LabelMatrix,
        normalization: Normalization,
    ) -> Tensor<1> {
        let unknown = Masks::new(labels, &logits.device()).unknown;
        let p = sigmoid(judged.detach());
        let positive = p.clone().greater_equal_elem(self.recipe.threshold).float();
        let negative = p.lower_equal_elem(1.0 - self.recipe.threshold).float();
        partial_bce(logits, unknown * (positive - negative), normalization)
    }
}

impl Method for Sr {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.scores(maps, weight_and_bias(&self.classifier))
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, _at: Progress) -> Losses {
        let images = batch.labels.images();
        let logits = self.forward(maps.clone());
        // One view of each image, or the augmented one of all and then the strongly augmented one of all.
        let views = logits.dims()[0] / images;
        let targets = batch.targets(&logits.device()).repeat_dim(0, views);
        let losses = Losses::default().with("bce", 1.0, partial_bce(logits.clone(), targets, normalization));
        if !self.recipe.pseudo_labels {
            return losses;
        }
        let judged = match &self.average {
            None => logits.clone().narrow(0, 0, images),
            Some(Average { weight, bias }) => {
                let device = maps.device();
                let average = (weight.value().to_device(&device), bias.value().to_device(&device));
                self.scores(maps.narrow(0, 0, images), average)
            }
        };
        let learning = logits.narrow(0, (views - 1) * images, images);
        losses.with("pseudo", 1.0, self.pseudo_loss(learning, judged, &batch.labels, normalization))
    }

    fn after_step(&mut self) {
        if let Some(average) = &self.average {
            average.follow(&self.classifier, self.recipe.ema_decay);
        }
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        class_activation(maps, self.classifier.weight.val())
    }

    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        let class_maps = export_class_activation(graph, maps, self.classifier.weight.val());
        let [_, places] = class_maps.sizes();
        let mean = graph.over("ReduceMean", &class_maps, &[1]);
        let salient = match self.recipe.positions < places {
            true => {
                let largest = graph.largest(&class_maps, self.recipe.positions);
                graph.over("ReduceMean", &largest, &[1])
            }
            false => mean.clone(),
        };
        let salient = graph.scaled(&salient, self.recipe.alpha as f32);
        let score = graph.both("Add", &mean, &salient);
        let bias = self.classifier.bias.as_ref().expect("a linear layer with bias").val();
        let bias = graph.tensor("bias", bias.mul_scalar(1.0 + self.recipe.alpha));
        Exported { logits: graph.both("Add", &score, &bias), attention: class_maps }
    }

    fn torch(&self) -> TorchHead {
        let SrRecipe { alpha, positions, .. } = self.recipe;
        let bias = self.classifier.bias.as_ref().expect("a linear layer with bias").val();
        let weight = self.classifier.weight.val().transpose();
        TorchHead::linear(MapPooling::Salient { alpha, positions }, weight, bias)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ssgrl::tests::{batch, knowledge};
    use super::*;
    use crate::fixture::Fixture;
    use burn::tensor::TensorData;

    const AT: Progress = Progress { seed: 0, epoch: 0, step: 0, steps: 1 };

    #[test]
    fn scores_losses_and_gradients_equal_their_restatement_in_pytorch() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/sr.safetensors"));
        let device = Device::flex().autodiff();
        let maps = fixture.tensor::<4>("feature_map", &device);
        let labels = fixture.labels("target");
        let counts = vec![(0, 0); labels.categories()];
        let knowledge = CategoryKnowledge { words: None, cooccurrence: Vec::new(), counts, images: 0 };
        let mut sr = SrRecipe::default().init(maps.dims()[1], &knowledge, 0, &device);
        set(&mut sr.classifier.weight, fixture.transposed("weights.weight"));
        set(sr.classifier.bias.as_mut().expect("bias"), fixture.values("weights.bias"));
        fixture.assert_equals("logits", sr.forward(maps.clone()));
        let strong = fixture.tensor::<4>("strong_feature_map", &device);
        for (name, read) in
            [("one_view", maps.clone()), ("two_views", Tensor::cat(vec![maps.clone(), strong], 0))]
        {
            let losses = sr.loss(read, &batch(&maps, labels.clone()), Normalization::default(), AT);
            let gradients = losses.total().backward();
            let [(_, known), (_, pseudo)] = losses.terms().collect::<Vec<_>>()[..] else {
                panic!("two terms")
            };
            fixture.assert_equals(&format!("loss.{name}.known"), known.clone());
            fixture.assert_equals(&format!("loss.{name}.pseudo"), pseudo.clone());
            let (weight, bias) = weight_and_bias(&sr.classifier);
            let weight = weight.grad(&gradients).expect("tracked").swap_dims(0, 1);
            fixture.assert_equals(&format!("grad.{name}.weight"), weight);
            fixture.assert_equals(&format!("grad.{name}.bias"), bias.grad(&gradients).expect("tracked"));
        }
        assert_eq!(fixture.count(""), 14, "every tensor of the file is read");
    }

    #[test]
    fn an_average_follows_the_head_and_makes_the_pseudo_labels() {
        let device = Device::flex();
        let mut sr = identity(SrRecipe { ema_decay: 0.75, ..SrRecipe::default() }, &device);
        sr.average = Some(Average::starting_at(&sr.classifier));
        set(&mut sr.classifier.weight, vec![5.0]);
        sr.after_step();
        let average = sr.average.as_ref().expect("one is kept").weight.value().into_scalar::<f32>();
        assert_eq!(average, 0.75 * 1.0 + 0.25 * 5.0);
        // p of the head is σ(0.75), above τ; that of the average, which is at weight 0, is not.
        set(&mut sr.classifier.weight, vec![0.0]);
        sr.average = Some(Average::starting_at(&sr.classifier));
        set(&mut sr.classifier.weight, vec![0.5]);
        let maps = Tensor::ones([1, 1, 1, 1], &device);
        let pseudo = |sr: &Sr| {
            let rows = batch(&maps, LabelMatrix::from_values(1, &[0]));
            let losses = sr.loss(maps.clone(), &rows, Normalization::Sum, AT);
            losses.terms().find(|(name, _)| *name == "pseudo").expect("a term").1.clone().into_scalar::<f32>()
        };
        assert_eq!(pseudo(&sr), 0.0, "nothing is sure");
        sr.average = None;
        assert!(pseudo(&sr) > 0.3);
    }

    /// One channel, one category, weight 1 and bias 0.
    fn identity(recipe: SrRecipe, device: &Device) -> Sr {
        let knowledge = CategoryKnowledge { counts: vec![(0, 0)], ..knowledge() };
        let mut sr = recipe.init(1, &knowledge, 0, device);
        set(&mut sr.classifier.weight, vec![1.0]);
        sr
    }

    #[test]
    fn the_score_is_the_mean_and_half_the_mean_of_the_largest() {
        let device = Device::flex();
        let map = TensorData::new(vec![4.0f32, -2.0, 0.0, 2.0], [1, 1, 2, 2]);
        let score = |positions| {
            let sr = identity(SrRecipe { positions, ..SrRecipe::default() }, &device);
            sr.forward(Tensor::from_data(map.clone(), &device)).into_scalar::<f32>()
        };
        assert_eq!(score(2), 1.0 + 0.5 * 3.0);
        assert_eq!(score(50), 1.0 + 0.5 * 1.0, "a small map has all its positions");
    }

    #[test]
    fn sure_unknown_entries_alone_get_pseudo_labels() {
        let device = Device::flex();
        let sr = identity(SrRecipe::default(), &device);
        // p = 3/4, 1/2, 1/4 and 3/4, the last one known.
        let logits = Tensor::<2>::from_data([[3f32.ln(), 0.0, -(3f32.ln()), 3f32.ln()]], &device);
        let labels = LabelMatrix::from_values(4, &[0, 0, 0, -1]);
        let loss = sr.pseudo_loss(logits.clone(), logits, &labels, Normalization::Sum).into_scalar::<f32>();
        assert!((loss + 2.0 * 0.75f32.ln()).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn scores_start_at_the_prior_on_an_empty_map() {
        let sr = SrRecipe::default().init(8, &knowledge(), 0, &Device::flex());
        let scores = sr.forward(Tensor::zeros([1, 8, 2, 2], &Device::flex())).into_data();
        let scores = scores.try_to_vec::<f32>().expect("f32");
        // One positive of 20: 2 to 20.
        assert!((scores[0] - (2f32 / 20.0).ln()).abs() < 1e-5, "{scores:?}");
    }

    #[test]
    fn without_pseudo_labels_there_is_one_term() {
        let device = Device::flex();
        let sr = identity(SrRecipe { pseudo_labels: false, ..SrRecipe::default() }, &device);
        let maps = Tensor::ones([2, 1, 1, 1], &device);
        let rows = batch(&maps, LabelMatrix::from_values(1, &[1, 0]));
        assert_eq!(sr.loss(maps, &rows, Normalization::default(), AT).terms().count(), 1);
    }
}
