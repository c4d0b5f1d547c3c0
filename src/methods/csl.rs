//! `csl`: the partial asymmetric loss with class-aware selective negatives (Ben-Baruch et al., "Multi-label
//! Classification with Partial Annotations using Class-aware Selective Loss", CVPR 2022).
//!
//! Known labels cost as in the asymmetric loss ([`crate::loss::asymmetric`]); an unknown one costs as a
//! negative with an exponent of its own. In `mode = "selective"` the K · B unknown entries of a batch of B
//! images with the highest scores are left out, wherever in the batch they are: they are probably positives.
//!
//! With `prior_epochs` above 0 so many epochs are trained as in `mode = "ignore"`, and a category's prior is the
//! mean of its scores over all images of their steps; after them, categories with a prior above η are left out
//! too. They count among the K · B where their scores are high. The prior is part of the checkpoint.
//!
//! Difference: the paper takes the prior from a model of its own, trained to the end before, and begins anew. Here
//! one training does both. Without a prior the published code does the same as here. The paper sums over the
//! batch: `train.normalization = "sum"`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::random::Stream;
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use super::asl::CLIP;
use super::category_priors::CategoryPriors;
use super::head::{HEAD, Head, HeadRecipe};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::torch::TorchHead;
use super::{Exported, Method, Settings, TrainSet, ranges};
use crate::batch::{Batch, Losses, Progress};
use crate::loss::asymmetric::{self, Focus};
use crate::loss::masks::Masks;
use crate::loss::normalization::Normalization;
use crate::onnx::graph::{Graph, Value};
use crate::ranks::across::whole_batch;
use crate::ranks::share::own_of;
use crate::{Error, Result};

/// Settings of `csl`; the defaults are those published for randomly hidden labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CslRecipe {
    /// The head under the loss.
    pub head: HeadRecipe,
    /// What unknown labels are.
    pub mode: Mode,
    /// γ₋, how much less a known negative counts that is right already.
    pub gamma_negative: f64,
    /// γ₊, the same of positives.
    pub gamma_positive: f64,
    /// γᵤ, the same of unknown labels.
    pub gamma_unknown: f64,
    /// m, the probability up to which what counts as negative costs nothing.
    pub clip: f64,
    /// K, how many unknown labels an image, on average over the batch, are left out in selective mode.
    pub left_out: usize,
    /// Epochs in which unknown labels are ignored and the categories' priors measured; 0 is none.
    pub prior_epochs: usize,
    /// η, the prior above which the unknown labels of a category are left out.
    pub eta: f64,
}

/// What unknown labels are in `csl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Left out.
    Ignore,
    /// Negatives with an exponent of their own.
    Negative,
    /// Such negatives, but the highest scores of a batch are left out.
    #[default]
    Selective,
}

impl Default for CslRecipe {
    fn default() -> Self {
        Self {
            head: HeadRecipe::default(),
            mode: Mode::default(),
            gamma_negative: 1.0,
            gamma_positive: 0.0,
            gamma_unknown: 4.0,
            clip: 0.0,
            left_out: 5,
            prior_epochs: 0,
            eta: 0.5,
        }
    }
}

impl Settings for CslRecipe {
    type Head = Csl;

    const KEYS: &'static [Key] = &[
        HEAD,
        Key::new(
            "mode",
            Kind::Word(&["ignore", "negative", "selective"]),
            "Whether unknown labels are left out, negative, or negative but for the highest scores of a batch",
        ),
        Key::new(
            "gamma_negative",
            Kind::Number(Interval::FROM_0),
            "γ₋, how much less a known negative counts that is right already",
        ),
        Key::new("gamma_positive", Kind::Number(Interval::FROM_0), "γ₊, the same of positives"),
        Key::new("gamma_unknown", Kind::Number(Interval::FROM_0), "γᵤ, the same of unknown labels"),
        CLIP,
        Key::new(
            "left_out",
            Kind::COUNT,
            "K, how many unknown labels an image, on average over the batch, `mode = \"selective\"` leaves out",
        ),
        Key::new(
            "prior_epochs",
            Kind::COUNT,
            "Epochs in which unknown labels are ignored and the categories' priors measured, before `mode = \"selective\"` begins",
        ),
        Key::new(
            "eta",
            Kind::Number(Interval::SHARE),
            "η, the measured prior above which the unknown labels of a category are left out",
        ),
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Csl {
        Csl {
            scorer: self.head.init(channels, knowledge, seed, device),
            recipe: self.clone(),
            priors: Arc::new(Mutex::new(CategoryPriors::none(knowledge.counts.len()))),
        }
    }

