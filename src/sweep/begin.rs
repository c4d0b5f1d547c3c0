//! Beginning a sweep or taking one up: what is wrong is found here, before anything is trained.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::state::{FILE, Sweep, same_file};
use super::{evaluation, features};
use crate::cancel::Cancel;
use crate::inputs::{Cache, Inputs, check_name};
use crate::lock::{self, BETWEEN_LOOKS, FileLock};
use crate::preflight::{self, Evaluated};
use crate::recipe::Recipe;
use crate::run::Run;
use crate::{Error, Result};

/// Held while `sweep.toml` is read and written.
const LOCK: &str = "sweep.lock";
/// How long another process that holds it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

impl Sweep {
    /// Begins a sweep in its folder, or takes up the one in it; returns the recipe of each cell.
    ///
    /// The plan may grow. What cells are evaluated on may change while none is evaluated, and with
    /// `evaluate_again`, which evaluates all anew; no cell is trained again for it. Nothing else may change:
    /// numbers of other settings or other inputs must not stand beside those that are there. `say` hears for whom
    /// it waits.
    ///
    /// # Errors
    /// [`Error::Usage`] for a folder that is not a sweep's or is being begun by another process all the time, other
    /// inputs, or cells that are done and no longer planned; [`Error::Stopped`] once `cancel` asks for it; [`Error::Recipe`] with all recipes that do not resolve; [`Error::Incompatible`]
    /// for begun cells whose settings changed; [`Error::Sweep`] with all that is wrong with the inputs of
    /// cells that are not trained.
    pub fn begin(&self, evaluate_again: bool, say: &dyn Fn(&str), cancel: &Cancel) -> Result<Vec<Recipe>> {
        self.check_names()?;
        let recipes = self.recipes()?;
        self.check_folder()?;
        let is_begun = self.dir.join(FILE).is_file();
        if !is_begun {
            self.check_inputs(&recipes)?;
        }
        std::fs::create_dir_all(&self.dir).map_err(|e| Error::io(&self.dir, e))?;
        let _lock = take(&self.dir.join(LOCK), say, cancel)?;
        if !self.dir.join(FILE).is_file() {
            self.save()?;
            return Ok(recipes);
        }
        let begun = Sweep::open(&self.dir)?;
        self.check_begun(&begun, &recipes)?;
        evaluation::change(&begun, self, evaluate_again)?;
        if begun != *self {
            self.save()?;
        }
        Ok(recipes)
    }

    /// What [`begin`](Self::begin) finds wrong, without touching the folder; returns the recipe of each cell.
    ///
    /// # Errors
    /// Those of [`begin`](Self::begin), but for changes of what cells are evaluated on.
    pub fn check(&self) -> Result<Vec<Recipe>> {
        self.check_names()?;
        let recipes = self.recipes()?;
        self.check_folder()?;
        match self.dir.join(FILE).is_file() {
            true => self.check_begun(&Sweep::open(&self.dir)?, &recipes)?,
            false => self.check_inputs(&recipes)?,
        }
        Ok(recipes)
    }

    /// What `sweep.toml` is to hold can be written into it.
    fn check_names(&self) -> Result<()> {
        self.inputs().check_names()?;
        check_name("the folder of the plan,", &self.base)?;
        self.test_features.iter().try_for_each(|path| check_name("--test-features", path))
    }

    /// The sweep in the folder is this one, and its inputs are still there.
    fn check_begun(&self, begun: &Sweep, recipes: &[Recipe]) -> Result<()> {
        self.check_same_inputs(begun)?;
        self.check_dropped_cells(begun)?;
        self.check_labels(recipes, &self.inputs())?;
        self.check_files()?;
        self.check_settings(recipes)?;
        // After what changed: that explains why something may not fit any more.
        self.check_inputs(recipes)
    }

