//! `csl`: the partial asymmetric loss with class-aware selective negatives (Ben-Baruch et al., "Multi-label
//! Classification with Partial Annotations using Class-aware Selective Loss", CVPR 2022).
//!
//! Known labels cost as in the asymmetric loss ([`crate::loss::asymmetric`]); an unknown one costs as a
//! negative with an exponent of its own. In `mode = "selective"` the K · B unknown entries of a batch of B
//! images with the highest scores are left out, wherever in the batch they are: they are probably positives.
//!
//! Difference: the paper also leaves out whole categories whose prior, estimated by a model trained before in
//! `mode = "ignore"`, is above η. This is not built; without a prior the published code does the same as here.
//! The paper sums over the batch: `train.normalization = "sum"`.

use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use super::asl::CLIP;
use super::head::{HEAD, HeadRecipe};
use super::head_loss::{HeadLoss, OnHead};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::{Settings, ranges};
use crate::Result;
use crate::loss::asymmetric::{self, Focus};
use crate::loss::masks::Masks;
use crate::loss::normalization::Normalization;

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
        }
    }
}

/// A head trained with the partial asymmetric loss.
pub type Csl = OnHead<CslRecipe>;

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
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Csl {
        OnHead::new(self, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        self.head.check()?;
        ranges::weight("gamma_negative", self.gamma_negative)?;
        ranges::weight("gamma_positive", self.gamma_positive)?;
        ranges::weight("gamma_unknown", self.gamma_unknown)?;
        ranges::check((0.0..1.0).contains(&self.clip), "clip", self.clip, "0 to below 1")
    }

    fn follow_reference(&mut self) {
        self.head.follow_reference();
    }

    fn learns_from_unknown(&self) -> bool {
        self.mode != Mode::Ignore
    }

    fn is_measured_by_bce(&self) -> bool {
        false
    }
}

impl HeadLoss for CslRecipe {
    const NAME: &'static str = "csl";

    fn head(&self) -> &HeadRecipe {
        &self.head
    }

    fn loss(
        &self,
        logits: Tensor<2>,
        labels: &LabelMatrix,
        normalization: Normalization,
        _epoch: usize,
    ) -> Tensor<1> {
        let device = logits.device();
        let masks = Masks::new(labels, &device);
        let unknown = match self.mode {
            Mode::Ignore => masks.unknown.zeros_like(),
            Mode::Negative => masks.unknown,
            Mode::Selective => {
                let values = logits.clone().detach().into_data();
                let values = values.as_slice::<f32>().expect("f32 tensors hold f32");
                let kept = kept(values, labels, self.left_out.saturating_mul(labels.images()));
                Tensor::from_data(TensorData::new(kept, [labels.images(), labels.categories()]), &device)
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

/// 1 for the unknown entries that count, all but the `left_out` with the highest logits, `B · C` values.
fn kept(logits: &[f32], labels: &LabelMatrix, left_out: usize) -> Vec<f32> {
    let cells = (0..labels.images()).flat_map(|image| labels.row(image)).enumerate();
    let mut unknown: Vec<usize> =
        cells.filter(|(_, label)| *label == Label::Unknown).map(|(cell, _)| cell).collect();
    // Ties in the order of the entries, so that the choice is the same everywhere.
    unknown.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    let mut kept = vec![0.0; logits.len()];
    unknown.iter().skip(left_out).for_each(|&cell| kept[cell] = 1.0);
    kept
}

#[cfg(test)]
mod tests {
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
            fixture.assert_loss(name, |logits, labels| recipe.loss(logits, labels, normalization, 0));
        }
        assert_eq!(fixture.count(""), 2 + 2 * 4, "every tensor of the file is compared");
    }

    #[test]
    fn the_highest_unknown_scores_of_the_whole_batch_are_left_out() {
        let labels = LabelMatrix::from_values(3, &[0, 1, 0, 0, 0, -1]);
        let logits = [2.0, 9.0, 1.0, -3.0, 1.0, 8.0];
        assert_eq!(kept(&logits, &labels, 0), [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(kept(&logits, &labels, 2), [0.0, 0.0, 0.0, 1.0, 1.0, 0.0], "the first of two equal ones");
        assert_eq!(kept(&logits, &labels, 9), [0.0; 6]);
    }

    #[test]
    fn an_unknown_label_has_its_own_exponent() {
        let labels = LabelMatrix::from_values(3, &[1, -1, 0]);
        let of = |mode| {
            let recipe = CslRecipe { mode, left_out: 1, ..CslRecipe::default() };
            let logits = Tensor::<2>::zeros([1, 3], &Device::flex());
            recipe.loss(logits, &labels, Normalization::Sum, 0).into_scalar::<f32>()
        };
        // p = 1/2: ln 2 · (1 + 1/2 + 1/16).
        assert!((of(Mode::Negative) - 1.5625 * 2f32.ln()).abs() < 1e-6);
        assert!((of(Mode::Ignore) - 1.5 * 2f32.ln()).abs() < 1e-6);
        assert_eq!(of(Mode::Selective), of(Mode::Ignore), "the one unknown label is the highest");
    }
}
