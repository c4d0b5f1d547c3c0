//! The run folder: recipe, status, data, checkpoints and logs, each written to a temporary name and
//! renamed, so that a run that is killed at any point loses nothing already saved.

use std::io::Write;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use serde::{Deserialize, Serialize};

use crate::data::categories::Categories;
use crate::files::{sync_folder, write_atomically};
use crate::methods::Method;
use crate::model::Model;
use crate::recipe::Recipe;
use crate::tensorboard::{self, Point};
use crate::{Error, Result};

/// The folder of one training.
#[derive(Debug, Clone)]
pub struct Run {
    dir: PathBuf,
}

/// What a method keeps beside its weights, in a checkpoint.
const METHOD_STATE: &str = "method.bin";

/// The files that a run writes.
const FILES: &[&str] = &[
    "recipe.toml",
    "run.json",
    "metrics.csv",
    "events.jsonl",
    "backbone.safetensors",
    "data/train.csv",
    "data/val.csv",
    "data/categories.json",
    "data/cooccurrence.npy",
    "data/words.npy",
];
/// The folders that hold nothing but what a run writes.
const FOLDERS: &[&str] = &["checkpoints", "evaluation", "tensorboard"];

/// What to do with a folder that already holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse it.
    Refuse,
    /// Go on from its last checkpoint.
    Resume,
    /// Delete the run in it and start anew.
    Replace,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Training, or killed while it was.
    Running,
    /// Finished.
    Done,
    /// Stopped by a signal, with a checkpoint.
    Interrupted,
    /// Ended with an error.
    Failed,
}

/// `run.json`: what a reader wants to know of a run without opening a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// How far it is.
    pub status: Status,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Version of the program.
    pub version: String,
    /// The method's name.
    pub method: String,
    /// The folder of the data, as an absolute path.
    pub data: PathBuf,
    /// Hash of the training labels and image paths that were used.
    pub fingerprint: String,
    /// Channels of the feature maps that the head reads.
    pub channels: usize,
    /// Whether the checkpoint holds a trained backbone.
    pub trains_backbone: bool,
    /// Key of the wholly frozen backbone in `backbone.safetensors`, if the run has one.
    pub extractor: Option<String>,
    /// Hash of the user's feature file, if the run has one.
    pub features: Option<String>,
    /// What computed it.
    pub backend: String,
    /// Where it was computed.
    pub device: String,
    /// Epochs completed.
    pub epochs: usize,
    /// The epoch of `checkpoints/best`, from 1; 0 is the state before the first step.
    pub best_epoch: usize,
    /// Training throughput of the last epoch.
    pub images_per_second: f64,
    /// Wall-clock seconds of the training, over all its parts.
    pub seconds: f64,
    /// Peak resident memory of the process in MiB.
    pub peak_rss_mb: f64,
}

/// The state of training beside weights and moments.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Epochs completed.
    pub epoch: usize,
    /// Steps completed in the epoch after them.
    pub step: usize,
    /// Means of the loss terms over those steps.
    pub losses: Vec<(String, f64)>,
    /// The best validation value so far, and its epoch.
    pub best: Option<(f64, usize)>,
    /// A row for every completed epoch.
    pub history: Vec<EpochRow>,
    /// Wall-clock seconds so far.
    pub seconds: f64,
}

/// One completed epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// From 1; 0 is the state before the first step.
    pub epoch: usize,
    /// Mean of each unweighted loss term.
    pub losses: Vec<(String, f64)>,
    /// Mean BCE over the known labels of the validation split.
    pub validation_loss: Option<f64>,
    /// mAP over the known labels of the validation split.
    pub validation_map: Option<f64>,
    /// Learning rate of the epoch's first step.
    pub learning_rate: f64,
    /// Training throughput.
    pub images_per_second: f64,
    /// When it ended, seconds since 1970.
    pub wall_time: f64,
}

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// The epoch that the validation split chose.
    Best,
    /// The newest.
    Last,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Which::Best => "best",
            Which::Last => "last",
        }
    }
}

impl Run {
    /// Whether a run may be written to `dir`, before anything is computed.
    ///
    /// # Errors
    /// [`Error::Usage`] if the folder holds something and `existing` refuses it, or if it is to be
    /// resumed or replaced and is no run.
    pub fn check(dir: &Path, existing: Existing) -> Result<()> {
        let occupied = dir.is_dir() && dir.read_dir().map_err(|e| Error::io(dir, e))?.next().is_some();
        let is_run = dir.join("recipe.toml").is_file() && dir.join("checkpoints").is_dir();
        let shown = dir.display();
        match existing {
            _ if !occupied => Ok(()),
            Existing::Refuse => Err(Error::Usage(format!(
                "{shown} is not empty; --resume goes on with the run in it, --force replaces it"
            ))),
            _ if is_run => Ok(()),
            Existing::Resume => {
                Err(Error::Usage(format!("{shown} holds something that is no run; give another --out")))
            }
            Existing::Replace => Err(Error::Usage(format!(
                "{shown} holds something that is no run; --force replaces runs only"
            ))),
        }
    }

