//! `partial-bce`: images of which less is known weigh more (Durand, Mehrasa, Mori; CVPR 2019, Eq. 3–5).
//!
//! With p the known share of an image's labels, its loss is multiplied by g(p) = α p^γ + β and, in the
//! paper, divided by C: `train.normalization = "all"`. By default it is divided as every other loss,
//! by the weight of the batch's supervised entries; then γ, α and β only say how images weigh against
//! each other. The head under it is in no source.

use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use super::Settings;
use super::head::{HEAD, HeadRecipe};
use super::head_loss::{HeadLoss, OnHead};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use crate::batch::targets;
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::{entries, supervised};
use crate::{Error, Result};

/// Settings of `partial-bce`; the defaults are the paper's, with which g(1) = 1 and g(0.1) = 5.005.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartialBceRecipe {
    /// The head under the loss.
    pub head: HeadRecipe,
    /// How images weigh.
    pub weight: KnownShareWeight,
}

/// A head trained with partial-BCE.
pub type PartialBce = OnHead<PartialBceRecipe>;

impl Settings for PartialBceRecipe {
    type Head = PartialBce;

    const KEYS: &'static [Key] = &[HEAD, WEIGHT];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> PartialBce {
        OnHead::new(self, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        self.head.check()?;
        self.weight.check()
    }

    fn follow_reference(&mut self) {
        self.head.follow_reference();
    }
}

/// g(p) = α p^γ + β, p the known share of an image's labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KnownShareWeight {
    /// α.
    pub alpha: f64,
    /// β.
    pub beta: f64,
    /// γ.
    pub gamma: f64,
}

impl Default for KnownShareWeight {
    fn default() -> Self {
        Self { alpha: -4.45, beta: 5.45, gamma: 1.0 }
    }
}

/// The table `weight` of a method.
pub const WEIGHT: Key = Key::new(
    "weight",
    Kind::Table(
        "weight",
        &[
            Key::new(
                "alpha",
                Kind::Number(Interval::ANY),
                "α of g(p) = α p^γ + β, p the known share of an image's labels",
            ),
            Key::new("beta", Kind::Number(Interval::ANY), "β; g must be above 0 at p = 0.001 and p = 1"),
            Key::new("gamma", Kind::Number(Interval::ANY), "γ"),
        ],
    ),
    "How images weigh",
);

impl KnownShareWeight {
    /// g of a known share in (0, 1].
    pub fn at(&self, share: f64) -> f64 {
        self.alpha * share.powf(self.gamma) + self.beta
    }

    /// Refuses weights that are not above 0.
    pub fn check(&self) -> Result<()> {
        let (few, all) = (self.at(1e-3), self.at(1.0));
        match few > 0.0 && all > 0.0 && few.is_finite() && all.is_finite() {
            true => Ok(()),
            false => Err(Error::Recipe(format!(
                "weight gives g(0.001) = {few} and g(1) = {all}; expected finite numbers above 0"
            ))),
        }
    }

    /// The weighted BCE of logits `[B, C]` over the known labels, `-> [1]`.
    pub fn loss(&self, logits: Tensor<2>, labels: &LabelMatrix, normalization: Normalization) -> Tensor<1> {
        let device = logits.device();
        let targets = targets(labels, &device);
        let weights = (0..labels.images()).map(|image| {
            let known = labels.row(image).filter(|label| *label != Label::Unknown).count();
            if known == 0 { 0.0 } else { self.at(known as f64 / labels.categories() as f64) as f32 }
        });
        let weights = TensorData::new(weights.collect::<Vec<f32>>(), [labels.images(), 1]);
        let weights = supervised(&targets) * Tensor::<2>::from_data(weights, &device); // [B, C]
        normalization.reduce(entries(logits, targets), weights)
    }
}

impl HeadLoss for PartialBceRecipe {
    const NAME: &'static str = "bce";

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
        self.weight.loss(logits, labels, normalization)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    /// Loss and gradient of the logits of a fixture, as `normalization` divides.
    fn assert_equals(file: &[u8], normalization: Normalization) {
        let fixture = Fixture::read(file);
        let device = Device::flex().autodiff();
        let logits = fixture.tensor::<2>("logits", &device).require_grad();
        let labels = fixture.labels("target");
        let loss = KnownShareWeight::default().loss(logits.clone(), &labels, normalization);
        let gradients = loss.backward();
        fixture.assert_equals("loss", loss);
        fixture.assert_equals("grad.logits", logits.grad(&gradients).expect("tracked"));
    }

    #[test]
    fn the_papers_normalization_equals_the_fixture() {
        assert_equals(include_bytes!("../../tests/fixtures/partial_bce.safetensors"), Normalization::All);
    }

    #[test]
    fn ours_equals_its_restatement_in_pytorch() {
        let file = include_bytes!("../../tests/fixtures/partial_bce_supervised.safetensors");
        assert_equals(file, Normalization::Supervised);
    }

    #[test]
    fn the_weight_is_the_papers_at_both_ends() {
        let weight = KnownShareWeight::default();
        assert!((weight.at(1.0) - 1.0).abs() < 1e-12 && (weight.at(0.1) - 5.005).abs() < 1e-12);
        let negative = KnownShareWeight { alpha: -6.0, ..weight };
        assert!(negative.check().unwrap_err().to_string().contains("g(1) ="));
    }
}
