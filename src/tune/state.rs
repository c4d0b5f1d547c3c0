//! What the folder of a tuning holds, and beginning one or taking one up: what is wrong is found here, before
//! the first trial.

use std::io::Write;
use std::path::{Path, PathBuf};

use sarb_labels::Split;
use sarb_labels::files::write_atomically;
use serde::{Deserialize, Serialize};

use super::halving::Rung;
use super::held_out::Parts;
use super::space::{Setting, Space};
use crate::data_part::features_of;
use crate::inputs::{Cache, Inputs};
use crate::lock::{FolderLock, entries};
use crate::methods;
use crate::preflight::{self, Evaluated};
use crate::prepare::fingerprint;
use crate::recipe::{Protocol, Recipe};
use crate::sweep::same_file;
use crate::{Error, Result};

/// The file that makes a folder a tuning's.
const FILE: &str = "tune.toml";
/// Settings beside the recipe's own, at most.
pub const MOST_SETTINGS: usize = 200;
/// Images that a closed form is judged on at least; fewer say little of the whole.
const LEAST_IMAGES: usize = 200;

/// What is tuned, as a command line says it.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The recipe: a file or a name in the program.
    pub recipe: Option<PathBuf>,
    /// The method in place of the recipe's.
    pub method: Option<String>,
    /// `--set key=value`.
    pub sets: Vec<String>,
    /// The file of the space; without one, that around the recipe.
    pub space: Option<PathBuf>,
}

/// A tuning: `tune.toml` and the folder it lies in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// The folder.
    #[serde(skip)]
    pub dir: PathBuf,
    pub data: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_features: Option<PathBuf>,
    /// Of what is held out and what is drawn.
    pub seed: u64,
    /// The share of the images that is held out.
    pub held_out: f64,
    /// Hash of the known labels and image paths.
    pub fingerprint: String,
    /// The recipe's own setting, settled for the data.
    pub recipe: Recipe,
    pub space: Space,
}

/// One setting.
pub(super) struct Trial {
    /// What differs from the recipe; nothing of the first.
    pub settings: Vec<Setting>,
    /// The whole recipe, as `best.toml` would have it.
    pub recipe: Recipe,
}

/// A tuning that is begun.
pub(super) struct Begun {
    pub state: State,
    /// The recipe's own setting, then those that were drawn.
    pub trials: Vec<Trial>,
    /// How long trials may be.
    pub rungs: Vec<Rung>,
    pub parts: Parts,
    /// What a person should know.
    pub notes: Vec<String>,
    _lock: FolderLock,
}

impl Origin {
    /// The recipe with more settings.
    fn read(&self, more: &[Setting]) -> Result<(Recipe, Vec<String>)> {
        let sets = self.sets.iter().cloned().chain(more.iter().map(|(key, value)| format!("{key}={value}")));
        let sets: Vec<String> = sets.collect();
        let (mut recipe, notes) =
            Recipe::read_with_notes(self.recipe.as_deref(), self.method.as_deref(), &sets)?;
        if let Some(file) = &recipe.backbone.onnx {
            // Written to other folders.
            recipe.backbone.onnx = Some(std::path::absolute(file).map_err(|e| Error::io(file, e))?);
        }
        Ok((recipe, notes))
    }

    /// The recipe with settings of the space, whose file is named where they are refused.
    fn with(&self, settings: &[Setting]) -> Result<Recipe> {
        self.read(settings).map(|(recipe, _)| recipe).map_err(|error| {
            let what = match &self.space {
                Some(file) => file.display().to_string(),
                None => "the space around the recipe (give another with --space FILE)".into(),
            };
            let text = error.to_string();
            Error::Recipe(format!("{what}: {}", text.strip_prefix("--set ").unwrap_or(&text)))
        })
    }
}

