//! `fm-mixup`: SSGRL trained on mixed feature maps, the second baseline of SARB's ablation. Maps are
//! mixed before their channels are reduced; see [`super::mixup`] for what is unpublished.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use sarb_labels::random::Stream;
use serde::{Deserialize, Serialize};

use super::keys::Key;
use super::knowledge::CategoryKnowledge;
use super::mixup::{MIXING, Mixing, mix, mixed_bce};
use super::network_recipe::{NETWORK, NetworkRecipe};
use super::ssgrl::Ssgrl;
use super::torch::TorchHead;
use super::{Exported, Method, Settings, TrainSet};
use crate::Result;
use crate::batch::{Batch, Losses, Mixture, Progress};
use crate::loss::normalization::Normalization;
use crate::onnx::graph::{Graph, Value};
use crate::ranks::across::{own_rows, whole_batch};

/// Settings of `fm-mixup`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FmMixupRecipe {
    /// The network that is trained.
    pub network: NetworkRecipe,
    /// When and how much is mixed.
    pub mixing: Mixing,
}

impl Settings for FmMixupRecipe {
    type Head = FmMixup;

    const KEYS: &'static [Key] = &[NETWORK, MIXING];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> FmMixup {
        let network = Ssgrl::new(&self.network, channels, knowledge, seed, device);
        FmMixup { network, mixing: self.mixing.clone() }
    }

    fn check(&self) -> Result<()> {
        self.network.check()?;
        self.mixing.check()
    }

    fn follow_reference(&mut self) {
        self.network.follow_reference();
    }
}

/// SSGRL trained on mixed feature maps.
#[derive(Module, Debug)]
pub struct FmMixup {
    /// What is used after training.
    pub network: Ssgrl,
    #[module(skip)]
    mixing: Mixing,
}

impl Method for FmMixup {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.network.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        if !self.mixing.mixes(at.epoch) {
            return self.network.loss(maps, batch, normalization, at);
        }
        let kept = self.mixing.kept(at);
        let logits = self
            .network
            .forward_dropped(own_rows(mix(whole_batch(maps), kept)), &mut at.rng(Stream::Dropout));
        let mixture = Mixture::flipped(batch, kept);
        Losses::default().with("bce", 1.0, mixed_bce(logits, &batch.labels, &mixture, normalization))
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
    use sarb_labels::LabelMatrix;

    #[test]
    fn maps_are_mixed_from_its_epoch_on() {
        let device = Device::flex().autodiff();
        let recipe = FmMixupRecipe { network: small(), mixing: Mixing { from_epoch: 1, concentration: 1 } };
        let mixup = recipe.init(8, &knowledge(), 0, &device);
        let maps = maps(4, &device);
        let labels: Vec<i8> = (0..20).map(|cell| (cell % 3) as i8 - 1).collect();
        let batch = batch(&maps, LabelMatrix::from_values(5, &labels));
        let at = |epoch| Progress { seed: 0, epoch, step: 0, steps: 1 };
        let loss = |losses: Losses| losses.total().into_scalar::<f32>();
        let plain =
            |epoch| loss(mixup.network.loss(maps.clone(), &batch, Normalization::default(), at(epoch)));
        let mixed = |epoch| loss(mixup.loss(maps.clone(), &batch, Normalization::default(), at(epoch)));
        assert_eq!(mixed(0), plain(0));
        assert_ne!(mixed(1), plain(1));
        // By hand: the scores of mixed maps, each against both labels.
        let kept = mixup.mixing.kept(at(1));
        let logits = mixup.network.forward(mix(maps.clone(), kept));
        let bce = |labels: &LabelMatrix| {
            let targets = crate::batch::targets(labels, &device);
            let how = crate::loss::normalization::Normalization::Supervised;
            crate::loss::partial_bce::partial_bce(logits.clone(), targets, how).into_scalar::<f32>()
        };
        let partners = batch.labels.select(&[3, 2, 1, 0]);
        let expected = kept * bce(&batch.labels) + (1.0 - kept) * bce(&partners);
        assert!((mixed(1) - expected).abs() < 1e-5, "{} and {expected}", mixed(1));
    }
}
