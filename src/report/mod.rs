//! What a sweep measured, as tables and figures: in text, Markdown, LaTeX, CSV, SVG and one HTML page.
//!
//! Averages are the paper's: the mean over known proportions of the mean over seeds. A row that is
//! not complete has none. Differences between two systems carry an interval of the paired bootstrap
//! over test images; published numbers stand beside ours only where they were read, never from memory.

mod chart;
mod comparison;
mod figures;
#[cfg(test)]
mod fixture;
mod history;
mod page;
mod published;
mod results;
pub mod runs;
mod same_inputs;
mod saved;
mod table;
mod tables;
mod words;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use sarb_labels::LabelMatrix;
use sarb_labels::files::{folder_of, write_atomically};
use sarb_labels::text::{listed, thousands};

use crate::prepare::filled;
use crate::run::MapOrigin;
use crate::{Error, Result};
use chart::Chart;
use comparison::Comparison;
use published::Numbers;
use table::Table;
use tables::Context;

pub use results::Results;

/// How the intervals are computed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The data folder, if it is not where the sweep found it.
    pub data: Option<PathBuf>,
    /// Number of resamples; 0 computes no interval and needs no labels.
    pub bootstrap: usize,
    /// Seed of the resamples.
    pub seed: u64,
}

/// Tables and figures of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was measured, in one sentence.
    pub setting: String,
    /// The tables.
    pub tables: Vec<Table>,
    /// The figures.
    pub figures: Vec<Chart>,
    /// What is not there, and why; what should be known of the cells.
    pub notes: Vec<String>,
}

impl Report {
    /// Computes the report of the done cells.
    ///
    /// # Errors
    /// [`Error::Missing`] without the labels that the intervals need, [`Error::Data`] where scores
    /// or labels of a run do not fit, [`Error::Recipe`] for an unknown published data set.
    pub fn of(results: &Results, options: &Options) -> Result<Self> {
        same_inputs::check(&results.cells)?;
        let published = results.plan.published.as_deref().map(Numbers::on).transpose()?;
        let mut notes: Vec<String> = unfinished(results).into_iter().collect();
        notes.extend(several_builds(results));
        notes.extend(published.as_ref().and_then(|numbers| unknown_names(results, numbers)));
        let comparison = match results.reference() {
            Some(reference) => Some(compare(results, reference, options)?),
            None => {
                let name = &results.plan.compare_with;
                notes.push(format!("No differences: the plan has no row {name:?}, its compare_with."));
                None
            }
        };
        let context = Context { results, published, comparison, bootstrap: options.bootstrap };
        let (loss, more) = figures::training_loss(results);
        notes.extend(more);
        Ok(Self {
            setting: setting(results),
            tables: context.tables(),
            figures: figures::map_by_known(results).into_iter().chain(loss).collect(),
            notes,
        })
    }

    /// The tables that a terminal shows: all but the cost.
    pub fn to_text(&self) -> String {
        let tables = self.tables.iter().filter(|table| table.name != "cost").map(Table::to_text);
        let text = std::iter::once(self.setting.clone() + "\n").chain(tables).collect::<Vec<_>>().join("\n");
        text.trim_end().to_owned()
    }

    /// The tables for programs, by name: for each row what its CSV file holds, numbers as numbers; the notes;
    /// the files that were written.
    pub fn to_json(&self, files: &[PathBuf]) -> serde_json::Value {
        let tables = self.tables.iter().map(|table| (table.name.clone(), table.to_json()));
        serde_json::json!({
            "setting": self.setting,
            "tables": serde_json::Value::Object(tables.collect()),
            "notes": self.notes,
            "files": files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
        })
    }

