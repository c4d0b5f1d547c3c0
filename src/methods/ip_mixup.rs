//! `ip-mixup`: SSGRL trained on mixed images, the first baseline of SARB's ablation; see
//! [`super::mixup`] for what is unpublished.
//!
//! The mixtures are views of the examples ([`crate::loader::mixing`]): this loss only has to be told of them.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use sarb_labels::random::Stream;
use serde::{Deserialize, Serialize};

use super::keys::Key;
use super::knowledge::CategoryKnowledge;
use super::mixup::{MIXING, Mixing, mixed_bce};
use super::network_recipe::{NETWORK, NetworkRecipe};
use super::ssgrl::Ssgrl;
use super::torch::TorchHead;
use super::{Exported, Method, Settings, TrainSet};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::normalization::Normalization;
use crate::onnx::graph::{Graph, Value};

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

    const KEYS: &'static [Key] = &[NETWORK, MIXING];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> IpMixup {
        IpMixup { network: Ssgrl::new(&self.network, channels, knowledge, seed, device) }
    }

    fn check(&self) -> Result<()> {
        self.network.check()?;
        self.mixing.check()
    }

    fn follow_reference(&mut self) {
        self.network.follow_reference();
    }

    fn mixed_views(&self) -> Option<&Mixing> {
        Some(&self.mixing)
    }
}

/// SSGRL trained on mixed images.
#[derive(Module, Debug)]
pub struct IpMixup {
    /// What is used after training.
    pub network: Ssgrl,
}

impl Method for IpMixup {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.network.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let Some(mixture) = &batch.mixture else { return self.network.loss(maps, batch, normalization, at) };
        let logits = self.network.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        Losses::default().with("bce", 1.0, mixed_bce(logits, &batch.labels, mixture, normalization))
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        self.network.attention(maps)
    }

    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        self.network.export(graph, maps)
    }

    fn torch(&self) -> TorchHead {
        self.network.torch()
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        self.network.before_training(train)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ssgrl::tests::{batch, knowledge, maps, small};
    use super::*;
    use crate::batch::Mixture;
    use sarb_labels::LabelMatrix;

    #[test]
    fn the_loss_is_that_of_the_mixtures_in_the_batch_or_plain_without_any() {
        let device = Device::flex().autodiff();
        let mixup =
            IpMixupRecipe { network: small(), mixing: Mixing::default() }.init(8, &knowledge(), 0, &device);
        let images = maps(4, &device);
        let labels: Vec<i8> = (0..20).map(|cell| (cell % 3) as i8 - 1).collect();
        let mut batch = batch(&images, LabelMatrix::from_values(5, &labels));
        let at = Progress { seed: 0, epoch: 0, step: 0, steps: 1 };
        let loss = |batch: &Batch| {
            mixup.loss(images.clone(), batch, Normalization::default(), at).total().into_scalar::<f32>()
        };
        let plain = loss(&batch);
        assert_eq!(
            plain,
            mixup
                .network
                .loss(images.clone(), &batch, Normalization::default(), at)
                .total()
                .into_scalar::<f32>()
        );
        batch.mixture = Some(Mixture { partners: batch.labels.select(&[3, 2, 1, 0]), kept: vec![1.0; 4] });
        let kept_whole = loss(&batch);
        assert!((kept_whole - plain).abs() < 1e-5, "a partner without a share: {kept_whole}, plain {plain}");
        batch.mixture = Some(Mixture { partners: batch.labels.select(&[3, 2, 1, 0]), kept: vec![0.5; 4] });
        assert_ne!(loss(&batch), plain);
    }
}
