//! `sarb train`: a recipe and a data folder become a run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use sarb::forecast::forecast;
use sarb::labels::Split;
use sarb::labels::text::{duration, percent, thousands};
use sarb::ranks::Ranks;
use sarb::ranks::children::is_started;
use sarb::{Cancel, Device, Existing, Inputs, PrecisionChoice, Recipe, Result, RunInfo};

use super::CacheArgs;
use super::console::{print, say};
use super::numbers::{proportion, seed, time};
use super::progress::{Progress, validated};
use super::ranks::RanksArgs;
use super::track::{Told, TrackArgs};

/// Arguments of `sarb train`.
#[derive(Debug, Clone, Args)]
pub struct Train {
    /// The experiment: a file, or a recipe in the program such as coco18/best; without one, the paper's settings, and
    /// where features are frozen ridge regression, on descriptors as in coco18/best if the backbone is one of the program's
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
    /// Proportion of the labels that stay known, such as 0.1 or 10%; the rest are hidden by the official scheme
    #[arg(long, value_name = "P", value_parser = proportion)]
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
    /// Leave out images of train.csv and of val.csv that cannot be read, if they are no more than this share of each, such
    /// as 0.01 or 1%; which ones is kept in the run, in data/skipped.csv
    #[arg(long, value_name = "P", value_parser = proportion, conflicts_with_all = ["folds", "dry_run"])]
    pub skip_broken: Option<f64>,
    /// Overrides a setting of the recipe, such as train.epochs=10; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// cpu, vulkan, cuda or metal; cuda:1 or vulkan:1 is the second GPU
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub device: String,
    /// In which numbers layers are multiplied: f32 (the default), bf16 (backbone.precision and train.precision), or auto: frozen
    /// layers in the faster one here, what is trained in f32
    #[arg(long, value_name = "P", value_enum, conflicts_with = "features")]
    pub precision: Option<PrecisionChoice>,
    /// Seed of everything but the mask
    #[arg(long, value_name = "N", value_parser = seed)]
    pub seed: Option<u64>,
    /// Afterwards train on all but one of K parts of the images, each in turn, and keep the scores of the parts left
    /// out: what thresholds, filled labels and doubts about labels are founded on (linear has them without)
    #[arg(long, value_name = "K", conflicts_with = "dry_run")]
    pub folds: Option<usize>,
    /// Stop after this time, such as 55m, with exit code 75 and everything kept that is done; --resume continues
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub max_time: Option<Duration>,
    /// Continue the run in --out
    #[arg(long, conflicts_with = "force")]
    pub resume: bool,
    /// Replace the run in --out
    #[arg(long)]
    pub force: bool,
    /// Check everything and say what the training will cost in time, disk and memory; write nothing
    #[arg(long, conflicts_with_all = ["resume", "track"])]
    pub dry_run: bool,
    /// With --dry-run: count the evaluation on this split too: train, val or test
    #[arg(long, value_name = "SPLIT", requires = "dry_run", value_parser = |text: &str| text.parse::<Split>().map_err(|e| e.to_string()))]
    pub then_evaluate: Option<Split>,
    /// Print one JSON object, run.json with the folder of the run; with --dry-run what it will cost
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub ranks: RanksArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub track: TrackArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub cache: CacheArgs,
}

impl Train {
    /// Trains, and prints the folder of the run; progress goes to stderr.
    pub fn run(&self, cancel: &Cancel) -> Result<()> {
        if let Some(time) = self.max_time {
            cancel.cancel_after(time);
        }
        let device = sarb::device::open(&self.device)?;
        let mut recipe = self.read_recipe()?;
        if let Some(choice) = self.precision {
            recipe = recipe.in_precision(choice, &device)?;
        }
        if let Some(folds) = self.folds {
            sarb::check_folds(&recipe, &self.data, folds)?;
        }
        let inputs = self.inputs()?;
        let joined = self.ranks.join(cancel)?;
        if !joined.ranks.is_first() {
            return self.follow(&joined.ranks, &recipe, &inputs, &device, cancel);
        }
        let progress = Progress::new(recipe.train.epochs);
        let events = |event: sarb::Event<'_>| progress.show(event);
        let told = Told::new(&self.track, &self.out, self.resume)?;
        if self.dry_run {
            let out = (&*self.out, self.existing());
            let found = forecast(&recipe, &inputs, out, self.then_evaluate, &device, &events, cancel)?;
            return print(&match self.json {
                true => serde_json::to_string_pretty(&found).expect("plain data"),
                false => found.to_text(),
            });
        }
        let out = (&*self.out, self.existing());
        let heard = |event: sarb::Event<'_>| told.hear(event, &progress);
        let trained = match joined.ranks.is_alone() {
            true => sarb::train(&recipe, &inputs, out, &device, &heard, cancel),
            false => {
                let ranks = &joined.ranks;
                sarb::train_together(ranks, &recipe, &inputs, out, &device, &heard, cancel)
                    .map(|run| run.expect("rank 0 has the run"))
            }
        };
        told.end(trained.is_ok());
        let run = trained?;
        let info = run.info()?;
        summary(&info, &self.data).iter().for_each(|line| say(line));
        progress.repeat_warnings();
        if let Some(folds) = self.folds {
            let scores = sarb::out_of_fold(&run, &self.inputs()?, folds, &device, &events, cancel)?;
            say(&format!(
                "out-of-fold mAP over the known labels of {} images in {folds} folds: {} %",
                thousands(scores.annotations.images.len()),
                percent(scores.map()?)
            ));
        }
        let out = self.out.display().to_string();
        if self.json {
            let mut value = serde_json::to_value(&info).expect("plain data");
            value["run"] = out.into();
            return print(&serde_json::to_string_pretty(&value).expect("plain data"));
        }
        print(&out)
    }

