//! One experiment: data, backbone, training and method. Read from TOML, overridden by `--set`,
//! checked once, and saved resolved with the run.
//!
//! Unknown keys are errors; every key has a default, the paper's value. A recipe never holds a
//! path: where the data lie is said on the command line.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::categories::Cooccurrence;
use crate::methods::MethodRecipe;
use crate::nn::backbone::{BackboneName, Freeze};
use crate::{Error, Result};

/// One row of a results table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Seed of everything but the mask: initial weights, order, crops, blends, dropout.
    pub seed: u64,
    /// Which labels are seen, and at which size.
    pub data: DataRecipe,
    /// The network that turns an image into a feature map.
    pub backbone: BackboneRecipe,
    /// Optimiser, schedule, selection.
    pub train: TrainRecipe,
    /// The method and its own settings.
    pub method: MethodRecipe,
}

/// Which labels are seen, and at which size images are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataRecipe {
    /// Proportion of the labels that stay known, in (0, 1]; the rest are hidden by the official scheme.
    pub known: f64,
    /// Seed of the official mask.
    pub mask_seed: u32,
    /// How the co-occurrence graph is estimated from the known labels.
    pub cooccurrence: Cooccurrence,
    /// Share of the partially labelled training images held out to select the best epoch, in [0, 1).
    pub validation: f64,
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
            cooccurrence: Cooccurrence::default(),
            validation: 0.1,
            size_px: 448,
            augment: true,
        }
    }
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
    /// Augmented views cached for each training image when everything is frozen; 0 trains on the
    /// test-time view alone.
    pub views: usize,
    /// Factor on the learning rate of trained backbone layers.
    pub learning_rate_factor: f64,
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
        }
    }
}

/// Optimiser (Adam, ε 1e-8), schedule and selection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainRecipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step.
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
    /// The lowest loss on the known labels of the validation split.
    Loss,
    /// The highest mAP on the known labels of the validation split.
    Map,
    /// The last one.
    Last,
}

impl Recipe {
    /// Reads a recipe file, or starts from the defaults; `--method` and `--set key=value` come on top.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the key, the value and what is accepted.
    pub fn read(file: Option<&Path>, method: Option<&str>, sets: &[String]) -> Result<Self> {
        let mut table = match file {
            Some(path) => parse_file(path)?,
            None => toml::Table::new(),
        };
        if let Some(name) = method {
            set_method(&mut table, name);
        }
        for set in sets {
            apply(&mut table, set)?;
        }
        let name = file.map_or("recipe".to_string(), |path| path.display().to_string());
        let recipe: Recipe = table
            .try_into()
            .map_err(|e: toml::de::Error| Error::Recipe(format!("{name}: {}", one_line(&e))))?;
        recipe.check(&name)?;
        Ok(recipe)
    }

    /// The complete recipe as TOML: reading it again gives the same experiment.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a recipe is a plain table")
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
        proportion(
            "data.validation",
            data.validation,
            "a proportion in [0, 1)",
            (0.0..1.0).contains(&data.validation),
        )?;
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
        for (key, value) in
            [("train.batch_size", train.batch_size), ("train.decay_epochs", train.decay_epochs)]
        {
            positive(key, value as f64)?;
        }
        proportion(
            "data.size_px",
            data.size_px as f64,
            "a size from 32 to 2048 pixels",
            (32..=2048).contains(&data.size_px),
        )?;
        if self.backbone.views > 0 && self.backbone.freeze != Freeze::All {
            return Err(Error::Recipe(format!(
                "{file}: backbone.views is {}, but views are cached for freeze = \"all\" only; with freeze = \"{}\" images are augmented anew in each epoch",
                self.backbone.views, self.backbone.freeze
            )));
        }
        if self.backbone.views > 0 && !self.data.augment {
            return Err(Error::Recipe(format!(
                "{file}: backbone.views is {}, but data.augment is false; set one of them",
                self.backbone.views
            )));
        }
        let default = BackboneRecipe::default();
        if self.backbone.freeze == Freeze::All
            && (self.backbone.freeze_batch_norm, self.backbone.learning_rate_factor)
                != (default.freeze_batch_norm, default.learning_rate_factor)
        {
            return Err(Error::Recipe(format!(
                "{file}: backbone.freeze_batch_norm and backbone.learning_rate_factor concern trained layers, but backbone.freeze is \"all\""
            )));
        }
        self.method.check(file)
    }
}

fn parse_file(path: &Path) -> Result<toml::Table> {
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Error::Recipe(format!("{}: not UTF-8 text", path.display())),
        _ => Error::io(path, e),
    })?;
    // Once as the typed recipe, for messages that know the line; once as a table, for overriding.
    let located = |e: toml::de::Error| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        Error::Recipe(format!("{}:{line}: {}", path.display(), one_line(&e)))
    };
    toml::from_str::<Recipe>(&text).map_err(located)?;
    toml::from_str(&text).map_err(located)
}

