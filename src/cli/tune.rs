//! `sarb tune`: which settings of a recipe do best, judged on training images alone.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use sarb::tune::{self, MOST_SETTINGS, Options, Origin};
use sarb::{Cancel, Error, Inputs, Result};

use super::CacheArgs;
use super::console::{print, say};
use super::numbers::{proportion, seed, time};

/// Arguments of `sarb tune`.
#[derive(Debug, Clone, Args)]
pub struct Tune {
    /// The experiment whose settings are tuned: a file, or a recipe in the program such as coco18/sarb
    #[arg(required_unless_present = "method")]
    recipe: Option<PathBuf>,
    /// Data folder with train.csv and, if wanted, val.csv to select epochs on; test.csv is not read
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Time for all trials, such as 20m; it decides how many settings are tried
    #[arg(long, value_name = "TIME", value_parser = time)]
    budget: Duration,
    /// Folder of the tuning; one that was begun there continues
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What is tried: recipe keys, each with a list of values or { from = A, to = B, log = true } [default: learning
    /// rate, weight decay and epochs around the recipe's; of linear with a fixed penalty its factor]
    #[arg(long, value_name = "FILE")]
    space: Option<PathBuf>,
    /// Share of the training images that settings are judged on, such as 0.2 or 20%
    #[arg(long, value_name = "P", default_value = "0.2", value_parser = proportion)]
    held_out: f64,
    /// Settings to try beside the recipe's own, at most
    #[arg(long, value_name = "N", default_value_t = MOST_SETTINGS as u8, value_parser = clap::value_parser!(u8).range(1..=MOST_SETTINGS as i64))]
    settings: u8,
    /// Method, in place of the recipe's
    #[arg(long, value_name = "M", value_parser = PossibleValuesParser::new(sarb::METHODS))]
    method: Option<String>,
    /// Proportion of the labels that stay known, such as 0.1 or 10%; the rest are hidden by the official scheme
    #[arg(long, value_name = "P", value_parser = proportion)]
    known: Option<f64>,
    /// Seed of the mask that --known draws
    #[arg(long, value_name = "N")]
    mask_seed: Option<u32>,
    /// Pretrained weights of the backbone: a .pth or .safetensors file, or a name of `sarb weights list`
    #[arg(long, value_name = "FILE|NAME")]
    weights: Option<PathBuf>,
    /// Word vectors: .npy [C, E] in column order, or GloVe text looked up by name
    #[arg(long, value_name = "FILE")]
    words: Option<PathBuf>,
    /// Your own features in place of images: .npy or .safetensors, [N, D] or [N, D, H, W], rows in file order
    #[arg(long, value_name = "FILE")]
    features: Option<PathBuf>,
    /// Those of the images of val.csv
    #[arg(long, value_name = "FILE")]
    val_features: Option<PathBuf>,
    /// Overrides a setting of the recipe, such as train.epochs=10; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// cpu, vulkan, cuda or metal; cuda:1 or vulkan:1 is the second GPU
    #[arg(long, value_name = "D", default_value = "cpu")]
    device: String,
    /// Seed of which images are held out and which settings are drawn; --set seed=N is that of the trainings
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = seed)]
    seed: u64,
    /// Stop after this time, such as 55m, with exit code 75 and everything kept that is done; the same command continues
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_time: Option<Duration>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArgs,
}

impl Tune {
    /// Tunes, and prints every trial and which is the best; progress goes to stderr.
    pub fn run(&self, threads: Option<NonZeroUsize>, cancel: &Cancel) -> Result<()> {
        if let Some(time) = self.max_time {
            cancel.cancel_after(time);
        }
        if self.held_out <= 0.0 || self.held_out >= 1.0 {
            return Err(Error::Usage(format!(
                "--held-out {}: expected a proportion above 0 and below 1, such as 0.2",
                self.held_out
            )));
        }
        sarb::device::open(&self.device)?;
        let mut arguments = self.cache.arguments();
        if let Some(threads) = threads {
            arguments.extend(["--threads".into(), threads.to_string().into()]);
        }
        let options = Options {
            budget: self.budget,
            most_settings: self.settings.into(),
            held_out: self.held_out,
            seed: self.seed,
            device: self.device.clone(),
            arguments,
        };
        let dir = absolute(&self.out)?;
        let tuned = tune::tune(&dir, &self.origin(), &self.inputs()?, &options, &say, cancel)?;
        if self.json {
            return print(&serde_json::to_string_pretty(&tuned).expect("plain data"));
        }
        print(&tuned.to_text())
    }

    fn origin(&self) -> Origin {
        let mut sets = self.set.clone();
        let flags = [
            self.known.map(|known| format!("data.known={known}")),
            self.mask_seed.map(|seed| format!("data.mask_seed={seed}")),
        ];
        sets.extend(flags.into_iter().flatten());
        Origin { recipe: self.recipe.clone(), method: self.method.clone(), sets, space: self.space.clone() }
    }

    fn inputs(&self) -> Result<Inputs> {
        let given = |path: &Option<PathBuf>| path.as_deref().map(absolute).transpose();
        Ok(Inputs {
            data: absolute(&self.data)?,
            weights: given(&self.weights.as_deref().map(sarb::weights::find).transpose()?)?,
            words: given(&self.words)?,
            features: given(&self.features)?,
            val_features: given(&self.val_features)?,
            cache: self.cache.cache()?,
            skip_broken: None,
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io(path, e))
}
