//! `large-loss`: unknown labels are negatives, but those of the largest losses are probably missed positives
//! (Kim et al., "Large Loss Matters in Weakly Supervised Multi-Label Classification", CVPR 2022).
//!
//! After the first epoch, k unknown entries of a batch, those of the largest losses as negatives, are rejected
//! (LL-R: weight 0), corrected in this step (LL-Ct: they cost as positives), or corrected for good (LL-Cp: as
//! LL-Ct, and those above the k-th largest are written into the labels as positives). With δ =
//! `delta_rel` / 100 and epochs from 0, k = ⌈B·C·epoch·δ⌉, for LL-Cp ⌈B·C·δ⌉ in every epoch. Known labels are
//! never touched and cost their BCE. The loss of a negative grows with its score, so the scores are compared.
//!
//! The paper divides by B·C: `train.normalization = "all"`. Where k exceeds the number of unknown entries the
//! published code rejects known ones too; here all unknown entries are then large, and no more.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::random::Stream;
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use super::head::{HEAD, Head, HeadRecipe};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::torch::TorchHead;
use super::{Exported, Method, Settings, TrainSet, ranges};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::masks::{Masks, as_negative, as_positive};
use crate::loss::normalization::Normalization;
use crate::onnx::graph::{Graph, Value};
use crate::ranks::across::whole_batch;
use crate::ranks::share::{own_of, places_of, whole_of};

/// Settings of `large-loss`; δ is the published code's default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LargeLossRecipe {
    /// The head under the loss.
    pub head: HeadRecipe,
    /// What becomes of large losses.
    pub variant: Variant,
    /// By how many percent of a batch's entries the large losses grow an epoch.
    pub delta_rel: f64,
}

/// What becomes of unknown entries with large losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// LL-R: they are left out.
    #[default]
    Reject,
    /// LL-Ct: they count as positive in this step.
    Correct,
    /// LL-Cp: they become positive for the rest of the training.
    CorrectPermanently,
}

impl Default for LargeLossRecipe {
    fn default() -> Self {
        Self { head: HeadRecipe::default(), variant: Variant::default(), delta_rel: 0.2 }
    }
}

/// A percentage that says something.
const PERCENT: Interval = Interval { from: 0.0, to: 100.0, with_from: false, with_to: true };

impl Settings for LargeLossRecipe {
    type Head = LargeLoss;

    const KEYS: &'static [Key] = &[
        HEAD,
        Key::new(
            "variant",
            Kind::Word(&["reject", "correct", "correct-permanently"]),
            "Whether unknown labels with large losses are left out, positive in this step, or positive for good",
        ),
        Key::new(
            "delta_rel",
            Kind::Number(PERCENT),
            "By how many percent of a batch's entries the large losses grow an epoch; if they are corrected for good, how many they are in every one",
        ),
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> LargeLoss {
        let scorer = self.head.init(channels, knowledge, seed, device);
        LargeLoss { scorer, recipe: self.clone(), corrected: None }
    }

