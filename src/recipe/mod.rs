//! One experiment: data, backbone, training and method. Read from TOML, overridden by `--set`,
//! checked once, and saved resolved with the run.
//!
//! Unknown keys are errors; every key has a default, the paper's value. A recipe holds no
//! path but that of a network in ONNX form: where the data lie is said on the command line.

pub(crate) mod keys;
pub mod library;
mod onnx;
mod overrides;
mod precision;
mod reading;
mod validation;

use std::path::{Path, PathBuf};

use sarb_labels::categories::Cooccurrence;
use serde::{Deserialize, Serialize};

use crate::backbone::descriptor::DescriptorRecipe;
use crate::backbone::{BackboneName, Freeze};
use crate::kernels::precision::Precision;
use crate::loss::normalization::Normalization;
use crate::methods::MethodRecipe;
use crate::onnx::options::PixelNormalization;
use crate::{Error, Result};

pub use precision::PrecisionChoice;
pub use validation::Validation;

/// One row of a results table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Another recipe, relative to this one, whose settings stand where this one says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extends: Option<PathBuf>,
    /// Whether the official code's mistakes are repeated.
    pub protocol: Protocol,
    /// Seed of everything but the mask: initial weights, order, crops, blends, dropout.
    pub seed: u64,
    /// Which labels are seen, and at which size.
    pub data: DataRecipe,
    /// The network that turns an image into a feature map.
    pub backbone: BackboneRecipe,
    /// Optimizer, schedule, selection.
    pub train: TrainRecipe,
    /// The method and its own settings.
    pub method: MethodRecipe,
}

/// Whether the official code's mistakes are repeated, so that both tables can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// They are not.
    #[default]
    Corrected,
    /// All together: the best epoch is chosen on the test set and nothing is held out for it, the graph is
    /// biased by unknown labels, the last batch is dropped, output biases do not start at the prior; in
    /// SARB prototypes come from the augmented training loader, the best of 10 clusterings, and an image
    /// that is wholly known has its first label overwritten. A setting that contradicts is an error.
    Reference,
}

/// Which labels are seen, and at which size images are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataRecipe {
    /// Proportion of the labels that stay known, in (0, 1]; the rest are hidden by the official scheme.
    pub known: f64,
    /// Seed of the official mask.
    pub mask_seed: u32,
    /// What labels are taken for that a run filled in, those that `train.filled.csv` lists beside `train.csv`.
    pub filled: Filled,
    /// How the co-occurrence graph is estimated from the known labels.
    pub cooccurrence: Cooccurrence,
    /// What the best epoch is selected on: `"val.csv"` of the data folder, a share in [0, 1) of the partially
    /// labeled training images, held out, or `"auto"`: `val.csv` where there is one, else 0.1.
    pub validation: Validation,
    /// Side of the square image that the network sees, in pixels.
    pub size_px: usize,
    /// Crop and flip while training. With a wholly frozen backbone see `backbone.views`.
    pub augment: bool,
}

impl Default for DataRecipe {
    fn default() -> Self {
        Self {
            known: 1.0,
            mask_seed: 0,
            filled: Filled::default(),
            cooccurrence: Cooccurrence::default(),
            validation: Validation::Auto,
            size_px: 448,
            augment: true,
        }
    }
}

/// What labels are taken for that a run filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filled {
    /// Known ones, in training; they do not validate.
    #[default]
    Known,
    /// As probable as they were when they were filled in ([`crate::soft_labels`]).
    Soft,
    /// Unknown ones.
    Unknown,
}

/// The backbone and how much of it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackboneRecipe {
    /// Which network.
    pub name: BackboneName,
    /// What stays as it was loaded: `all` (maps are computed once and cached), `trunk` or `none`.
    pub freeze: Freeze,
    /// Average the last map 2 × 2, as SARB does (448 px → 7 × 7).
    pub pool: bool,
    /// Keep the running statistics of the trained last stage's BatchNorm; the official code trains them.
    pub freeze_batch_norm: bool,
    /// Augmented views cached for each training image. With everything frozen, 0 trains on the test-time
    /// view alone; with a frozen trunk, 0 caches nothing and augments anew in each epoch.
    pub views: usize,
    /// Factor on the learning rate of trained backbone layers.
    pub learning_rate_factor: f64,
    /// In which numbers its frozen layers are multiplied on the CPU.
    pub precision: Precision,
    /// One vector of pooled blocks for each image in place of its map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<DescriptorRecipe>,
    /// A frozen network in ONNX form in place of `name`: its file, relative to the recipe that says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onnx: Option<PathBuf>,
    /// Of `onnx`: the input that takes the images; the only one by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Of `onnx`: the output that is read, a map [B, F, H, W], tokens [B, P, F] or a vector [B, F]; the only one
    /// by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Of `onnx`: what its images are normalized with; ImageNet's statistics by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<PixelNormalization>,
    /// Of `onnx` with tokens: so many at the beginning are left out, those of the class and registers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_tokens: Option<usize>,
    /// Of `onnx` with tokens: rows and columns of the others; a square by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<[usize; 2]>,
    /// Of `onnx` with a map: it is [B, H, W, F].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels_last: Option<bool>,
}

