//! `em`: entropy maximization (Zhou et al., "Acknowledging the Unknown for Multi-Label Learning with Single
//! Positive Labels", ECCV 2022): an unknown label is no negative; its score is drawn to 1/2.
//!
//! An unknown label costs −α H(p), H(p) = −p log p − (1 − p) log(1 − p). With `soft_negatives.share` above 0 the
//! lowest of them become soft negatives with targets t and cost β (−t log p − (1 − t) log(1 − p)) instead (the
//! paper's APL; [`super::soft_negatives`]); these are part of the checkpoint.
//!
//! The paper was written for data without known negatives; here known labels, positive and negative, cost their
//! BCE with weight 1. Every entry is supervised, so the default normalization is the paper's mean over B·C.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use sarb_labels::random::Stream;
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use super::head::{HEAD, Head, HeadRecipe};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::pseudo_labels::logits;
use super::soft_negatives::{SOFT_NEGATIVES, SoftNegatives, SoftNegativesRecipe, soft_bce};
use super::torch::TorchHead;
use super::{Exported, Method, Settings, TrainSet, ranges};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::masks::{Masks, as_negative, as_positive};
use crate::loss::normalization::Normalization;
use crate::onnx::graph::{Graph, Value};

/// Settings of `em`; the defaults are those published for COCO, without soft negatives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmRecipe {
    /// The head under the loss.
    pub head: HeadRecipe,
    /// α, the weight of the entropy of unknown labels.
    pub alpha: f64,
    /// Unknown labels that become soft negatives.
    pub soft_negatives: SoftNegativesRecipe,
}

impl Default for EmRecipe {
    fn default() -> Self {
        Self { head: HeadRecipe::default(), alpha: 0.1, soft_negatives: SoftNegativesRecipe::default() }
    }
}

impl Settings for EmRecipe {
    type Head = Em;

    const KEYS: &'static [Key] = &[
        HEAD,
        Key::new("alpha", Kind::Number(Interval::ABOVE_0), "α, the weight of the entropy of unknown labels"),
        SOFT_NEGATIVES,
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Em {
        let scorer = self.head.init(channels, knowledge, seed, device);
        Em { scorer, recipe: self.clone(), soft: None }
    }

    fn check(&self) -> Result<()> {
        self.head.check()?;
        self.soft_negatives.check()?;
        ranges::check(self.alpha > 0.0 && self.alpha.is_finite(), "alpha", self.alpha, "above 0")
    }

    fn follow_reference(&mut self) {
        self.head.follow_reference();
    }

    fn learns_from_unknown(&self) -> bool {
        true
    }

    fn is_measured_by_bce(&self) -> bool {
        false
    }
}

impl EmRecipe {
    /// The loss of logits `[B, C]`, `-> [1]`; `soft` are mask and targets of soft negatives, each `[B, C]`.
    fn loss(
        &self,
        logits: Tensor<2>,
        labels: &LabelMatrix,
        soft: Option<(Tensor<2>, Tensor<2>)>,
        normalization: Normalization,
    ) -> Tensor<1> {
        let masks = Masks::new(labels, &logits.device());
        let mut losses = masks.known_bce(&logits);
        let mut open = masks.unknown;
        if let Some((mask, targets)) = soft {
            losses = losses + mask.clone() * soft_bce(logits.clone(), targets) * self.soft_negatives.weight;
            open = open - mask;
        }
        let losses = losses - open * entropy(logits.clone()) * self.alpha;
        normalization.reduce(losses, logits.detach().ones_like())
    }
}

/// H(p) of every entry, p = σ(x), `[B, C] -> [B, C]`: a sum of two positive terms, none of which cancels.
fn entropy(logits: Tensor<2>) -> Tensor<2> {
    sigmoid(logits.clone()) * as_positive(logits.clone()) + sigmoid(-logits.clone()) * as_negative(logits)
}

/// A head trained with entropy maximization.
#[derive(Module, Debug)]
pub struct Em {
    /// The head.
    pub scorer: Head,
    #[module(skip)]
    recipe: EmRecipe,
    #[module(skip)]
    soft: Option<Arc<SoftNegatives>>,
}