/// Begins a tuning in `dir`, or takes up the one in it.
///
/// # Errors
/// [`Error::Recipe`] and [`Error::Usage`] for a recipe or a space that does not go; [`Error::Data`] where nothing can
/// be judged; [`Error::Usage`] for a folder that is none or was begun with something else.
pub(super) fn begin(dir: &Path, origin: &Origin, inputs: &Inputs, seed: u64, held_out: f64) -> Result<Begun> {
    inputs.check_names()?;
    let (recipe, mut notes) = origin.read(&[])?;
    if recipe.protocol == Protocol::Reference {
        return Err(Error::Recipe(
            "protocol = \"reference\" selects on the test images, which a tuning never reads; set protocol=corrected"
                .into(),
        ));
    }
    if recipe.train.epochs == 0 && !is_closed_form(&recipe) {
        return Err(Error::Recipe(
            "train.epochs is 0, so there is nothing to tune; expected a number above 0".into(),
        ));
    }
    let space = match &origin.space {
        Some(file) => Space::read(file)?,
        None => Space::around(&recipe)?,
    };
    space.extremes().into_iter().try_for_each(|setting| origin.with(&[setting]).map(drop))?;
    let trials = trials(origin, &space, recipe.clone(), seed)?;
    let inputs = with_words(inputs)?;
    check(&trials, &inputs)?;
    let settled = recipe.clone().settled(&inputs.data)?;
    let parts = Parts::new(&inputs.data, &recipe, held_out, seed)?;
    let state = State {
        dir: dir.to_path_buf(),
        data: inputs.data.clone(),
        weights: inputs.weights.clone(),
        words: inputs.words.clone(),
        features: inputs.features.clone(),
        val_features: inputs.val_features.clone(),
        seed,
        held_out,
        fingerprint: fingerprint(&parts.all),
        recipe: settled,
        space,
    };
    let rungs = rungs(origin, &recipe, parts.train.len());
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
    let lock = FolderLock::take(dir)?;
    state.take_up(&parts, &inputs, &rungs)?;
    notes.push(parts.note());
    Ok(Begun { state, trials, rungs, parts, notes, _lock: lock })
}

/// Whether nothing of it is trained by steps.
pub(super) fn is_closed_form(recipe: &Recipe) -> bool {
    recipe.method.name() == methods::ANCHOR
}

/// The recipe's own setting and, in the order of their draw, others that differ from it and one another.
fn trials(origin: &Origin, space: &Space, own: Recipe, seed: u64) -> Result<Vec<Trial>> {
    let mut trials = vec![Trial { settings: Vec::new(), recipe: own }];
    for settings in space.draw(seed, MOST_SETTINGS) {
        let recipe = origin.with(&settings)?;
        if !trials.iter().any(|trial| trial.recipe == recipe) {
            trials.push(Trial { settings, recipe });
        }
    }
    match trials.len() {
        1 => Err(Error::Usage(
            "the space holds the recipe's own setting alone, so there is nothing to try".into(),
        )),
        _ => Ok(trials),
    }
}

/// The rungs that differ, of those on which the recipe can be trained.
fn rungs(origin: &Origin, recipe: &Recipe, images: usize) -> Vec<Rung> {
    if is_closed_form(recipe) {
        return Rung::ladder(images, LEAST_IMAGES);
    }
    let mut rungs = Rung::ladder(recipe.train.epochs, 1);
    rungs.retain(|rung| {
        let short = shortened(recipe.clone(), *rung).train;
        let set = |key: &str, value: usize| (key.to_owned(), toml::Value::from(value as i64));
        origin
            .read(&[set("train.epochs", short.epochs), set("train.decay_epochs", short.decay_epochs)])
            .is_ok()
    });
    rungs
}

/// The recipe of a trial on a rung: so many epochs, and the steps of its schedule as much shorter.
pub(super) fn shortened(mut recipe: Recipe, rung: Rung) -> Recipe {
    if !is_closed_form(&recipe) {
        recipe.train.epochs = rung.of(recipe.train.epochs);
        recipe.train.decay_epochs = rung.of(recipe.train.decay_epochs);
    }
    recipe
}

/// Trials lie in other folders than the data: what the data folder knows of words goes with them.
fn with_words(inputs: &Inputs) -> Result<Inputs> {
    Ok(Inputs { words: inputs.words_file()?, ..inputs.clone() })
}