    /// Writes the page to `out` if that ends in `.html`, else everything into the folder `out`;
    /// returns the files.
    pub fn save(&self, out: &Path) -> Result<Vec<PathBuf>> {
        let page = self.to_html();
        if out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("html")) {
            create_dir(folder_of(out))?;
            write(out, &page)?;
            return Ok(vec![out.to_path_buf()]);
        }
        create_dir(out)?;
        let mut files = vec![("report.html".to_owned(), page)];
        for table in &self.tables {
            let formats = [
                ("txt", table.to_text()),
                ("md", table.to_markdown()),
                ("tex", table.to_latex()),
                ("csv", table.to_csv()),
            ];
            files.extend(formats.map(|(extension, text)| (format!("{}.{extension}", table.name), text)));
        }
        files.extend(self.figures.iter().map(|figure| (format!("{}.svg", figure.name), figure.to_svg())));
        let save = |(name, text): &(String, String)| {
            let path = out.join(name);
            write(&path, text).map(|()| path)
        };
        files.iter().map(save).collect()
    }
}

/// Differences to the reference, with intervals if they are asked for.
fn compare<'a>(results: &'a Results, reference: usize, options: &Options) -> Result<Comparison<'a>> {
    if options.bootstrap == 0 {
        return Ok(Comparison::without_intervals(results, reference));
    }
    let labels = labels(results, options.data.as_deref())?;
    Comparison::resampled(results, reference, &labels, options.bootstrap, options.seed)
}

/// The labels that the cells were measured with, columns in the order of their categories.
fn labels(results: &Results, given: Option<&Path>) -> Result<LabelMatrix> {
    let first = &results.cells[0];
    let names: Vec<String> = first.scores.per_category.iter().map(|category| category.name.clone()).collect();
    let folder = given.unwrap_or(&results.data);
    let (annotations, _) = filled::open_given(folder, results.split).map_err(|error| match error {
        missing if missing.is_missing() => Error::Missing(format!(
            "{missing}; the intervals need the labels of the sweep's {} split: say where they are with --data, or ask for no interval with --bootstrap 0",
            results.split
        )),
        error => error,
    })?;
    Ok(annotations.aligned(&names, &first.run.path("recipe.toml"))?.labels)
}

/// Data, test images, categories and backbones of the measurement.
fn setting(results: &Results) -> String {
    let scores = &results.cells[0].scores;
    let data = results.data.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "{data}: {} {} images, {} categories; backbone {}.",
        thousands(scores.images),
        results.split,
        scores.categories,
        listed(&backbones(results))
    )
}

/// The backbones of the runs, each once; of runs on the user's own features that alone is known.
fn backbones(results: &Results) -> Vec<String> {
    let mut names = Vec::new();
    for cell in &results.cells {
        let name = match (&cell.info.maps, cell.run.recipe()) {
            (MapOrigin::Given(_), _) => "the user's features".to_owned(),
            (_, Ok(recipe)) => recipe.backbone.shown(),
            (_, Err(_)) => "unknown".to_owned(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn unfinished(results: &Results) -> Option<String> {
    let (done, planned) = (results.cells.len(), results.plan.cells().len());
    (done < planned)
        .then(|| format!("{done} of {planned} cells are done; rows that miss one have no average."))
}

/// The builds of the program, where cells are of more than one.
fn several_builds(results: &Results) -> Option<String> {
    let mut builds: BTreeMap<&str, usize> = BTreeMap::new();
    results.cells.iter().for_each(|cell| *builds.entry(&cell.info.version).or_default() += 1);
    let name = |(build, cells): (&&str, &usize)| {
        let noun = if *cells == 1 { "cell" } else { "cells" };
        format!("{build} ({cells} {noun})")
    };
    let named: Vec<String> = builds.iter().map(name).collect();
    (named.len() > 1).then(|| {
        format!(
            "Not all cells are of one build of sarb, and builds may compute differently: {}.",
            listed(&named)
        )
    })
}

/// Rows whose published name nobody published under.
fn unknown_names(results: &Results, numbers: &Numbers) -> Option<String> {
    let rows = results.plan.rows.iter().filter_map(|row| row.published.as_deref());
    let unknown: Vec<String> =
        rows.filter(|name| !numbers.has(name)).map(|name| format!("{name:?}")).collect();
    (!unknown.is_empty())
        .then(|| format!("No published number on {} of {}.", numbers.data.title, listed(&unknown)))
}

fn create_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(write_atomically(path, |file| file.write_all(text.as_bytes()))?)
}

#[cfg(test)]
mod tests;
