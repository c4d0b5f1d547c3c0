//! `sst`: Structured Semantic Transfer (Chen, Pu, Wu, Xie, Lin; AAAI 2022, arXiv:2112.10941): unknown labels
//! are taken for positive where the other categories of the image, or other images, say so.
//!
//! The network is [`Ssgrl`]. Beside it a head learns which pairs of categories are in an image together
//! ([`super::pairs`]), and every category has a queue of representations of its known positives
//! ([`super::queue`]). From `from_epoch` on an unknown label is a positive of one more BCE where its mean
//! probability beside the image's known positives, and of another where its mean cosine with the queue, reaches a
//! threshold that falls from epoch to epoch. No label is taken for negative.
//!
//! Deviations from the official code (`protocol = "reference"` has what it does): pairs of which too little is
//! known are left out, and a queue that is not full is averaged over what it holds. Dropout, which the paper
//! does not have, is on what is classified alone, because cosines of vectors with holes are small.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;
use sarb_labels::random::Stream;
use serde::{Deserialize, Serialize};

use super::believed::{Believed, Verdicts};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::network_recipe::{NETWORK, NetworkRecipe};
use super::pairs::{PAIRS, PairRecipe, beside_positives};
use super::queue::{Queue, QueueStart};
use super::ssgrl::Ssgrl;
use super::torch::TorchHead;
use super::transfer::{Pass, Structure};
use super::{Exported, Method, Settings, TrainSet, ranges};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::contrastive::{NegativePairs, unit};
use crate::loss::masks::Masks;
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;
use crate::nn::pair_head::PairHead;
use crate::onnx::graph::{Graph, Value};
use crate::ranks::across::whole_batch;

/// Settings of `sst`; the defaults are the official ones, but for `pairs.unknown` and `queue_start`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SstRecipe {
    /// The network that is trained.
    pub network: NetworkRecipe,
    /// The head of pairs.
    pub pairs: PairRecipe,
    /// L, the representations of known positives that are kept for each category.
    pub queue_length: usize,
    /// What the mean over a queue is taken of that is not full yet.
    pub queue_start: QueueStart,
    /// First epoch, from 0, with pseudo-labels.
    pub from_epoch: usize,
    /// The threshold of both scores in that epoch.
    pub threshold: f64,
    /// By how much it falls in every later one.
    pub threshold_decay: f64,
    /// Where it stays.
    pub threshold_min: f64,
    /// Weight of the BCE with pseudo-labels from the image's other categories.
    pub intra_weight: f64,
    /// Weight of the BCE with pseudo-labels from other images.
    pub inter_weight: f64,
    /// Weight of the contrastive loss.
    pub contrastive_weight: f64,
    /// What the contrastive loss does with pairs of negatives.
    pub neg_neg: NegativePairs,
    /// Whether the weights of pairs and of the contrastive loss grow from 0 over the first epoch.
    pub warm_up: bool,
}

impl Default for SstRecipe {
    fn default() -> Self {
        Self {
            network: NetworkRecipe::default(),
            pairs: PairRecipe::default(),
            queue_length: 100,
            queue_start: QueueStart::Empty,
            from_epoch: 5,
            threshold: 0.95,
            threshold_decay: 0.025,
            threshold_min: 0.75,
            intra_weight: 1.0,
            inter_weight: 1.0,
            contrastive_weight: 0.05,
            neg_neg: NegativePairs::Repel,
            warm_up: true,
        }
    }
}

/// A score that not every unknown label reaches.
const THRESHOLD: Kind = Kind::Number(Interval::PROPORTION);

impl Settings for SstRecipe {
    type Head = Sst;

