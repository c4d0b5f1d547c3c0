//! `bce`: BCE over the known labels, on the plain head or on SSGRL's. With the plain head a backbone
//! can be trained from scratch, as `sarb quickstart` does.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use sarb_labels::random::Stream;
use serde::{Deserialize, Serialize};

use super::head::{HEAD, Head, HeadRecipe};
use super::keys::Key;
use super::knowledge::CategoryKnowledge;
use super::{Method, Settings, TrainSet};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;

/// Settings of `bce`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BceRecipe {
    /// The head under the loss.
    pub head: HeadRecipe,
}

impl Settings for BceRecipe {
    type Head = Bce;

    const KEYS: &'static [Key] = &[HEAD];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Bce {
        Bce { scorer: self.head.init(channels, knowledge, seed, device) }
    }

    fn check(&self) -> Result<()> {
        self.head.check()
    }

    fn follow_reference(&mut self) {
        self.head.follow_reference();
    }
}

/// A head trained with the mean over its known labels.
#[derive(Module, Debug)]
pub struct Bce {
    /// The head.
    pub scorer: Head,
}

impl Method for Bce {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.scorer.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let targets = batch.targets(&maps.device());
        let logits = self.scorer.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        Losses::default().with("bce", 1.0, partial_bce(logits, targets, normalization))
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        self.scorer.attention(maps)
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        self.scorer.before_training(train)
    }
}
