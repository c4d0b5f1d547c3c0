//! The settings of HST.

use serde::{Deserialize, Serialize};

use super::keys::Kind::{Flag, Number, Word};
use super::keys::{Interval, Key, Kind};
use super::network_recipe::{NETWORK, NetworkRecipe};
use super::pairs::{PAIRS, PairRecipe};
use super::ranges;
use super::sarb_recipe::PrototypeReading;
use super::transfer::Structure;
use crate::Result;
use crate::loss::contrastive::NegativePairs;

/// Settings of [`Hst`](super::hst::Hst); the defaults are the official ones, but for `pairs.unknown`,
/// `margin_learning_rate`, `prototype_sign` and how prototypes are computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HstRecipe {
    /// The network that is trained.
    pub network: NetworkRecipe,
    /// The head of pairs.
    pub pairs: PairRecipe,
    /// First epoch, from 0, with pseudo-labels.
    pub from_epoch: usize,
    /// Where the margin of the score of the image's other categories starts.
    pub intra_margin: f64,
    /// Where the margin of the cosine with prototypes starts.
    pub inter_margin: f64,
    /// Whether the margins are trained.
    pub learn_margins: bool,
    /// Factor on the learning rate of the margins.
    pub margin_learning_rate: f64,
    /// Weight of each of the two losses that train the margins.
    pub margin_weight: f64,
    /// Weight of the BCE with pseudo-labels from the image's other categories.
    pub intra_weight: f64,
    /// Weight of the BCE with pseudo-labels from prototypes.
    pub inter_weight: f64,
    /// Prototypes K of a category, at most.
    pub prototypes_per_category: usize,
    /// Epochs between two computations of the prototypes.
    pub prototype_interval: usize,
    /// Which reading of the training images prototypes are computed from.
    pub prototype_reading: PrototypeReading,
    /// Clusterings of which a category's best is kept.
    pub prototype_restarts: usize,
    /// Weight of the loss between representations and prototypes.
    pub prototype_weight: f64,
    /// Which way that loss moves representations.
    pub prototype_sign: PrototypeSign,
    /// Weight of the contrastive loss.
    pub contrastive_weight: f64,
    /// What the contrastive loss does with pairs of negatives.
    pub neg_neg: NegativePairs,
    /// Whether the weights of pairs and of the contrastive loss grow from 0 over the first epoch.
    pub warm_up: bool,
}

/// Which way representations are moved by their prototypes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrototypeSign {
    /// Known positives are pulled, known negatives pushed.
    Pull,
    /// The other way round, and unknown labels count in the mean, as in the official code.
    Push,
}

impl Default for HstRecipe {
    fn default() -> Self {
        Self {
            network: NetworkRecipe::default(),
            pairs: PairRecipe::default(),
            from_epoch: 5,
            intra_margin: 1.0,
            inter_margin: 1.0,
            learn_margins: true,
            margin_learning_rate: 100.0,
            margin_weight: 0.1,
            intra_weight: 1.0,
            inter_weight: 1.0,
            prototypes_per_category: 10,
            prototype_interval: 5,
            prototype_reading: PrototypeReading::Clean,
            prototype_restarts: 1,
            prototype_weight: 0.05,
            prototype_sign: PrototypeSign::Pull,
            contrastive_weight: 0.05,
            neg_neg: NegativePairs::Repel,
            warm_up: true,
        }
    }
}

/// The keys of [`HstRecipe`].
pub const KEYS: &[Key] = &[
    NETWORK,
    PAIRS,
    Key::new("from_epoch", Kind::COUNT, "First epoch, from 0, with pseudo-labels"),
    Key::new(
        "intra_margin",
        Number(Interval::SHARE),
        "Where the margin of the score of the image's other categories starts; where nothing exceeds it, as at 1, weight decay alone moves it",
    ),
    Key::new(
        "inter_margin",
        Number(Interval::SHARE),
        "Where the margin of the cosine with prototypes starts; where nothing exceeds it, as at 1, weight decay alone moves it",
    ),
    Key::new("learn_margins", Flag, "Whether the margins are trained"),
    Key::new(
        "margin_learning_rate",
        Number(Interval::FROM_0),
        "Factor on the learning rate of the margins; 1 in the official code",
    ),
    Key::new(
        "margin_weight",
        Number(Interval::FROM_0),
        "Weight of each of the two losses that train the margins",
    ),
    Key::new(
        "intra_weight",
        Number(Interval::FROM_0),
        "Weight of the BCE with pseudo-labels from the image's other categories",
    ),
    Key::new(
        "inter_weight",
        Number(Interval::FROM_0),
        "Weight of the BCE with pseudo-labels from prototypes",
    ),
    Key::new("prototypes_per_category", Kind::AT_LEAST_1, "Prototypes K of a category, at most"),
    Key::new("prototype_interval", Kind::AT_LEAST_1, "Epochs between two computations of the prototypes"),
    Key::new(
        "prototype_reading",
        Word(&["clean", "as-trained"]),
        "How images are read for prototypes: through the test-time transform, as the epoch reads them",
    ),
    Key::new("prototype_restarts", Kind::AT_LEAST_1, "Clusterings of which a category's best is kept"),
    Key::new(
        "prototype_weight",
        Number(Interval::FROM_0),
        "Weight of the loss between representations and prototypes",
    ),
    Key::new(
        "prototype_sign",
        Word(&["pull", "push"]),
        "Whether prototypes pull positives and push negatives, or the other way round as in the official code",
    ),
    Key::new("contrastive_weight", Number(Interval::FROM_0), "Weight of the contrastive loss"),
    Key::new(
        "neg_neg",
        Word(&["repel", "none"]),
        "Pairs of negatives in the contrastive loss: pushed apart, left out",
    ),
    Key::new(
        "warm_up",
        Flag,
        "Whether the weights of pairs and of the contrastive loss grow from 0 over the first epoch",
    ),
];

impl HstRecipe {
    /// Refuses values out of range.
    pub fn check(&self) -> Result<()> {
        self.network.check()?;
        self.pairs.check()?;
        ranges::share("intra_margin", self.intra_margin)?;
        ranges::share("inter_margin", self.inter_margin)?;
        ranges::at_least_one("prototypes_per_category", self.prototypes_per_category)?;
        ranges::at_least_one("prototype_interval", self.prototype_interval)?;
        ranges::at_least_one("prototype_restarts", self.prototype_restarts)?;
        for (key, weight) in [
            ("margin_learning_rate", self.margin_learning_rate),
            ("margin_weight", self.margin_weight),
            ("intra_weight", self.intra_weight),
            ("inter_weight", self.inter_weight),
            ("prototype_weight", self.prototype_weight),
            ("contrastive_weight", self.contrastive_weight),
        ] {
            ranges::weight(key, weight)?;
        }
        Ok(())
    }

    /// The losses of every epoch beside the BCE.
    pub fn structure(&self) -> Structure<'_> {
        Structure {
            pairs: &self.pairs,
            contrastive_weight: self.contrastive_weight,
            neg_neg: self.neg_neg,
            warm_up: self.warm_up,
        }
    }

    /// Chooses what the official code does wherever ours differs.
    pub fn follow_reference(&mut self) {
        self.network.follow_reference();
        self.pairs.follow_reference();
        self.margin_learning_rate = 1.0;
        self.prototype_reading = PrototypeReading::AsTrained;
        self.prototype_restarts = 10;
        self.prototype_sign = PrototypeSign::Push;
    }
}
