//! The plan of a sweep: which recipes, at which known proportions, with which seeds.
//!
//! ```toml
//! known = [0.1, 0.5, 0.9]
//! seeds = [0]
//! published = "coco"                  # the data set of the paper whose numbers stand beside ours
//! loss_curves = ["SARB", "SARB without prototypes"]
//!
//! [[row]]
//! name = "SARB"
//! recipe = "../coco18/sarb.toml"      # relative to the plan
//! more_seeds = [{ known = 0.1, seeds = [1, 2] }]
//! tables = ["main", "ablation"]
//!
//! [[row]]
//! name = "SARB without prototypes"
//! recipe = "../coco18/sarb.toml"
//! set = ['method.blends = ["instance"]']
//! tables = ["ablation"]
//! published = "ILRB"
//! ```

use std::collections::HashSet;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use sarb_labels::files::folder_of;
use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;
use crate::recipe::library::{Form, Source};
use crate::{Error, Result};

/// Rows × known proportions × seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Known proportions of every row, in the order in which they are run.
    pub known: Vec<f64>,
    /// Seeds of every row at every proportion.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// Settings of every row, as of `sarb train --set`.
    #[serde(default)]
    pub set: Vec<String>,
    /// Data set of the published numbers that a report puts beside ours: coco, vg-200 or voc-2007.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// The row that the others are compared with.
    #[serde(default = "sarb")]
    pub compare_with: String,
    /// Rows whose training loss a report draws: with and without prototype-level blending.
    #[serde(default)]
    pub loss_curves: Vec<String>,
    /// The rows of the tables.
    #[serde(rename = "row")]
    pub rows: Vec<Row>,
}

/// One row of the tables: a recipe with a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What tables call it.
    pub name: String,
    /// The recipe, relative to the plan, or its name in the program.
    pub recipe: PathBuf,
    /// Settings on top of the recipe's and the plan's, as of `sarb train --set`.
    #[serde(default)]
    pub set: Vec<String>,
    /// Further seeds at some proportions.
    #[serde(default)]
    pub more_seeds: Vec<MoreSeeds>,
    /// The tables that show it.
    #[serde(default = "main_table")]
    pub tables: Vec<Table>,
    /// Its name among the published numbers, where it is not the row's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
}

/// Further seeds at one known proportion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoreSeeds {
    /// The proportion, one of the plan's.
    pub known: f64,
    /// The seeds.
    pub seeds: Vec<u64>,
}

/// A table of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    /// The systems side by side.
    Main,
    /// The variants of one.
    Ablation,
}

/// One training and its evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Index into the plan's rows.
    pub row: usize,
    /// Proportion of the labels that stay known.
    pub known: f64,
    /// Seed of the training.
    pub seed: u64,
}

impl Plan {
    /// Reads and checks a plan, a file or one in the program such as `coco18`; recipes are not opened. Returns
    /// the folder that its recipes are relative to as well.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the key, the value and what is accepted; [`Error::Missing`] with the name
    /// that may be meant.
    pub fn read(path: &Path) -> Result<(Self, PathBuf)> {
        let source = Source::find(path, Form::Plan)?;
        let (text, folder) = match &source {
            Source::File(file) => (source.text(Form::Plan)?, folder_of(file).to_owned()),
            // Its recipes are called by their full names, so that the folder does not matter.
            Source::BuiltIn(plan) => (plan.standing_alone(), PathBuf::from(".")),
        };
        let plan: Self = toml::from_str(&text).map_err(|e| {
            let line = e.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            Error::Recipe(format!("{source}:{line}: {}", e.message().trim().replace('\n', "; ")))
        })?;
        plan.check().map_err(|why| Error::Recipe(format!("{source}: {why}")))?;
        Ok((plan, folder))
    }

