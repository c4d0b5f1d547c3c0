//! One run, or several side by side, as one HTML page that needs no other file and no network: what was trained on
//! what, curves, average precision by category, thresholds, calibration, confusions, images, recipe.
//!
//! Numbers are those of `evaluate`: the same metrics over the same known labels, the same resamples. What is not at
//! hand is said, never drawn as an empty chart.

mod categories;
mod confusions;
mod epochs;
mod explorer;
mod facts;
mod gallery;
mod html;
mod layout;
mod names;
mod overview;
mod reading;
mod reliability;
mod thresholds;

use std::path::Path;

use sarb_labels::metrics::Scale;
use sarb_labels::text::{listed, thousands};
use sarb_labels::{LabelMatrix, Split};

use crate::Result;
use crate::compare::{Bootstrap, Comparison, System, compare};
use crate::recognizer::Recognizer;
use crate::report::chart::Chart;
use crate::run::Which;
use explorer::Explorer;
use gallery::Gallery;
use names::Names;

pub use names::Source;
pub use reading::{ReadRun, Saved};

/// A system that is measured, on the labels and in the order of the categories that all have.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its scores and what they are worth.
    pub system: System,
    /// What its scores are.
    pub scale: Scale,
    /// Where they come from.
    pub source: Source,
}

/// Systems measured on the same labels; differences are to the first.
#[derive(Debug, Clone)]
pub struct Measured {
    /// At least one.
    pub rows: Vec<Row>,
    /// `N × C`.
    pub labels: LabelMatrix,
    /// Names of the C categories.
    pub categories: Vec<String>,
}

/// What a reader may choose.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How the intervals are computed.
    pub bootstrap: Bootstrap,
    /// Most best and most worst images on the page; 0 puts none there.
    pub images: usize,
    /// Which split is measured.
    pub split: Split,
    /// The checkpoint that was evaluated and draws the heat maps.
    pub checkpoint: Which,
}

/// The page.
#[derive(Debug, Clone)]
pub struct Page {
    /// HTML.
    pub html: String,
    /// The table of systems, if something was measured.
    pub comparison: Option<Comparison>,
    /// What is not at hand, and why.
    pub notes: Vec<String>,
}

impl Page {
    /// Brings runs and measurements together.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) if a system has not a score for every label.
    pub fn of(runs: &[ReadRun], measured: Option<&Measured>, settings: &Settings) -> Result<Self> {
        let mut notes: Vec<String> = runs.iter().flat_map(|run| run.notes.clone()).collect();
        let rows = measured.map_or(&[][..], |measured| &measured.rows);
        let names = Names::of(runs, rows);
        let comparison = measured.map(|measured| {
            let systems: Vec<&System> = rows.iter().map(|row| &row.system).collect();
            compare(&systems, &measured.labels, settings.bootstrap)
        });
        let comparison = comparison.transpose()?;
        let charts = training(runs, &names, &mut notes);
        let images = measured.and_then(|measured| gallery(runs, measured, settings, &mut notes));
        let explorer = measured.map(|measured| Explorer::of(measured, &names));
        let mut parts = Vec::new();
        if let (Some(measured), Some(comparison)) = (measured, &comparison) {
            parts.push(overview::section_of(measured, comparison));
        }
        parts.push(facts::facts(runs));
        parts.push(charts);
        if let (Some(measured), Some(explorer)) = (measured, &explorer) {
            parts.push(categories::categories(measured, settings.bootstrap));
            parts.push(explorer.section(measured));
            parts.push(reliability::calibration(measured, &names));
            parts.extend(thresholds::section_of(runs, measured, &mut notes));
            parts.push(confusions::section_of(measured));
        }
        parts.extend(images);
        parts.push(facts::recipes(runs));
        let lead = overview::lead(measured, comparison.as_ref(), settings.split, &notes);
        let data = serde_json::json!(explorer);
        let html = layout::whole(&title(runs, rows), &lead, &parts, &data);
        Ok(Self { html, comparison, notes })
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, out: &Path) -> Result<()> {
        super::create_dir(sarb_labels::files::folder_of(out))?;
        super::write(out, &self.html)
    }
}

fn title(runs: &[ReadRun], rows: &[Row]) -> String {
    match (runs, rows) {
        ([run], _) => format!("Run {}", run.name),
        ([], [row]) => format!("Scores {}", row.system.name),
        ([], rows) => format!("{} systems", thousands(rows.len())),
        (runs, _) => format!("{} runs", thousands(runs.len())),
    }
}

/// The curves of the training.
fn training(runs: &[ReadRun], names: &Names, notes: &mut Vec<String>) -> String {
    let without = runs.iter().filter(|run| !run.history.has_validation()).map(|run| run.name.as_str());
    let without: Vec<&str> = without.collect();
    if !without.is_empty() {
        notes.push(format!(
            "No mAP by epoch of {}: no validation images, or none with a known positive.",
            listed(&without)
        ));
    }
    let charts = epochs::charts(runs, names);
    if charts.is_empty() {
        return String::new();
    }
    let figures: String = charts.iter().map(layout::figure).collect();
    let mut note = "Epoch 0 is the state before the first step; losses are means over the steps of an epoch, unweighted; \
                    the level line is the anchor, linear on the same features."
        .to_owned();
    if runs.iter().any(|run| run.history.is_thinned()) {
        note += " Not every epoch is drawn; metrics.csv of a run has all.";
    }
    let panels = charts.iter().flat_map(|chart| chart.panels.clone()).collect();
    let all = Chart { panels, ..charts[0].clone() };
    let content = format!("{}<div class=\"charts\">\n{figures}</div>\n", all.legend());
    html::section("training", "By epoch", &note, &content)
}

/// The images of the first system, if it is a run.
fn gallery(
    runs: &[ReadRun],
    measured: &Measured,
    settings: &Settings,
    notes: &mut Vec<String>,
) -> Option<String> {
    let row = &measured.rows[0];
    let Source::Run(place) = row.source else {
        notes.push("No images are shown: files of scores do not say where they are.".into());
        return None;
    };
    let (run, saved) = (&runs[place], runs[place].saved.as_ref()?);
    if settings.images == 0 {
        notes.push("No images are shown (--images 0).".into());
        return None;
    }
    if saved.annotations.images.iter().all(|image| sarb_labels::images::stored_size(image).is_none()) {
        notes.push(format!(
            "No images are shown: none of those in {} is there.",
            saved.annotations.source.display()
        ));
        return None;
    }
    let recognizer = Recognizer::open_to_see(&run.run, settings.checkpoint);
    let gallery =
        Gallery { name: &run.name, logits: &row.system.values, annotations: &saved.annotations, recognizer };
    Some(gallery.section(settings.images))
}

#[cfg(test)]
mod tests;
