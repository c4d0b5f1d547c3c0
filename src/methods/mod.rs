//! The methods: one file each, a head on feature maps with its loss.
//!
//! Adding one touches its own file and the list at the end of this one; the compiler names any line
//! that is forgotten. The loop, evaluation and command line do not change.

pub mod asl;
pub mod assumed;
pub mod bce;
pub mod believed;
pub mod blending;
pub mod category_priors;
pub mod csl;
pub mod curriculum;
pub mod em;
pub mod fm_mixup;
pub mod head;
pub mod head_loss;
pub mod hill;
pub mod hst;
pub mod hst_recipe;
pub mod ip_mixup;
pub mod keys;
pub mod kggr;
pub mod knowledge;
pub mod label_estimates;
pub mod large_loss;
pub mod linear;
pub mod mixup;
pub mod ml_gcn;
pub mod network_recipe;
pub mod official;
pub mod pairs;
pub mod partial_bce;
pub mod plain_head;
pub mod pooled;
pub mod prototypes;
pub mod pseudo_labels;
pub mod quadrants;
pub mod queue;
pub mod ranges;
pub mod role;
pub mod sarb;
pub mod sarb_recipe;
pub mod score_start;
pub mod soft_negatives;
pub mod splc;
pub mod sr;
pub mod ssgrl;
pub mod sst;
pub mod torch;
pub mod transfer;

#[cfg(test)]
mod parity;

use burn::module::{Module, ParamGroup};
use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::batch::{Batch, Losses, Progress};
use crate::loss::normalization::Normalization;
use crate::methods::keys::Key;
use crate::methods::knowledge::CategoryKnowledge;
use crate::methods::mixup::Mixing;
use crate::methods::torch::TorchHead;
use crate::onnx::graph::{Graph, Value};
use crate::soft_labels::SoftLabels;
use crate::{Error, Result};

/// What can be chosen of a method: the recipe's `[method]` table. The defaults are the published values.
pub trait Settings: Default + Serialize + DeserializeOwned {
    /// What is trained.
    type Head: Method;

    /// Its keys in recipes, with what they may be and what they mean.
    const KEYS: &'static [Key];

    /// The head for maps of F `channels`; its initial weights depend on `seed` alone.
    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Self::Head;

    /// Refuses values out of range, as `key is value; expected …`.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Chooses what the official code does wherever ours differs; see
    /// [`Protocol`](crate::recipe::Protocol).
    fn follow_reference(&mut self) {}

    /// How images are mixed before the backbone, for a method that does so; the batch then says which
    /// mixtures it holds.
    fn mixed_views(&self) -> Option<&Mixing> {
        None
    }

    /// Whether it reads a strongly augmented view of each image beside the augmented one: the maps of a batch of B then are
    /// `[2 B, F, H, W]`, those of the strong views last.
    fn reads_strong_views(&self) -> bool {
        false
    }

    /// Whether unknown labels alone teach what is not there, as where they count as negative; else a model
    /// without a known negative learns that everything is everywhere.
    fn learns_from_unknown(&self) -> bool {
        false
    }

    /// Whether its loss has a form for labels that are only probable; see [`Batch::targets`].
    fn takes_soft_labels(&self) -> bool {
        false
    }

    /// Whether the BCE of known labels says how far it is trained; not where the loss moves scores away from
    /// probabilities, and so the lowest BCE may be that of an early epoch.
    fn is_measured_by_bce(&self) -> bool {
        true
    }
}

/// What every method implements: a head on feature maps, its loss, and what changes over time.
pub trait Method: Module {
    /// Category scores (logits), `[B, F, H, W] -> [B, C]`.
    fn forward(&self, maps: Tensor<4>) -> Tensor<2>;

    /// The training loss of one batch, term by term; `maps` are the batch's, `[B, F, H, W]`.
    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses;

    /// Where each category is seen, `[B, F, H, W] -> [B, C, H·W]`, for heat maps; larger is more.
    fn attention(&self, maps: Tensor<4>) -> Tensor<3>;

    /// [`forward`](Self::forward) and [`attention`](Self::attention) in a graph, from maps `[F, H, W]` of an image.
    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported;

