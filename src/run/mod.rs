//! The run folder: recipe, status, data, checkpoints and logs, each written to a temporary name and
//! renamed, so that a run that is killed at any point loses nothing already saved.

mod history;
mod info;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sarb_labels::categories::Categories;
use sarb_labels::files::{folder_of, write_atomically};
use serde::Serialize;

use crate::recipe::Recipe;
use crate::tensorboard::{self, Point};
use crate::{Error, Result};

pub use history::{EpochRow, State};
pub use info::{MapOrigin, RunInfo, Status, ValOrigin, Validated};

/// How often, and how long apart, a checkpoint is looked for that a training is replacing.
const LOOKS: usize = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// The folder of one training.
#[derive(Debug, Clone)]
pub struct Run {
    dir: PathBuf,
}

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
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

    /// Epochs completed, by the newest checkpoint; none without one.
    pub fn epochs_done(&self) -> Option<usize> {
        let state = self.in_checkpoint(Which::Last, |folder| read_json::<State>(&folder.join("state.json")));
        state.ok().map(|state| state.epoch)
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
        [now, old].into_iter().find(|folder| folder.join("state.json").is_file()).ok_or_else(|| {
            Error::Missing(format!(
                "{}: no checkpoint `{}` yet; train it with --resume",
                self.dir.display(),
                which.name()
            ))
        })
    }
}

/// A value as a file of JSON.
pub fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain data");
    text.push(b'\n');
    text
}

/// Reads a file of JSON that a run or a sweep wrote.
///
/// # Errors
/// [`Error::Incompatible`] if it is damaged or of another version.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| Error::Incompatible(format!("{}: {e}", path.display())))
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
