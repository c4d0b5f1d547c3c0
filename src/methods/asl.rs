//! `asl`: the asymmetric loss (Ridnik et al., ICCV 2021), whose entries count less the surer they are right,
//! and negatives below a clip not at all; see [`crate::loss::asymmetric`].
//!
//! The paper sums over the batch: `train.normalization = "sum"`, with a learning rate that fits. By default
//! the sum is divided as every other loss, each supervised entry counting as one whatever its focusing
//! weight. Focal loss is `gamma_negative = gamma_positive = 2, clip = 0`; BCE is 0 for all three.

use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;
use serde::{Deserialize, Serialize};

use super::head::{HEAD, HeadRecipe};
use super::head_loss::{HeadLoss, OnHead};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::{Settings, ranges};
use crate::Result;
use crate::loss::asymmetric::{self, Focus};
use crate::loss::masks::Masks;
use crate::loss::normalization::Normalization;

/// Settings of `asl`; the defaults are those of the published COCO script (the class there has γ₊ = 1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AslRecipe {
    /// The head under the loss.
    pub head: HeadRecipe,
    /// γ₋, how much less a negative counts that is right already.
    pub gamma_negative: f64,
    /// γ₊, the same of positives.
    pub gamma_positive: f64,
    /// m, the probability up to which a negative costs nothing.
    pub clip: f64,
    /// What unknown labels are.
    pub unknown: Unknown,
}

/// What unknown labels are in `asl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// Left out.
    #[default]
    Ignore,
    /// Negatives.
    Negative,
}

/// The clip of the asymmetric loss, as a key.
pub(super) const CLIP: Key = Key::new(
    "clip",
    Kind::Number(Interval::BELOW_1),
    "m, the probability up to which what counts as negative costs nothing",
);

impl Default for AslRecipe {
    fn default() -> Self {
        Self {
            head: HeadRecipe::default(),
            gamma_negative: 4.0,
            gamma_positive: 0.0,
            clip: 0.05,
            unknown: Unknown::Ignore,
        }
    }
}

/// A head trained with the asymmetric loss.
pub type Asl = OnHead<AslRecipe>;

impl Settings for AslRecipe {
    type Head = Asl;

    const KEYS: &'static [Key] = &[
        HEAD,
        Key::new(
            "gamma_negative",
            Kind::Number(Interval::FROM_0),
            "γ₋, how much less a negative counts that is right already",
        ),
        Key::new("gamma_positive", Kind::Number(Interval::FROM_0), "γ₊, the same of positives"),
        CLIP,
        Key::new(
            "unknown",
            Kind::Word(&["ignore", "negative"]),
            "Whether unknown labels are left out or count as negative",
        ),
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Asl {
        OnHead::new(self, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        self.head.check()?;
        ranges::weight("gamma_negative", self.gamma_negative)?;
        ranges::weight("gamma_positive", self.gamma_positive)?;
        ranges::check((0.0..1.0).contains(&self.clip), "clip", self.clip, "0 to below 1")
    }

    fn follow_reference(&mut self) {
        self.head.follow_reference();
    }

    fn learns_from_unknown(&self) -> bool {
        self.unknown == Unknown::Negative
    }

    fn is_measured_by_bce(&self) -> bool {
        false
    }
}

impl HeadLoss for AslRecipe {
    const NAME: &'static str = "asl";

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
        let masks = Masks::new(labels, &logits.device());
        let negative = match self.unknown {
            Unknown::Ignore => masks.negative,
            Unknown::Negative => masks.negative + masks.unknown,
        };
        let losses = masks.positive.clone()
            * asymmetric::positive(logits.clone(), self.gamma_positive, Focus::Weight)
            + negative.clone() * asymmetric::negative(logits, self.gamma_negative, self.clip, Focus::Weight);
        normalization.reduce(losses, masks.positive + negative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use crate::loss::partial_bce::partial_bce;

    #[test]
    fn loss_and_gradient_equal_their_restatement_in_pytorch() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/asl.safetensors"));
        let focal = AslRecipe { gamma_negative: 2.0, gamma_positive: 2.0, clip: 0.0, ..AslRecipe::default() };
        let negative = AslRecipe { gamma_positive: 1.0, unknown: Unknown::Negative, ..AslRecipe::default() };
        for (name, recipe, normalization) in [
            ("ignore", AslRecipe::default(), Normalization::Supervised),
            ("negative", negative.clone(), Normalization::Supervised),
            ("focal", focal, Normalization::Supervised),
            ("sum", negative, Normalization::Sum),
        ] {
            fixture.assert_loss(name, |logits, labels| recipe.loss(logits, labels, normalization, 0));
        }
        assert_eq!(fixture.count(""), 2 + 2 * 4, "every tensor of the file is compared");
    }

    #[test]
    fn without_focus_and_clip_it_is_bce() {
        let device = Device::flex();
        let recipe = AslRecipe { gamma_negative: 0.0, clip: 0.0, ..AslRecipe::default() };
        let labels = LabelMatrix::from_values(3, &[1, -1, 0]);
        let logits = Tensor::<2>::from_data([[0.5, 2.0, 7.0]], &device);
        let targets = crate::batch::targets(&labels, &device);
        let bce = partial_bce(logits.clone(), targets, Normalization::Supervised).into_scalar::<f32>();
        let asl = recipe.loss(logits, &labels, Normalization::Supervised, 0).into_scalar::<f32>();
        assert!((asl - bce).abs() < 1e-6, "{asl}, not {bce}");
    }

    #[test]
    fn an_all_unknown_batch_costs_nothing_unless_unknown_is_negative() {
        let logits = Tensor::<2>::zeros([1, 2], &Device::flex());
        let of = |unknown| {
            let recipe = AslRecipe { unknown, ..AslRecipe::default() };
            let labels = LabelMatrix::unknown(1, 2);
            recipe.loss(logits.clone(), &labels, Normalization::Supervised, 0).into_scalar::<f32>()
        };
        assert_eq!(of(Unknown::Ignore), 0.0);
        // p = 1/2, q = 0.45.
        assert!((of(Unknown::Negative) + 0.45f32.powi(4) * 0.55f32.ln()).abs() < 1e-6);
    }
}