impl BackboneRecipe {
    /// Whether maps of its frozen trunk are cached, for the last stage that is trained on them.
    pub fn caches_trunk(&self) -> bool {
        self.freeze == Freeze::Trunk && self.views > 0
    }

    /// Whether nothing of it is trained.
    pub fn is_frozen(&self) -> bool {
        self.freeze == Freeze::All
    }
}

impl Default for BackboneRecipe {
    fn default() -> Self {
        Self {
            name: BackboneName::Resnet101,
            freeze: Freeze::Trunk,
            pool: true,
            freeze_batch_norm: false,
            views: 0,
            learning_rate_factor: 1.0,
            precision: Precision::F32,
            descriptor: None,
            onnx: None,
            input: None,
            output: None,
            normalization: None,
            skip_tokens: None,
            grid: None,
            channels_last: None,
        }
    }
}

/// Optimizer (Adam, ε 1e-8), schedule and selection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainRecipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per step.
    pub batch_size: usize,
    /// Learning rate of the first step.
    pub learning_rate: f64,
    /// L2 decay, added to the gradient before Adam's moments (coupled, as in the official code).
    pub weight_decay: f64,
    /// How the learning rate falls.
    pub schedule: Schedule,
    /// With `schedule = "step"`: every so many epochs the rate is multiplied by `decay_factor`.
    pub decay_epochs: usize,
    /// With `schedule = "step"`: the factor.
    pub decay_factor: f64,
    /// Leave out the last, incomplete batch, as the official code does.
    pub drop_last: bool,
    /// What a loss over a batch's entries is divided by, in every method.
    pub normalization: Normalization,
    /// In which numbers the large products of what is trained are computed on the CPU, forward and backward.
    pub precision: Precision,
    /// Which epoch `checkpoints/best` keeps.
    pub select: Select,
}

impl Default for TrainRecipe {
    fn default() -> Self {
        Self {
            epochs: 20,
            batch_size: 8,
            learning_rate: 1e-5,
            weight_decay: 5e-4,
            schedule: Schedule::Step,
            decay_epochs: 10,
            decay_factor: 0.1,
            drop_last: false,
            normalization: Normalization::Supervised,
            precision: Precision::F32,
            select: Select::Loss,
        }
    }
}

/// How the learning rate falls over the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It does not.
    Constant,
    /// By `decay_factor` every `decay_epochs`.
    Step,
    /// Along half a cosine to zero at the last step.
    Cosine,
}

impl TrainRecipe {
    /// The learning rate of a step, counted over the whole training from 0.
    pub fn learning_rate_at(&self, step: usize, steps_per_epoch: usize) -> f64 {
        let decay = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Step => self.decay_factor.powi((step / steps_per_epoch / self.decay_epochs) as i32),
            Schedule::Cosine => {
                let done = step as f64 / (steps_per_epoch * self.epochs).max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        };
        self.learning_rate * decay
    }
}

/// Which epoch `checkpoints/best` keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The lowest loss on the known labels of the validation images.
    Loss,
    /// The highest mAP on the known labels of the validation images.
    Map,
    /// The last one.
    Last,
    /// The highest mAP on the test set, as the official code: part of `protocol = "reference"` only.
    Test,
}

