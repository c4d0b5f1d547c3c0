//! `sarb train`: a recipe and a data folder become a run.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::CacheArgs;
use crate::console::{duration, peak_rss_mb, print, progress_bar, say};
use crate::data::formats::csv;
use crate::data::loader::Loader;
use crate::model::Model;
use crate::nn::weights;
use crate::prepare::{Prepared, Sources, prepare};
use crate::recipe::{Recipe, Schedule, TrainRecipe};
use crate::recognizer::EXTRACTOR_FILE;
use crate::run::{EpochRow, Existing, Run, RunInfo, State, Status, Which};
use crate::train::{Report, Trainer, Training, adam};
use crate::{Error, Result};

/// Arguments of `sarb train`.
#[derive(Debug, Clone, Args)]
pub struct Train {
    /// The experiment; without one, the paper's settings
    pub recipe: Option<PathBuf>,
    /// Data folder with train.csv and, if wanted, words.npy or words.txt
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Folder of the run
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,
    /// Method, in place of the recipe's
    #[arg(long, value_name = "M", value_parser = PossibleValuesParser::new(crate::methods::NAMES))]
    pub method: Option<String>,
    /// Proportion of the labels that stay known; the rest are hidden by the official scheme
    #[arg(long, value_name = "P")]
    pub known: Option<f64>,
    /// Seed of the mask that --known draws
    #[arg(long, value_name = "N")]
    pub mask_seed: Option<u32>,
    /// Pretrained weights of the backbone: .pth or .safetensors
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Word vectors: .npy [C, E] in column order, or GloVe text looked up by name
    #[arg(long, value_name = "FILE")]
    pub words: Option<PathBuf>,
    /// Your own features in place of images: .npy or .safetensors, [N, D] or [N, D, H, W], rows in file order
    #[arg(long, value_name = "FILE")]
    pub features: Option<PathBuf>,
    /// Overrides a setting of the recipe, such as train.epochs=10; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// cpu, vulkan, cuda or metal
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub device: String,
    /// Seed of everything but the mask
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Go on with the run in --out
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
    /// Trains, and prints the folder of the run.
    pub fn run(&self) -> Result<()> {
        let device = super::device(&self.device)?;
        self.train(&device)?;
        print(&format!("{}", self.out.display()))?;
        Ok(())
    }

    /// Trains; progress goes to stderr.
    pub fn train(&self, device: &Device) -> Result<Run> {
        let recipe = self.read_recipe()?;
        let existing = match (self.resume, self.force) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Replace,
            _ => Existing::Refuse,
        };
        // Everything that can be wrong with the inputs is found before the folder is touched, and
        // what costs nothing to check before anything is computed.
        Run::check(&self.out, existing)?;
        let resumes = self.resume && Run::open(&self.out).is_ok_and(|run| run.has_checkpoint());
        if resumes {
            same_experiment(&Run::open(&self.out)?.recipe()?, &recipe, &self.out)?;
        }
        let prepared = prepare(&recipe, &self.sources()?, device)?;
        prepared.notes.iter().for_each(|note| say(note));
        let run = Run::create(&self.out, existing)?;
        let mut info = self.info(&recipe, &prepared)?;
        let mut training = if resumes {
            resume(&run, &recipe, &prepared, &info, device)?
        } else {
            begin(&run, &recipe, &prepared, device)?
        };
        run.save_info(&info)?;

        let loader = Loader::default();
        let trainer = Trainer { recipe: &recipe, prepared: &prepared, run: &run, device, loader: &loader };
        let result = trainer.train(&mut training, &mut Progress::new(&recipe).reporter());
        // Stopped between epochs: the last checkpoint, or the beginning, is where --resume goes on.
        let result = match result {
            Err(Error::Stopped) => Err(Error::Interrupted { epoch: training.state.epoch }),
            result => result,
        };
        info.status = match &result {
            Ok(()) => Status::Done,
            Err(Error::Interrupted { .. }) => Status::Interrupted,
            Err(error) => {
                info.error = Some(error.to_string());
                Status::Failed
            }
        };
        note(&mut info, &training.state);
        run.save_info(&info)?;
        result?;
        say(&format!(
            "{} of {}: best epoch {} of {}, {}",
            recipe.method.name(),
            self.data.display(),
            info.best_epoch,
            info.epochs,
            duration(info.seconds)
        ));
        Ok(run)
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
        Recipe::read(file, self.method.as_deref(), &sets)
    }

    fn sources(&self) -> Result<Sources> {
        Ok(Sources {
            data: self.data.clone(),
            weights: self.weights.clone(),
            words: self.words.clone(),
            features: self.features.clone(),
            cache: self.cache.cache()?,
        })
    }

    fn info(&self, recipe: &Recipe, prepared: &Prepared) -> Result<RunInfo> {
        Ok(RunInfo {
            status: Status::Running,
            error: None,
            version: env!("CARGO_PKG_VERSION").into(),
            method: recipe.method.name().into(),
            data: std::path::absolute(&self.data).map_err(|e| Error::io(&self.data, e))?,
            fingerprint: prepared.fingerprint.clone(),
            channels: prepared.channels,
            trains_backbone: prepared.backbone.is_some(),
            extractor: prepared.extractor.as_ref().map(|extractor| extractor.key.clone()),
            features: self.features.as_deref().map(weights::fingerprint).transpose()?,
            backend: "burn 0.22.1".into(),
            device: self.device.clone(),
            epochs: 0,
            best_epoch: 0,
            images_per_second: 0.0,
            seconds: 0.0,
            peak_rss_mb: 0.0,
        })
    }
}

