//! `splc`: self-paced loss correction (Zhang et al., "Simple and Robust Loss Design for Multi-Label Learning
//! with Missing Labels", 2021): unknown labels are negatives, until the network is sure that one is there.
//!
//! From epoch 1 an unknown label with p = σ(x) > τ counts as positive in this step; nothing is stored, the
//! correction is made anew each step. An unknown label costs −(1 − p)^γ log p as a positive and
//! −p^γ log(1 − p) as a negative, focused with a gradient as in the published code.
//!
//! The loss was published for data without known negatives, focuses every entry and shifts known positives by
//! a margin of 1. Here known labels, positive and negative, cost their plain BCE with weight 1.

use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;
use serde::{Deserialize, Serialize};

use super::head::{HEAD, HeadRecipe};
use super::head_loss::{HeadLoss, OnHead};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::{Settings, ranges};
use crate::Result;
use crate::loss::masks::{Masks, as_negative, as_positive};
use crate::loss::normalization::Normalization;

/// Settings of `splc`; the defaults are the published values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SplcRecipe {
    /// The head under the loss.
    pub head: HeadRecipe,
    /// τ, the score above which an unknown label counts as positive.
    pub threshold: f64,
    /// γ, how much less an unknown label counts that is right already.
    pub gamma: f64,
    /// The epoch, from 0, from which unknown labels are corrected.
    pub from_epoch: usize,
}

impl Default for SplcRecipe {
    fn default() -> Self {
        Self { head: HeadRecipe::default(), threshold: 0.6, gamma: 2.0, from_epoch: 1 }
    }
}

/// A head trained with self-paced loss correction.
pub type Splc = OnHead<SplcRecipe>;

impl Settings for SplcRecipe {
    type Head = Splc;

    const KEYS: &'static [Key] = &[
        HEAD,
        Key::new(
            "threshold",
            Kind::Number(Interval::SHARE),
            "τ, the score above which an unknown label counts as positive",
        ),
        Key::new(
            "gamma",
            Kind::Number(Interval::FROM_0),
            "γ, how much less an unknown label counts that is right already",
        ),
        Key::new("from_epoch", Kind::COUNT, "The epoch, from 0, from which unknown labels are corrected"),
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Splc {
        OnHead::new(self, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        self.head.check()?;
        ranges::share("threshold", self.threshold)?;
        ranges::weight("gamma", self.gamma)
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

impl HeadLoss for SplcRecipe {
    const NAME: &'static str = "splc";

    fn head(&self) -> &HeadRecipe {
        &self.head
    }

    /// Every entry is supervised.
    fn loss(
        &self,
        logits: Tensor<2>,
        labels: &LabelMatrix,
        normalization: Normalization,
        epoch: usize,
    ) -> Tensor<1> {
        let masks = Masks::new(labels, &logits.device());
        let known = masks.known_bce(&logits);
        let corrected = match epoch >= self.from_epoch {
            true => sigmoid(logits.clone().detach()).greater_elem(self.threshold).float(),
            false => masks.unknown.zeros_like(),
        };
        let positive = (log_sigmoid(-logits.clone()) * self.gamma).exp() * as_positive(logits.clone());
        let negative = (log_sigmoid(logits.clone()) * self.gamma).exp() * as_negative(logits.clone());
        let unknown = corrected.clone() * positive + (-corrected).add_scalar(1.0) * negative;
        normalization.reduce(known + masks.unknown * unknown, logits.detach().ones_like())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn loss_and_gradient_equal_their_restatement_in_pytorch() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/splc.safetensors"));
        for (name, epoch, normalization) in [
            ("first_epoch", 0, Normalization::Supervised),
            ("corrected", 1, Normalization::Supervised),
            ("sum", 1, Normalization::Sum),
        ] {
            fixture.assert_loss(name, |logits, labels| {
                SplcRecipe::default().loss(logits, labels, normalization, epoch)
            });
        }
        assert_eq!(fixture.count(""), 2 + 2 * 3, "every tensor of the file is compared");
    }

    /// Loss of one row as a sum, and the gradient of its logits.
    fn run(logits: [f32; 3], labels: [i8; 3], epoch: usize) -> (f32, Vec<f32>) {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_data([logits], &device).require_grad();
        let labels = LabelMatrix::from_values(3, &labels);
        let loss = SplcRecipe::default().loss(logits.clone(), &labels, Normalization::Sum, epoch);
        let gradient = logits.grad(&loss.backward()).expect("tracked").into_data();
        (loss.into_scalar(), gradient.try_to_vec().expect("f32"))
    }

    #[test]
    fn a_sure_unknown_label_counts_as_positive_from_the_second_epoch_on() {
        // p = 1/2 and 3/4; known labels keep their plain loss even where the score is above τ.
        let logits = [0.0, 3f32.ln(), 3f32.ln()];
        let low_and_known = 0.25 * 2f32.ln() + 4f32.ln();
        let (negative, _) = run(logits, [0, 0, -1], 0);
        assert!((negative - (low_and_known + 0.5625 * 4f32.ln())).abs() < 1e-6, "{negative}");
        let (positive, _) = run(logits, [0, 0, -1], 1);
        assert!((positive - (low_and_known - 0.0625 * 0.75f32.ln())).abs() < 1e-6, "{positive}");
    }

    #[test]
    fn huge_scores_stay_finite() {
        for epoch in [0, 1] {
            let (loss, gradient) = run([1e4, -1e4, 40.0], [0, 0, 0], epoch);
            assert!(loss.is_finite() && gradient.iter().all(|g| g.is_finite()), "{loss} {gradient:?}");
        }
    }
}
