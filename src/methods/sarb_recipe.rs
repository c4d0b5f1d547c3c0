//! The settings of SARB.

use serde::{Deserialize, Serialize};

use super::keys::Kind::{Flag, List, Number, Word};
use super::keys::{Interval, Key, Kind};
use super::network_recipe::{NETWORK, NetworkRecipe, Start};
use super::quadrants::QUADRANTS;
use super::{Reading, ranges};
use crate::Result;
use crate::loss::contrastive::NegativePairs;
use crate::nn::attention::Pooling;

/// Settings of [`Sarb`](super::sarb::Sarb); the defaults are the official ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SarbRecipe {
    /// The network that is trained.
    pub network: NetworkRecipe,
    /// How a feature map becomes one representation per category.
    pub representation: Representation,
    /// With `representation = "attention"`: how positions are added up.
    pub attention_pooling: Pooling,
    /// Which blends are trained; none is SSGRL with the contrastive loss.
    pub blends: Vec<Blend>,
    /// α, the share of its own representation that an image keeps at instance level, 0 to 1.
    pub alpha: f64,
    /// β, the same at prototype level.
    pub beta: f64,
    /// Whether α is trained.
    pub learn_alpha: bool,
    /// Whether β is trained.
    pub learn_beta: bool,
    /// Factor on the learning rate of α and β.
    pub blend_learning_rate: f64,
    /// First epoch, from 0, with blended branches.
    pub blend_from_epoch: usize,
    /// Whether α and β get no gradient through the targets 1 − α and 1 − β. Official code: they do.
    pub detach_blend_targets: bool,
    /// Which unknown labels are filled at prototype level.
    pub prototype_scope: PrototypeScope,
    /// What a category's prototypes are.
    pub prototypes: PrototypeKind,
    /// Prototypes K of a category, at most.
    pub prototypes_per_category: usize,
    /// Epochs between two computations of the prototypes.
    pub prototype_interval: usize,
    /// Which reading of the training images prototypes are computed from.
    pub prototype_reading: PrototypeReading,
    /// Clusterings of which a category's best is kept: 10 in scikit-learn before version 1.4, 1 since.
    pub prototype_restarts: usize,
    /// Whether the first label of an image without an unknown one is overwritten by a blended one, as the
    /// official code does by mistake.
    pub overwrite_known: bool,
    /// Weight of the instance-level loss.
    pub instance_weight: f64,
    /// Weight of the prototype-level loss.
    pub prototype_weight: f64,
    /// Weight of the contrastive loss.
    pub contrastive_weight: f64,
    /// Whether that weight grows from 0 over the first epoch.
    pub contrastive_warm_up: bool,
    /// What the contrastive loss does with pairs of negatives.
    pub neg_neg: NegativePairs,
}

impl Default for SarbRecipe {
    fn default() -> Self {
        Self {
            network: NetworkRecipe::default(),
            representation: Representation::Decoupling,
            attention_pooling: Pooling::Mean,
            blends: vec![Blend::Instance, Blend::Prototype],
            alpha: 0.5,
            beta: 0.5,
            learn_alpha: true,
            learn_beta: true,
            blend_learning_rate: 1.0,
            blend_from_epoch: 5,
            detach_blend_targets: false,
            prototype_scope: PrototypeScope::One,
            prototypes: PrototypeKind::KMeans,
            prototypes_per_category: 10,
            prototype_interval: 5,
            prototype_reading: PrototypeReading::Clean,
            prototype_restarts: 1,
            overwrite_known: false,
            instance_weight: 1.0,
            prototype_weight: 1.0,
            contrastive_weight: 0.05,
            contrastive_warm_up: true,
            neg_neg: NegativePairs::Repel,
        }
    }
}

/// The keys of [`SarbRecipe`].
pub const KEYS: &[Key] = &[
    NETWORK,
    Key::new(
        "representation",
        Word(&["decoupling", "attention"]),
        "How a feature map becomes one representation per category: semantic decoupling (SD), semantic attention (SAM)",
    ),
    Key::new(
        "attention_pooling",
        Word(&["mean", "sum"]),
        "With `representation = \"attention\"`: how positions are added up",
    ),
    Key::new(
        "blends",
        List(&Word(&["instance", "prototype"])),
        "Which blends are trained; none is SSGRL with the contrastive loss",
    ),
    Key::new(
        "alpha",
        Number(Interval::SHARE),
        "α, the share of its own representation that an image keeps at instance level",
    ),
    Key::new("beta", Number(Interval::SHARE), "β, the same at prototype level"),
    Key::new("learn_alpha", Flag, "Whether α is trained"),
    Key::new("learn_beta", Flag, "Whether β is trained"),
    Key::new("blend_learning_rate", Number(Interval::FROM_0), "Factor on the learning rate of α and β"),
    Key::new("blend_from_epoch", Kind::COUNT, "First epoch, from 0, with blended branches"),
    Key::new(
        "detach_blend_targets",
        Flag,
        "Whether α and β get no gradient through the targets 1 − α and 1 − β",
    ),
    Key::new(
        "prototype_scope",
        Word(&["one", "all"]),
        "Which unknown labels are filled at prototype level: a random one an image, every one",
    ),
    Key::new(
        "prototypes",
        Word(&["k-means", "quadrants"]),
        "What a category's prototypes are: centers of its representations, their means by the quadrant in which it is seen (DSRB)",
    ),
    Key::new(
        "prototypes_per_category",
        Kind::AT_LEAST_1,
        "Prototypes K of a category, at most; not with quadrants",
    ),
    Key::new("prototype_interval", Kind::AT_LEAST_1, "Epochs between two computations of the prototypes"),
    Key::new(
        "prototype_reading",
        Word(&["clean", "as-trained"]),
        "How images are read for prototypes: through the test-time transform, as the epoch reads them",
    ),
    Key::new(
        "prototype_restarts",
        Kind::AT_LEAST_1,
        "Clusterings of which a category's best is kept; not with quadrants",
    ),
    Key::new(
        "overwrite_known",
        Flag,
        "Whether the first label of an image without an unknown one is overwritten, as in the official code",
    ),
    Key::new("instance_weight", Number(Interval::FROM_0), "Weight of the instance-level loss"),
    Key::new("prototype_weight", Number(Interval::FROM_0), "Weight of the prototype-level loss"),
    Key::new("contrastive_weight", Number(Interval::FROM_0), "Weight of the contrastive loss"),
    Key::new("contrastive_warm_up", Flag, "Whether that weight grows from 0 over the first epoch"),
    Key::new(
        "neg_neg",
        Word(&["repel", "none"]),
        "Pairs of negatives in the contrastive loss: pushed apart, left out",
    ),
];

