//! `sarb train`: a recipe and a data folder become a run.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use sarb::labels::text::duration;
use sarb::{Cancel, Existing, Inputs, Recipe, Result};

use super::CacheArgs;
use super::console::{print, say};
use super::progress::Progress;

/// Arguments of `sarb train`.
#[derive(Debug, Clone, Args)]
pub struct Train {
    /// The experiment; without one, the paper's settings
    pub recipe: Option<PathBuf>,
    /// Data folder with train.csv and, if wanted, val.csv to select the epoch on, words.npy or words.txt
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Folder of the run
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,
    /// Method, in place of the recipe's
    #[arg(long, value_name = "M", value_parser = PossibleValuesParser::new(sarb::METHODS))]
    pub method: Option<String>,
    /// Proportion of the labels that stay known; the rest are hidden by the official scheme
    #[arg(long, value_name = "P")]
    pub known: Option<f64>,
    /// Seed of the mask that --known draws
    #[arg(long, value_name = "N")]
    pub mask_seed: Option<u32>,
    /// Pretrained weights of the backbone: a .pth or .safetensors file, or a name of `sarb weights list`
    #[arg(long, value_name = "FILE|NAME")]
    pub weights: Option<PathBuf>,
    /// Word vectors: .npy [C, E] in column order, or GloVe text looked up by name
    #[arg(long, value_name = "FILE")]
    pub words: Option<PathBuf>,
    /// Your own features in place of images: .npy or .safetensors, [N, D] or [N, D, H, W], rows in file order
    #[arg(long, value_name = "FILE")]
    pub features: Option<PathBuf>,
    /// Those of the images of val.csv
    #[arg(long, value_name = "FILE")]
    pub val_features: Option<PathBuf>,
    /// Overrides a setting of the recipe, such as train.epochs=10; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// cpu, vulkan, cuda or metal
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub device: String,
    /// Seed of everything but the mask
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Continue the run in --out
    #[arg(long, conflicts_with = "force")]
    pub resume: bool,
    /// Replace the run in --out
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub cache: CacheArgs,
}

impl Train {
    /// Trains, and prints the folder of the run; progress goes to stderr.
    pub fn run(&self, cancel: &Cancel) -> Result<()> {
        let device = sarb::device::open(&self.device)?;
        let recipe = self.read_recipe()?;
        let progress = Progress::new(recipe.train.epochs);
        let events = |event: sarb::Event<'_>| progress.show(event);
        let run =
            sarb::train(&recipe, &self.inputs()?, (&self.out, self.existing()), &device, &events, cancel)?;
        let info = run.info()?;
        say(&format!(
            "{} of {}: best epoch {} of {}, {}",
            info.method,
            self.data.display(),
            info.best_epoch,
            info.epochs,
            duration(info.seconds)
        ));
        progress.repeat_warnings();
        print(&format!("{}", self.out.display()))
    }

    fn existing(&self) -> Existing {
        match (self.resume, self.force) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Replace,
            _ => Existing::Refuse,
        }
    }

    fn read_recipe(&self) -> Result<Recipe> {
        let mut sets = self.set.clone();
        let flags = [
            self.known.map(|known| format!("data.known={known}")),
            self.mask_seed.map(|seed| format!("data.mask_seed={seed}")),
            self.seed.map(|seed| format!("seed={seed}")),
        ];
        sets.extend(flags.into_iter().flatten());
        let default = self.out.join("recipe.toml");
        let file = self.recipe.as_deref().or((self.resume && default.is_file()).then_some(&*default));
        let (recipe, notes) = Recipe::read_with_notes(file, self.method.as_deref(), &sets)?;
        notes.iter().for_each(|note| say(note));
        Ok(recipe)
    }

    fn inputs(&self) -> Result<Inputs> {
        Ok(Inputs {
            data: self.data.clone(),
            weights: self.weights.as_deref().map(sarb::weights::find).transpose()?,
            words: self.words.clone(),
            features: self.features.clone(),
            val_features: self.val_features.clone(),
            cache: self.cache.cache()?,
        })
    }
}