    /// What [`forward`](Self::forward) needs, as one of the two modules of PyTorch that `sarb export --to hub` writes.
    fn torch(&self) -> TorchHead;

    /// What is computed once from the training data, such as a closed-form solution.
    fn before_training(&mut self, _train: &dyn TrainSet) -> Result<()> {
        Ok(())
    }

    /// Whether [`before_training`](Self::before_training) is all: nothing is left for the epochs.
    fn closed_form(&self) -> bool {
        false
    }

    /// For every category the training rows that it was fitted to and their logits, each by the closed form without that
    /// row; known after [`before_training`](Self::before_training).
    fn left_out(&self) -> Option<&[Vec<(usize, f32)>]> {
        None
    }

    /// What changes between epochs: prototypes, pseudo-labels, margins. `epoch` counts from 0.
    fn before_epoch(&mut self, _epoch: usize, _train: &dyn TrainSet) -> Result<()> {
        Ok(())
    }

    /// What must survive a resume beside the weights, such as pseudo-labels.
    fn state(&self) -> Option<Vec<u8>> {
        None
    }

    /// Takes back what [`state`](Self::state) gave.
    fn restore(&mut self, _state: &[u8]) -> Result<()> {
        Ok(())
    }

    /// What must hold after every step, such as 0 ≤ α ≤ 1.
    fn after_step(&mut self) {}

    /// A step, at this learning rate, of what is trained and in no optimizer, such as numbers of single examples;
    /// its gradients are those of the last [`loss`](Self::loss).
    fn own_step(&mut self, _learning_rate: f64) {}

    /// Learning-rate factors of parameter groups.
    fn groups(&self) -> Vec<(ParamGroup, f64)> {
        Vec::new()
    }

    /// What a person who watches wants to know beside the loss, by name, such as a learned α or the share of
    /// labels that are believed: it goes to `metrics.csv`, `events.jsonl` and TensorBoard. `labels` are the
    /// partial labels of the training examples. Asked for every few steps; it may wait for the device.
    fn scalars(&self, _labels: &LabelMatrix) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}

/// What a head says of an image, in a graph.
#[derive(Debug, Clone)]
pub struct Exported {
    /// Category scores, `[C]`.
    pub logits: Value,
    /// Where each category is seen, `[C, H·W]`.
    pub attention: Value,
}

/// The training examples with their partial labels, for passes between epochs.
pub trait TrainSet {
    /// The partial labels, `N × C`.
    fn labels(&self) -> &LabelMatrix;

    /// Probable ones among the unknown.
    fn soft_labels(&self) -> &SoftLabels {
        SoftLabels::none()
    }

    /// The run's seed.
    fn seed(&self) -> u64;

    /// Widths of the blocks that the features are made of, where they are descriptors.
    fn blocks(&self) -> Option<Vec<usize>> {
        None
    }

    /// Feature maps of the examples: calls `each` with the rows and their maps `[b, F, H, W]`, without
    /// gradients.
    fn for_each_maps(
        &self,
        reading: Reading,
        each: &mut dyn FnMut(&[usize], Tensor<4>) -> Result<()>,
    ) -> Result<()>;
}

/// How a pass between epochs reads the training examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Every example once, through the test-time transform, in file order.
    Clean,
    /// As the training of this epoch reads them: augmented, shuffled, perhaps without the last batch.
    AsTrained {
        /// The epoch, from 0.
        epoch: usize,
    },
}

/// The method that every other one is measured against: it takes seconds.
pub const ANCHOR: &str = "linear";

impl MethodRecipe {
    /// Whether it reads the graph of the categories: ML-GCN, and every network of SSGRL.
    pub fn reads_graph(&self) -> bool {
        self.name() == "ml-gcn" || self.propagates()
    }

    /// Whether its states pass over the graph of the categories: every network of SSGRL.
    pub fn propagates(&self) -> bool {
        let settings = self.settings().expect("settings are plain data");
        let head = settings.get("head").and_then(|head| head.get("kind")).and_then(toml::Value::as_str);
        settings.contains_key("network") || head == Some("ssgrl")
    }

    /// Reports a setting out of range, as `file: key is value; expected …`.
    pub fn check(&self, file: &str) -> Result<()> {
        self.check_settings().map_err(|error| Error::Recipe(format!("{file}: method.{error}")))
    }
}