/// Everything that trials read is there and fits.
fn check(trials: &[Trial], inputs: &Inputs) -> Result<()> {
    let settled: Vec<Recipe> =
        trials.iter().map(|trial| trial.recipe.clone().settled(&inputs.data)).collect::<Result<_>>()?;
    let recipes: Vec<&Recipe> = settled.iter().collect();
    let evaluated = Evaluated { split: Split::Train, features: inputs.features.as_deref() };
    let mut problems = preflight::check(&recipes, inputs, &evaluated);
    match problems.len() {
        0 => Ok(()),
        1 => Err(problems.remove(0)),
        count => {
            let lines: Vec<String> = problems.iter().map(Error::to_string).collect();
            let message = format!("{count} things keep settings from being tried:\n{}", lines.join("\n"));
            Err(Error::Sweep { code: problems[0].exit_code(), message })
        }
    }
}

impl State {
    /// Where trials of a rung find their data; of a network all the same.
    pub fn data_of(&self, rung: Rung) -> PathBuf {
        let rung = if is_closed_form(&self.recipe) { rung } else { Rung::Full };
        self.dir.join("data").join(rung.name())
    }

    /// Where what trials are judged on lies.
    pub fn held_out_folder(&self) -> PathBuf {
        self.dir.join("held-out")
    }

    /// What trials of a rung read; the cache is not used here.
    pub fn inputs_of(&self, rung: Rung) -> Inputs {
        let inputs = self.inputs();
        let data = self.data_of(rung);
        Inputs { features: features_of(&data, &inputs), data, ..inputs }
    }

    /// The features of the images to judge on.
    pub fn held_out_features(&self) -> Option<PathBuf> {
        features_of(&self.held_out_folder(), &self.inputs())
    }

    fn inputs(&self) -> Inputs {
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

    /// Writes the folder, or finds in it what is being asked for.
    fn take_up(&self, parts: &Parts, inputs: &Inputs, rungs: &[Rung]) -> Result<()> {
        let path = self.dir.join(FILE);
        if path.is_file() {
            return self.check_same(&Self::read(&path, &self.dir)?);
        }
        // Parts of a beginning that was killed are ours.
        let ours = ["data", "held-out"].map(|name| self.dir.join(name));
        if entries(&self.dir)?.iter().any(|path| !ours.contains(path)) {
            return Err(Error::Usage(format!(
                "{} is not empty and no tuning; give another --out",
                self.dir.display()
            )));
        }
        parts.save_held_out(&self.held_out_folder(), inputs)?;
        let rungs = if is_closed_form(&self.recipe) { rungs } else { &[Rung::Full] };
        for rung in rungs {
            parts.save_training(&self.data_of(*rung), rung.divisor(), &self.recipe, inputs, self.seed)?;
        }
        let text = toml::to_string(self).expect("a tuning is a plain table");
        Ok(write_atomically(&path, |file| file.write_all(text.as_bytes()))?)
    }

    fn read(path: &Path, dir: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let state: Self = toml::from_str(&text).map_err(|e| {
            Error::Usage(format!("{}: {}", path.display(), e.message().trim().replace('\n', "; ")))
        })?;
        Ok(Self { dir: dir.to_path_buf(), ..state })
    }

    /// Numbers of other settings or other inputs must not stand beside those that are there.
    fn check_same(&self, begun: &Self) -> Result<()> {
        let other_file = |of: fn(&Self) -> Option<&PathBuf>| !same_file(of(begun), of(self));
        let differs = [
            ("--data", other_file(|state| Some(&state.data))),
            ("--weights", other_file(|state| state.weights.as_ref())),
            ("--words", other_file(|state| state.words.as_ref())),
            ("--features", other_file(|state| state.features.as_ref())),
            ("--val-features", other_file(|state| state.val_features.as_ref())),
            ("--seed", begun.seed != self.seed),
            ("--held-out", begun.held_out != self.held_out),
            ("recipe", begun.recipe != self.recipe),
            ("space", begun.space != self.space),
            ("train.csv", begun.fingerprint != self.fingerprint),
        ];
        match differs.iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((what, _)) => Err(Error::Usage(format!(
                "{}: the tuning in it was begun with another {what}; give the same, or another --out",
                self.dir.display()
            ))),
        }
    }
}
