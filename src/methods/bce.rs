//! `bce`: BCE over the known labels, on the plain head or on SSGRL's. With the plain head a backbone
//! can be trained from scratch, as `sarb quickstart` does.

use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;
use serde::{Deserialize, Serialize};

use super::Settings;
use super::head::{HEAD, HeadRecipe};
use super::head_loss::{HeadLoss, OnHead};
use super::keys::Key;
use super::knowledge::CategoryKnowledge;
use crate::Result;
use crate::batch::targets;
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;

/// Settings of `bce`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BceRecipe {
    /// The head under the loss.
    pub head: HeadRecipe,
}

/// A head trained with the mean over its known labels.
pub type Bce = OnHead<BceRecipe>;

impl Settings for BceRecipe {
    type Head = Bce;

    const KEYS: &'static [Key] = &[HEAD];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Bce {
        OnHead::new(self, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        self.head.check()
    }

    fn follow_reference(&mut self) {
        self.head.follow_reference();
    }
}

impl HeadLoss for BceRecipe {
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
        let targets = targets(labels, &logits.device());
        partial_bce(logits, targets, normalization)
    }
}