    /// Makes the folder of a new run, or takes up an old one; of one that is replaced, what a run
    /// wrote is deleted and nothing else.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub fn create(dir: &Path, existing: Existing) -> Result<Self> {
        Self::check(dir, existing)?;
        let run = Self { dir: dir.to_path_buf() };
        if existing == Existing::Replace {
            FILES.iter().try_for_each(|file| remove(&run.path(file), |path| std::fs::remove_file(path)))?;
            FOLDERS.iter().try_for_each(|folder| remove_dir(&run.path(folder)))?;
        }
        for part in FOLDERS.iter().chain(&["data"]) {
            let part = run.path(part);
            std::fs::create_dir_all(&part).map_err(|e| Error::io(&part, e))?;
        }
        Ok(run)
    }

    /// Opens the folder of a run to read it.
    pub fn open(dir: &Path) -> Result<Self> {
        if !dir.join("recipe.toml").is_file() {
            return Err(Error::Missing(format!("{}: no run folder (it has no recipe.toml)", dir.display())));
        }
        Ok(Self { dir: dir.to_path_buf() })
    }

    /// A path within the folder.
    pub fn path(&self, part: &str) -> PathBuf {
        self.dir.join(part)
    }

    /// Whether training has left a checkpoint to go on from.
    pub fn has_checkpoint(&self) -> bool {
        self.checkpoint_dir(Which::Last).is_ok()
    }

    /// Writes the resolved recipe.
    pub fn save_recipe(&self, recipe: &Recipe) -> Result<()> {
        self.write("recipe.toml", recipe.to_toml().as_bytes())
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> Result<Recipe> {
        Recipe::read(Some(&self.path("recipe.toml")), None, &[])
    }

    /// Writes `run.json`.
    pub fn save_info(&self, info: &RunInfo) -> Result<()> {
        self.write("run.json", &json(info))
    }

    /// Reads `run.json`.
    pub fn info(&self) -> Result<RunInfo> {
        read_json(&self.path("run.json"))
    }

    /// The data folder that is `given`, or else the one that the run was trained on.
    pub fn data(&self, given: Option<&Path>) -> Result<PathBuf> {
        given.map_or_else(|| Ok(self.info()?.data), |dir| Ok(dir.to_path_buf()))
    }

    /// The categories that the run was trained on.
    pub fn categories(&self) -> Result<Categories> {
        Categories::load(&self.path("data"))
    }

    /// Writes `text` to a file of the folder.
    pub fn write(&self, part: &str, bytes: &[u8]) -> Result<()> {
        write_atomically(&self.path(part), |file| file.write_all(bytes))
    }

    /// Appends one line of JSON to `events.jsonl`.
    pub fn event(&self, event: &serde_json::Value) -> Result<()> {
        let path = self.path("events.jsonl");
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|e| Error::io(&path, e))?;
        writeln!(file, "{event}").map_err(|e| Error::io(&path, e))
    }

    /// Writes what TensorBoard shows, a point an epoch.
    pub fn save_tensorboard(&self, history: &[EpochRow]) -> Result<()> {
        let point = |row: &EpochRow| {
            let losses = row.losses.iter().map(|(name, value)| (format!("loss/{name}"), *value as f32));
            let more = [
                ("validation/loss", row.validation_loss),
                ("validation/mAP", row.validation_map),
                ("learning_rate", Some(row.learning_rate)),
                ("images_per_second", (row.epoch > 0).then_some(row.images_per_second)),
            ];
            let more = more.into_iter().filter_map(|(tag, value)| Some((tag.to_string(), value? as f32)));
            Point { wall_time: row.wall_time, step: row.epoch as i64, scalars: losses.chain(more).collect() }
        };
        let points: Vec<Point> = history.iter().map(point).collect();
        // In place, not renamed: a TensorBoard that watches keeps the file open, and the bytes of the
        // earlier epochs stay as they were.
        let path = self.path("tensorboard/events.out.tfevents.sarb");
        std::fs::write(&path, tensorboard::encode(&points)).map_err(|e| Error::io(&path, e))
    }

    /// Writes `metrics.csv`, a row an epoch.
    pub fn save_metrics(&self, history: &[EpochRow]) -> Result<()> {
        let mut terms: Vec<&str> = Vec::new();
        for (name, _) in history.iter().flat_map(|row| &row.losses) {
            if !terms.contains(&name.as_str()) {
                terms.push(name);
            }
        }
        let mut text = String::from("epoch,learning_rate,images_per_second,validation_loss,validation_map");
        terms.iter().for_each(|term| text.push_str(&format!(",{term}")));
        text.push('\n');
        let cell = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.6}"));
        for row in history {
            let loss = |term: &&str| cell(row.losses.iter().find(|(name, _)| name == term).map(|(_, v)| *v));
            let mut cells = vec![
                row.epoch.to_string(),
                format!("{:e}", row.learning_rate),
                format!("{:.1}", row.images_per_second),
                cell(row.validation_loss),
                cell(row.validation_map),
            ];
            cells.extend(terms.iter().map(loss));
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        self.write("metrics.csv", text.as_bytes())
    }

    /// Saves weights, optimiser and state under a new name, then puts it in the place of the old one.
    pub fn save_checkpoint(
        &self,
        which: Which,
        model: &Model,
        optimizer: &ModuleOptimizer,
        state: &State,
    ) -> Result<()> {
        let folder = |suffix: &str| self.path(&format!("checkpoints/{}{suffix}", which.name()));
        let (new, old, now) = (folder(".new"), folder(".old"), folder(""));
        remove_dir(&new)?;
        std::fs::create_dir_all(&new).map_err(|e| Error::io(&new, e))?;
        let record = |file: &str, result: Result<(), burn::store::RecordError>| {
            result.map_err(|e| Error::io(new.join(file), std::io::Error::other(e.to_string())))
        };
        record("model.bpk", model.clone().save_file(new.join("model.bpk")))?;
        if which == Which::Last {
            record("optimizer.bpk", optimizer.save(new.join("optimizer.bpk")))?;
            if let Some(state) = model.head.state() {
                write_atomically(&new.join(METHOD_STATE), |file| file.write_all(&state))?;
            }
        }
        for file in
            ["model.bpk", "optimizer.bpk"].map(|file| new.join(file)).iter().filter(|file| file.is_file())
        {
            std::fs::File::open(file).and_then(|file| file.sync_all()).map_err(|e| Error::io(file, e))?;
        }
        write_atomically(&new.join("state.json"), |file| file.write_all(&json(state)))?;
        // At every moment one of `now` and `old` is whole; a kill between the renames leaves `old`.
        if now.is_dir() {
            remove_dir(&old)?;
            std::fs::rename(&now, &old).map_err(|e| Error::io(&now, e))?;
        }
        std::fs::rename(&new, &now).map_err(|e| Error::io(&now, e))?;
        sync_folder(&self.path("checkpoints")).map_err(|e| Error::io(&now, e))?;
        remove_dir(&old)
    }

    /// Loads the weights of a checkpoint into `model`.
    ///
    /// # Errors
    /// [`Error::Missing`] without a checkpoint, [`Error::Incompatible`] if it is damaged or of
    /// another network.
    pub fn load_model(&self, which: Which, model: Model) -> Result<Model> {
        let path = self.checkpoint_dir(which)?.join("model.bpk");
        let incompatible = |why: String| Error::Incompatible(format!("{}: {why}", path.display()));
        let model = guarded(|| model.try_load_file(&path)).map_err(incompatible)?;
        model.map_err(|e| incompatible(e.to_string()))
    }

    /// Gives the method of a network that is resumed what it keeps beside its weights.
    pub fn restore_method(&self, model: &mut Model) -> Result<()> {
        let path = self.checkpoint_dir(Which::Last)?.join(METHOD_STATE);
        match std::fs::read(&path) {
            Ok(state) => model
                .head
                .restore(&state)
                .map_err(|error| Error::Incompatible(format!("{}: {error}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io(&path, error)),
        }
    }

    /// Loads the optimiser and the state of the newest checkpoint.
    pub fn load_training(&self, optimizer: ModuleOptimizer) -> Result<(ModuleOptimizer, State)> {
        let folder = self.checkpoint_dir(Which::Last)?;
        let path = folder.join("optimizer.bpk");
        let incompatible = |why: String| Error::Incompatible(format!("{}: {why}", path.display()));
        let optimizer = guarded(|| optimizer.load(&path)).map_err(incompatible)?;
        Ok((optimizer.map_err(|e| incompatible(e.to_string()))?, read_json(&folder.join("state.json"))?))
    }

    /// The folder of a checkpoint; the previous one if a kill hit the moment between two renames.
    fn checkpoint_dir(&self, which: Which) -> Result<PathBuf> {
        let now = self.path(&format!("checkpoints/{}", which.name()));
        let old = self.path(&format!("checkpoints/{}.old", which.name()));
        [now, old].into_iter().find(|folder| folder.join("state.json").is_file()).ok_or_else(|| {
            Error::Missing(format!(
                "{}: no checkpoint `{}` yet; train it with --resume",
                self.dir.display(),
                which.name()
            ))
        })
    }
}

/// A damaged record makes Burn panic in places; for a user it is a file that does not fit.
fn guarded<T>(load: impl FnOnce() -> T) -> Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(load));
    std::panic::set_hook(hook);
    result.map_err(|_| "damaged, or of another network".to_string())
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain data");
    text.push(b'\n');
    text
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| Error::Incompatible(format!("{}: {e}", path.display())))
}

fn remove_dir(dir: &Path) -> Result<()> {
    remove(dir, |dir| std::fs::remove_dir_all(dir))
}

fn remove(path: &Path, how: impl Fn(&Path) -> std::io::Result<()>) -> Result<()> {
    match how(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => Ok(()),
    }
}