    fn check(&self) -> Result<()> {
        self.head.check()?;
        let holds = self.delta_rel > 0.0 && self.delta_rel <= 100.0;
        ranges::check(holds, "delta_rel", self.delta_rel, "above 0, to 100")
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

impl LargeLossRecipe {
    /// k, the large losses among the entries of a batch.
    fn count(&self, entries: usize, epoch: usize) -> usize {
        let times = match self.variant {
            Variant::CorrectPermanently => epoch.min(1),
            Variant::Reject | Variant::Correct => epoch,
        };
        // What rounding leaves above a whole number is no further entry.
        ((entries * times) as f64 * self.delta_rel / 100.0 - 1e-9).ceil().max(0.0) as usize
    }

    /// The loss of logits `[B, C]`, `-> [1]`, where `large` says which unknown entries are.
    fn loss(
        &self,
        logits: Tensor<2>,
        labels: &LabelMatrix,
        large: &Large,
        normalization: Normalization,
    ) -> Tensor<1> {
        let device = logits.device();
        let masks = Masks::new(labels, &device);
        let large = large.mask(labels, &device);
        let small = masks.unknown.clone() - large.clone();
        let losses = masks.known_bce(&logits) + small.clone() * as_negative(logits.clone());
        match self.variant {
            Variant::Reject => normalization.reduce(losses, masks.known() + small),
            Variant::Correct | Variant::CorrectPermanently => {
                let losses = losses + large * as_positive(logits);
                normalization.reduce(losses, masks.known() + masks.unknown)
            }
        }
    }
}

/// Places in `[B, C]` of the unknown entries with large losses, in the whole batch.
#[derive(Debug, Clone, Default, PartialEq)]
struct Large {
    /// All of them.
    all: Vec<usize>,
    /// Those above the k-th largest.
    above: Vec<usize>,
}

impl Large {
    /// The `count` unknown entries with the highest logits, and all that equal the last of them.
    fn of(logits: &[f32], labels: &LabelMatrix, count: usize) -> Self {
        let labels = (0..labels.images()).flat_map(|image| labels.row(image));
        let cells = labels.enumerate().filter(|(_, label)| *label == Label::Unknown);
        let unknown: Vec<usize> = cells.map(|(cell, _)| cell).collect();
        let count = count.min(unknown.len());
        if count == 0 {
            return Self::default();
        }
        let mut scores: Vec<f32> = unknown.iter().map(|&cell| logits[cell]).collect();
        let (_, &mut cut, _) = scores.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        let keep =
            |keep: &dyn Fn(f32) -> bool| unknown.iter().copied().filter(|&c| keep(logits[c])).collect();
        Self { all: keep(&|score| score >= cut), above: keep(&|score| score > cut) }
    }

    /// 1 where an entry's loss is large, `[B, C]`, of the rows that this rank has.
    fn mask(&self, labels: &LabelMatrix, device: &Device) -> Tensor<2> {
        let mut mask = vec![0.0f32; whole_of(labels.images()) * labels.categories()];
        self.all.iter().for_each(|&cell| mask[cell] = 1.0);
        let mask = own_of(mask);
        Tensor::from_data(TensorData::new(mask, [labels.images(), labels.categories()]), device)
    }
}

/// A head trained with large losses left out or corrected.
#[derive(Module, Debug)]
pub struct LargeLoss {
    /// The head.
    pub scorer: Head,
    #[module(skip)]
    recipe: LargeLossRecipe,
    /// Known and corrected labels of all training examples, of LL-Cp; written while it trains.
    #[module(skip)]
    corrected: Option<Arc<Mutex<LabelMatrix>>>,
}

impl LargeLoss {
    /// Known and corrected labels of the rows of a whole batch.
    fn labels(&self, batch: &Batch) -> LabelMatrix {
        match &self.corrected {
            Some(corrected) => lock(corrected).select(batch.all_indices()),
            None => batch.all_labels().clone(),
        }
    }

    /// Writes what is above the cut into the labels, as positive.
    fn correct(&self, large: &Large, batch: &Batch) {
        let Some(corrected) = &self.corrected else { return };
        let (mut corrected, categories) = (lock(corrected), batch.labels.categories());
        for cell in &large.above {
            corrected.set(batch.all_indices()[cell / categories], cell % categories, Label::Positive);
        }
    }
}

/// The labels, also after a panic elsewhere: each write is whole.
fn lock(labels: &Mutex<LabelMatrix>) -> std::sync::MutexGuard<'_, LabelMatrix> {
    labels.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Method for LargeLoss {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.scorer.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let labels = self.labels(batch);
        let own = labels.select(&places_of(batch.labels.images()).collect::<Vec<usize>>());
        let logits = self.scorer.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        let large = match self.recipe.count(labels.images() * labels.categories(), at.epoch) {
            0 => Large::default(),
            count => {
                let values = whole_batch(logits.clone().detach()).into_data();
                Large::of(values.as_slice::<f32>().expect("f32 tensors hold f32"), &labels, count)
            }
        };
        let loss = self.recipe.loss(logits, &own, &large, normalization);
        self.correct(&large, batch);
        Losses::default().with("large_loss", 1.0, loss)
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

    fn before_epoch(&mut self, _epoch: usize, train: &dyn TrainSet) -> Result<()> {
        if self.recipe.variant == Variant::CorrectPermanently && self.corrected.is_none() {
            self.corrected = Some(Arc::new(Mutex::new(train.labels().clone())));
        }
        Ok(())
    }

    fn state(&self) -> Option<Vec<u8>> {
        self.corrected.as_ref().map(|corrected| lock(corrected).to_bytes())
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.corrected = Some(Arc::new(Mutex::new(LabelMatrix::from_bytes(state)?)));
        Ok(())
    }

    /// Of LL-Cp the share of the unknown labels that are corrected.
    fn scalars(&self, labels: &LabelMatrix) -> Vec<(&'static str, f64)> {
        if self.recipe.variant != Variant::CorrectPermanently {
            return Vec::new();
        }
        let unknown = labels.count(Label::Unknown);
        let left = self.corrected.as_ref().map_or(unknown, |labels| lock(labels).count(Label::Unknown));
        let written = unknown.saturating_sub(left);
        vec![("corrected", written as f64 / unknown.max(1) as f64)]
    }
}

#[cfg(test)]
mod tests;