impl Method for Em {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.scorer.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let soft = self.soft.as_ref().map(|soft| soft.rows(&batch.indices, &maps.device()));
        let logits = self.scorer.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        Losses::default().with("em", 1.0, self.recipe.loss(logits, &batch.labels, soft, normalization))
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        self.scorer.attention(maps)
    }

    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        self.scorer.export(graph, maps)
    }

    fn torch(&self) -> TorchHead {
        self.scorer.torch()
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        self.scorer.before_training(train)
    }

    fn before_epoch(&mut self, epoch: usize, train: &dyn TrainSet) -> Result<()> {
        if !self.recipe.soft_negatives.are_chosen_before(epoch) {
            return Ok(());
        }
        let scorer = self.scorer.valid();
        let logits = logits(train, |maps| scorer.forward(maps))?;
        let mut soft = self.soft.as_deref().cloned().unwrap_or_else(|| SoftNegatives::none(train.labels()));
        soft.choose(&self.recipe.soft_negatives, train.labels(), &logits);
        self.soft = Some(Arc::new(soft));
        Ok(())
    }

    fn state(&self) -> Option<Vec<u8>> {
        self.soft.as_ref().map(|soft| soft.to_bytes())
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.soft = Some(Arc::new(SoftNegatives::from_bytes(state)?));
        Ok(())
    }

    /// The share of the unknown labels that are soft negatives.
    fn scalars(&self, labels: &LabelMatrix) -> Vec<(&'static str, f64)> {
        if self.recipe.soft_negatives.share == 0.0 {
            return Vec::new();
        }
        let count = self.soft.as_ref().map_or(0, |soft| soft.count());
        vec![("soft_negatives", count as f64 / labels.count(Label::Unknown).max(1) as f64)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::prototypes::tests::Memory;
    use super::super::ssgrl::tests::{batch, knowledge, maps};
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn loss_and_gradient_equal_their_restatement_in_pytorch() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/em.safetensors"));
        let device = crate::fixture::device().autodiff();
        let soft = || Some((fixture.tensor("soft_mask", &device), fixture.tensor("soft_target", &device)));
        for (name, soft, normalization) in [
            ("supervised", None, Normalization::Supervised),
            ("soft_negatives", soft(), Normalization::Supervised),
            ("sum", soft(), Normalization::Sum),
        ] {
            fixture.assert_loss(name, |logits, labels| {
                EmRecipe::default().loss(logits, labels, soft, normalization)
            });
        }
        assert_eq!(fixture.count(""), 4 + 2 * 3, "every tensor of the file is compared");
    }

    #[test]
    fn an_unknown_label_costs_least_at_one_half_and_known_ones_their_plain_loss() {
        let loss = |x: f32| {
            let logits = Tensor::<2>::from_data([[x, 0.0, 0.0]], &Device::flex());
            let labels = LabelMatrix::from_values(3, &[0, 1, -1]);
            EmRecipe::default().loss(logits, &labels, None, Normalization::Sum).into_scalar::<f32>()
        };
        let ln2 = 2f32.ln();
        assert!((loss(0.0) - (2.0 - 0.1) * ln2).abs() < 1e-6);
        // H(3/4) = ln 4 − 3/4 ln 3.
        let entropy = 4f32.ln() - 0.75 * 3f32.ln();
        assert!((loss(3f32.ln()) - (2.0 * ln2 - 0.1 * entropy)).abs() < 1e-6);
        assert!((loss(1e4) - 2.0 * ln2).abs() < 1e-6 && (loss(-1e4) - 2.0 * ln2).abs() < 1e-6);
    }

    #[test]
    fn huge_scores_stay_finite() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_data([[1e4, -1e4, 90.0, -90.0]], &device).require_grad();
        let gradient = logits.grad(&entropy(logits.clone()).sum().backward()).expect("tracked").into_data();
        let gradient = gradient.try_to_vec::<f32>().expect("f32");
        assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
    }

    /// Eight images of five categories, every third label known.
    fn train() -> Memory {
        let values: Vec<i8> = (0..40).map(|cell| [0, 1, 0, 0, -1, 0][cell % 6]).collect();
        Memory { maps: maps(8, &Device::flex().autodiff()), labels: LabelMatrix::from_values(5, &values) }
    }

    fn model() -> Em {
        let soft_negatives = SoftNegativesRecipe { share: 0.8, from_epoch: 1, epochs: 2, weight: 0.9 };
        let recipe = EmRecipe { soft_negatives, ..EmRecipe::default() };
        recipe.init(8, &knowledge(), 0, &Device::flex().autodiff())
    }

    #[test]
    fn soft_negatives_change_the_loss_and_survive_a_resume() {
        let train = train();
        let mut model = model();
        let at = Progress { seed: 0, epoch: 1, step: 0, steps: 1 };
        let rows = batch(&train.maps, train.labels.clone());
        let loss = |model: &Em| {
            model.loss(train.maps.clone(), &rows, Normalization::default(), at).total().into_scalar::<f32>()
        };
        model.before_epoch(0, &train).unwrap();
        assert_eq!(model.scalars(&train.labels), [("soft_negatives", 0.0)]);
        assert!(model.state().is_none());
        let before = loss(&model);
        model.before_epoch(1, &train).unwrap();
        let [(_, share)] = model.scalars(&train.labels)[..] else { panic!("one number") };
        assert!(share > 0.2 && share <= 0.4, "half of 0.8, rounded down in every category: {share}");
        assert_ne!(loss(&model), before);
        let mut resumed = self::model();
        resumed.restore(&model.state().expect("chosen")).unwrap();
        assert_eq!(loss(&resumed), loss(&model));
        model.before_epoch(2, &train).unwrap();
        resumed.before_epoch(2, &train).unwrap();
        assert_eq!(resumed.soft, model.soft);
        assert!(resumed.restore(&[1, 2, 3]).is_err());
    }
}