    /// The recipe of each cell, settled for the data, or everything that is wrong with them.
    fn recipes(&self) -> Result<Vec<Recipe>> {
        let (mut recipes, mut problems) = (Vec::new(), Vec::new());
        let mut all_missing = true;
        for cell in self.plan.cells() {
            match self.plan.recipe(&cell, &self.base).and_then(|recipe| recipe.settled(&self.data)) {
                Ok(recipe) => recipes.push(recipe),
                Err(error) => {
                    all_missing &= error.is_missing();
                    let problem = format!("row {:?}: {error}", self.plan.rows[cell.row].name);
                    // A row has many cells, mostly with the same problem.
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                }
            }
        }
        match problems.join("\n") {
            none if none.is_empty() => Ok(recipes),
            problems if all_missing => Err(Error::Missing(problems)),
            problems => Err(Error::Recipe(problems)),
        }
    }

    /// Everything that cells read is there and fits, of those that are not trained.
    fn check_inputs(&self, recipes: &[Recipe]) -> Result<()> {
        let networks = recipes.iter().filter_map(|recipe| recipe.backbone.onnx.as_ref());
        for path in self.files().into_iter().filter_map(|(_, path)| path).chain(networks) {
            std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
        }
        features::check(self, recipes)?;
        let mut waiting = Vec::new();
        for (cell, recipe) in self.plan.cells().iter().zip(recipes) {
            if !self.is_trained(cell)? {
                waiting.push(recipe);
            }
        }
        let evaluated = Evaluated { split: self.split, features: self.test_features.as_deref() };
        let mut problems = preflight::check(&waiting, &self.inputs(), &evaluated);
        match problems.len() {
            0 => Ok(()),
            1 => Err(problems.remove(0)),
            count => {
                let lines: Vec<String> = problems.iter().map(Error::to_string).collect();
                let message = format!("{count} things keep cells from being trained:\n{}", lines.join("\n"));
                Err(Error::Sweep { code: problems[0].exit_code(), message })
            }
        }
    }

    /// What cells are trained on; the cache is not used here.
    pub(super) fn inputs(&self) -> Inputs {
        Inputs {
            data: self.data.clone(),
            weights: self.weights.clone(),
            words: self.words.clone(),
            features: self.features.clone(),
            val_features: self.val_features.clone(),
            cache: Cache::in_folder(&self.dir),
            skip_broken: None,
        }
    }

    /// The files that cells are trained on beside the data folder, with the flags that name them.
    fn files(&self) -> [(&'static str, Option<&PathBuf>); 4] {
        [
            ("--weights", self.weights.as_ref()),
            ("--words", self.words.as_ref()),
            ("--features", self.features.as_ref()),
            ("--val-features", self.val_features.as_ref()),
        ]
    }

    /// A folder that holds something and is not a sweep's is not written to.
    fn check_folder(&self) -> Result<()> {
        if !self.dir.exists() {
            return Ok(());
        }
        let foreign = lock::entries(&self.dir)?.iter().any(|path| path.file_name() != Some(LOCK.as_ref()));
        // After the listing: another process may be beginning this very sweep.
        if foreign && !self.dir.join(FILE).is_file() {
            return Err(Error::Usage(format!(
                "{} is not empty and no sweep; give another --out",
                self.dir.display()
            )));
        }
        Ok(())
    }

    fn check_same_inputs(&self, begun: &Sweep) -> Result<()> {
        let differs = |flag: &str, was: String, now: String| {
            Error::Usage(format!(
                "{}: the sweep was begun with {flag} {was}, not {now}; give the same, or sweep into another --out",
                self.dir.display()
            ))
        };
        let shown = |path: Option<&PathBuf>| path.map_or("none".into(), |path| path.display().to_string());
        let (was, now) = (("--data", Some(&begun.data)), ("--data", Some(&self.data)));
        for ((flag, was), (_, now)) in
            [(was, now)].into_iter().chain(begun.files().into_iter().zip(self.files()))
        {
            if !same_file(was, now) {
                return Err(differs(flag, shown(was), shown(now)));
            }
        }
        Ok(())
    }

    /// What has been computed does not silently leave the plan.
    fn check_dropped_cells(&self, begun: &Sweep) -> Result<()> {
        let kept: Vec<PathBuf> = self.plan.cells().iter().map(|cell| self.folder(cell)).collect();
        let dropped = begun
            .plan
            .cells()
            .into_iter()
            .find(|cell| !kept.contains(&begun.folder(cell)) && has_run(&begun.folder(cell)));
        match dropped {
            None => Ok(()),
            Some(cell) => Err(Error::Usage(format!(
                "the plan has no cell {} (any more), but the sweep holds its run; keep its row, proportion and seed, or delete {}",
                begun.name(&cell),
                begun.folder(&cell).display()
            ))),
        }
    }

    /// The runs that are there were begun with what the plan says now.
    fn check_settings(&self, recipes: &[Recipe]) -> Result<()> {
        const SHOWN: usize = 20;
        let mut problems = Vec::new();
        for (cell, recipe) in self.plan.cells().iter().zip(recipes) {
            let folder = self.folder(cell);
            if !has_run(&folder) {
                continue;
            }
            let changes = match Run::open(&folder)?.recipe() {
                Ok(begun) if begun == *recipe => continue,
                Ok(begun) => changes(&begun, recipe),
                Err(error) => error.to_string(),
            };
            let name = self.name(cell);
            problems.push(format!("{name}: its run {} has other settings: {changes}", folder.display()));
        }
        if problems.is_empty() {
            return Ok(());
        }
        let more = problems.len().saturating_sub(SHOWN);
        problems.truncate(SHOWN);
        problems.extend((more > 0).then(|| format!("… and {more} more cells")));
        problems.push(
            "restore the settings, delete such a folder to train it anew (with --retry-failed, if it failed), or sweep into another --out"
                .into(),
        );
        Err(Error::Incompatible(problems.join("\n")))
    }
}

/// Takes the lock, which others hold only as long as it takes to check the inputs and to read and write `sweep.toml`.
fn take(path: &Path, say: &dyn Fn(&str), cancel: &Cancel) -> Result<FileLock> {
    let (mut waited, mut told) = (Duration::ZERO, String::new());
    FileLock::wait(path, |holder| {
        cancel.check()?;
        if let Some(holder) = holder {
            told = holder.to_string();
            say(&format!("waiting for {holder}, which is beginning this sweep too ({})", path.display()));
        }
        waited += BETWEEN_LOOKS;
        if waited < PATIENCE {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{}: {told} has been beginning this sweep for {} s; run this again when its first cell is being trained",
            path.display(),
            PATIENCE.as_secs()
        )))
    })
}