impl Serialize for MethodRecipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut table = toml::Table::new();
        table.insert("name".into(), self.name().into());
        table.extend(self.settings().map_err(serde::ser::Error::custom)?);
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MethodRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut table = toml::Table::deserialize(deserializer)?;
        let name = match table.remove("name") {
            Some(toml::Value::String(name)) => name,
            Some(other) => {
                return Err(serde::de::Error::custom(format!("method.name is {other}; expected a string")));
            }
            None => {
                return Err(serde::de::Error::custom(format!(
                    "method.name is missing; one of {}",
                    NAMES.join(", ")
                )));
            }
        };
        Self::from_settings(&name, table).map_err(serde::de::Error::custom)
    }
}

/// One line per method: its variant and network, its name in recipes, the type of its settings.
macro_rules! methods {
    ($($variant:ident: $network:path, $name:literal, $recipe:path;)+) => {
        /// The names that `--method` and `method.name` accept.
        pub const NAMES: &[&str] = &[$($name),+];

        /// A method's own settings; `name` says which one.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)]
        pub enum MethodRecipe { $($variant($recipe)),+ }

        impl MethodRecipe {
            /// The method's name in recipes and tables.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name),+ }
            }

            /// See [`Settings::init`].
            pub fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> AnyMethod {
                match self { $(Self::$variant(recipe) => AnyMethod::$variant(recipe.init(channels, knowledge, seed, device))),+ }
            }

            /// The keys of the method `name`.
            pub fn keys(name: &str) -> Option<&'static [Key]> {
                match name { $($name => Some(<$recipe as Settings>::KEYS),)+ _ => None }
            }

            fn check_settings(&self) -> Result<()> {
                match self { $(Self::$variant(recipe) => recipe.check()),+ }
            }

            /// See [`Settings::follow_reference`].
            pub fn follow_reference(&mut self) {
                match self { $(Self::$variant(recipe) => recipe.follow_reference()),+ }
            }

            /// See [`Settings::mixed_views`].
            pub fn mixed_views(&self) -> Option<&Mixing> {
                match self { $(Self::$variant(recipe) => recipe.mixed_views()),+ }
            }

            /// See [`Settings::reads_strong_views`].
            pub fn reads_strong_views(&self) -> bool {
                match self { $(Self::$variant(recipe) => recipe.reads_strong_views()),+ }
            }

            /// See [`Settings::learns_from_unknown`].
            pub fn learns_from_unknown(&self) -> bool {
                match self { $(Self::$variant(recipe) => recipe.learns_from_unknown()),+ }
            }

            /// See [`Settings::takes_soft_labels`].
            pub fn takes_soft_labels(&self) -> bool {
                match self { $(Self::$variant(recipe) => recipe.takes_soft_labels()),+ }
            }

            /// See [`Settings::is_measured_by_bce`].
            pub fn is_measured_by_bce(&self) -> bool {
                match self { $(Self::$variant(recipe) => recipe.is_measured_by_bce()),+ }
            }

            fn settings(&self) -> Result<toml::Table, toml::ser::Error> {
                match self { $(Self::$variant(recipe) => toml::Table::try_from(recipe)),+ }
            }

            /// The method `name` with these settings, and the defaults for the rest.
            ///
            /// # Errors
            /// What is wrong with the name or a setting.
            pub fn from_settings(name: &str, settings: toml::Table) -> Result<Self, String> {
                match name {
                    $($name => settings.try_into().map(Self::$variant).map_err(|e| e.message().to_string()),)+
                    _ => Err(format!("unknown method `{name}`; one of {}", NAMES.join(", "))),
                }
            }
        }

        /// One method's trained network.
        #[derive(Module, Debug)]
        #[allow(missing_docs, clippy::large_enum_variant)]
        pub enum AnyMethod { $($variant($network)),+ }

        impl Method for AnyMethod {
            fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
                match self { $(Self::$variant(head) => head.forward(maps)),+ }
            }
            fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
                match self { $(Self::$variant(head) => head.loss(maps, batch, normalization, at)),+ }
            }
            fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
                match self { $(Self::$variant(head) => head.attention(maps)),+ }
            }
            fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
                match self { $(Self::$variant(head) => head.export(graph, maps)),+ }
            }
            fn torch(&self) -> TorchHead {
                match self { $(Self::$variant(head) => head.torch()),+ }
            }
            fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
                match self { $(Self::$variant(head) => head.before_training(train)),+ }
            }
            fn closed_form(&self) -> bool {
                match self { $(Self::$variant(head) => head.closed_form()),+ }
            }
            fn left_out(&self) -> Option<&[Vec<(usize, f32)>]> {
                match self { $(Self::$variant(head) => head.left_out()),+ }
            }
            fn before_epoch(&mut self, epoch: usize, train: &dyn TrainSet) -> Result<()> {
                match self { $(Self::$variant(head) => head.before_epoch(epoch, train)),+ }
            }
            fn state(&self) -> Option<Vec<u8>> {
                match self { $(Self::$variant(head) => head.state()),+ }
            }
            fn restore(&mut self, state: &[u8]) -> Result<()> {
                match self { $(Self::$variant(head) => head.restore(state)),+ }
            }
            fn after_step(&mut self) {
                match self { $(Self::$variant(head) => head.after_step()),+ }
            }
            fn own_step(&mut self, learning_rate: f64) {
                match self { $(Self::$variant(head) => head.own_step(learning_rate)),+ }
            }
            fn groups(&self) -> Vec<(ParamGroup, f64)> {
                match self { $(Self::$variant(head) => head.groups()),+ }
            }
            fn scalars(&self, labels: &LabelMatrix) -> Vec<(&'static str, f64)> {
                match self { $(Self::$variant(head) => head.scalars(labels)),+ }
            }
        }
    };
}

