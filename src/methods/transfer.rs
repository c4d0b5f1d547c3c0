//! What SST and HST share: a pass of the network with a head of pairs beside it, and the losses of every epoch
//! that are not the BCE.

use burn::tensor::Tensor;
use rand::Rng;
use sarb_labels::random::Stream;

use super::pairs::PairRecipe;
use super::ssgrl::Ssgrl;
use crate::batch::{Batch, Losses, Progress};
use crate::kernels::shared_states::SharedStates;
use crate::loss::contrastive::{NegativePairs, contrastive};
use crate::loss::normalization::Normalization;
use crate::nn::pair_head::PairHead;
use crate::ranks::across::{part_of_each, whole_batch};

/// What the network says of a batch.
pub struct Pass {
    /// Clean representations, `[B, C, D]`.
    pub representations: Tensor<3>,
    /// Scores of dropped ones, `[B, C]`.
    pub logits: Tensor<2>,
    /// Logits of pairs, `[B, P]`; none of a single category.
    pub pairs: Option<Tensor<2>>,
}

impl Pass {
    /// Of maps `[B, F, H, W]`. Dropout is on what is classified alone.
    pub fn new(network: &Ssgrl, pairs: Option<&PairHead>, maps: Tensor<4>, drops: &mut impl Rng) -> Self {
        let representations = network.represent(maps);
        let dropped = network.drop_from(representations.clone(), drops);
        let logits = network.classify_dropped(&SharedStates::all(dropped), drops);
        let pairs = pairs.map(|head| head.forward(representations.clone()));
        Self { representations, logits, pairs }
    }
}

/// The losses of pairs and of representations, with what the recipe says of them.
pub struct Structure<'a> {
    /// The head of pairs.
    pub pairs: &'a PairRecipe,
    /// Weight of the contrastive loss; 0 computes none.
    pub contrastive_weight: f64,
    /// What that does with pairs of negatives.
    pub neg_neg: NegativePairs,
    /// Whether both weights grow from 0 over the first epoch.
    pub warm_up: bool,
}

impl Structure<'_> {
    /// `losses` and those of a pass.
    pub fn add_to(
        &self,
        losses: Losses,
        pass: Pass,
        batch: &Batch,
        normalization: Normalization,
        at: Progress,
    ) -> Losses {
        let grown = if self.warm_up { at.warm_up() } else { 1.0 };
        let losses = match pass.pairs {
            Some(pairs) => losses.with(
                "pairs",
                self.pairs.weight * grown,
                self.pairs.loss(pairs, &batch.labels, normalization),
            ),
            None => losses,
        };
        if self.contrastive_weight == 0.0 {
            return losses;
        }
        let draws = &mut at.rng(Stream::Contrastive);
        let representations = whole_batch(pass.representations);
        let distance = contrastive(representations, batch.all_labels(), self.neg_neg, draws);
        losses.with("contrastive", self.contrastive_weight * grown, part_of_each(distance))
    }
}