    /// As a rank that is not the first, which says and writes nothing.
    fn follow(
        &self,
        ranks: &Ranks,
        recipe: &Recipe,
        inputs: &Inputs,
        device: &Device,
        cancel: &Cancel,
    ) -> Result<()> {
        let out = (&*self.out, self.existing());
        let trained = sarb::train_together(ranks, recipe, inputs, out, device, &|_| (), cancel);
        match trained {
            // Rank 0 says what went wrong here.
            Err(error) if is_started() => std::process::exit(error.exit_code()),
            trained => trained.map(|_| ()),
        }
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
        let named =
            file.is_some() || self.method.is_some() || sets.iter().any(|set| set.starts_with("method"));
        let frozen = self.features.is_some() || recipe.backbone.is_frozen();
        if named || !frozen {
            return Ok(recipe);
        }
        let (recipe, note) = sarb::unnamed::recipe(&recipe, &sets, &self.inputs()?)?;
        say(&note);
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
            skip_broken: self.skip_broken,
        })
    }
}

/// What came of a training, and what the anchor says to it.
fn summary(info: &RunInfo, data: &Path) -> Vec<String> {
    let how = match info.epochs {
        0 => "no epoch was trained".to_owned(),
        epochs => format!("best epoch {} of {epochs}", info.best_epoch),
    };
    let how = if info.method == "linear" { "solved in closed form".to_owned() } else { how };
    let mut lines = vec![format!("{} of {}: {how}, {}", info.method, data.display(), duration(info.seconds))];
    lines.extend(info.about_epoch_0());
    let Some(own) = info.validation.filter(|own| own.loss.is_some()) else {
        let anchor = info
            .anchor
            .map(|_| "nothing is held out to measure on; sarb evaluate compares the run with its anchor");
        lines.extend(anchor.map(str::to_owned));
        return lines;
    };
    let Some(anchor) = info.anchor else {
        lines.push(validated(&own));
        return lines;
    };
    lines.push(format!("{}; anchor, linear on the same features: {}", validated(&own), validated(&anchor)));
    if let (Some(own), Some(anchor)) = (own.map, anchor.map)
        && anchor >= own
    {
        lines.push(
            "the anchor is at least as good on the validation images: --method linear takes seconds; sarb evaluate \
             compares both on the test images"
                .into(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(method: &str, best_epoch: usize, own: Option<f64>, anchor: Option<f64>) -> RunInfo {
        let validation = |map: Option<f64>| map.map(|map| serde_json::json!({ "loss": 0.5, "map": map }));
        let info = serde_json::json!({
            "status": "done", "version": "0", "method": method, "data": "/d", "fingerprint": "", "channels": 1,
            "trains_backbone": true, "backend": "", "device": "", "epochs": 20, "best_epoch": best_epoch,
            "images_per_second": 1.0, "seconds": 5.0, "peak_rss_mb": 1.0,
            "validation": validation(own), "anchor": validation(anchor),
        });
        serde_json::from_value(info).unwrap()
    }

    fn said(info: &RunInfo) -> String {
        summary(info, Path::new("d")).join("\n")
    }

    #[test]
    fn a_run_says_whether_it_is_better_than_its_anchor() {
        let ahead = said(&info("sarb", 7, Some(0.6), Some(0.5)));
        assert!(ahead.contains("best epoch 7 of 20") && ahead.contains("mAP 60.0; anchor"), "{ahead}");
        assert!(!ahead.contains("at least as good"), "{ahead}");
        let behind = said(&info("sarb", 7, Some(0.5), Some(0.6)));
        assert!(behind.contains("the anchor is at least as good") && behind.contains("mAP 60.0"), "{behind}");
        assert!(!said(&info("bce", 7, Some(0.5), None)).contains("anchor"));
        assert!(said(&info("bce", 7, None, Some(0.5))).contains("nothing is held out"));
    }

    #[test]
    fn epoch_0_is_explained_and_a_closed_form_has_no_epochs() {
        assert!(said(&info("sarb", 0, Some(0.5), None)).contains("the state before the first step"));
        let linear = said(&RunInfo { epochs: 0, ..info("linear", 0, Some(0.5), None) });
        assert!(linear.contains("closed form") && !linear.contains("epoch"), "{linear}");
    }
}
