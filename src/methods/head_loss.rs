//! A method that is a loss on the scores of a head and nothing more: [`OnHead`] is the method, the settings are
//! the loss.

use std::fmt::Debug;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;
use sarb_labels::random::Stream;

use super::head::{Head, HeadRecipe};
use super::knowledge::CategoryKnowledge;
use super::torch::TorchHead;
use super::{Exported, Method, TrainSet};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::normalization::Normalization;
use crate::onnx::graph::{Graph, Value};

/// The settings of such a method.
pub trait HeadLoss: Clone + Debug + Send + Sync {
    /// What the loss is called where it is told of.
    const NAME: &'static str;

    /// The head under the loss.
    fn head(&self) -> &HeadRecipe;

    /// The loss of logits `[B, C]` in an epoch, from 0, `-> [1]`.
    fn loss(
        &self,
        logits: Tensor<2>,
        labels: &LabelMatrix,
        normalization: Normalization,
        epoch: usize,
    ) -> Tensor<1>;
}

/// A head trained with a loss.
#[derive(Module, Debug)]
pub struct OnHead<L: HeadLoss> {
    /// The head.
    pub scorer: Head,
    #[module(skip)]
    loss: L,
}

impl<L: HeadLoss> OnHead<L> {
    /// For maps of F `channels`; the initial weights depend on `seed` alone.
    pub fn new(loss: &L, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Self {
        Self { scorer: loss.head().init(channels, knowledge, seed, device), loss: loss.clone() }
    }
}

impl<L: HeadLoss> Method for OnHead<L> {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.scorer.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let logits = self.scorer.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        let loss = self.loss.loss(logits, &batch.labels, normalization, at.epoch);
        Losses::default().with(L::NAME, 1.0, loss)
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        self.scorer.attention(maps)
    }

    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        self.scorer.export(graph, maps)
    }

    fn torch(&self) -> TorchHead {
        self.scorer.torch()
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        self.scorer.before_training(train)
    }
}