    const KEYS: &'static [Key] = &[
        NETWORK,
        PAIRS,
        Key::new(
            "queue_length",
            Kind::AT_LEAST_1,
            "L, the representations of known positives that are kept for each category",
        ),
        Key::new(
            "queue_start",
            Kind::Word(&["empty", "zeros"]),
            "Whether a queue that is not full is averaged over what it holds, or over zero vectors too as in the official code",
        ),
        Key::new("from_epoch", Kind::COUNT, "First epoch, from 0, with pseudo-labels"),
        Key::new("threshold", THRESHOLD, "The threshold of both scores in that epoch"),
        Key::new("threshold_decay", Kind::Number(Interval::SHARE), "By how much it falls in every later one"),
        Key::new("threshold_min", THRESHOLD, "Where it stays"),
        Key::new(
            "intra_weight",
            Kind::Number(Interval::FROM_0),
            "Weight of the BCE with pseudo-labels from the image's other categories",
        ),
        Key::new(
            "inter_weight",
            Kind::Number(Interval::FROM_0),
            "Weight of the BCE with pseudo-labels from other images",
        ),
        Key::new("contrastive_weight", Kind::Number(Interval::FROM_0), "Weight of the contrastive loss"),
        Key::new(
            "neg_neg",
            Kind::Word(&["repel", "none"]),
            "Pairs of negatives in the contrastive loss: pushed apart, left out",
        ),
        Key::new(
            "warm_up",
            Kind::Flag,
            "Whether the weights of pairs and of the contrastive loss grow from 0 over the first epoch",
        ),
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Sst {
        Sst::new(self, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        self.network.check()?;
        self.pairs.check()?;
        ranges::at_least_one("queue_length", self.queue_length)?;
        for (key, value) in [("threshold", self.threshold), ("threshold_min", self.threshold_min)] {
            ranges::check(value > 0.0 && value <= 1.0, key, value, "above 0, to 1")?;
        }
        ranges::share("threshold_decay", self.threshold_decay)?;
        let falls = self.threshold_min <= self.threshold;
        ranges::check(falls, "threshold_min", self.threshold_min, "no more than threshold")?;
        ranges::weight("intra_weight", self.intra_weight)?;
        ranges::weight("inter_weight", self.inter_weight)?;
        ranges::weight("contrastive_weight", self.contrastive_weight)
    }

    fn follow_reference(&mut self) {
        self.network.follow_reference();
        self.pairs.follow_reference();
        self.queue_start = QueueStart::Zeros;
    }
}

impl SstRecipe {
    /// The threshold of both scores, in an epoch with pseudo-labels.
    fn threshold(&self, epoch: usize) -> Option<f64> {
        let epochs = epoch.checked_sub(self.from_epoch)?;
        Some((self.threshold - self.threshold_decay * epochs as f64).max(self.threshold_min))
    }

    /// The losses of every epoch beside the BCE.
    fn structure(&self) -> Structure<'_> {
        Structure {
            pairs: &self.pairs,
            contrastive_weight: self.contrastive_weight,
            neg_neg: self.neg_neg,
            warm_up: self.warm_up,
        }
    }
}

/// SSGRL trained with pseudo-labels from pairs of categories and from queues.
#[derive(Module, Debug)]
pub struct Sst {
    /// What is used after training.
    pub network: Ssgrl,
    /// The head of pairs; none for a single category.
    pub pairs: Option<PairHead>,
    /// Representations of known positives.
    pub queue: Queue,
    /// How many unknown labels are believed.
    pub believed: Believed,
    #[module(skip)]
    recipe: SstRecipe,
}

impl Sst {
    /// For maps of F `channels`; see [`Ssgrl::new`].
    pub fn new(
        recipe: &SstRecipe,
        channels: usize,
        knowledge: &CategoryKnowledge,
        seed: u64,
        device: &Device,
    ) -> Self {
        let network = Ssgrl::new(&recipe.network, channels, knowledge, seed, device);
        let (categories, dim) = (network.categories(), network.dim());
        Self {
            network,
            pairs: recipe.pairs.init(dim, categories, seed, device),
            queue: Queue::empty(categories, recipe.queue_length, dim, device),
            believed: Believed::none(device),
            recipe: recipe.clone(),
        }
    }

    /// The two scores of every label from the representations `[B, C, D]` and the logits of pairs `[B, P]`,
    /// without a gradient.
    pub(super) fn scores(
        &self,
        representations: Tensor<3>,
        pairs: Option<Tensor<2>>,
        positive: Tensor<2>,
    ) -> Scores {
        let intra = match pairs {
            Some(logits) => beside_positives(logits.detach(), positive),
            None => positive.zeros_like(),
        };
        let directions = unit(representations.detach());
        Scores { intra, inter: self.queue.cosines(directions, self.recipe.queue_start) }
    }
}

/// What is compared with the threshold, each `[B, C]`.
pub(super) struct Scores {
    /// The mean probability beside the image's known positives.
    pub intra: Tensor<2>,
    /// The mean cosine with the category's queue.
    pub inter: Tensor<2>,
}

impl Scores {
    /// 1 where a score reaches the threshold.
    fn reach(self, threshold: f64) -> Verdicts {
        let reached = |score: Tensor<2>| score.greater_equal_elem(threshold).float();
        Verdicts { intra: reached(self.intra), inter: reached(self.inter) }
    }
}

impl Method for Sst {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.network.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let (labels, recipe, mut drops) = (&batch.labels, &self.recipe, at.rng(Stream::Dropout));
        let pass = Pass::new(&self.network, self.pairs.as_ref(), maps, &mut drops);
        self.queue.push(whole_batch(unit(pass.representations.clone().detach())), batch.all_labels());

        let device = pass.logits.device();
        let bce = |targets| partial_bce(pass.logits.clone(), targets, normalization);
        let mut losses = Losses::default().with("bce", 1.0, bce(batch.targets(&device)));
        if let Some(threshold) = recipe.threshold(at.epoch) {
            let masks = Masks::new(labels, &device);
            let scores =
                self.scores(pass.representations.clone(), pass.pairs.clone(), masks.positive.clone());
            let targets = self.believed.targets(&masks, scores.reach(threshold));
            losses = losses.with("intra", recipe.intra_weight, bce(targets.intra));
            losses = losses.with("inter", recipe.inter_weight, bce(targets.inter));
        }
        recipe.structure().add_to(losses, pass, batch, normalization, at)
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

