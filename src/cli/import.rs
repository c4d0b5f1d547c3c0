//! `sarb weights import`: a checkpoint of the official code as a run.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use sarb::import::Official;
use sarb::labels::files::folder_of;
use sarb::labels::{Split, dataset};
use sarb::{Error, Existing, Recipe, Result};

use super::console::{print, say};

/// Arguments of `sarb weights import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The checkpoint of the official code, a .pth file with a state_dict, or its tensors as .safetensors
    checkpoint: PathBuf,
    /// Folder of the run to write
    #[arg(short, long, value_name = "RUN")]
    out: PathBuf,
    /// What the checkpoint is: a file, or a recipe in the program
    #[arg(long, default_value = "paper/sarb")]
    recipe: PathBuf,
    /// Method, in place of the recipe's
    #[arg(long, value_name = "M", value_parser = PossibleValuesParser::new(["ssgrl", "sarb", "sst", "hst"]))]
    method: Option<String>,
    /// Overrides a setting of the recipe, such as data.size_px=576; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Data folder whose label files name the categories, in the order of the checkpoint; the run's from then on
    #[arg(long, value_name = "DIR", required_unless_present = "categories")]
    data: Option<PathBuf>,
    /// File with a name per line instead
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    categories: Option<PathBuf>,
    /// Replace the run in --out
    #[arg(long)]
    force: bool,
}

impl Import {
    /// Imports, and prints the folder of the run.
    pub fn run(&self) -> Result<()> {
        let recipe = Recipe::read(Some(&self.recipe), self.method.as_deref(), &self.set)?;
        let (names, data) = self.names()?;
        let official = Official { checkpoint: &self.checkpoint, recipe: &recipe, names, data };
        let existing = if self.force { Existing::Replace } else { Existing::Refuse };
        let run = official.import((&self.out, existing), &sarb::device::open("cpu")?)?;
        say(
            "prototypes, queues and heads of pairs are not in the run: it is for evaluate, predict and export",
        );
        print(&run.dir().display().to_string())
    }

    /// The categories, and where the run's data are.
    fn names(&self) -> Result<(Vec<String>, PathBuf)> {
        if let Some(data) = &self.data {
            let split = if dataset::has_split(data, Split::Train)? { Split::Train } else { Split::Test };
            return Ok((dataset::open_split(data, split)?.categories, data.clone()));
        }
        let file = self.categories.as_deref().expect("clap asks for one of the two");
        Ok((read_names(file)?, folder_of(file).to_owned()))
    }
}

/// The lines of a file, without empty ones; each once.
fn read_names(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|error| Error::io(file, error))?;
    let names: Vec<String> =
        text.lines().map(|line| line.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Err(Error::Data(format!("{}: category {name:?} is there twice", file.display())));
        }
    }
    match names.is_empty() {
        true => Err(Error::Data(format!("{}: no category; expected a name per line", file.display()))),
        false => Ok(names),
    }
}