impl SarbRecipe {
    /// Refuses values out of range, and what does not go together.
    pub fn check(&self) -> Result<()> {
        self.network.check()?;
        ranges::share("alpha", self.alpha)?;
        ranges::share("beta", self.beta)?;
        ranges::weight("blend_learning_rate", self.blend_learning_rate)?;
        ranges::weight("instance_weight", self.instance_weight)?;
        ranges::weight("prototype_weight", self.prototype_weight)?;
        ranges::weight("contrastive_weight", self.contrastive_weight)?;
        ranges::at_least_one("prototypes_per_category", self.prototypes_per_category)?;
        ranges::at_least_one("prototype_interval", self.prototype_interval)?;
        ranges::at_least_one("prototype_restarts", self.prototype_restarts)?;
        if self.prototypes == PrototypeKind::Quadrants {
            self.check_quadrants()?;
        }
        let attention = self.representation == Representation::Attention;
        ranges::check(
            !(attention && self.network.start == Start::Ridge),
            "network.start",
            "\"ridge\"",
            "\"random\" with representation = \"attention\", which cannot start uniform",
        )?;
        ranges::check(
            attention || self.attention_pooling != Pooling::Sum,
            "attention_pooling",
            "\"sum\"",
            "representation = \"attention\" with it; decoupling's weights sum to 1",
        )
    }

    /// Refuses what says nothing of quadrants.
    fn check_quadrants(&self) -> Result<()> {
        let (key, plain) = ("prototypes", "\"quadrants\"");
        let decoupling = self.representation == Representation::Decoupling;
        ranges::check(decoupling, key, plain, "representation = \"decoupling\" with it")?;
        let blends = self.blends.contains(&Blend::Prototype);
        ranges::check(blends, key, plain, "\"prototype\" among blends with it")?;
        let default = Self::default();
        let each = (self.prototypes_per_category, self.prototype_restarts);
        ranges::check(
            each == (default.prototypes_per_category, default.prototype_restarts),
            key,
            plain,
            "prototypes_per_category and prototype_restarts left out with it; there are four, and nothing is clustered",
        )
    }

    /// Prototypes of a category, at most.
    pub fn prototypes_each(&self) -> usize {
        match self.prototypes {
            PrototypeKind::KMeans => self.prototypes_per_category,
            PrototypeKind::Quadrants => QUADRANTS,
        }
    }

    /// Chooses what the official code does wherever ours differs.
    pub fn follow_reference(&mut self) {
        self.network.follow_reference();
        self.prototype_reading = PrototypeReading::AsTrained;
        if self.prototypes == PrototypeKind::KMeans {
            self.prototype_restarts = 10;
        }
        self.overwrite_known = true;
    }
}

/// How a feature map becomes one representation per category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Representation {
    /// Semantic decoupling (SD), guided by word vectors.
    Decoupling,
    /// Semantic attention (SAM), guided by class activation maps.
    Attention,
}

/// What a category's prototypes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrototypeKind {
    /// Centers of k-means over the representations of its known positives.
    #[serde(rename = "k-means")]
    KMeans,
    /// Their means by the quadrant of the image in which it is seen.
    Quadrants,
}

/// Which reading of the training images prototypes are computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrototypeReading {
    /// Every image once through the test-time transform.
    Clean,
    /// The epoch's own: augmented, shuffled, without the last batch where `train.drop_last` says so.
    AsTrained,
}

impl PrototypeReading {
    /// The reading before this epoch.
    pub fn of_epoch(self, epoch: usize) -> Reading {
        match self {
            Self::Clean => Reading::Clean,
            Self::AsTrained => Reading::AsTrained { epoch },
        }
    }
}

/// What an unknown label is blended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blend {
    /// The partner image's representation, where the partner has the category.
    Instance,
    /// A prototype of the category.
    Prototype,
}

/// Which unknown labels are filled at prototype level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrototypeScope {
    /// One random unknown label an image, as the official code.
    #[default]
    One,
    /// Every unknown label, as the paper's text.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_reads_kebab_case_and_refuses_what_cannot_be() {
        let text = "learn_alpha = false\nblends = ['prototype']\nneg_neg = 'none'\n[network]\ndim = 64";
        let recipe: SarbRecipe = toml::from_str(text).expect("a valid recipe");
        assert!(!recipe.learn_alpha && recipe.blends == [Blend::Prototype] && recipe.network.dim == 64);
        assert_eq!(recipe.neg_neg, NegativePairs::None);
        let refused = SarbRecipe { alpha: 1.5, ..SarbRecipe::default() }.check().unwrap_err().to_string();
        assert_eq!(refused, "alpha is 1.5; expected 0 to 1");
        assert!(SarbRecipe { prototype_interval: 0, ..SarbRecipe::default() }.check().is_err());
    }
}
