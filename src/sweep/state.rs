//! What the folder of a sweep holds: its plan, where its inputs lie, and how far each cell is.

use std::io::Write;
use std::path::{Path, PathBuf};

use sarb_labels::Split;
use sarb_labels::files::{folder_of, write_atomically};
use sarb_labels::temporary::sweep_once;
use sarb_labels::text::in_percent;
use serde::{Deserialize, Serialize};

use super::claim;
use super::plan::{Cell, Plan};
use crate::run::{Run, Status, Which};
use crate::seal::{json, read_json};
use crate::track::Target;
use crate::{Error, Result};

/// The file that makes a folder a sweep's.
pub(crate) const FILE: &str = "sweep.toml";

/// A sweep: `sweep.toml` and the folder it lies in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// The sweep's folder.
    #[serde(skip)]
    pub dir: PathBuf,
    /// The folder that the plan's recipes are relative to.
    pub base: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// Pretrained weights of the backbone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Word vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<PathBuf>,
    /// The user's own features of the training images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<PathBuf>,
    /// Those of the images of `val.csv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_features: Option<PathBuf>,
    /// Those of the images that are evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_features: Option<PathBuf>,
    /// The split that cells are evaluated on.
    #[serde(with = "split_name")]
    pub split: Split,
    /// Rows, proportions and seeds.
    pub plan: Plan,
}

/// How far a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellStatus {
    /// Trained and evaluated.
    Done,
    /// Some process is at it.
    Running,
    /// Begun, and nobody is at it.
    Interrupted,
    /// Ended with an error.
    Failed,
    /// Not begun.
    Waiting,
}

/// A cell and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct CellState {
    /// The cell.
    pub cell: Cell,
    /// Its run folder, as an absolute path if the sweep's folder was given as one.
    pub folder: PathBuf,
    /// How far it is.
    pub status: CellStatus,
    /// Its mAP in 0…1, if it is done.
    pub map: Option<f64>,
    /// Seconds of its training, if it is done.
    pub seconds: Option<f64>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// What is kept of a cell that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The exit code of its training or evaluation; 1 if it was killed.
    pub code: i32,
    /// What it said last.
    pub reason: String,
}

impl Sweep {
    /// Opens the folder of a sweep to read it.
    ///
    /// # Errors
    /// [`Error::Missing`] if it is none, [`Error::Usage`] if its `sweep.toml` is damaged.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::Missing(format!("{}: not a sweep folder (it has no {FILE})", dir.display()))
            }
            _ => Error::io(&path, e),
        })?;
        let mut sweep: Self = toml::from_str(&text).map_err(|e| {
            Error::Usage(format!("{}: {}", path.display(), e.message().trim().replace('\n', "; ")))
        })?;
        sweep.dir = std::path::absolute(dir).map_err(|e| Error::io(dir, e))?;
        Ok(sweep)
    }

    /// Writes `sweep.toml`.
    pub(crate) fn save(&self) -> Result<()> {
        let text = toml::to_string(self).expect("a sweep is a plain table");
        Ok(write_atomically(&self.dir.join(FILE), |file| file.write_all(text.as_bytes()))?)
    }

    /// Every cell and how far it is, in the order of the plan.
    pub fn cells(&self) -> Result<Vec<CellState>> {
        self.plan.cells().into_iter().map(|cell| self.state(cell)).collect()
    }

    /// The cells that are done, with their runs, in the order of the plan.
    pub fn done(&self) -> Result<Vec<(Cell, Run)>> {
        let mut done = Vec::new();
        for cell in self.plan.cells() {
            if self.result(&cell)?.is_some() {
                let run = Run::open(&self.folder(&cell))?;
                done.push((cell, run));
            }
        }
        Ok(done)
    }

    /// How far a cell is.
    pub fn state(&self, cell: Cell) -> Result<CellState> {
        // The lock first: a cell that ends between the two looks is done then.
        let held = claim::is_held(&self.log(&cell))?;
        let result = self.result(&cell)?;
        let failure = if result.is_none() && !held { self.failure(&cell)? } else { None };
        let folder = self.folder(&cell);
        let status = match (&result, &failure) {
            (Some(_), _) => CellStatus::Done,
            _ if held => CellStatus::Running,
            (_, Some(_)) => CellStatus::Failed,
            _ if folder.join("recipe.toml").is_file() => CellStatus::Interrupted,
            _ => CellStatus::Waiting,
        };
        Ok(CellState {
            cell,
            folder,
            status,
            map: result.map(|(map, _)| map),
            seconds: result.map(|(_, seconds)| seconds),
            error: failure.map(|failure| failure.reason),
        })
    }

    /// mAP and training seconds of a cell that is trained and evaluated.
    pub(crate) fn result(&self, cell: &Cell) -> Result<Option<(f64, f64)>> {
        if !self.is_trained(cell)? {
            return Ok(None);
        }
        let run = Run::open(&self.folder(cell))?;
        match run.measurement(self.split)? {
            // Of another checkpoint or of other scores, by hand: the sweep measures the cell anew.
            Some(measured) if run.outdated(&measured, Which::Best)?.is_none() => {
                Ok(Some((measured.scores.map, run.info()?.seconds)))
            }
            _ => Ok(None),
        }
    }

    /// Why the measurement of a cell that is trained is not the sweep's, if there is one.
    pub(crate) fn outdated(&self, cell: &Cell) -> Result<Option<&'static str>> {
        if !self.is_trained(cell)? {
            return Ok(None);
        }
        let run = Run::open(&self.folder(cell))?;
        run.measurement(self.split)?.map_or(Ok(None), |measured| run.outdated(&measured, Which::Best))
    }

    /// Whether nothing but the evaluation is left.
    pub(crate) fn is_trained(&self, cell: &Cell) -> Result<bool> {
        let folder = self.folder(cell);
        if !folder.join("run.json").is_file() || !folder.join("recipe.toml").is_file() {
            return Ok(false);
        }
        Ok(Run::open(&folder)?.info()?.status == Status::Done)
    }

    /// The run folder of a cell.
    pub fn folder(&self, cell: &Cell) -> PathBuf {
        self.dir.join(self.plan.folder(cell))
    }

    /// Where the output of a cell's training and evaluation goes.
    pub fn log(&self, cell: &Cell) -> PathBuf {
        self.file("logs", cell, "log")
    }

    /// Where the resolved recipe of a cell lies once it is begun.
    pub(crate) fn recipe_file(&self, cell: &Cell) -> PathBuf {
        self.file("recipes", cell, "toml")
    }

    /// `KIND/ROW/known-10-seed-0.EXTENSION`.
    fn file(&self, kind: &str, cell: &Cell, extension: &str) -> PathBuf {
        let folder = self.dir.join(kind).join(self.plan.rows[cell.row].folder());
        folder.join(format!("known-{}-seed-{}.{extension}", in_percent(cell.known), cell.seed))
    }

    /// A cell as messages call it.
    pub fn name(&self, cell: &Cell) -> String {
        format!("{}, {} % known, seed {}", self.plan.rows[cell.row].name, in_percent(cell.known), cell.seed)
    }

    /// How a cell is told to a tracking server: a run of its name, with a tag that has the name of the sweep's folder.
    pub(crate) fn track(&self, cell: &Cell, target: &Target) -> Target {
        let folder = self.dir.file_name().map_or_else(|| "sweep".into(), |name| name.to_string_lossy());
        target.in_group(&folder, &self.name(cell))
    }

    /// The cells that were begun, with what a tracking server is told of each.
    pub fn tracked(&self, target: &Target) -> Vec<(PathBuf, Target)> {
        let cells = self.plan.cells().into_iter();
        let cells = cells.map(|cell| (self.folder(&cell), self.track(&cell, target)));
        cells.filter(|(folder, _)| Run::open(folder).is_ok()).collect()
    }

    /// Why a cell failed, if it did.
    pub fn failure(&self, cell: &Cell) -> Result<Option<Failure>> {
        let path = self.file("failed", cell, "json");
        if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Removes what a sweep left that was killed while it noted that a cell failed: nobody may fail there again.
    pub(crate) fn tidy_failures(&self, cell: &Cell) {
        sweep_once(folder_of(&self.file("failed", cell, "json")));
    }

    /// Notes that a cell failed, or that it no longer has.
    pub(crate) fn set_failure(&self, cell: &Cell, failure: Option<&Failure>) -> Result<()> {
        let path = self.file("failed", cell, "json");
        if let Some(failure) = failure {
            let text = json(failure);
            return write_with_folder(&path, &text);
        }
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path, e)),
            _ => Ok(()),
        }
    }
}

