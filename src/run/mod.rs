//! The run folder: recipe, status, data, checkpoints and logs, each written to a temporary name and
//! renamed, so that a run that is killed at any point loses nothing already saved.

mod history;
mod info;
mod measurement;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sarb_labels::categories::Categories;
use sarb_labels::files::{folder_of, write_atomically};
use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;
use crate::seal::{self, Hashes, json, read_json};
use crate::tensorboard::{self, Point};
use crate::{Error, Result};

pub use history::{EpochRow, Saved, State};
pub use info::{MapOrigin, RunInfo, Status, ValOrigin, Validated};
pub(crate) use measurement::file as measurement_file;
pub use measurement::{ANCHOR_SCORES, MadeOf, Measurement, SCORES};

/// What is known of the categories.
const CATEGORIES: [&str; 3] = ["data/categories.json", "data/cooccurrence.npy", "data/words.npy"];
/// What else a run writes when it begins and does not change.
const BEGINNING: [&str; 4] = ["data/train.csv", "data/val.csv", "backbone.safetensors", "anchor.bpk"];

/// The weights of a checkpoint.
pub const MODEL: &str = "model.bpk";
/// Its state, written last.
pub const STATE: &str = "state.json";

/// How often, and how long apart, a checkpoint is looked for that a training is replacing.
const LOOKS: usize = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// The folder of one training.
#[derive(Debug, Clone)]
pub struct Run {
    dir: PathBuf,
}

/// The line of `events.jsonl` that an epoch is complete, and whether it was the best by then.
pub fn epoch_event(row: &EpochRow, best: bool) -> serde_json::Value {
    serde_json::json!({ "event": "epoch", "row": row, "best": best })
}

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// The epoch that the validation images chose.
    Best,
    /// The newest.
    Last,
}

impl Which {
    /// The name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Which::Best => "best",
            Which::Last => "last",
        }
    }
}

impl Run {
    /// The run of a folder, which may not be one yet.
    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// Opens the folder of a run to read it.
    pub fn open(dir: &Path) -> Result<Self> {
        if !dir.join("recipe.toml").is_file() {
            return Err(Error::Missing(format!(
                "{}: not a run folder (it has no recipe.toml)",
                dir.display()
            )));
        }
        Ok(Self::at(dir))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
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
        self.write("recipe.toml", seal::toml(&recipe.to_toml()).as_bytes())
    }