impl Recipe {
    /// The recipe with what `data.validation` means for the data in `folder`.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn settled(mut self, folder: &Path) -> Result<Self> {
        self.data.validation = self.data.validation.settled(folder)?;
        Ok(self)
    }

    /// The complete recipe as TOML: reading it again gives the same experiment.
    pub fn to_toml(&self) -> String {
        let plain = "a recipe is a plain table";
        if self.backbone.onnx.is_none() {
            return toml::to_string_pretty(self).expect(plain);
        }
        let table = toml::Table::try_from(self).expect(plain);
        toml::to_string_pretty(&onnx::without_name(table)).expect(plain)
    }

    fn check_descriptor(&self) -> Result<()> {
        let Some(descriptor) = &self.backbone.descriptor else { return Ok(()) };
        if self.backbone.freeze != Freeze::All || self.backbone.onnx.is_some() {
            return Err(Error::Recipe(
                "backbone.descriptor is made of a backbone of this program with freeze = \"all\"".into(),
            ));
        }
        descriptor.check(self.data.size_px)
    }

    fn check(&self, file: &str) -> Result<()> {
        let (data, train) = (&self.data, &self.train);
        let proportion = |key: &str, value: f64, accepted: &str, ok: bool| match ok {
            true => Ok(()),
            false => Err(Error::Recipe(format!("{file}: {key} is {value}; expected {accepted}"))),
        };
        proportion(
            "data.known",
            data.known,
            "a proportion in (0, 1]",
            data.known > 0.0 && data.known <= 1.0,
        )?;
        if !data.validation.is_valid() {
            return Err(Error::Recipe(format!(
                "{file}: data.validation is {}; expected {}",
                data.validation,
                Validation::ACCEPTED
            )));
        }
        let positive = |key: &str, value: f64| {
            proportion(key, value, "a number above 0", value > 0.0 && value.is_finite())
        };
        positive("train.learning_rate", train.learning_rate)?;
        positive("train.decay_factor", train.decay_factor)?;
        positive("backbone.learning_rate_factor", self.backbone.learning_rate_factor)?;
        proportion(
            "train.weight_decay",
            train.weight_decay,
            "a number of at least 0",
            train.weight_decay >= 0.0 && train.weight_decay.is_finite(),
        )?;
        const MOST: usize = 1_000_000;
        for (key, value, least) in [
            ("train.batch_size", train.batch_size, 1),
            ("train.decay_epochs", train.decay_epochs, 1),
            ("train.epochs", train.epochs, 0),
            ("backbone.views", self.backbone.views, 0),
        ] {
            let expected = format!("{least} to {MOST}");
            proportion(key, value as f64, &expected, (least..=MOST).contains(&value))?;
        }
        proportion(
            "data.size_px",
            data.size_px as f64,
            "a size from 32 to 2048 pixels",
            (32..=2048).contains(&data.size_px),
        )?;
        if self.backbone.views > 0 && self.backbone.freeze == Freeze::None {
            return Err(Error::Recipe(format!(
                "{file}: backbone.views is {}, but maps are cached of what is frozen only; with freeze = \"none\" images are augmented anew in each epoch",
                self.backbone.views
            )));
        }
        if self.backbone.views > 0 && !self.data.augment {
            return Err(Error::Recipe(format!(
                "{file}: backbone.views is {}, but data.augment is false; set one of them",
                self.backbone.views
            )));
        }
        self.backbone.check_onnx(file)?;
        if self.backbone.precision != Precision::F32 {
            let precision = self.backbone.precision;
            self.backbone.has_rounded_layers().map_err(|why| {
                Error::Recipe(format!("{file}: backbone.precision is \"{precision}\", but {why}"))
            })?;
        }
        if train.precision != Precision::F32 {
            self.has_trained_products().map_err(|why| {
                Error::Recipe(format!("{file}: train.precision is \"{}\", but {why}", train.precision))
            })?;
        }
        self.check_descriptor().map_err(|error| Error::Recipe(format!("{file}: {error}")))?;
        let default = BackboneRecipe::default();
        if self.backbone.freeze == Freeze::All
            && (self.backbone.freeze_batch_norm, self.backbone.learning_rate_factor)
                != (default.freeze_batch_norm, default.learning_rate_factor)
        {
            return Err(Error::Recipe(format!(
                "{file}: backbone.freeze_batch_norm and backbone.learning_rate_factor concern trained layers, but backbone.freeze is \"all\""
            )));
        }
        if train.select == Select::Test && self.protocol != Protocol::Reference {
            return Err(Error::Recipe(format!(
                "{file}: train.select is \"test\", which makes the test result optimistic; expected \"loss\", \"map\" or \"last\", or protocol = \"reference\" to repeat what the official code does"
            )));
        }
        self.method.check(file)
    }
}

#[cfg(test)]
mod tests;
