//! What IP-Mixup and FM-Mixup share: how much is mixed, and the loss of a mixed image.
//!
//! SARB's ablation compares blending of category representations with mixup (Zhang et al. ICLR 2018)
//! of input pixels and of feature maps. Distribution of the share, layer and loss are unpublished;
//! here λ ~ Beta(a, a), one a batch, the partner of image b is image B − 1 − b, and the loss is
//! λ BCE(s, y) + (1 − λ) BCE(s, y'), each over its own known labels.

use burn::tensor::{Tensor, TensorData};
use sarb_labels::LabelMatrix;
use sarb_labels::random::{Stream, beta};
use serde::{Deserialize, Serialize};

use super::keys::{Key, Kind};
use crate::batch::{Mixture, Progress, targets};
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::{entries, supervised};
use crate::{Error, Result};

/// When and how much is mixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mixing {
    /// First epoch, from 0, in which images are mixed; SARB's blends start there too.
    pub from_epoch: usize,
    /// a of λ ~ Beta(a, a): a whole number. 1 is the uniform distribution, more is nearer to ½.
    pub concentration: u32,
}

impl Default for Mixing {
    fn default() -> Self {
        Self { from_epoch: 5, concentration: 1 }
    }
}

/// The table `mixing` of a method.
pub const MIXING: Key = Key::new(
    "mixing",
    Kind::Table(
        "mixing",
        &[
            Key::new("from_epoch", Kind::COUNT, "First epoch, from 0, in which images are mixed"),
            Key::new(
                "concentration",
                Kind::Whole(1, 100),
                "a of λ ~ Beta(a, a); 1 is the uniform distribution, more is nearer to ½",
            ),
        ],
    ),
    "When and how much is mixed",
);

impl Mixing {
    /// Refuses values out of range.
    pub fn check(&self) -> Result<()> {
        match self.concentration {
            1..=100 => Ok(()),
            other => Err(Error::Recipe(format!(
                "mixing.concentration is {other}; expected a whole number 1 to 100"
            ))),
        }
    }

    /// Whether images are mixed in this epoch.
    pub fn mixes(&self, epoch: usize) -> bool {
        epoch >= self.from_epoch
    }

    /// λ of a step.
    pub fn kept(&self, at: Progress) -> f32 {
        beta(self.concentration, &mut at.rng(Stream::Mixup))
    }
}

/// x ← λ x + (1 − λ) x', the partner of b being B − 1 − b, `[B, …] -> [B, …]`.
pub fn mix<const R: usize>(x: Tensor<R>, kept: f32) -> Tensor<R> {
    let partners = x.clone().flip([0]);
    x.mul_scalar(kept) + partners.mul_scalar(1.0 - kept)
}

/// λ BCE(s, y) + (1 − λ) BCE(s, y') over the known labels of each, `[B, C] -> [1]`. With the default
/// normalization the divisor is the weight of what is known, λ for own and 1 − λ for partners' labels.
pub fn mixed_bce(
    logits: Tensor<2>,
    labels: &LabelMatrix,
    mixture: &Mixture,
    normalization: Normalization,
) -> Tensor<1> {
    let device = logits.device();
    let images = labels.images();
    let kept = TensorData::new(mixture.kept.clone(), [images, 1]);
    let kept = Tensor::<2>::from_data(kept, &device);
    let (own, partners) = (targets(labels, &device), targets(&mixture.partners, &device));
    let weights = Tensor::cat(
        vec![supervised(&own) * kept.clone(), supervised(&partners) * kept.neg().add_scalar(1.0)],
        1,
    );
    // One row of 2C entries an image: its own labels, then its partner's.
    let losses = Tensor::cat(vec![entries(logits.clone(), own), entries(logits, partners)], 1);
    let loss = normalization.reduce(losses, weights);
    // Over all entries an image counts C of them, not 2C.
    if normalization == Normalization::All { loss.mul_scalar(2.0) } else { loss }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use crate::loss::partial_bce::partial_bce;
    use burn::tensor::Device;

    #[test]
    fn loss_and_gradient_equal_the_restatement_in_pytorch() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/mixup.safetensors"));
        let device = crate::fixture::device().autodiff();
        let logits = fixture.tensor::<2>("logits", &device).require_grad();
        let mixture = Mixture { partners: fixture.labels("partner_target"), kept: fixture.values("share") };
        let labels = fixture.labels("target");
        let loss = mixed_bce(logits.clone(), &labels, &mixture, Normalization::Supervised);
        let gradients = loss.backward();
        fixture.assert_equals("loss", loss);
        fixture.assert_equals("grad.logits", logits.grad(&gradients).expect("tracked"));
    }

    #[test]
    fn an_image_that_keeps_all_of_itself_has_its_own_loss() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[0.5, -1.0], [2.0, 0.1]], &device);
        let labels = LabelMatrix::from_values(2, &[1, 0, -1, 1]);
        let mixture = Mixture { partners: labels.select(&[1, 0]), kept: vec![1.0; 2] };
        for how in [Normalization::Supervised, Normalization::Image, Normalization::All, Normalization::Sum] {
            let mixed = mixed_bce(logits.clone(), &labels, &mixture, how).into_scalar::<f32>();
            let own = partial_bce(logits.clone(), targets(&labels, &device), how).into_scalar::<f32>();
            assert!((mixed - own).abs() < 1e-6, "{how:?}: {mixed} and {own}");
        }
    }

    #[test]
    fn an_image_is_mixed_with_the_one_across_the_batch() {
        let x = Tensor::<2>::from_data([[1.0], [10.0], [100.0]], &Device::flex());
        let mixed = mix(x, 0.75).into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(mixed, [25.75, 10.0, 75.25]);
    }
}
