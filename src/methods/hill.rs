//! `hill`: unknown labels are negatives, but those with high scores cost less again, as a hill falls off behind
//! its top (Zhang et al., "Simple and Robust Loss Design for Multi-Label Learning with Missing Labels", 2021).
//!
//! Unknown labels cost (λ − p) p², p = σ(x): with λ = 1.5 the slope is 0 at p = 1, where a label was probably
//! missed. The loss was published for data without known negatives and shifts positives by a margin. Here known
//! labels, positive and negative, cost their plain BCE with weight 1; only the unknown ones have the hill.

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;
use sarb_labels::random::Stream;
use serde::{Deserialize, Serialize};

use super::head::{HEAD, Head, HeadRecipe};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::{Method, Settings, TrainSet, ranges};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
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

impl Settings for HillRecipe {
    type Head = Hill;

    const KEYS: &'static [Key] = &[
        HEAD,
        Key::new("lambda", Kind::Number(LAMBDA), "λ of the loss (λ − p) p² of unknown labels, p their score"),
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Hill {
        Hill { scorer: self.head.init(channels, knowledge, seed, device), lambda: self.lambda }
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

/// The loss of logits `[B, C]`, `-> [1]`; every entry is supervised.
fn loss(logits: Tensor<2>, labels: &LabelMatrix, lambda: f64, normalization: Normalization) -> Tensor<1> {
    let masks = Masks::new(labels, &logits.device());
    let p = sigmoid(logits.clone());
    let hill = (-p.clone()).add_scalar(lambda) * p.clone() * p;
    let losses = masks.known_bce(&logits) + masks.unknown * hill;
    normalization.reduce(losses, logits.detach().ones_like())
}

/// A head trained with the hill loss.
#[derive(Module, Debug)]
pub struct Hill {
    /// The head.
    pub scorer: Head,
    lambda: f64,
}

impl Method for Hill {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.scorer.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let logits = self.scorer.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        Losses::default().with("hill", 1.0, loss(logits, &batch.labels, self.lambda, normalization))
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        self.scorer.attention(maps)
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        self.scorer.before_training(train)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn loss_and_gradient_equal_their_restatement_in_pytorch() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/hill.safetensors"));
        let device = Device::flex().autodiff();
        for (name, lambda, normalization) in
            [("supervised", 1.5, Normalization::Supervised), ("sum", 2.0, Normalization::Sum)]
        {
            let logits = fixture.tensor::<2>("logits", &device).require_grad();
            let loss = loss(logits.clone(), &fixture.labels("target"), lambda, normalization);
            let gradients = loss.backward();
            fixture.assert_equals(&format!("loss.{name}"), loss);
            fixture.assert_equals(&format!("grad.{name}"), logits.grad(&gradients).expect("tracked"));
        }
        assert_eq!(fixture.count(""), 2 + 2 * 2, "every tensor of the file is compared");
    }

    #[test]
    fn an_unknown_label_costs_the_hill_and_known_ones_their_plain_loss() {
        let logits = Tensor::<2>::from_data([[0.0, 0.0, 0.0, 1e4, -1e4]], &Device::flex());
        let labels = LabelMatrix::from_values(5, &[0, 1, -1, 0, 0]);
        let loss = loss(logits, &labels, 1.5, Normalization::Sum).into_scalar::<f32>();
        // (1.5 − 0.5) 0.5² + 2 ln 2 + (1.5 − 1) 1² + 0.
        assert!((loss - (0.25 + 2.0 * 2f32.ln() + 0.5)).abs() < 1e-6, "{loss}");
    }
}