    fn before_epoch(&mut self, _epoch: usize, _train: &dyn TrainSet) -> Result<()> {
        self.believed.begin_epoch();
        Ok(())
    }

    /// The share of unknown labels that are believed.
    fn scalars(&self, _labels: &LabelMatrix) -> Vec<(&'static str, f64)> {
        self.believed.scalars()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ssgrl::tests::{batch, knowledge, maps, small};
    use super::*;

    fn recipe() -> SstRecipe {
        let pairs = PairRecipe { width: 4, ..PairRecipe::default() };
        SstRecipe { network: small(), pairs, queue_length: 3, from_epoch: 1, ..SstRecipe::default() }
    }

    fn sst(recipe: &SstRecipe) -> Sst {
        Sst::new(recipe, 8, &knowledge(), 0, &Device::flex().autodiff())
    }

    /// Three images, three labels of each of five categories known or not.
    fn labels() -> LabelMatrix {
        LabelMatrix::from_values(5, &[1, 0, -1, 0, 1, 0, 1, 0, 1, -1, 1, 1, 0, 0, 0])
    }

    fn losses(model: &Sst, epoch: usize) -> Losses {
        let maps = maps(3, &Device::flex().autodiff());
        let at = Progress { seed: 0, epoch, step: 1, steps: 4 };
        model.loss(maps.clone(), &batch(&maps, labels()), Normalization::default(), at)
    }

    #[test]
    fn pseudo_labels_begin_at_their_epoch_and_are_counted() {
        // Reached by every score above 0, which every category with a positive in the batch has.
        let low = SstRecipe { threshold: 1e-6, threshold_min: 1e-6, ..recipe() };
        let model = sst(&low);
        let names = |epoch| losses(&model, epoch).terms().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(0), ["bce", "pairs", "contrastive"]);
        assert_eq!(model.scalars(&labels()), [("believed_intra", 0.0), ("believed_inter", 0.0)]);
        assert_eq!(names(1), ["bce", "intra", "inter", "pairs", "contrastive"]);
        assert_eq!(model.scalars(&labels())[0], ("believed_intra", 1.0));
        let plain = SstRecipe { contrastive_weight: 0.0, ..recipe() };
        assert_eq!(losses(&sst(&plain), 0).terms().count(), 2);
    }

    #[test]
    fn the_threshold_falls_to_its_minimum() {
        let recipe = SstRecipe::default();
        let found = [0, 4, 5, 6, 12, 13, 14, 19].map(|epoch| recipe.threshold(epoch));
        let expected = [None, None, Some(0.95), Some(0.925), Some(0.775), Some(0.75), Some(0.75), Some(0.75)];
        let same = |(a, b): (&Option<f64>, &Option<f64>)| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-12,
            (a, b) => a.is_none() && b.is_none(),
        };
        assert!(found.iter().zip(&expected).all(same), "{found:?}");
    }

    #[test]
    fn the_state_of_a_resumed_run_gives_the_same_losses() {
        let model = sst(&SstRecipe { threshold: 0.3, threshold_min: 0.3, ..recipe() });
        let _ = losses(&model, 0);
        let resumed = sst(&recipe()).load_record(model.clone().into_record());
        let resumed = Sst { recipe: model.recipe.clone(), ..resumed };
        let total = |model: &Sst| losses(model, 1).total().into_scalar::<f32>();
        assert_eq!(total(&resumed), total(&model));
        assert_eq!(resumed.scalars(&labels()), model.scalars(&labels()));
        assert!(
            model.scalars(&labels())[1].1 > 0.0,
            "a queue believes something: {:?}",
            model.scalars(&labels())
        );
    }

    #[test]
    fn one_category_and_one_image_train_without_pairs() {
        let one = CategoryKnowledge { cooccurrence: vec![1.0], counts: vec![(1, 2)], images: 2, words: None };
        let device = Device::flex().autodiff();
        let model = Sst::new(&recipe(), 8, &one, 0, &device);
        let maps = maps(1, &device);
        let at = Progress { seed: 0, epoch: 1, step: 0, steps: 1 };
        let batch = batch(&maps, LabelMatrix::from_values(1, &[0]));
        let losses = model.loss(maps, &batch, Normalization::default(), at);
        assert!(losses.terms().all(|(name, _)| name != "pairs"));
        assert!(losses.total().into_scalar::<f32>().is_finite());
    }

    #[test]
    fn impossible_thresholds_are_refused() {
        let message = |recipe: SstRecipe| recipe.check().unwrap_err().to_string();
        assert_eq!(
            message(SstRecipe { threshold: 0.5, ..recipe() }),
            "threshold_min is 0.75; expected no more than threshold"
        );
        assert!(message(SstRecipe { threshold_min: 0.0, ..recipe() }).starts_with("threshold_min is 0"));
        assert!(recipe().check().is_ok());
    }
}
