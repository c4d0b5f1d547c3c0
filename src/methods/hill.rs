//! `hill`: unknown labels are negatives, but those with high scores cost less again, as a hill falls off behind
//! its top (Zhang et al., "Simple and Robust Loss Design for Multi-Label Learning with Missing Labels", 2021).
//!
//! Unknown labels cost (λ − p) p², p = σ(x): with λ = 1.5 the slope is 0 at p = 1, where a label was probably
//! missed. The loss was published for data without known negatives and shifts positives by a margin. Here known
//! labels, positive and negative, cost their plain BCE with weight 1; only the unknown ones have the hill.

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;
use serde::{Deserialize, Serialize};

use super::head::{HEAD, HeadRecipe};
use super::head_loss::{HeadLoss, OnHead};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::{Settings, ranges};
use crate::Result;
use crate::loss::masks::Masks;
use crate::loss::normalization::Normalization;

/// Settings of `hill`; the default is the published value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HillRecipe {
    /// The head under the loss.
    pub head: HeadRecipe,
    /// λ; the top of the hill is at p = 2 λ / 3.
    pub lambda: f64,
}

impl Default for HillRecipe {
    fn default() -> Self {
        Self { head: HeadRecipe::default(), lambda: 1.5 }
    }
}

/// At λ = 1 a sure score costs nothing; below, it would be rewarded.
const LAMBDA: Interval = Interval { from: 1.0, ..Interval::FROM_0 };

/// A head trained with the hill loss.
pub type Hill = OnHead<HillRecipe>;

impl Settings for HillRecipe {
    type Head = Hill;

    const KEYS: &'static [Key] = &[
        HEAD,
        Key::new("lambda", Kind::Number(LAMBDA), "λ of the loss (λ − p) p² of unknown labels, p their score"),
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Hill {
        OnHead::new(self, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        self.head.check()?;
        let holds = self.lambda >= 1.0 && self.lambda.is_finite();
        ranges::check(holds, "lambda", self.lambda, "1 or more")
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

impl HeadLoss for HillRecipe {
    const NAME: &'static str = "hill";

    fn head(&self) -> &HeadRecipe {
        &self.head
    }

    /// Every entry is supervised.
    fn loss(
        &self,
        logits: Tensor<2>,
        labels: &LabelMatrix,
        normalization: Normalization,
        _epoch: usize,
    ) -> Tensor<1> {
        let masks = Masks::new(labels, &logits.device());
        let p = sigmoid(logits.clone());
        let hill = (-p.clone()).add_scalar(self.lambda) * p.clone() * p;
        let losses = masks.known_bce(&logits) + masks.unknown * hill;
        normalization.reduce(losses, logits.detach().ones_like())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn loss_and_gradient_equal_their_restatement_in_pytorch() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/hill.safetensors"));
        for (name, lambda, normalization) in
            [("supervised", 1.5, Normalization::Supervised), ("sum", 2.0, Normalization::Sum)]
        {
            fixture.assert_loss(name, |logits, labels| {
                HillRecipe { lambda, ..HillRecipe::default() }.loss(logits, labels, normalization, 0)
            });
        }
        assert_eq!(fixture.count(""), 2 + 2 * 2, "every tensor of the file is compared");
    }

    #[test]
    fn an_unknown_label_costs_the_hill_and_known_ones_their_plain_loss() {
        let logits = Tensor::<2>::from_data([[0.0, 0.0, 0.0, 1e4, -1e4]], &Device::flex());
        let labels = LabelMatrix::from_values(5, &[0, 1, -1, 0, 0]);
        let loss = HillRecipe::default().loss(logits, &labels, Normalization::Sum, 0).into_scalar::<f32>();
        // (1.5 − 0.5) 0.5² + 2 ln 2 + (1.5 − 1) 1² + 0.
        assert!((loss - (0.25 + 2.0 * 2f32.ln() + 0.5)).abs() < 1e-6, "{loss}");
    }
}