    /// The resolved recipe.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if its file is damaged; what reading a recipe says.
    pub fn recipe(&self) -> Result<Recipe> {
        let path = self.path("recipe.toml");
        // Text that is not UTF-8 is the recipe's to refuse.
        if let Ok(text) = std::fs::read_to_string(&path) {
            seal::check_toml(&text, &path)?;
        }
        Recipe::read(Some(&path), None, &[])
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
    ///
    /// # Errors
    /// [`Error::Incompatible`] if one of their files is damaged; what reading them says.
    pub fn categories(&self) -> Result<Categories> {
        let files = self.info()?.files;
        for part in CATEGORIES {
            files.check(&self.dir, part)?;
        }
        Ok(Categories::load(&self.path("data"))?)
    }

    /// Writes `text` to a file of the folder.
    pub fn write(&self, part: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(part);
        // A copy of a run may lack its empty folders.
        let folder = folder_of(&path);
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        Ok(write_atomically(&path, |file| file.write_all(bytes))?)
    }

    /// The hashes of what it wrote when it began, and of its anchor.
    ///
    /// # Errors
    /// If one of the files cannot be read.
    pub(crate) fn hashes(&self) -> Result<Hashes> {
        let mut hashes = Hashes::default();
        for part in CATEGORIES.iter().chain(&BEGINNING).filter(|part| self.path(part).is_file()) {
            hashes.note(&self.dir, part)?;
        }
        Ok(hashes)
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

    /// Appends to `events.jsonl` that an epoch is complete, and whether it was the best by then.
    pub fn tell_epoch(&self, row: &EpochRow, best: bool) -> Result<()> {
        self.event(&epoch_event(row, best))
    }

    /// Writes what TensorBoard shows, a point per epoch.
    pub fn save_tensorboard(&self, history: &[EpochRow]) -> Result<()> {
        // In place, not renamed: a TensorBoard that watches keeps the file open, and the bytes of the
        // earlier epochs stay as they were.
        let path = self.path("tensorboard/events.out.tfevents.sarb");
        let points: Vec<Point> = history.iter().map(EpochRow::point).collect();
        std::fs::write(&path, tensorboard::encode(&points)).map_err(|e| Error::io(&path, e))
    }

    /// Writes `metrics.csv`, a row per epoch.
    pub fn save_metrics(&self, history: &[EpochRow]) -> Result<()> {
        self.write("metrics.csv", history::table(history).as_bytes())
    }

    /// What [`save_metrics`](Self::save_metrics) writes, of the newest checkpoint; none without one.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if that is damaged.
    pub fn metrics(&self) -> Result<Option<String>> {
        match self.saved(Which::Last) {
            Ok(saved) => Ok(Some(history::table(&saved.state.history))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Epochs completed, by the newest checkpoint; none without one.
    pub fn epochs_done(&self) -> Option<usize> {
        self.saved(Which::Last).ok().map(|saved| saved.state.epoch)
    }

    /// Where the training was at a checkpoint.
    ///
    /// # Errors
    /// [`Error::Missing`] without it, [`Error::Incompatible`] if it is damaged.
    pub fn saved(&self, which: Which) -> Result<Saved> {
        self.in_checkpoint(which, |folder| read_json(&folder.join(STATE)))
    }

    /// What `read` finds in the folder of a checkpoint. A training that goes on meanwhile renames the folders, so
    /// what is missing is looked for again, for a moment.
    ///
    /// # Errors
    /// Those of [`checkpoint_dir`](Self::checkpoint_dir) and of `read`.
    pub fn in_checkpoint<T>(&self, which: Which, read: impl Fn(&Path) -> Result<T>) -> Result<T> {
        for _ in 0..LOOKS {
            match self.checkpoint_dir(which).and_then(|folder| read(&folder)) {
                Err(error) if error.is_missing() && self.path("checkpoints").is_dir() => {
                    std::thread::sleep(BETWEEN_LOOKS);
                }
                found => return found,
            }
        }
        self.checkpoint_dir(which).and_then(|folder| read(&folder))
    }

    /// The folder of a checkpoint; the previous one if a kill hit the moment between two renames.
    pub fn checkpoint_dir(&self, which: Which) -> Result<PathBuf> {
        let now = self.path(&format!("checkpoints/{}", which.name()));
        let old = self.path(&format!("checkpoints/{}.old", which.name()));
        let found = [now, old].into_iter().find(|folder| folder.join(STATE).is_file());
        found.ok_or_else(|| self.no_checkpoint(which))
    }

    /// That a checkpoint is not there, or not yet.
    pub(crate) fn no_checkpoint(&self, which: Which) -> Error {
        let (dir, name) = (self.dir.display(), which.name());
        Error::Missing(format!("{dir}: no checkpoint `{name}` yet; train it with --resume"))
    }

    /// The path of a file that the run wrote when it began, which must still hold what was written.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if it does not; [`Error::Missing`] if it is gone.
    pub fn whole(&self, part: &str) -> Result<PathBuf> {
        self.info()?.files.check(&self.dir, part)?;
        Ok(self.path(part))
    }
}

/// Deletes a folder, if it is there.
pub fn remove_dir(dir: &Path) -> Result<()> {
    remove(dir, |dir| std::fs::remove_dir_all(dir))
}

/// Deletes what `how` deletes, if it is there.
pub fn remove(path: &Path, how: impl Fn(&Path) -> std::io::Result<()>) -> Result<()> {
    match how(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => Ok(()),
    }
}