    fn check(&self) -> Result<()> {
        self.head.check()?;
        ranges::weight("gamma_negative", self.gamma_negative)?;
        ranges::weight("gamma_positive", self.gamma_positive)?;
        ranges::weight("gamma_unknown", self.gamma_unknown)?;
        ranges::check((0.0..1.0).contains(&self.clip), "clip", self.clip, "0 to below 1")?;
        ranges::share("eta", self.eta)?;
        let used = self.prior_epochs == 0 || self.mode == Mode::Selective;
        ranges::check(used, "prior_epochs", self.prior_epochs, "0, or mode = \"selective\" with it")
    }

    fn follow_reference(&mut self) {
        self.head.follow_reference();
    }

    fn learns_from_unknown(&self) -> bool {
        // A prior that is measured without known negatives is 1: all categories are left out.
        self.mode != Mode::Ignore && self.prior_epochs == 0
    }

    fn is_measured_by_bce(&self) -> bool {
        false
    }
}

impl CslRecipe {
    /// The loss of logits `[B, C]` where unknown labels are what `mode` says, those of the categories `without`
    /// never negative, `-> [1]`; beside the `labels` of these logits are `all` those of the whole batch.
    fn loss(
        &self,
        logits: Tensor<2>,
        (labels, all): (&LabelMatrix, &LabelMatrix),
        normalization: Normalization,
        mode: Mode,
        without: &[bool],
    ) -> Tensor<1> {
        let device = logits.device();
        let masks = Masks::new(labels, &device);
        let unknown = match mode {
            Mode::Ignore => masks.unknown.zeros_like(),
            Mode::Negative => masks.unknown,
            Mode::Selective => {
                let values = values(whole_batch(logits.clone().detach()));
                let kept = kept(&values, all, self.left_out.saturating_mul(all.images()), without);
                Tensor::from_data(
                    TensorData::new(own_of(kept), [labels.images(), labels.categories()]),
                    &device,
                )
            }
        };
        let losses = masks.positive.clone()
            * asymmetric::positive(logits.clone(), self.gamma_positive, Focus::Weight)
            + masks.negative.clone()
                * asymmetric::negative(logits.clone(), self.gamma_negative, self.clip, Focus::Weight)
            + unknown.clone() * asymmetric::negative(logits, self.gamma_unknown, self.clip, Focus::Weight);
        normalization.reduce(losses, masks.positive + masks.negative + unknown)
    }
}

/// Row by row.
fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.detach().into_data().try_into_vec().expect("f32 tensors hold f32")
}

/// 1 for the unknown entries that count, all but the `left_out` with the highest logits and those of the categories
/// `without`, `B · C` values.
fn kept(logits: &[f32], labels: &LabelMatrix, left_out: usize, without: &[bool]) -> Vec<f32> {
    let cells = (0..labels.images()).flat_map(|image| labels.row(image)).enumerate();
    let mut unknown: Vec<usize> =
        cells.filter(|(_, label)| *label == Label::Unknown).map(|(cell, _)| cell).collect();
    // Ties in the order of the entries, so that the choice is the same everywhere.
    unknown.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    let mut kept = vec![0.0; logits.len()];
    let categories = labels.categories();
    let counted = unknown.iter().skip(left_out).filter(|&&cell| !without[cell % categories]);
    counted.for_each(|&cell| kept[cell] = 1.0);
    kept
}