/// Writes a file whose folder may not be there yet.
pub(crate) fn write_with_folder(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    Ok(write_atomically(path, |file| file.write_all(bytes))?)
}

/// Whether two paths lead to the same file; textually, if it is gone.
pub(crate) fn same_file(a: Option<&PathBuf>, b: Option<&PathBuf>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            let real = |path: &Path| path.canonicalize().ok();
            a == b || real(a).is_some_and(|a| Some(a) == real(b))
        }
        (a, b) => a == b,
    }
}

/// A split by its name.
mod split_name {
    use sarb_labels::Split;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(split: &Split, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(split)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Split, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep_in(dir: &Path) -> Sweep {
        let plan = "known = [0.1]\nset = ['train.epochs=1']\n[[row]]\nname = 'A'\nrecipe = 'a.toml'\n\
                    more_seeds = [{ known = 0.1, seeds = [1] }]\ntables = ['ablation']\n\
                    [[row]]\nname = 'B'\nrecipe = 'b.toml'";
        Sweep {
            dir: dir.to_path_buf(),
            base: "/plans".into(),
            data: "/data".into(),
            weights: Some("/w.pth".into()),
            words: None,
            features: None,
            val_features: None,
            test_features: None,
            split: Split::Test,
            plan: toml::from_str(plan).unwrap(),
        }
    }

    #[test]
    fn what_is_left_of_a_note_of_a_failure_goes() {
        let dir = tempfile::tempdir().unwrap();
        let sweep = sweep_in(dir.path());
        let cell = sweep.plan.cells()[0].clone();
        let file = sweep.file("failed", &cell, "json");
        let left = folder_of(&file).join(".sarb-otherpod-1-0.tmp");
        std::fs::create_dir_all(folder_of(&left)).unwrap();
        // So old that it is of no process any more, whatever the host.
        std::fs::File::create(&left).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        sweep.tidy_failures(&cell);
        assert!(!left.exists());
    }

    #[test]
    fn a_sweep_reads_back_as_it_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let sweep = sweep_in(dir.path());
        sweep.save().unwrap();
        assert_eq!(Sweep::open(dir.path()).unwrap(), sweep);
        assert_eq!(sweep.cells().unwrap()[2].status, CellStatus::Waiting);
        assert!(sweep.done().unwrap().is_empty());
        let log = sweep.log(&sweep.plan.cells()[2]);
        assert!(log.ends_with("logs/a/known-10-seed-1.log"), "{}", log.display());
    }

    #[test]
    fn a_folder_that_is_no_sweep_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Sweep::open(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains("not a sweep folder"), "{error}");
    }
}