/// A new run: recipe, data and frozen backbone are saved, the network gets its initial weights.
fn begin(run: &Run, recipe: &Recipe, prepared: &Prepared, device: &Device) -> Result<Training> {
    run.save_recipe(recipe)?;
    prepared.categories.save(&run.path("data"))?;
    csv::write(&run.path("data/train.csv"), &prepared.annotations.select(&prepared.rows))?;
    if !prepared.validation.is_empty() {
        csv::write(&run.path("data/val.csv"), &prepared.annotations.select(&prepared.validation))?;
    }
    if let Some(extractor) = &prepared.extractor {
        let path = run.path(EXTRACTOR_FILE);
        extractor.network.backbone().save(&path)?;
    }
    Ok(Training { model: model(recipe, prepared, device), optimizer: adam(recipe), state: State::default() })
}

/// Only more epochs may be asked of a run that is resumed, and only where the epochs so far do not
/// depend on how many there will be.
fn same_experiment(saved: &Recipe, recipe: &Recipe, dir: &Path) -> Result<()> {
    let epochs = match saved.train.schedule {
        Schedule::Cosine => saved.train.epochs,
        _ => recipe.train.epochs.max(saved.train.epochs),
    };
    let allowed = Recipe { train: TrainRecipe { epochs, ..saved.train.clone() }, ..saved.clone() };
    if allowed == *recipe {
        return Ok(());
    }
    Err(Error::Incompatible(format!(
        "{} was begun with other settings; resume it without a recipe and --set (train.epochs may grow, unless train.schedule is \"cosine\"), or train into another folder",
        dir.display()
    )))
}

/// The run's last checkpoint, if its inputs are still the same.
fn resume(
    run: &Run,
    recipe: &Recipe,
    prepared: &Prepared,
    now: &RunInfo,
    device: &Device,
) -> Result<Training> {
    let begun = run.info()?;
    let differs = |what: &str| {
        Error::Incompatible(format!("{what} is not what the run was begun with; train into another folder"))
    };
    if begun.fingerprint != now.fingerprint {
        return Err(differs(&format!("{}: this table of labels", prepared.annotations.source.display())));
    }
    if (&begun.extractor, begun.trains_backbone) != (&now.extractor, now.trains_backbone) {
        return Err(differs("the backbone of --weights"));
    }
    if (&begun.features, begun.channels) != (&now.features, now.channels) {
        return Err(differs("the file of --features"));
    }
    run.save_recipe(recipe)?;
    let mut model = run.load_model(Which::Last, model(recipe, prepared, device))?;
    run.restore_method(&mut model)?;
    let (optimizer, state) = run.load_training(adam(recipe))?;
    say(&format!("resuming after epoch {}, step {}", state.epoch, state.step));
    Ok(Training { model, optimizer, state })
}

fn model(recipe: &Recipe, prepared: &Prepared, device: &Device) -> Model {
    let counts = prepared.annotations.labels.select(&prepared.rows).counts();
    let backbone = prepared.backbone.clone().map(Module::train);
    let device = device.clone().autodiff();
    Model::new(recipe, &prepared.categories, counts, prepared.channels, backbone, &device)
}

fn note(info: &mut RunInfo, state: &State) {
    info.epochs = state.epoch;
    info.best_epoch = state.best.map_or(0, |(_, epoch)| epoch);
    info.images_per_second = state.history.last().map_or(0.0, |row| row.images_per_second);
    info.seconds = state.seconds;
    info.peak_rss_mb = peak_rss_mb();
}

/// Progress for people: a bar within an epoch, a line after it.
struct Progress {
    epochs: usize,
    started: std::time::Instant,
}

impl Progress {
    fn new(recipe: &Recipe) -> Self {
        Self { epochs: recipe.train.epochs, started: std::time::Instant::now() }
    }

    fn reporter(self) -> impl FnMut(Report) {
        let bar = progress_bar("");
        let mut first_epoch = None;
        move |report| match report {
            Report::Step { at, losses, images_per_second } => {
                bar.set_length(at.steps as u64);
                bar.set_position(at.step as u64 + 1);
                bar.set_message(format!(
                    "epoch {} {} {images_per_second:.0} images/s",
                    at.epoch + 1,
                    terms(losses)
                ));
            }
            Report::Epoch(row) => {
                let first = *first_epoch.get_or_insert(row.epoch);
                let done = row.epoch - first;
                let left = self.epochs.saturating_sub(row.epoch) as f64
                    * self.started.elapsed().as_secs_f64()
                    / done.max(1) as f64;
                bar.suspend(|| say(&self.line(row, (done > 0).then_some(left))));
                if row.epoch >= self.epochs {
                    bar.finish_and_clear();
                }
            }
        }
    }

    fn line(&self, row: &EpochRow, left: Option<f64>) -> String {
        let mut parts = vec![match row.epoch {
            0 => "start".to_string(),
            epoch => format!("epoch {epoch}/{}", self.epochs),
        }];
        if !row.losses.is_empty() {
            parts.push(terms(&row.losses));
        }
        if let (Some(loss), Some(map)) = (row.validation_loss, row.validation_map) {
            parts.push(format!("validation loss {loss:.4} mAP {:.1}", 100.0 * map));
        }
        if row.images_per_second > 0.0 {
            parts.push(format!("{:.0} images/s", row.images_per_second));
        }
        parts.extend(left.filter(|left| *left > 0.0).map(|left| format!("{} left", duration(left))));
        parts.join("  ")
    }
}

fn terms(losses: &[(String, f64)]) -> String {
    losses.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join(" ")
}
