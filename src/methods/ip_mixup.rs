//! `ip-mixup`: SSGRL trained on mixed images, the first baseline of SARB's ablation; see
//! [`super::mixup`] for what is unpublished.
//!
//! Images that are read anew are mixed with the one across the batch. Cached maps are those of mixed
//! images ([`crate::data::mixed_maps`]), whose partners and shares are drawn once for each view.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::mixup::{Mixing, mix, mixed_bce};
use super::network_recipe::{NetworkRecipe, OutputBias};
use super::ssgrl::{CategoryKnowledge, Ssgrl};
use super::{Method, Settings, TrainSet};
use crate::Result;
use crate::batch::{Batch, Losses, Mixture, Progress, Stream};

/// Settings of `ip-mixup`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IpMixupRecipe {
    /// The network that is trained.
    pub network: NetworkRecipe,
    /// When and how much is mixed.
    pub mixing: Mixing,
}

impl Settings for IpMixupRecipe {
    type Head = IpMixup;

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> IpMixup {
        let network = Ssgrl::new(&self.network, channels, knowledge, seed, device);
        IpMixup { network, mixing: self.mixing.clone() }
    }

    fn check(&self) -> Result<()> {
        self.network.check()?;
        self.mixing.check()
    }

    fn follow_reference(&mut self) {
        self.network.output_bias = OutputBias::Random;
    }

    fn mixes_pixels(&self) -> Option<&Mixing> {
        Some(&self.mixing)
    }
}

/// SSGRL trained on mixed images.
#[derive(Module, Debug)]
pub struct IpMixup {
    /// What is used after training.
    pub network: Ssgrl,
    #[module(skip)]
    mixing: Mixing,
}

impl Method for IpMixup {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.network.forward(maps)
    }

    fn mixes_pixels(&self, epoch: usize) -> bool {
        self.mixing.mixes(epoch)
    }

    fn mix_pixels(&self, images: Tensor<4>, at: Progress) -> Tensor<4> {
        mix(images, self.mixing.kept(at))
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, at: Progress) -> Losses {
        if !self.mixing.mixes(at.epoch) {
            return self.network.loss(maps, batch, at);
        }
        let logits = self.network.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        let mixture = batch.mixture.clone().unwrap_or_else(|| Mixture::flipped(batch, self.mixing.kept(at)));
        Losses::default().with("bce", 1.0, mixed_bce(logits, &batch.labels, &mixture, batch.normalization))
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        self.network.attention(maps)
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        self.network.before_training(train)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ssgrl::tests::{batch, knowledge, maps, small};
    use super::*;
    use crate::data::labels::LabelMatrix;

    #[test]
    fn a_cached_mixture_is_told_by_the_batch_and_a_fresh_one_is_across_it() {
        let device = Device::flex().autodiff();
        let recipe = IpMixupRecipe { network: small(), mixing: Mixing { from_epoch: 1, concentration: 1 } };
        let mixup = recipe.init(8, &knowledge(), 0, &device);
        let images = maps(4, &device);
        let labels: Vec<i8> = (0..20).map(|cell| (cell % 3) as i8 - 1).collect();
        let mut batch = batch(&images, LabelMatrix::from_values(5, &labels));
        let at = |epoch| Progress { seed: 0, epoch, step: 0, steps: 1 };
        assert!(!mixup.mixes_pixels(0) && mixup.mixes_pixels(1));

        let kept = mixup.mixing.kept(at(1));
        let mixed = mixup.mix_pixels(images.clone(), at(1));
        mixed.clone().into_data().assert_eq(&mix(images, kept).into_data(), true);
        let loss = |batch: &Batch| mixup.loss(mixed.clone(), batch, at(1)).total().into_scalar::<f32>();
        let fresh = loss(&batch);
        batch.mixture = Some(Mixture::flipped(&batch, kept));
        assert_eq!(loss(&batch), fresh);
        batch.mixture = Some(Mixture { partners: batch.labels.clone(), kept: vec![0.5; 4] });
        assert_ne!(loss(&batch), fresh);
    }
}