/// A head trained with the partial asymmetric loss.
#[derive(Module, Debug)]
pub struct Csl {
    /// The head.
    pub scorer: Head,
    #[module(skip)]
    recipe: CslRecipe,
    /// Written while they are measured.
    #[module(skip)]
    priors: Arc<Mutex<CategoryPriors>>,
}

impl Csl {
    /// The priors, also after a panic elsewhere: they are means either way.
    fn priors(&self) -> MutexGuard<'_, CategoryPriors> {
        self.priors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Method for Csl {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.scorer.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let logits = self.scorer.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        let without = self.priors().above(self.recipe.eta);
        let mode = match at.epoch < self.recipe.prior_epochs {
            true => {
                self.priors().add(&values(whole_batch(sigmoid(logits.clone().detach()))));
                Mode::Ignore
            }
            false => self.recipe.mode,
        };
        let loss =
            self.recipe.loss(logits, (&batch.labels, batch.all_labels()), normalization, mode, &without);
        Losses::default().with("csl", 1.0, loss)
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

    fn before_epoch(&mut self, epoch: usize, _train: &dyn TrainSet) -> Result<()> {
        match epoch > 0 && self.recipe.prior_epochs > 0 && self.priors().is_empty() {
            true => Err(Error::Incompatible("the checkpoint lacks its method.bin, the priors".into())),
            false => Ok(()),
        }
    }

    fn state(&self) -> Option<Vec<u8>> {
        let priors = self.priors();
        (!priors.is_empty()).then(|| priors.to_bytes())
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut priors = self.priors();
        *priors = CategoryPriors::from_bytes(priors.categories(), state)?;
        Ok(())
    }

    /// How many categories are left out by their prior, as far as it is measured.
    fn scalars(&self, _labels: &LabelMatrix) -> Vec<(&'static str, f64)> {
        if self.recipe.prior_epochs == 0 {
            return Vec::new();
        }
        let left_out = self.priors().above(self.recipe.eta).into_iter().filter(|above| *above).count();
        vec![("categories_left_out", left_out as f64)]
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
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/csl.safetensors"));
        let of = |mode| CslRecipe { mode, left_out: 1, ..CslRecipe::default() };
        let clipped = CslRecipe { clip: 0.05, gamma_negative: 3.0, ..of(Mode::Selective) };
        for (name, recipe, normalization) in [
            ("ignore", of(Mode::Ignore), Normalization::Supervised),
            ("negative", of(Mode::Negative), Normalization::Supervised),
            ("selective", of(Mode::Selective), Normalization::Supervised),
            ("clipped_sum", clipped, Normalization::Sum),
        ] {
            fixture.assert_loss(name, |logits, labels| {
                recipe.loss(logits, (labels, labels), normalization, recipe.mode, &[false; 6])
            });
        }
        let (recipe, eta) = (of(Mode::Selective), f64::from(fixture.values("eta")[0]));
        let mut priors = CategoryPriors::none(6);
        priors.add(&fixture.values("p"));
        let above = priors.above(eta);
        assert_eq!(above.iter().filter(|above| **above).count(), 2);
        fixture.assert_loss("with_prior", |logits, labels| {
            recipe.loss(logits, (labels, labels), Normalization::Supervised, recipe.mode, &above)
        });
        assert_eq!(fixture.count("") - 2 * 5, 5, "every loss and gradient of the file is compared");
    }

    #[test]
    fn the_highest_unknown_scores_of_the_whole_batch_are_left_out() {
        let labels = LabelMatrix::from_values(3, &[0, 1, 0, 0, 0, -1]);
        let logits = [2.0, 9.0, 1.0, -3.0, 1.0, 8.0];
        let kept = |left_out| super::kept(&logits, &labels, left_out, &[false; 3]);
        assert_eq!(kept(0), [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(kept(2), [0.0, 0.0, 0.0, 1.0, 1.0, 0.0], "the first of two equal ones");
        assert_eq!(kept(9), [0.0; 6]);
        let without = super::kept(&logits, &labels, 2, &[true, false, false]);
        assert_eq!(without, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0], "(0, 0) is one of the two all the same");
    }

    #[test]
    fn an_unknown_label_has_its_own_exponent() {
        let labels = LabelMatrix::from_values(3, &[1, -1, 0]);
        let of = |mode| {
            let recipe = CslRecipe { mode, left_out: 1, ..CslRecipe::default() };
            let logits = Tensor::<2>::zeros([1, 3], &Device::flex());
            let loss = recipe.loss(logits, (&labels, &labels), Normalization::Sum, mode, &[false; 3]);
            loss.into_scalar::<f32>()
        };
        // p = 1/2: ln 2 · (1 + 1/2 + 1/16).
        assert!((of(Mode::Negative) - 1.5625 * 2f32.ln()).abs() < 1e-6);
        assert!((of(Mode::Ignore) - 1.5 * 2f32.ln()).abs() < 1e-6);
        assert_eq!(of(Mode::Selective), of(Mode::Ignore), "the one unknown label is the highest");
    }

    /// Eight images of five categories, every third label known.
    fn train() -> Memory {
        let values: Vec<i8> = (0..40).map(|cell| [0, 1, 0, 0, -1, 0][cell % 6]).collect();
        Memory { maps: maps(8, &Device::flex().autodiff()), labels: LabelMatrix::from_values(5, &values) }
    }

    fn model(prior_epochs: usize, mode: Mode, eta: f64) -> Csl {
        let recipe = CslRecipe { prior_epochs, mode, eta, left_out: 1, ..CslRecipe::default() };
        recipe.init(8, &knowledge(), 0, &Device::flex().autodiff())
    }

    /// The loss of one step.
    fn step(model: &Csl, train: &Memory, epoch: usize) -> f32 {
        let at = Progress { seed: 0, epoch, step: 0, steps: 1 };
        let rows = batch(&train.maps, train.labels.clone());
        model.loss(train.maps.clone(), &rows, Normalization::default(), at).total().into_scalar()
    }

    #[test]
    fn the_prior_is_measured_first_and_then_leaves_categories_out() {
        let train = train();
        let scores = model(1, Mode::Selective, 0.5).forward(train.maps.clone());
        let p = values(sigmoid(scores).mean_dim(0));
        let mut sorted = p.clone();
        sorted.sort_by(f32::total_cmp);
        let eta = f64::from(sorted[2] + sorted[3]) / 2.0;

        let measured = model(1, Mode::Selective, eta);
        assert!(measured.state().is_none());
        assert_eq!(step(&measured, &train, 0), step(&model(0, Mode::Ignore, eta), &train, 0));
        assert_eq!(measured.scalars(&train.labels), [("categories_left_out", 2.0)]);
        let after = step(&measured, &train, 1);
        assert_ne!(after, step(&model(0, Mode::Selective, eta), &train, 1), "two categories are left out");
        assert_eq!(step(&measured, &train, 1), after, "the prior is measured no more");

        let mut resumed = model(1, Mode::Selective, eta);
        assert!(resumed.before_epoch(1, &train).unwrap_err().to_string().contains("method.bin"));
        resumed.restore(&measured.state().expect("measured")).unwrap();
        resumed.before_epoch(1, &train).unwrap();
        assert_eq!(step(&resumed, &train, 1), after);
        assert!(resumed.restore(&[1, 2, 3]).is_err());
    }

    #[test]
    fn a_prior_is_measured_for_the_selective_mode_alone() {
        let recipe = CslRecipe { prior_epochs: 2, mode: Mode::Negative, ..CslRecipe::default() };
        let message = recipe.check().unwrap_err().to_string();
        assert_eq!(message, "prior_epochs is 2; expected 0, or mode = \"selective\" with it");
        let selective = CslRecipe { mode: Mode::Selective, ..recipe };
        selective.check().unwrap();
        assert!(!selective.learns_from_unknown() && CslRecipe::default().learns_from_unknown());
        assert!(CslRecipe { eta: 1.5, ..selective }.check().is_err());
    }
}