fn has_run(folder: &Path) -> bool {
    folder.join("recipe.toml").is_file()
}

/// The settings that differ, as `train.epochs was 4, is 5`.
fn changes(begun: &Recipe, planned: &Recipe) -> String {
    let flat = |recipe: &Recipe| {
        let mut settings = BTreeMap::new();
        let table = toml::from_str(&recipe.to_toml()).expect("a recipe that was just written");
        flatten("", &table, &mut settings);
        settings
    };
    let (was, is) = (flat(begun), flat(planned));
    let keys: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let shown = |value: Option<&String>| value.map_or("not set".into(), String::clone);
    let changed = keys.into_iter().filter(|key| was.get(*key) != is.get(*key));
    changed
        .map(|key| format!("{key} was {}, is {}", shown(was.get(key)), shown(is.get(key))))
        .collect::<Vec<_>>()
        .join("; ")
}

fn flatten(prefix: &str, table: &toml::Table, settings: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => flatten(&key, table, settings),
            value => {
                settings.insert(key, value.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_that_another_process_is_beginning_is_waited_for_aloud() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCK);
        let other = FileLock::try_take(&path).unwrap().unwrap();
        let (said, cancel) = (std::cell::RefCell::default(), Cancel::new());
        let say = |text: &str| {
            *said.borrow_mut() = text.to_owned();
            cancel.cancel();
        };
        assert!(matches!(take(&path, &say, &cancel), Err(Error::Stopped)));
        let said = said.into_inner();
        assert!(said.starts_with(&format!("waiting for process {}, which", std::process::id())), "{said}");
        drop(other);
        take(&path, &|_| (), &Cancel::new()).unwrap();
    }

    #[test]
    fn changed_settings_are_named_with_both_values() {
        let recipe = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
            Recipe::read(None, Some("linear"), &sets).unwrap()
        };
        let (a, b) = (recipe(&[]), recipe(&["train.epochs=5", "data.known=0.1"]));
        assert_eq!(changes(&a, &b), "data.known was 1.0, is 0.1; train.epochs was 20, is 5");
        assert_eq!(changes(&a, &a), "");
    }
}