methods! {
    Linear:     linear::Linear,         "linear",      linear::LinearRecipe;
    Bce:        bce::Bce,               "bce",         bce::BceRecipe;
    PartialBce: partial_bce::PartialBce,"partial-bce", partial_bce::PartialBceRecipe;
    Asl:        asl::Asl,               "asl",         asl::AslRecipe;
    Hill:       hill::Hill,             "hill",        hill::HillRecipe;
    Splc:       splc::Splc,             "splc",        splc::SplcRecipe;
    LargeLoss:  large_loss::LargeLoss,  "large-loss",  large_loss::LargeLossRecipe;
    Role:       role::Role,             "role",        role::RoleRecipe;
    Em:         em::Em,                 "em",          em::EmRecipe;
    Sr:         sr::Sr,                 "sr",          sr::SrRecipe;
    Csl:        csl::Csl,               "csl",         csl::CslRecipe;
    Curriculum: curriculum::Curriculum, "curriculum",  curriculum::CurriculumRecipe;
    MlGcn:      ml_gcn::MlGcn,          "ml-gcn",      ml_gcn::MlGcnRecipe;
    Ssgrl:      ssgrl::Ssgrl,           "ssgrl",       ssgrl::SsgrlRecipe;
    Kggr:       kggr::Kggr,             "kggr",        kggr::KggrRecipe;
    Sst:        sst::Sst,               "sst",         sst::SstRecipe;
    Hst:        hst::Hst,               "hst",         hst_recipe::HstRecipe;
    IpMixup:    ip_mixup::IpMixup,      "ip-mixup",    ip_mixup::IpMixupRecipe;
    FmMixup:    fm_mixup::FmMixup,      "fm-mixup",    fm_mixup::FmMixupRecipe;
    Sarb:       sarb::Sarb,             "sarb",        sarb_recipe::SarbRecipe;
}

impl Default for MethodRecipe {
    fn default() -> Self {
        Self::Sarb(sarb_recipe::SarbRecipe::default())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_guide_shows_the_smallest_method_as_it_is() {
        let guide = include_str!("../../docs/adding_a_method.md");
        assert!(guide.contains(include_str!("bce.rs")), "docs/adding_a_method.md shows another bce.rs");
        let listed =
            guide.split("```rust\n").skip(2).map(|part| part.split("```").next().unwrap_or_default());
        let listed: Vec<&str> = listed.collect();
        assert_eq!(listed.len(), 2, "the two lines of the list");
        listed.iter().for_each(|lines| assert!(include_str!("mod.rs").contains(lines), "{lines}"));
    }
}