    /// The complete plan as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a plan is a plain table")
    }

    fn check(&self) -> std::result::Result<(), String> {
        if self.rows.is_empty() || self.known.is_empty() || self.seeds.is_empty() {
            return Err("row, known and seeds must not be empty".into());
        }
        let more = self.rows.iter().flat_map(|row| &row.more_seeds);
        for known in self.known.iter().chain(more.clone().map(|more| &more.known)) {
            if !(*known > 0.0 && *known <= 1.0) {
                return Err(format!("known is {known}; expected a proportion in (0, 1]"));
            }
        }
        if let Some(more) = more.clone().find(|more| !self.known.contains(&more.known)) {
            return Err(format!("more_seeds has known {}, which the plan's known does not list", more.known));
        }
        // A cell is its folder: none may be there twice.
        if let Some(known) = first_repeated(&self.known, |known| (known * 1e6).round() as u64) {
            return Err(format!("known lists {known} twice"));
        }
        if let Some(seed) = first_repeated(&self.seeds, |seed| *seed) {
            return Err(format!("seeds lists {seed} twice"));
        }
        let mut folders = HashSet::new();
        for row in &self.rows {
            if row.folder().is_empty() || !folders.insert(row.folder()) {
                return Err(format!(
                    "row {:?}: names must differ in their letters and digits, which name folders",
                    row.name
                ));
            }
        }
        let names: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
        if let Some(name) = self.loss_curves.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(format!(
                "loss_curves has {name:?}, which is not a row; rows are {}",
                names.join(", ")
            ));
        }
        Ok(())
    }

    /// Every cell once, in the order in which they are run, most valuable first: seed by seed; of a seed
    /// the rows of the main table before the others; then proportion by proportion, row by row.
    pub fn cells(&self) -> Vec<Cell> {
        let mut seeds: Vec<u64> = self.seeds.clone();
        for seed in self.rows.iter().flat_map(|row| &row.more_seeds).flat_map(|more| &more.seeds) {
            if !seeds.contains(seed) {
                seeds.push(*seed);
            }
        }
        let mut cells = Vec::new();
        for &seed in &seeds {
            for main in [true, false] {
                let rows = || {
                    self.rows.iter().enumerate().filter(|(_, row)| row.tables.contains(&Table::Main) == main)
                };
                for &known in &self.known {
                    let wanted = rows().filter(|(_, row)| self.has(row, known, seed));
                    cells.extend(wanted.map(|(row, _)| Cell { row, known, seed }));
                }
            }
        }
        cells
    }

    /// Whether a row is run at this proportion with this seed.
    fn has(&self, row: &Row, known: f64, seed: u64) -> bool {
        let more = row.more_seeds.iter().any(|more| more.known == known && more.seeds.contains(&seed));
        more || self.seeds.contains(&seed)
    }

    /// The run's folder of a cell within the sweep's: `runs/ROW/known-PERCENT/seed-N`.
    pub fn folder(&self, cell: &Cell) -> PathBuf {
        let percent = (cell.known * 1e6).round() / 1e4;
        Path::new("runs")
            .join(self.rows[cell.row].folder())
            .join(format!("known-{percent}"))
            .join(format!("seed-{}", cell.seed))
    }

    /// The resolved recipe of a cell; `base` is the folder that recipes are relative to.
    pub fn recipe(&self, cell: &Cell, base: &Path) -> Result<Recipe> {
        let row = &self.rows[cell.row];
        Recipe::read_from(base, &row.recipe, &self.sets(cell))
    }

    /// The settings of a cell on top of its recipe's, as of `sarb train --set`.
    pub fn sets(&self, cell: &Cell) -> Vec<String> {
        let mut sets = [&self.set[..], &self.rows[cell.row].set].concat();
        sets.extend([format!("data.known={}", cell.known), format!("seed={}", cell.seed)]);
        sets
    }
}

impl Row {
    /// The name as a folder: letters and digits in lower case, the rest hyphens.
    pub fn folder(&self) -> String {
        let lower = self.name.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-")
    }
}

/// The first value whose key an earlier one has.
fn first_repeated<T, K: Eq + Hash>(values: &[T], key: impl Fn(&T) -> K) -> Option<&T> {
    let mut seen = HashSet::new();
    values.iter().find(|value| !seen.insert(key(value)))
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

fn sarb() -> String {
    "SARB".into()
}

fn main_table() -> Vec<Table> {
    vec![Table::Main]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> std::result::Result<Plan, String> {
        let plan: Plan = toml::from_str(text).map_err(|e| e.message().to_string())?;
        plan.check().map(|()| plan)
    }

    #[test]
    fn cells_come_seed_by_seed_the_main_table_first_then_by_proportion_and_row() {
        let text = "known = [0.1, 0.5]\n[[row]]\nname = 'Z'\nrecipe = 'z.toml'\ntables = ['ablation']\n\
                    [[row]]\nname = 'A'\nrecipe = 'a.toml'\n\
                    more_seeds = [{ known = 0.1, seeds = [1] }]\n[[row]]\nname = 'B (x)'\nrecipe = 'b.toml'";
        let plan = plan(text).unwrap();
        let cells: Vec<_> = plan.cells().iter().map(|cell| plan.folder(cell).display().to_string()).collect();
        assert_eq!(
            cells,
            [
                "runs/a/known-10/seed-0",
                "runs/b-x/known-10/seed-0",
                "runs/a/known-50/seed-0",
                "runs/b-x/known-50/seed-0",
                "runs/z/known-10/seed-0",
                "runs/z/known-50/seed-0",
                "runs/a/known-10/seed-1",
            ]
        );
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_reason() {
        let row = "[[row]]\nname = 'A'\nrecipe = 'a.toml'\n";
        let refused = |text: &str| plan(text).unwrap_err();
        assert!(refused(&format!("known = [1.5]\n{row}")).contains("known is 1.5"));
        assert!(refused(&format!("known = [0.1]\n{row}{row}")).contains("names must differ"));
        assert!(
            refused(&format!("known = [0.1]\nloss_curves = ['Z']\n{row}"))
                .contains("\"Z\", which is not a row")
        );
        let more = "more_seeds = [{ known = 0.2, seeds = [1] }]\n";
        assert!(refused(&format!("known = [0.1]\n{row}{more}")).contains("does not list"));
        assert!(refused(&format!("known = [0.1, 0.1]\n{row}")).contains("known lists 0.1 twice"));
        assert!(refused(&format!("known = [0.1]\nseeds = [1, 1]\n{row}")).contains("seeds lists 1 twice"));
        assert!(refused("known = [0.1]\nrow = []").contains("must not be empty"));
    }

    #[test]
    fn every_plan_of_the_repository_resolves() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/plans");
        let mut cells = 0;
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            let (plan, folder) = Plan::read(&file).unwrap();
            let name = format!("sarb:plans/{}", file.file_stem().unwrap().to_str().unwrap());
            let (in_program, anywhere) = Plan::read(Path::new(&name)).unwrap();
            assert!(plan.rows.iter().any(|row| row.name == plan.compare_with));
            for cell in plan.cells() {
                let recipe = plan.recipe(&cell, &folder).unwrap();
                assert_eq!((recipe.data.known, recipe.seed), (cell.known, cell.seed));
                assert_eq!(in_program.recipe(&cell, &anywhere).unwrap(), recipe);
                cells += 1;
            }
        }
        assert!(cells > 100, "{cells} cells");
    }
}