/// The message alone: file and line stand in front of it already.
fn one_line(error: &toml::de::Error) -> String {
    error.message().trim().replace('\n', "; ")
}

/// Chooses a method; settings of another one are dropped with it, the network's widths stay.
fn set_method(table: &mut toml::Table, name: &str) {
    let old = table.remove("method");
    let mut method = toml::Table::new();
    method.insert("name".into(), name.into());
    if let Some(toml::Value::Table(old)) = old {
        if old.get("name").and_then(|n| n.as_str()) == Some(name) {
            method = old;
        } else if let (Some(network), true) = (old.get("network"), name != "linear" && name != "bce") {
            method.insert("network".into(), network.clone());
        }
    }
    table.insert("method".into(), method.into());
}

/// Applies one `--set a.b=value`: the value is TOML, and a bare word is a string.
fn apply(table: &mut toml::Table, set: &str) -> Result<()> {
    let bad =
        |why: &str| Error::Usage(format!("--set {set}: {why}; expected key=value such as train.epochs=10"));
    let (key, text) = set.split_once('=').ok_or_else(|| bad("no `=`"))?;
    let value = match toml::from_str::<toml::Table>(&format!("x = {text}")) {
        Ok(mut parsed) => parsed.remove("x").ok_or_else(|| bad("no value"))?,
        Err(_) => toml::Value::String(text.to_string()),
    };
    let mut parts = key.trim().split('.').peekable();
    let mut here = table;
    while let Some(part) = parts.next() {
        if part.is_empty() {
            return Err(bad("empty key"));
        }
        if parts.peek().is_none() {
            here.insert(part.to_string(), value);
            return Ok(());
        }
        here = here
            .entry(part)
            .or_insert_with(|| toml::Table::new().into())
            .as_table_mut()
            .ok_or_else(|| bad(&format!("`{part}` is a value, not a table")))?;
    }
    Err(bad("empty key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_typo_is_an_error_with_its_line() {
        let file = recipe_file("seed = 1\n[train]\nepochs = 3\nlearing_rate = 0.1\n");
        let error = Recipe::read(Some(file.path()), None, &[]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(
            text.contains(":4: unknown field `learing_rate`") && text.contains("learning_rate"),
            "{text}"
        );
    }

    #[test]
    fn a_typo_in_the_methods_settings_is_an_error() {
        let error = Recipe::read(None, Some("sarb"), &["method.alhpa=0.3".into()]).unwrap_err().to_string();
        assert!(error.contains("alhpa"), "{error}");
    }

    #[test]
    fn values_out_of_range_name_key_value_and_range() {
        let error = Recipe::read(None, None, &["data.known=1.5".into()]).unwrap_err().to_string();
        assert_eq!(error, "recipe: data.known is 1.5; expected a proportion in (0, 1]");
        assert!(Recipe::read(None, None, &["train.epochs=-1".into()]).is_err());
        assert!(Recipe::read(None, None, &["train.learning_rate=nan".into()]).is_err());
    }

    #[test]
    fn an_override_wins_and_a_bare_word_is_a_string() {
        let file = recipe_file("[train]\nepochs = 3\n[method]\nname = \"sarb\"\n");
        let sets = [
            "train.epochs=5".to_string(),
            "train.select=last".to_string(),
            "method.network.dim=64".to_string(),
        ];
        let recipe = Recipe::read(Some(file.path()), None, &sets).unwrap();
        assert_eq!((recipe.train.epochs, recipe.train.select), (5, Select::Last));
        assert_eq!(recipe.method.name(), "sarb");
    }

    #[test]
    fn the_resolved_recipe_reads_back_equal() {
        let recipe = Recipe::read(None, Some("sarb"), &["data.known=0.1".into()]).unwrap();
        let file = recipe_file(&recipe.to_toml());
        assert_eq!(Recipe::read(Some(file.path()), None, &[]).unwrap(), recipe);
    }

    #[test]
    fn every_recipe_of_the_repository_is_valid() {
        let mut read = 0;
        for profile in ["coco18", "paper", "quickstart"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(profile);
            for file in std::fs::read_dir(folder).unwrap() {
                Recipe::read(Some(&file.unwrap().path()), None, &[]).unwrap();
                read += 1;
            }
        }
        assert!(read >= 10, "{read} recipes");
    }

    #[test]
    fn step_schedule_decays_at_the_papers_epoch() {
        let train = TrainRecipe::default();
        assert_eq!(train.learning_rate_at(9 * 100 + 99, 100), 1e-5);
        assert!((train.learning_rate_at(10 * 100, 100) - 1e-6).abs() < 1e-18);
    }
}
