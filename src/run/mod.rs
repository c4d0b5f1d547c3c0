//! The run folder: recipe, status, data, checkpoints and logs, each written to a temporary name and
//! renamed, so that a run that is killed at any point loses nothing already saved.

mod history;
mod info;

use std::io::Write;
use std::path::{Path, PathBuf};

use sarb_labels::categories::Categories;
use sarb_labels::files::{folder_of, write_atomically};
use serde::Serialize;

use crate::recipe::Recipe;
use crate::tensorboard::{self, Point};
use crate::{Error, Result};

pub use history::{EpochRow, State};
pub use info::{MapOrigin, RunInfo, Status, ValOrigin, Validated};

/// The folder of one training.
#[derive(Debug, Clone)]
pub struct Run {
    dir: PathBuf,
}

/// The files that a run writes.
const FILES: &[&str] = &[
    "recipe.toml",
    "run.json",
    "metrics.csv",
    "events.jsonl",
    "backbone.safetensors",
    "anchor.bpk",
    "anchor.new.bpk",
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
    /// Whether a run may be written to `dir`, before anything is computed.
    ///
    /// # Errors
    /// [`Error::Usage`] if the folder holds something and `existing` refuses it, or if it is to be
    /// resumed or replaced and is not a run.
    pub fn check(dir: &Path, existing: Existing) -> Result<()> {
        let occupied = dir.is_dir() && dir.read_dir().map_err(|e| Error::io(dir, e))?.next().is_some();
        let is_run = dir.join("recipe.toml").is_file() && dir.join("checkpoints").is_dir();
        let shown = dir.display();
        match existing {
            _ if !occupied => Ok(()),
            Existing::Refuse => Err(Error::Usage(format!(
                "{shown} is not empty; --resume continues the run in it, --force replaces it"
            ))),
            _ if is_run => Ok(()),
            Existing::Resume => {
                Err(Error::Usage(format!("{shown} is not empty and is not a run; give another --out")))
            }
            Existing::Replace => Err(Error::Usage(format!(
                "{shown} is not empty and is not a run; --force replaces runs only"
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
            return Err(Error::Missing(format!(
                "{}: not a run folder (it has no recipe.toml)",
                dir.display()
            )));
        }
        Ok(Self { dir: dir.to_path_buf() })
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

fn remove(path: &Path, how: impl Fn(&Path) -> std::io::Result<()>) -> Result<()> {
    match how(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => Ok(()),
    }
}
