//! What the done cells of a sweep's folders hold, brought together.

use std::path::PathBuf;

use sarb_labels::Split;
use sarb_labels::metrics::Scores;

use crate::run::{MadeOf, Measurement, Run, RunInfo};
use crate::sweep::{Cell, Plan, Sweep, Table};
use crate::{Error, Result};

/// One done cell.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Row, proportion and seed.
    pub cell: Cell,
    /// The scores on the sweep's split.
    pub scores: Scores,
    /// What they were made of; nothing is known of what an earlier version measured.
    pub made_of: Option<MadeOf>,
    /// What the run says of itself.
    pub info: RunInfo,
    /// Its folder.
    pub run: Run,
}

/// The done cells of one plan.
#[derive(Debug, Clone)]
pub struct Results {
    /// The plan.
    pub plan: Plan,
    /// The data folder.
    pub data: PathBuf,
    /// The split that the cells are measured on.
    pub split: Split,
    /// The done cells, in the plan's order.
    pub cells: Vec<Measured>,
}

impl Results {
    /// Reads the sweep folders `dirs`, shards of one plan.
    ///
    /// # Errors
    /// [`Error::Missing`] for a folder that is not a sweep, or if no cell is done; [`Error::Usage`] if
    /// the plans differ; [`Error::Data`] if two folders hold different results of one cell.
    pub fn open(dirs: &[PathBuf]) -> Result<Self> {
        let mut merged: Option<Self> = None;
        for dir in dirs {
            let sweep = Sweep::open(dir)?;
            let merged = merged.get_or_insert_with(|| Self {
                plan: sweep.plan.clone(),
                data: sweep.data.clone(),
                split: sweep.split,
                cells: Vec::new(),
            });
            if !same(&merged.plan, &sweep.plan) || merged.split != sweep.split {
                return Err(Error::Usage(format!(
                    "{} and {} are sweeps of different plans or splits; report them one by one",
                    dirs[0].display(),
                    dir.display()
                )));
            }
            for cell in sweep.plan.cells() {
                if let Some(why) = sweep.outdated(&cell)? {
                    return Err(Error::Data(format!(
                        "{}: its measurement of the {} images {why}; run `sarb sweep` again, which measures it anew",
                        sweep.folder(&cell).display(),
                        sweep.split
                    )));
                }
            }
            for (cell, run) in sweep.done()? {
                merged.add(cell, run)?;
            }
        }
        let mut merged = merged.ok_or_else(|| Error::Usage("give the folder of a sweep".into()))?;
        if merged.cells.is_empty() {
            let dirs: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
            return Err(Error::Missing(format!(
                "{}: no cell is done yet; run `sarb sweep` until one is",
                dirs.join(", ")
            )));
        }
        let order = merged.plan.cells();
        merged.cells.sort_by_key(|measured| order.iter().position(|cell| *cell == measured.cell));
        Ok(merged)
    }

    /// Adds a done cell; one that is already there must have the same scores.
    pub(super) fn add(&mut self, cell: Cell, run: Run) -> Result<()> {
        let file = format!("evaluation/{}.json", self.split);
        let path = run.path(&file);
        let measured = run.measurement(self.split)?;
        let Measurement { scores, made_of } =
            measured.ok_or_else(|| Error::Missing(format!("{}: not there", path.display())))?;
        if let Some(known) = self.cells.iter().find(|known| known.cell == cell) {
            return match known.scores == scores {
                true => Ok(()),
                false => Err(Error::Data(format!(
                    "{} and {} hold different results of one cell (mAP {:.4} and {:.4}); leave one of the folders out",
                    known.run.path(&file).display(),
                    path.display(),
                    known.scores.map,
                    scores.map
                ))),
            };
        }
        if let Some(first) = self.cells.first()
            && !same_split(&first.scores, &scores)
        {
            return Err(Error::Data(format!(
                "{} is of {} images and {} categories, {} of {} and {}, or their names differ; all cells must be measured on the same images",
                path.display(),
                scores.images,
                scores.categories,
                first.run.path(&file).display(),
                first.scores.images,
                first.scores.categories
            )));
        }
        let info = run.info()?;
        self.cells.push(Measured { cell, scores, made_of, info, run });
        Ok(())
    }

    /// The done cells of a row at a proportion, by seed.
    pub fn at(&self, row: usize, known: f64) -> Vec<&Measured> {
        let mut cells: Vec<&Measured> =
            self.cells.iter().filter(|done| done.cell.row == row && done.cell.known == known).collect();
        cells.sort_by_key(|done| done.cell.seed);
        cells
    }

    /// The cells of a row that the plan has and nobody has done.
    pub fn missing(&self, row: usize) -> Vec<Cell> {
        let mut planned = self.plan.cells();
        planned.retain(|cell| cell.row == row && self.cells.iter().all(|done| done.cell != *cell));
        planned
    }

    /// The rows of a table, in the plan's order.
    pub fn rows(&self, table: Table) -> Vec<usize> {
        (0..self.plan.rows.len()).filter(|&row| self.plan.rows[row].tables.contains(&table)).collect()
    }

    /// The name of a row.
    pub fn name(&self, row: usize) -> &str {
        &self.plan.rows[row].name
    }

    /// The row that the others are compared with, if the plan has it.
    pub fn reference(&self) -> Option<usize> {
        self.plan.rows.iter().position(|row| row.name == self.plan.compare_with)
    }

    /// The proportions in ascending order, each once.
    pub fn known(&self) -> Vec<f64> {
        let mut known = self.plan.known.clone();
        known.sort_by(f64::total_cmp);
        known.dedup();
        known
    }
}

/// Whether two plans ask for the same cells; where the recipes lie may differ between machines.
fn same(a: &Plan, b: &Plan) -> bool {
    let without_paths = |plan: &Plan| {
        let mut plan = plan.clone();
        plan.rows.iter_mut().for_each(|row| row.recipe = row.recipe.file_name().unwrap_or_default().into());
        plan
    };
    without_paths(a) == without_paths(b)
}

fn same_split(a: &Scores, b: &Scores) -> bool {
    let names = |scores: &Scores| scores.per_category.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    a.images == b.images && names(a) == names(b)
}
